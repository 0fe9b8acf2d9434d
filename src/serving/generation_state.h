/* When a generation starts, restarts, stops and gives up its worker. Pure: an event goes in, the
 * state changes, and what is to be done about it comes out; generation.c tells the events and does
 * the rest.
 *
 *      asked for         room             loaded           ended
 *      COLD ─────► WAITING ─────► PROBING ───────► PROBED ────────► COLD, or WAITING: more was
 *                  ▲    │ room                                      asked for
 *                  │    ▼     loaded           unused            ended
 *                  │ LOADING ────────► READY ─────────► STOPPING ─────► COLD
 *                  │                     │ ╲
 *                  │                     │  ╲ idle           ended
 *                  │                     │   ╰──────► RESTING ────────► COLD, or WAITING:
 *                  │ time                │ ended, as any worker may     somebody waits
 *                  └───── RETRYING ◄─────┤
 *                                        └─► FAILED, when it is hopeless; REJECTED while such
 *                                            a worker still ends
 *
 * A worker runs in PROBING, PROBED, LOADING, READY, STOPPING, RESTING and REJECTED, the timer in
 * RETRYING; in WAITING there is to be room in memory for one (residence.h). What waits is waited
 * for by one of them.
 *
 * Of several workers each has such a state. The first one's is the generation's: it counts the
 * queue. The others', which are `further`, know no queue, are loaded once the first is READY, and
 * are never given up: another worker serves meanwhile, so they are tried again, if seldom. One
 * that is READY takes the first place (generation_state_exchange) when the worker there is not. */
#ifndef TENSORD_SERVING_GENERATION_STATE_H
#define TENSORD_SERVING_GENERATION_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum generation_phase {
    GENERATION_COLD,     /* no worker; what is asked for next starts one */
    GENERATION_WAITING,  /* a worker is to start when there is room in memory */
    GENERATION_PROBING,  /* a worker finds out what the model is */
    GENERATION_PROBED,   /* it has, and is about to end */
    GENERATION_LOADING,  /* a worker loads the model */
    GENERATION_READY,    /* a worker serves it */
    GENERATION_RETRYING, /* a worker has ended; after some time there is another */
    GENERATION_STOPPING, /* nobody uses it any more: the worker was asked to end */
    GENERATION_RESTING,  /* nobody used it for a while: the worker was asked to end */
    GENERATION_REJECTED, /* given up; the worker was asked to end */
    GENERATION_FAILED,   /* given up */
};

enum generation_event {
    GENERATION_PROBE,   /* the version wants to know what the model is */
    GENERATION_LOAD,    /* the version wants it loaded */
    GENERATION_REQUEST, /* a request has come into the queue */
    GENERATION_LEFT,    /* some have left it: counted in what `queued` says */
    GENERATION_LOADED,  /* the worker has described the model and, unless it probes, loaded it */
    GENERATION_UNFIT,   /* it has, and this model cannot be used */
    GENERATION_TIME,    /* the time to retry has come */
    GENERATION_RETIRE,  /* the version lets go: what is bound is still served */
    GENERATION_UNUSED,  /* retired, and nothing but its worker holds it */
    GENERATION_ROOM,    /* there is room in memory for what was asked for */
    GENERATION_ROOM_TO_PROBE, /* there is, to find out what the model is, and for no more */
    GENERATION_NO_ROOM,       /* there is none, and nobody waits for it */
    GENERATION_CROWDED,       /* there is none for so long that who waits is refused */
    GENERATION_TOO_LARGE,     /* there never will be */
    GENERATION_IDLE, /* it need not run until somebody asks for it: nobody has for a while, or, of
                        a further one, the others are enough */
};

/* How a worker has ended. */
enum generation_end {
    GENERATION_END_DIED,     /* as any may: it is worth another try */
    GENERATION_END_TOO_SOON, /* before it was loaded: files are still being written */
    GENERATION_END_REFUSED,  /* before it was loaded: it says why it never will be */
    GENERATION_END_REPLACED, /* it was killed for a request that did not end: the model is good */
};

/* What is to be done. */
enum generation_deed {
    GENERATION_NOTHING,
    GENERATION_START_PROBE,
    GENERATION_START_WORKER,
    GENERATION_STOP_WORKER,
    GENERATION_START_TIMER, /* for after_ms */
    GENERATION_STOP_TIMER,
    GENERATION_ASK_ROOM,   /* in memory, as the state says for what */
    GENERATION_LEAVE_ROOM, /* it is not asked for any more */
    GENERATION_REFUSE,     /* what waits; tell the version */
    GENERATION_SETTLE,     /* tell the version, serve what waits */
    GENERATION_GIVE_UP, /* refuse what waits, tell the version; a worker that still runs is asked to
                           end */
};

struct generation_action {
    enum generation_deed deed;
    uint64_t after_ms;
};

/* All zero: a new generation. */
struct generation_state {
    enum generation_phase phase;
    size_t queued;     /* requests that wait; the caller counts them */
    unsigned failures; /* of workers in a row, none of which lived for long */
    bool served;       /* has been READY since it was COLD: then a restart is no loading */
    bool probe_only;   /* no more was asked for than what the model is */
    bool wished;       /* it is to be loaded though no request waits */
    bool retired;
    bool further; /* than the first of several */
};

enum {
    GENERATION_MAX_FAILURES = 6,   /* in a row; then it is given up */
    GENERATION_HEALTHY_MS = 10000, /* a worker that lived so long starts the count anew */
    GENERATION_BACK_OFF_MS = 100,  /* doubles with each failure after the second */
    GENERATION_BACK_OFF_MAX_MS = 30000,
    GENERATION_REWRITE_MS = 1000,  /* before another look at files that are being written */
    GENERATION_NO_ROOM_MS = 2000,  /* before a further one asks again for room in memory */
    GENERATION_SELDOM_MS = 300000, /* before a further one that seems hopeless is tried again */
};

/* Takes an event in. Which one may come when is an invariant of the caller's. */
struct generation_action generation_step(struct generation_state *state,
                                         enum generation_event event);

/* The worker has ended, or could not be started, lived_ms after its start. */
struct generation_action generation_ended(struct generation_state *state, enum generation_end how,
                                          uint64_t lived_ms);

/* The two change places: the first one, and a further one that is READY. What is about the
 * generation as a whole stays where it is. */
void generation_state_exchange(struct generation_state *first, struct generation_state *further);

/* True when a worker runs in this state, when the timer does. */
bool generation_has_worker(const struct generation_state *state);
bool generation_has_timer(const struct generation_state *state);

/* True while a worker is on its way: how that ends is told later. */
bool generation_is_settling(const struct generation_state *state);

#endif
