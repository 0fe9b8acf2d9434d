/* Which models are in memory: a budget that loaded models share.
 *
 * Each worker has a claim. Before it starts, room is asked for; it is granted while the budget has
 * some, else the least valuable idle ones leave first. The value of a model is what keeping it
 * saves: how often it is used (a count that halves every ten minutes) times what a load costs,
 * for each byte that it holds. Uses that one load would have served count once. Among the useless
 * the one that has been idle for longest goes first.
 *
 *               ask          grant          loaded           evict, leave         ended
 *       OUT ──────────► WAITS ─────► LOADS ─────────► STAYS ─────────────► LEAVES ─────► OUT
 *        ▲ refuse, sleep  │                             │ drain: it is given no more requests,
 *        ╰────────────────╯                             ╰ and leaves when it is idle
 *
 * Requests come before wishes: a wish (what is loaded at the start, before anybody asks) takes what
 * is free, makes nobody leave and is turned into a probe, or put to sleep, where there is not
 * enough. Those that wait get room in the order of coming; where others leave for them, no more
 * than a quarter of the budget is loaded at once. For a moment the first of them waits until those
 * are idle that are worth least; then others go that are idle; and where even that would not do for
 * two seconds, what is busy is drained. So nobody waits for ever, and no running request is hurt.
 *
 * Memory is counted by the most that a worker was seen to use: while it loads, and later. What was
 * never loaded is estimated, by its files.
 *
 * Pure: events and the time go in, decisions come out, one at a time (residency_next). Nothing is
 * allocated; a claim is a member of what it is for. Times are ns of one monotonic clock. Memory is
 * that of the machine, place 0, and of its GPUs, places 1 and up: the same rules, a budget each. */
#ifndef TENSORD_SCHEDULE_RESIDENCY_H
#define TENSORD_SCHEDULE_RESIDENCY_H

#include "base/clock.h"
#include "base/list.h"
#include "base/process_limits.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    RESIDENCY_PLACES = 1 + PROCESS_MAX_GPUS, /* the machine's memory, and each GPU's */
    RESIDENCY_BASE_BYTES = 64 << 20,         /* of a worker, estimated, beside its files, */
    RESIDENCY_FILES_FACTOR = 2,              /* of which it takes so many times the size */
    RESIDENCY_ONE_USE = 1 << 20,
    RESIDENCY_LOADS_SHARE = 4, /* of the budget is loaded at once where others have to leave */
};

#define RESIDENCY_HALF_LIFE_NS (UINT64_C(600) * CLOCK_NS_PER_S)
#define RESIDENCY_SPARE_NS (UINT64_C(200) * CLOCK_NS_PER_MS) /* before others go than the least */
#define RESIDENCY_PATIENCE_NS (UINT64_C(2) * CLOCK_NS_PER_S) /* before what is busy is drained */
#define RESIDENCY_DRAIN_NS (UINT64_C(10) * CLOCK_NS_PER_S)   /* before another one is, too */

/* Memory that a worker uses: the machine's, and that of its GPU. */
struct residency_size {
    uint64_t bytes, device_bytes;
};

/* What is learned of a model, to be kept over restarts. All zero: nothing is known. */
struct residency_figures {
    struct residency_size loading; /* the most, until it is loaded; zero: never measured */
    struct residency_size loaded;  /* the most, from then on */
    uint64_t load_ns;              /* that the last load took */
};

enum residency_state {
    RESIDENCY_OUT,
    RESIDENCY_WAITS,
    RESIDENCY_LOADS,
    RESIDENCY_STAYS,
    RESIDENCY_LEAVES, /* its worker was asked to end */
};

enum residency_kind {
    RESIDENCY_DEMAND,     /* somebody waits for it */
    RESIDENCY_PROBE,      /* it is to be found out what it is */
    RESIDENCY_WISH,       /* it is better to have it */
    RESIDENCY_FIRST_WISH, /* likewise, and nobody knows yet what it is: at least it is probed */
};

/* A claim to memory: a worker's, or those of several that come and leave together. The fields of
 * the first part are the owner's to set before residency_add, and not to change later. */
struct residency_claim {
    uint64_t id;            /* above 0, no other's */
    uint64_t model;         /* equal in generations of one version: a newer may oust an older */
    unsigned device;        /* the place of its device_bytes; 0: it uses none */
    bool pinned;            /* stays, once loaded */
    uint64_t idle_after_ns; /* leaves when it has been idle for so long; 0: never */
    uint64_t files_bytes;
    uint64_t declared_bytes; /* what its config says that it takes; 0: nothing */

    struct residency_figures figures;
    enum residency_state state;
    enum residency_kind kind;     /* of what is waited for, or was granted */
    bool busy;                    /* requests wait for it or run */
    bool draining;                /* leaves when none runs any more */
    bool chosen;                  /* while a decision is made */
    uint64_t workers;             /* that hold it: 1, or more */
    struct residency_size held;   /* counted as used */
    uint64_t since_ns;            /* its state, and the drain, began */
    uint64_t used_ns, counted_ns; /* its last use, and the last that was counted */
    uint64_t drained_ns;
    uint64_t uses;               /* at counted_ns, in parts of RESIDENCY_ONE_USE */
    struct list_link link, turn; /* among all, among those that wait */
};

