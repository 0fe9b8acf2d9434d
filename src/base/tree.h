/* Walking the files of a model: each of them, what they weigh together, and a fingerprint that
 * differs when anything changed. Blocks; any thread. */
#ifndef TENSORD_BASE_TREE_H
#define TENSORD_BASE_TREE_H

#include "base/error.h"

#include <sys/stat.h>

/* Told of one file or folder, links followed. False ends the walk, with the reason. */
typedef bool tree_visit(void *context, const char *path, const struct stat *status,
                        struct error *ret_error);

/* Visits a file, or a folder and all beneath it, in no order. Hidden entries are passed over, and
 * so are those that are gone meanwhile, and links to nothing. Depth and number of entries are
 * bounded. False when something cannot be read now (UNAVAILABLE), when there is too much of it or
 * when `visit` said so; the sentence names no path. */
bool tree_walk(const char *path, tree_visit *visit, void *context, struct error *ret_error);

/* What was seen of some files and folders. */
struct tree_summary {
    uint64_t fingerprint; /* of names, sizes, times and inodes */
    uint64_t size_bytes;  /* of the files */
    uint64_t changed_ns;  /* when the newest of them changed, CLOCK_REALTIME */
};

/* Starts a summary of nothing. */
void tree_summary_init(struct tree_summary *summary);

/* Adds one file or folder. */
void tree_summary_add(struct tree_summary *summary, const char *path, const struct stat *status);

/* Adds a file, or a folder and all beneath it, by tree_walk. False, too, when something is neither:
 * whoever opened a FIFO or a device in a model's place would wait for ever. */
bool tree_add(struct tree_summary *summary, const char *path, struct error *ret_error);

#endif
