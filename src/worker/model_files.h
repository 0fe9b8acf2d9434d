/* Are the files of a model whole? Asked in the worker just before an engine opens them, and again
 * when it has. */
#ifndef TENSORD_WORKER_MODEL_FILES_H
#define TENSORD_WORKER_MODEL_FILES_H

#include "base/error.h"
#include "base/tree.h"

/* The files as they were when they were looked at. */
struct model_files {
    const char *path; /* borrowed */
    struct tree_summary summary;
    struct error error; /* not ERROR_OK: they cannot be loaded now (UNAVAILABLE) */
};

/* Looks at the files beneath path or, when that is a file, at it and at those beside it whose names
 * begin with its name. Unless they were renamed_in, each must be closed to writing: a read lease,
 * taken for a moment, says so (fcntl(2), F_SETLEASE; a writer that opens the file in that moment
 * waits for its end). Where none can be had (the file is another user's, the file system knows none
 * or is another machine's) it must be unchanged for five seconds. A file that cannot be opened is
 * passed over: should the engine need it, it says so better. Blocks; to be called while the process
 * has one thread, before the seccomp filter, which allows no lease. */
void model_files_look(const char *path, bool renamed_in, struct model_files *ret_files);

/* True when nothing has changed since. Any thread. */
bool model_files_same(const struct model_files *files);

#endif