/* Why a model leaves, or does not come. */
enum residency_reason {
    RESIDENCY_FOR_ROOM,  /* another one needs its room */
    RESIDENCY_IDLE,      /* nobody has used it for as long as its config says */
    RESIDENCY_TOO_LARGE, /* it never fits */
    RESIDENCY_ALL_BUSY,  /* there was no room for as long as one may wait */
    RESIDENCY_NO_ROOM,   /* now: a wish */
};

enum residency_verdict {
    RESIDENCY_NOTHING,
    RESIDENCY_GRANT,       /* start its worker: to load, */
    RESIDENCY_GRANT_PROBE, /* or, instead of what it wished, only to find out what it is */
    RESIDENCY_EVICT,       /* it is idle: end its worker */
    RESIDENCY_DRAIN,       /* give it no more requests */
    RESIDENCY_KEEP,   /* do so again: its room is not needed any more. It is busy, until told */
    RESIDENCY_REFUSE, /* tell those who wait for it */
    RESIDENCY_SLEEP,  /* a wish that is not to be: it is loaded by its first request */
};

struct residency_decision {
    enum residency_verdict verdict;
    enum residency_reason reason; /* of EVICT, REFUSE, SLEEP */
    struct residency_claim *claim;
    uint64_t wake_ns; /* of NOTHING: ask again then; CLOCK_NEVER: after the next event */
};

/* What has happened or was decided, as traces have it (residency_trace.h). */
struct residency_event;

struct residency {
    uint64_t budget_bytes[RESIDENCY_PLACES]; /* 0: no bound */
    uint64_t held_bytes[RESIDENCY_PLACES];
    uint64_t wait_limit_ns; /* for which a request may wait for room; 0: any */
    struct list claims;     /* all that were added */
    struct list demands;    /* that wait, the oldest first: DEMAND */
    struct list wishes;     /* PROBE and WISH */
    uint64_t turn_ns;       /* since when the first of them is the first */
    uint64_t first;         /* its id; 0: nobody's turn has begun */
    size_t draining;
    /* Is told of everything; may be NULL. */
    void (*trace)(void *context, const struct residency_event *event);
    void *context;
};

/* No claims, no bounds. */
void residency_init(struct residency *residency);

/* Bounds a place; 0: not. And the time for which a request may wait for room; 0: any. */
void residency_set_budget(struct residency *residency, unsigned place, uint64_t bytes,
                          uint64_t now_ns);
void residency_set_limit(struct residency *residency, uint64_t wait_limit_ns, uint64_t now_ns);

/* A claim comes, with what is known of its model, and goes, when it holds nothing. */
void residency_add(struct residency *residency, struct residency_claim *claim,
                   const struct residency_figures *figures, uint64_t now_ns);
void residency_remove(struct residency *residency, struct residency_claim *claim, uint64_t now_ns);

/* Room is asked for. Of an OUT claim; one that waits already is asked for more urgently, if so. A
 * DEMAND makes it busy. */
void residency_ask(struct residency *residency, struct residency_claim *claim,
                   enum residency_kind kind, uint64_t now_ns);

/* Its worker has loaded the model and uses so much; `most` is the most that it used meanwhile. */
void residency_loaded(struct residency *residency, struct residency_claim *claim,
                      struct residency_size now, struct residency_size most, uint64_t now_ns);

/* It uses so much now. */
void residency_measured(struct residency *residency, struct residency_claim *claim,
                        struct residency_size now, uint64_t now_ns);

/* A further worker is to start beside those of a claim that LOADS or STAYS. True: there is room for
 * it, which is held from then on. `always`: it is held even if there is none. */
bool residency_grow(struct residency *residency, struct residency_claim *claim, bool always,
                    uint64_t now_ns);

/* One of several workers has ended. */
void residency_shrink(struct residency *residency, struct residency_claim *claim, uint64_t now_ns);

/* Its worker was asked to end for another reason. */
void residency_leave(struct residency *residency, struct residency_claim *claim, uint64_t now_ns);

/* Its worker has ended or was not started, or its room is not wanted any more: it is OUT. */
void residency_ended(struct residency *residency, struct residency_claim *claim, uint64_t now_ns);

/* A request has come for it. */
void residency_use(struct residency *residency, struct residency_claim *claim, uint64_t now_ns);

/* None waits or runs any more; of one that is drained, none runs. */
void residency_rest(struct residency *residency, struct residency_claim *claim, uint64_t now_ns);

/* What is to be done next; to be asked again until it is NOTHING, after each event that may matter
 * (residency_matters) and at wake_ns. The claim's state is changed already. */
void residency_next(struct residency *residency, uint64_t now_ns,
                    struct residency_decision *ret_decision);

/* Whether there may be something to decide: somebody waits, or too much is used. */
bool residency_matters(const struct residency *residency);

/* What a claim needs to be granted, and what it could get at most: the budget without what is
 * pinned and in use by others. */
struct residency_size residency_need(const struct residency_claim *claim);
uint64_t residency_most_bytes(const struct residency *residency,
                              const struct residency_claim *claim, unsigned place);

/* What it is worth to keep it: seconds of loading that it saves in ten minutes, for each GiB. */
double residency_value(const struct residency_claim *claim, uint64_t now_ns);

#endif
