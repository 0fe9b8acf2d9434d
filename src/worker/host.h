/* The worker's end of the channel: loads one model with one engine and executes what the front
 * sends. It runs in a process of its own; when anything here or in the engine goes wrong, that
 * process ends and nothing else does. */
#ifndef TENSORD_WORKER_HOST_H
#define TENSORD_WORKER_HOST_H

#include "worker/channel.h"
#include "worker/model_files.h"
#include "worker/spawner.h"

/* Serves `spec` over the channel until the front says stop. Looks for the engine's library in
 * engine_dir. `files` are the model's as they were before; when they are not whole, or have changed
 * once they are loaded, the front is told that the model is UNAVAILABLE. With spec->probe it loads,
 * describes, unloads and returns. The descriptors are closed. Returns the process's exit status: 0
 * when the model was loaded, 1 when it was not (the front has been told why) or the channel is
 * unusable. Blocks; starts threads. */
int host_run(const struct worker_spec *spec, struct channel_fds fds, const char *engine_dir,
             const struct model_files *files);

/* The same with an engine that is linked in. */
int host_run_engine(const struct worker_spec *spec, struct channel_fds fds,
                    const struct tensord_engine *engine, const struct model_files *files);

#endif
