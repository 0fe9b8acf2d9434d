/* A replica: one worker process of a generation, from its start to its end. */
#ifndef TENSORD_SERVING_REPLICA_H
#define TENSORD_SERVING_REPLICA_H

#include "schedule/sequences.h"
#include "serving/generation.h"
#include "telemetry/metrics.h"

struct replica;

/* Starts a worker. NULL when it cannot be started. It frees itself when its process has ended,
 * after telling the generation. It holds a reference to the generation. */
struct replica *replica_start(struct generation *generation, bool probe, struct error *ret_error);

/* Asks the worker to unload and exit; kills it after the grace time. */
void replica_stop(struct replica *replica);

/* Kills the worker, because of what it has done. */
void replica_kill(struct replica *replica, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A request was cancelled and has not ended within the time that the model's config gives it: kills
 * the worker, and another takes its place at once. */
void replica_replace(struct replica *replica);

/* How many more executions it can take now; 0 until it has loaded the model. */
uint64_t replica_room(const struct replica *replica);

/* Those that are with the worker: answers are to come. */
size_t replica_executions(const struct replica *replica);

/* Whether requests are with the worker, answered for the last time or not yet executed. */
bool replica_requests(const struct replica *replica);

/* For deadlock.h: notes for a round that an execution waits for what is stuck. How many do; of a
 * worker that is about to end, none. And whether one does, or waits in the worker for those. */
void replica_note_stuck(struct replica *replica, uint64_t execution, uint64_t round);
size_t replica_stuck_executions(const struct replica *replica, uint64_t round);
bool replica_execution_is_stuck(const struct replica *replica, uint64_t execution, uint64_t round);

/* How many of the requests, from the first one on, fit one execution. */
size_t replica_fitting(struct inference *const *batch, size_t count);

/* Sends the requests, of so many rows together, as one execution. False when the channel is full
 * now.
 */
bool replica_execute(struct replica *replica, struct inference *const *batch, size_t count,
                     uint64_t rows);

/* Sequences may begin here from now on; closed: no more of them. Does nothing while it has not
 * loaded the model. */
void replica_seat(struct replica *replica, bool closed);

/* The one that has those places. */
struct replica *replica_with_seat(struct sequence_worker *seat);

/* Whether sequences have places here. */
bool replica_has_sequences(const struct replica *replica);

/* Asks the worker to end a request early; the calls that it makes to other models are cancelled
 * too. */
void replica_cancel(struct replica *replica, struct inference *inference);

/* Adds the worker's gauges. */
void replica_measure(const struct replica *replica, struct model_metrics *to);

#endif
