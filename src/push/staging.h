/* Putting things in their place at once, or not at all: what is made in a staging folder, beside
 * what it is to replace, is swapped in. All paths are relative to the current folder, which is the
 * folder of models. For the installer, a process of one thread; every call blocks.
 *
 * A staging folder is hidden from the repository, and locked by who uses it: one that nobody holds
 * was left by an installer that was killed, and is tidied away. */
#ifndef TENSORD_PUSH_STAGING_H
#define TENSORD_PUSH_STAGING_H

#include "base/error.h"

#include <limits.h>

struct staging {
    int fd; /* -1: closed */
    char name[32];
};

/* Makes a staging folder. False with a sentence. */
bool staging_open(struct staging *staging, struct error *ret_error);

/* Removes it with all that is in it. */
void staging_close(struct staging *staging);

/* The path of something in it. */
void staging_path(const struct staging *staging, const char *name, char ret_path[PATH_MAX]);

/* Puts what lies at the path `made`, in the staging folder, to the path `target`, in one step; what
 * lay there is in the staging folder then. It outlasts a power cut when this has
 * returned true. */
bool staging_swap(const struct staging *staging, const char *made, const char *target,
                  struct error *ret_error);

/* Moves what lies at the path out of the way, into the staging folder. False with NOT_FOUND when
 * there is nothing. */
bool staging_take(const struct staging *staging, const char *path, struct error *ret_error);

/* Removes what installers have left that were killed, and puts back what one had taken away. */
bool staging_tidy(struct error *ret_error);

/* Fills *ret_error with what errno says of a change of files. Returns false. */
bool staging_failed(const char *what, struct error *ret_error);

/* Writes folders beneath the path, and their names, to the disk. */
bool staging_sync(const char *path, struct error *ret_error);

/* Removes a file, or a folder with all that is in it, also where rights lack; what cannot be
 * removed stays. The path may be absolute. Any process and thread. */
void staging_remove(const char *path);

#endif
