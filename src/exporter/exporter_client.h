/* The front's line to the exporter: has it started by the spawner, and again, with pauses, when it
 * has ended; gives it the tracer's records; hears what became of them. For the loop's thread. */
#ifndef TENSORD_EXPORTER_EXPORTER_CLIENT_H
#define TENSORD_EXPORTER_EXPORTER_CLIENT_H

#include "telemetry/tracer.h"
#include "worker/spawner.h"

struct exporter_client {
    struct loop *loop;
    struct spawner_client *spawner;
    struct tracer *tracer;
    struct worker_process process;
    bool running; /* the process is there, or being started */
    bool stopping;
    int fd; /* -1: no line */
    unsigned failures;
    uint64_t started_ns;
    struct timer flush;   /* while records wait */
    struct timer restart; /* while there is no process; after stop: the end of patience */
    void (*stopped)(void *context);
    void *context;
};

/* Starts the exporter. The tracer, which is available, and the others outlive the client. */
void exporter_client_start(struct exporter_client *client, struct loop *loop,
                           struct spawner_client *spawner, struct tracer *tracer);

/* Gives the exporter what waits and ends its line, so that it posts what it has and ends; `stopped`
 * is called when it has, or after two seconds, and perhaps from within this call. Nothing is traced
 * any more. Also when it was never started. */
void exporter_client_stop(struct exporter_client *client, void (*stopped)(void *context),
                          void *context);

/* Hears what the exporter has told meanwhile: fills the metrics. */
void exporter_client_listen(struct exporter_client *client);

#endif
