/* The front's traces: the server's settings, and the records of traced requests until they are
 * given to the exporter. When that is slow, they are dropped and counted; the front never waits.
 * For the loop's thread. */
#ifndef TENSORD_TELEMETRY_TRACER_H
#define TENSORD_TELEMETRY_TRACER_H

#include "telemetry/span_record.h"
#include "telemetry/trace_setting.h"

enum { TRACER_BYTES = 256 * 1024 }; /* of records that wait */

struct tracer {
    struct trace_setting setting;  /* now; has_… are set */
    struct trace_setting starting; /* as the server was started: what null goes back to */
    bool available;                /* there is an exporter */
    bool follow;                   /* the caller's decision counts */
    struct buf waiting;            /* records */
    size_t written;                /* bytes of the first record that have left already */
    /* The first record has come to wait: flush it some time. */
    void (*wake)(void *context);
    void *context;
};

/* Starts with an exporter's settings, or (NULL) without one: nothing is traced then. */
void tracer_init(struct tracer *tracer, const struct trace_setting *setting, bool follow);

void tracer_fini(struct tracer *tracer);

/* Decides whether the request is traced; own is its model's setting, NULL when it has no model. */
void tracer_decide(struct tracer *tracer, struct trace_setting *own, struct trace_context *context);

/* The time since the epoch of a moment in CLOCK_MONOTONIC, of which it is now_ns. */
uint64_t tracer_epoch_ns(uint64_t monotonic_ns, uint64_t now_ns);

/* Takes the record of a traced request. */
void tracer_add(struct tracer *tracer, const struct span_record *record);

/* Writes what waits to a stream, as much as it takes. False when the stream is broken. */
bool tracer_flush(struct tracer *tracer, int fd);

/* The stream is another one now: a record that had left in part is dropped. */
void tracer_restart(struct tracer *tracer);

#endif
