/* A task that is a script of the Python package: what it may read, write and reach, and what it is
 * given of the server's environment. For spawner_child.c alone, in the child. */
#ifndef TENSORD_WORKER_SPAWNER_SCRIPT_H
#define TENSORD_WORKER_SPAWNER_SCRIPT_H

#include "worker/spawner_child.h"

/* Confines this process and becomes the script, whose descriptor is number 3. `path` is the folder
 * or file that it is about, which it may read; `share` is what it has of its
 * own (spawner_child_share). Returns only when that fails. */
void spawner_script_execute(const struct spawner_child *child, const struct spawner_task *task,
                            const char *path, const struct sandbox_share *share,
                            struct error *ret_error);

#endif
