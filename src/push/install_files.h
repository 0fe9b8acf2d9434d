/* The files of a version, between the folder of models and the blobs. For the installer; every call
 * blocks. Paths are relative to the current folder, which is that of models. */
#ifndef TENSORD_PUSH_INSTALL_FILES_H
#define TENSORD_PUSH_INSTALL_FILES_H

#include "push/manifest.h"

/* Which of the files have no blob of that size: *ret_missing has an entry for each, in the arena.
 */
bool files_find_missing(int blobs, const struct manifest *manifest, struct arena *arena,
                        struct manifest *ret_missing, struct error *ret_error);

/* Makes the files beneath a folder that is made, too, of their blobs. */
bool files_build(int blobs, const struct manifest *manifest, const char *folder,
                 struct error *ret_error);

/* Makes a file that is like another one, or a folder of the files of another one. */
bool file_copy(const char *from, const char *to, struct error *ret_error);
bool files_copy(const char *from, const char *folder, struct error *ret_error);

/* Whether the folder consists of just these files, as blobs. */
bool files_are(int blobs, const struct manifest *manifest, const char *folder);

/* Lists the regular files beneath a folder, or the one file, hidden ones included, with their paths
 * after the first `skip` bytes, and, unless blobs is -1, makes each a blob, if it is none yet, and
 * tells its digest. Adds to *listed, whose files are in the arena. */
bool files_list(int blobs, const char *path, size_t skip, struct arena *arena, size_t *capacity,
                struct manifest *listed, struct error *ret_error);

#endif
