/* What the files of a scan share: the scan in the making, and adding a version to it. For scan.c
 * and scan_version.c alone. */
#ifndef TENSORD_REPOSITORY_SCAN_PRIVATE_H
#define TENSORD_REPOSITORY_SCAN_PRIVATE_H

#include "base/map.h"
#include "base/tree.h"
#include "repository/format.h"
#include "repository/repository.h"

#define SCAN_LINK_OUT "a link out of the repository, which is not followed"

struct scanner {
    struct repository_scan *scan;
    size_t capacity;
    struct map listed; /* by name and version: no pair twice */
    const char *root;  /* the repository's folder, links resolved */
    uint64_t now_ns, quiet_ns;
    const struct span *renamed_in;
    size_t renamed_count;
    const struct repository_override *overrides;
    size_t override_count;
    bool renamed; /* the folder that is being looked at was moved in whole */
    bool loaded;  /* what is being looked at are the files of a load */
    bool failed;  /* something had no room: the scan is worth nothing */
};

struct names {
    char **items;
    size_t count, capacity;
};

/* The config beside the folders of a model's versions, which is for all of them. */
struct shared_config {
    const struct model_config *config;
    struct tree_summary files;
    struct error error; /* ERROR_OK, or why it is of no use */
};

/* The format of the file that is a model by itself, and its name without the ending; NULL: it is
 * none. */
const struct format *scan_file_format(const char *folder, const char *name, struct span *ret_stem);

/* Does the name, or do the bytes of the file, make its folder a model's? `model.…` and manifests do
 * whatever else lies there. */
bool scan_entry_makes_model(const char *folder, const char *name, bool *ret_whatever_else);

/* Was the entry moved in whole since the last scan? */
bool scan_was_renamed(const struct scanner *scanner, const char *name);

/* Is the path, whose links are resolved, in the repository? */
bool scan_is_beneath(const struct scanner *scanner, const char *real);

/* Adds the model that the file names[at] of the folder is. */
void scan_add_file(struct scanner *scanner, const char *folder, const struct names *names,
                   size_t at);

/* Adds a version of a model that is a folder: its files are in `path`; its config, too, or it is
 * the one in `folder`, which lies beside it. shared NULL: the model has no versions, path is
 * folder.
 */
void scan_add_folder(struct scanner *scanner, const char *folder, const char *name, uint64_t number,
                     const char *path, const struct shared_config *shared);

/* Reads the config of a folder of versions, if there is one. */
void scan_read_shared(struct scanner *scanner, const char *folder,
                      struct shared_config *ret_shared);

/* Adds a version that the config names and that is not there. */
void scan_add_missing(struct scanner *scanner, const char *name, uint64_t number);

/* Adds a version that is there while nobody can say more, or with number 0 all of a model: its
 * folder `why`. */
void scan_add_unreadable(struct scanner *scanner, struct span name, uint64_t number,
                         const char *why);

/* The same after a call has failed with that errno; what has gone is not added. */
void scan_add_failure(struct scanner *scanner, struct span name, uint64_t number, int failure);

#endif
