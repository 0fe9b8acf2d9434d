/* Which models of the server are in memory: tells schedule/residency.h what happens to generations,
 * and does what it decides. Loop's thread. */
#ifndef TENSORD_SERVING_RESIDENCE_H
#define TENSORD_SERVING_RESIDENCE_H

#include "net/loop.h"
#include "schedule/residency.h"
#include "worker/channel.h"

struct error;
struct generation;
struct repository_version;
struct serving;

struct residence {
    struct residency residency;
    struct loop *loop;
    struct timer wake;
    uint64_t wake_ns; /* when that fires; CLOCK_NEVER: it does not run */
    uint64_t last_id; /* that was given to a claim */
    bool deciding;    /* decisions are being carried out, which may bring more of them about */
    int trace_fd;     /* what is told and decided is written there; 0: nowhere */
};

/* Without bounds. trace_fd stays the caller's; 0: nothing is traced. */
void residence_init(struct residence *residence, struct loop *loop, int trace_fd);
void residence_fini(struct residence *residence);

/* Budgets of 0 are no bounds; a model waits for room no longer than the limit, if it is not 0. */
void residence_bound(struct residence *residence, uint64_t budget_bytes, uint64_t gpu_budget_bytes,
                     uint64_t wait_limit_ns);

/* Fills in what metrics say of the server as a whole. */
void residence_measure(const struct residence *residence);

/* A generation comes, of those files, and goes. */
void residence_add(struct generation *generation, const struct repository_version *found);
void residence_remove(struct generation *generation);

/* Keeps what was measured of it, in the serving's table. */
void residence_keep_learned(const struct generation *generation);

/* Room is asked for: for requests, or as a wish. What comes of it is told as an event of the
 * generation's state, perhaps from within. */
void residence_ask(struct generation *generation);

/* It is not wanted any more. */
void residence_unask(struct generation *generation);

/* Room for a further worker, beside those that run: true when there is some, else the error says
 * why not. */
bool residence_grow(struct generation *generation, struct error *ret_error);

/* One of its workers has ended, or was not started; the generation has it no more. */
void residence_worker_ended(struct generation *generation);

/* Its worker is asked to end for a reason of its own. */
void residence_leave(struct generation *generation);

/* Its worker has loaded the model, or found out what it is, and uses so much. */
void residence_loaded(struct generation *generation, const struct channel_stats *stats);

/* It uses so much now. */
void residence_measured(struct generation *generation, const struct channel_stats *stats);

/* A request has come into its queue. */
void residence_use(struct generation *generation);

/* One has left the queue or the worker: there may be none left. */
void residence_rest(struct generation *generation);

/* Why there is no room for it, with the arithmetic. */
void residence_error(const struct generation *generation, enum residency_reason reason,
                     struct error *ret_error);

#endif
