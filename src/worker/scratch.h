/* Scratch folders: where a Python worker may write, one for each, gone with it. For spawner*.c
 * alone.
 *
 * All of a spawner's lie in one folder of $TMPDIR or /tmp that is named after its process, so that
 * a program which replaces it there finds those of the workers that it takes over. */
#ifndef TENSORD_WORKER_SCRATCH_H
#define TENSORD_WORKER_SCRATCH_H

#include "base/error.h"

#include <sys/types.h>

enum { SCRATCH_PATH_BYTES = 512 };

/* At a spawner's start: has a process remove what spawners have left that were killed. The caller
 * reaps it some time. */
void scratch_begin(pid_t spawner);

/* The path of the scratch folder of a front's worker. Makes the folder that holds all of them; that
 * is refused when somebody else's lies in its place. */
bool scratch_path(pid_t spawner, pid_t front, uint64_t worker, char path[SCRATCH_PATH_BYTES],
                  struct error *ret_error);

/* Starts a process that removes what lies at the path; the caller goes on, and reaps it some time.
 */
void scratch_remove(const char *path);

/* What one may hold where nothing says so: nine tenths of the disk that it lies on, in MiB. */
uint32_t scratch_usual_mib(void);

/* Removes the folder that holds all of this spawner's, if there is one, and waits for it. */
void scratch_remove_all(pid_t spawner);

#endif
