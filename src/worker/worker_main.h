/* The role `tensord worker`: reads what it is to serve, enters its sandbox, and runs the host. */
#ifndef TENSORD_WORKER_WORKER_MAIN_H
#define TENSORD_WORKER_WORKER_MAIN_H

#include "worker/model_files.h"
#include "worker/spawner.h"

/* The descriptors that a worker is started with. */
enum {
    WORKER_FD_RINGS = 3,
    WORKER_FD_TENSORS,
    WORKER_FD_TO_WORKER,
    WORKER_FD_TO_FRONT,
    WORKER_FD_SPEC,
    WORKER_FD_LAST_WORDS, /* pipe: why it cannot start, as a sentence; read by the spawner */
    /* Of one that keeps a managed server besides. */
    WORKER_FD_LINE,    /* to the front, which asks for connections (keeper_line.h) */
    WORKER_FD_CONTROL, /* to the warden (warden.h) */
    WORKER_FD_OUTPUT,  /* pipe: what the server's command writes */
};

/* What a worker knows when it is caged and may begin. ONNX Runtime, when the user named one, is in
 * the environment as TENSORD_ONNXRUNTIME. */
struct worker_context {
    const struct worker_spec *spec;
    struct channel_fds fds;
    const char *engine_dir;
    const struct model_files *files; /* as they were before the model was opened */
};

/* `arguments` are those after "tensord worker", as the spawner makes them: the sandbox's mode and
 * the folder of engines. Calls `run`, inside the sandbox, on the only thread, and returns the exit
 * status that it returned; what context points to lives until then. Without a sound specification
 * or sandbox it says why through WORKER_FD_LAST_WORDS and returns 1. */
int worker_main(int count, char *const arguments[],
                int (*run)(const struct worker_context *context));

#endif
