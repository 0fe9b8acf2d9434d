/* What the files of a replica share: its life (replica.c), what its worker says (replica_events.c)
 * and what that is given to do (replica_work.c). */
#ifndef TENSORD_SERVING_REPLICA_INTERNAL_H
#define TENSORD_SERVING_REPLICA_INTERNAL_H

#include "serving/executions.h"
#include "serving/kept.h"
#include "serving/replica.h"

/* Work that may wait inside the worker, beyond its slots, so that a slot need not wait for the
 * front. Longer executions lose next to nothing by that, and what is ahead cannot be overtaken. */
enum {
    REPLICA_AHEAD_NS = 200000,       /* as many executions as take so long together; or */
    REPLICA_ONE_AHEAD_NS = 50000000, /* one, where each takes less than that */
};

struct replica {
    struct generation *generation;
    size_t place; /* among the model's workers, for what it runs on */

    /* What executes: a process behind a channel, or a pipeline in its place. */
    struct worker_process process;
    struct channel *channel;   /* NULL once the process has ended, and for a pipeline */
    struct pipeline *pipeline; /* NULL: there is a process */

    /* Its life. */
    bool probe;     /* it only says what the model is */
    bool preparing; /* there is no process yet: its environment is found or built */
    bool loaded;
    bool stopping;        /* it was asked to end, which makes that no crash */
    bool replaced;        /* it was killed for the sake of another one */
    struct error failure; /* why it could not load, or what it did wrong */
    uint64_t started_ns;
    struct timer load;         /* until it has loaded */
    struct timer grace;        /* once it was asked to end */
    struct loop_task given_up; /* ends what has no process to wait for */

    /* Its work. */
    struct executions executions;
    uint64_t compute_ns;         /* of one execution, a moving average */
    struct list calls;           /* nested ones that its model makes */
    struct kept_list kept;       /* memory of answered requests that its model still looks at */
    struct channel_stats stats;  /* as it last said */
    struct sequence_worker seat; /* places of sequences */
    bool seated;
};

static inline struct serving *replica_serving(const struct replica *replica)
{
    return replica->generation->version->model->serving;
}

/* ---- replica_events.c ---- */

/* What follows from what the worker says on its channel, whose owner is the replica. */
extern const struct channel_events replica_channel_events;

/* The clock of the load starts again: it loads, and the model is given up when that takes too long.
 */
void replica_expect_load(struct replica *replica);

/* It has loaded, and the model is as `schema` says. */
void replica_has_loaded(struct replica *replica, const struct schema *schema);

/* ---- replica_work.c ---- */

/* The id of executions from which on they are ahead of their turn, and have not begun. */
uint64_t replica_not_begun(const struct replica *replica);

/* An execution is not with the worker any more; failed: nothing is to be learned from it. */
void replica_end_execution(struct replica *replica, struct execution *execution, bool failed);

/* Likewise all of them, as the worker is gone. */
void replica_end_executions(struct replica *replica);

/* Answers what was with the worker, for that reason: it may be sent again, by the client, who knows
 * whether that is safe; where the worker was good and it is known to be safe, it is sent again from
 * here. What had not begun waits on. */
void replica_fail_requests(struct replica *replica, const char *reason, uint64_t not_begun);

#endif
