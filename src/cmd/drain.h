/* How the front ends: nothing that was begun is cut, and clients are told in time.
 *
 *   SERVING ── retire ──▶ RETIRING   another front accepts on the same sockets; connections are
 *      │                     │       served to their end
 *    begin               all gone
 *      ▼                     │
 *   LEAVING                  │       not ready any more, but still serving: load balancers notice
 *      │ delay_ms            │
 *      ▼                     ▼
 *   FINISHING                        new inferences are refused, those that run finish
 *      │ the last one has ended
 *      ▼
 *   CLOSING                          nobody is let in; connections close as soon as they may
 *      │ all gone
 *      ▼
 *   STOPPING                         the workers end
 *      │
 *      ▼ ended()
 *
 * RETIRING takes timeout_ms at most, and so do FINISHING and CLOSING together; what is not done by
 * then is cut. */
#ifndef TENSORD_CMD_DRAIN_H
#define TENSORD_CMD_DRAIN_H

#include "api/api.h"

enum drain_step {
    DRAIN_SERVING,
    DRAIN_RETIRING,
    DRAIN_LEAVING,
    DRAIN_FINISHING,
    DRAIN_CLOSING,
    DRAIN_STOPPING,
};

/* The parts outlive it and are the caller's. */
struct drain {
    struct loop *loop;
    struct api *api;
    struct http_server *http;
    uint64_t delay_ms, timeout_ms;
    void (*stop_listening)(void);
    void (*ended)(void); /* all is over: the loop may be stopped */
    enum drain_step step;
    struct timer timer; /* the end of the step */
    struct loop_task look;
};

/* Starts in SERVING; the members before `step` are set. Whoever is told `emptied` by the HTTP
 * server, and `drained` and `stopped` by the serving module, calls drain_look. */
void drain_init(struct drain *drain);

/* SIGTERM. Does nothing when it has begun. */
void drain_begin(struct drain *drain);

/* Another front has taken over. Does nothing when the end has begun. */
void drain_retire(struct drain *drain);

/* Something that the present step waits for may have come true. */
void drain_look(struct drain *drain);

#endif
