/* The further workers of a generation that has several.
 *
 * The first one is the generation's own: it finds out what the model is, and says by its state
 * (generation_state.h) whether the generation serves. Once it is READY the others are started, up
 * to the number that is wanted; one that ends is started again after a pause, while the rest go on.
 * When the first one ends, another that is READY takes its place. Who is to run and who is not is
 * looked at in one place, at the end of a loop turn in which anything has changed. */
#ifndef TENSORD_SERVING_GENERATION_WORKERS_H
#define TENSORD_SERVING_GENERATION_WORKERS_H

#include "repository/repository.h"
#include "serving/generation.h"
#include "telemetry/metrics.h"

/* A further worker: which one it is now, and when there is another. */
struct generation_worker {
    struct generation *generation;
    struct generation_state state;
    struct replica *replica; /* NULL when there is none */
    struct timer retry;
    struct error failure; /* why it does not run, though it should; ERROR_OK: it does or will */
};

/* Makes room for as many workers as there may be. */
bool generation_workers_init(struct generation *generation, const struct model_workers *workers,
                             struct error *ret_error);

/* No worker is left. Does nothing when generation_workers_init was not called. */
void generation_workers_fini(struct generation *generation);

/* Something has changed: sees at the end of this loop turn that those run that should. */
void generation_staff(struct generation *generation);

/* The version lets go: those that run serve on, no others are started. */
void generation_workers_retire(struct generation *generation);

/* Processes, those on their way included; workers that serve. */
size_t generation_workers_live(const struct generation *generation);
size_t generation_workers_ready(const struct generation *generation);

/* True while requests are with one of them, answered for the last time or not yet executed. */
bool generation_workers_used(const struct generation *generation);

/* True when each that is wanted serves, or has failed once. */
bool generation_workers_settled(const struct generation *generation);

/* Kills all, because of what one of them has done. */
void generation_workers_kill(struct generation *generation, const char *reason);

/* Adds the gauges of all. */
void generation_workers_measure(const struct generation *generation, struct model_metrics *to);

/* ---- for dispatch ---- */

/* How many more executions all of them can take now. */
uint64_t generation_workers_room(const struct generation *generation);

/* The one that has the fewest executions, of those that can take another; NULL: none can. */
struct replica *generation_workers_next(const struct generation *generation);

/* Sequences may begin at those that serve and are wanted. */
void generation_workers_seat(struct generation *generation);

/* Requests have come: looks from time to time whether the workers are as many as that takes. */
void generation_workers_watch(struct generation *generation);

/* True while any of them executes: an answer is to come. */
bool generation_workers_busy(const struct generation *generation);

/* ---- for deadlock.c ---- */

/* Visits the processes, and pipelines in their place: start with *place 0; false at the end. */
bool generation_workers_each(const struct generation *generation, size_t *place,
                             struct replica **ret_replica);

/* Whether more workers are on their way, or will be. */
bool generation_workers_coming(const struct generation *generation);

/* ---- for generation.c ---- */

/* The further worker that is this one now; NULL: it is the first. */
struct generation_worker *generation_worker_with(struct generation *generation,
                                                 const struct replica *replica);

/* The first worker has ended, or is being started: puts one that is READY in its place. Returns
 * what the first one is from then on; NULL when none is READY. */
struct generation_worker *generation_workers_promote(struct generation *generation);

/* It has described the model and loaded it (LOADED), or that model cannot be used (UNFIT, with the
 * error). */
void generation_worker_loaded(struct generation_worker *worker, enum generation_event event,
                              const struct error *error);

/* It has ended. */
void generation_worker_lost(struct generation_worker *worker, enum generation_end how,
                            uint64_t lived_ms, const struct error *error);

#endif
