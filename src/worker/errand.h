/* An errand: one of the spawner's tasks that is asked something over a socket and answers in lines.
 *
 * The question goes out, then the end of it; lines come back until the process closes its side.
 * What it says is checked by whoever asked. All calls are for the loop's thread. */
#ifndef TENSORD_WORKER_ERRAND_H
#define TENSORD_WORKER_ERRAND_H

#include "worker/spawner.h"

enum { ERRAND_LINE_MAX_BYTES = 32 << 20 };

struct errand;

struct errand_events {
    /* A line, without its end, which lives until this returns. One that is longer than
     * ERRAND_LINE_MAX_BYTES ends the process. */
    void (*line)(void *owner, struct span line);
    /* The process has ended and all that it said was told; the errand is freed when this returns.
     * started is false when it could not be started; reason is a sentence, as in worker_process. */
    void (*ended)(void *owner, bool started, const char *reason);
};

/* Starts the task on a path, with a question, which is copied. NULL when it cannot be started;
 * events are never called from within. `events` must outlive the errand. */
struct errand *errand_start(struct loop *loop, struct spawner_client *spawner, unsigned task,
                            const char *path, struct span question,
                            const struct errand_events *events, void *owner,
                            struct error *ret_error);

/* Kills the process, and what it has started. `ended` follows. */
void errand_kill(struct errand *errand);

#endif
