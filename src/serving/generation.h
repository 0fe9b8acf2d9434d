/* A generation: one state of a version's files, with its own tensor memory, queue and workers.
 *
 * It is counted: by its version while it is current or next, by every inference that is bound to
 * it, and by each worker until that has ended. When the version lets go of it, it serves what it
 * has and then ends its workers. generation_state.h says when one starts and stops. */
#ifndef TENSORD_SERVING_GENERATION_H
#define TENSORD_SERVING_GENERATION_H

#include "net/fine_timer.h"
#include "schedule/scale.h"
#include "schedule/schedule.h"
#include "serving/admission.h"
#include "serving/generation_state.h"
#include "serving/inference.h"
#include "serving/placement.h"
#include "serving/reuse.h"
#include "serving/serving.h"
#include "worker/spawner.h"

struct repository_version;

struct labels;
struct pipeline_plan;
struct replica;
struct server_pool;
struct stateful;
struct visit;

struct generation {
    struct version *version;
    unsigned references;
    unsigned abandoned; /* those of requests that are with the worker and that nobody waits for */
    struct generation_state state;
    struct residency_claim room;          /* to memory, for its workers */
    bool asks_room;                       /* as soon as those have ended that are about to */
    double progress;                      /* of a load, 0 to 1, as the worker says */
    struct error failure;                 /* why it was given up */
    struct arena arena;                   /* of spec */
    struct worker_spec spec;              /* what its workers serve */
    void *held_files;                     /* that a load brought (serving.h); NULL: it has none */
    struct environment_question question; /* of models in Python: on which one they run */
    struct environment_use environment;
    struct labels *labels; /* of the outputs that have any */
    size_t label_count;
    struct span config;    /* all that the model's config says, an encoded ModelConfig; or empty */
    uint64_t fingerprint;  /* of the files */
    bool repeatable;       /* a request may be executed twice: the model is data, and pure */
    bool calls_others;     /* it has called a model: what it runs may wait for what waits for it */
    struct schema *schema; /* NULL until it was loaded or probed once */
    struct schema *shown;  /* what clients see of it, where that is not all; else NULL */
    struct replica *replica; /* its first worker, or one on its way; NULL when there is none */
    struct timer retry;
    struct generation_worker *further; /* than that one: generation_workers.h */
    size_t further_count;
    struct placement placement; /* where each of them runs */
    struct scale scale;         /* how many are wanted, all in all */
    struct timer scale_again;
    bool short_handed;      /* the version's note says why fewer serve */
    bool shrinks;           /* one that is not wanted has something to do still */
    struct loop_task staff; /* sees that those run that should */
    struct tensor_memory *memory;
    struct admission admission; /* who gets how much of it */
    struct loop_task admit;     /* lets in who waits for it */
    struct timer watch;         /* looks at the memory now and then (generation_watch.c) */
    bool active;                /* since it last looked */
    uint64_t idle_since_ns;     /* CLOCK_NEVER: the free memory has gone back to the kernel */
    uint64_t output_bytes;      /* room that outputs needed lately, where the schema does not say */
    struct limiter_claim claim; /* to resources that models share */
    struct deadlock_mark deadlock;
    struct schedule schedule; /* of its requests; state.queued of them wait */
    struct loop_task dispatch;
    struct timer dispatch_again;   /* after an idle worker could be sent nothing */
    struct fine_timer batch_wait;  /* what waits for company goes then */
    uint64_t dispatched_ns;        /* when dispatch last ran, monotonic */
    struct generation_reuse reuse; /* of its answers */
    struct server_pool *pool;      /* of a managed server, whose requests are visits; else NULL */
    struct pipeline_plan *plan;    /* of a pipeline; else NULL */
    struct stateful *stateful;     /* of a model whose requests are of sequences; else NULL */
};

/* A cold generation of the files of `found`, with one reference, the version's. */
struct generation *generation_new(struct version *version, const struct repository_version *found,
                                  struct error *ret_error);

struct generation *generation_ref(struct generation *generation);
void generation_unref(struct generation *generation);

/* Starts a worker when none runs, or when one that is about to end has; with probe, one that
 * describes the model and exits. */
void generation_start(struct generation *generation, bool probe);

/* The version lets go of the one in that place of its own, which is NULL then: no new requests will
 * be bound. Drops the version's reference. NULL is ignored. */
void generation_retire(struct generation **place);

/* True when no worker runs or is on its way, but one that is about to end: the next request starts
 * one. */
bool generation_is_asleep(const struct generation *generation);

/* Its schema as clients see it; NULL: it is not known. */
static inline const struct schema *generation_shown(const struct generation *generation)
{
    return generation->shown ? generation->shown : generation->schema;
}

/* True when it was given up. */
bool generation_has_failed(const struct generation *generation);

/* ---- memory (generation_watch.c) ---- */

/* Keeps an eye on the memory while a worker runs: what lies free for a while goes back to the
 * kernel, and a worker that touches what it was not given is killed. */
void generation_watch(struct generation *generation);

/* Adds its gauges, and those of its workers. */
void generation_measure(const struct generation *generation, struct model_metrics *to);

/* ---- what is learned (generation_learned.c) ---- */

/* Joined executions have at most max_rows rows (0: requests are not joined), and max_slots may run
 * at once: the scheduler is told, and what was learned of the same files before. */
void generation_set_model(struct generation *generation, uint64_t max_rows, uint64_t max_slots);

/* Keeps what was learned, in the serving's table. */
void generation_keep_learned(const struct generation *generation);

/* ---- requests (generation_queue.c) ---- */

/* Room for the outputs of a request of so many rows, as far as it can be foreseen: what the schema
 * says, or what outputs needed lately. */
uint64_t generation_room(const struct generation *generation, int64_t rows);

/* Memory was given back: lets in who waits for it, at the end of this loop turn. */
void generation_admit(struct generation *generation);

/* Takes an inference into the queue, or refuses it; or it is found to have its answer from others
 * (reuse.h). */
void generation_submit(struct generation *generation, struct inference *inference);

/* The same for one that was checked, and is executed by itself. */
void generation_enter(struct generation *generation, struct inference *inference);

/* The same for visits, of a managed server. */
void generation_submit_visit(struct generation *generation, struct visit *visit);
void generation_withdraw_visit(struct generation *generation, struct visit *visit);

/* Takes an inference that waits out of the queue. */
void generation_withdraw(struct generation *generation, struct inference *inference);

/* Looks at an inference that waits, as time has passed: it may be refused. */
void generation_expire(struct generation *generation, struct inference *inference);

/* A request whose worker was replaced waits again, and will run alone: it may be the one that did
 * not end. False: it must not, for the model is code, or it has been tried twice, given answers or
 * cancelled, or its time is over; or there is no room in the queue. */
bool generation_repeat(struct generation *generation, struct inference *inference);

/* Why a request is not executed that has waited: it would be answered too late. */
void generation_too_late(const struct generation *generation, const struct inference *inference,
                         struct error *ret_error);

/* A request that was ahead of its turn with a worker that is gone waits on, where it was. False: it
 * must not, as it was cancelled, or its time is over; or there is no room in the queue. */
bool generation_wait_on(struct generation *generation, struct inference *inference);

/* Nobody waits any more for a request that is with the worker. Undone by its final answer, with
 * generation_reclaim. A retired generation that has no other requests ends its worker at once,
 * whether or not the model hears that it was cancelled. */
void generation_abandon(struct generation *generation);
void generation_reclaim(struct generation *generation);

/* One of its executions has begun, or has ended: what it needs of resources that models share is
 * taken, or there for others. */
void generation_take_resources(struct generation *generation);
void generation_return_resources(struct generation *generation);

/* It waits for such resources no more, if it did. */
void generation_withdraw_claim(struct generation *generation);

/* Looks at the queue at the end of this loop turn, so that what arrives in one turn can be joined
 * and one doorbell serves all of it. */
void generation_dispatch(struct generation *generation);

/* Refuses all that waits, with that error. */
void generation_refuse(struct generation *generation, const struct error *error);

/* The schema has just become known: refuses what waits and does not meet it, and counts the rows of
 * the rest as it says. */
void generation_check_queue(struct generation *generation);

/* Its worker did what it must not: kills it. */
void generation_break(struct generation *generation, const char *what);

/* An event for its state machine that needs no more telling. */
void generation_notice(struct generation *generation, enum generation_event event);

/* It serves, or a worker more does: tells the version, once that is as it should be. */
void generation_settle(struct generation *generation);
/* There is no room in memory for it: now, or, when it is too large, ever. */
void generation_no_room(struct generation *generation, bool too_large, const struct error *error);

/* What requests for a failed one are answered. */
void generation_failed_error(const struct generation *generation, struct error *ret_error);

/* ---- for replica.c ---- */

/* The worker has described the model and, unless it probes, loaded it. The generation may give the
 * model up and stop the worker: the model is not the one that it was, or there is no memory. */
void generation_loaded(struct generation *generation, struct replica *replica,
                       const struct schema *schema, const struct channel_stats *stats);

/* The worker has ended, lived_ms after its start, or could not be started (NULL); the replica is
 * used no more. `loaded`: generation_loaded was told. CANCELLED after that: it was
 * replaced. */
void generation_lost(struct generation *generation, const struct replica *replica, bool loaded,
                     uint64_t lived_ms, const struct error *error);

#endif
