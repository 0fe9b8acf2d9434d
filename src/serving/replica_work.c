/* What a worker is given to do: executions, as many as it can take, and seats of sequences; see
 * replica.h. */
#include "base/unset.h"
#include "serving/batch.h"
#include "serving/calls.h"
#include "serving/filler.h"
#include "serving/inference_internal.h"
#include "serving/measure.h"
#include "serving/pipeline_request.h"
#include "serving/replica_internal.h"
#include "serving/sequence_check.h"
#include "serving/stateful.h"

#include <assert.h>

/* ---- how much it can take ---- */

static uint64_t slots_of(const struct replica *replica)
{
    uint64_t slots = replica->generation->schema->concurrency;
    return slots < EXECUTIONS_MAX ? slots : EXECUTIONS_MAX;
}

/* Whether one may wait in the worker for a slot: not where another worker may be free sooner. */
static bool takes_one_ahead(const struct replica *replica)
{
    const struct generation *generation = replica->generation;
    return replica->compute_ns < REPLICA_ONE_AHEAD_NS && generation->scale.wanted == 1 &&
           !generation->schema->starts_at_once && !generation->schema->streams &&
           schedule_goes_ahead(&generation->schedule);
}

uint64_t replica_room(const struct replica *replica)
{
    const struct generation *generation = replica->generation;
    uint64_t count = replica->executions.count;
    if (!replica->loaded || replica->stopping || replica->probe)
        return 0;
    uint64_t slots = slots_of(replica);
    if (count < slots)
        return slots - count;
    if (replica->pipeline || count >= EXECUTIONS_MAX)
        return 0;
    if (generation->calls_others)
        return 0; /* what runs may wait for what would wait behind it */
    if (count == slots && takes_one_ahead(replica))
        return 1;
    return count * replica->compute_ns < REPLICA_AHEAD_NS && !generation->schema->joins;
}

size_t replica_executions(const struct replica *replica)
{
    return replica->executions.count;
}

bool replica_requests(const struct replica *replica)
{
    return replica->executions.count > 0 ||
           (!replica->pipeline && channel_request_count(replica->channel) > 0);
}

/* ---- executions ---- */

size_t replica_fitting(struct inference *const *batch, size_t count)
{
    struct channel_request *requests[BATCH_MAX_REQUESTS] UNSET;
    assert(count <= BATCH_MAX_REQUESTS);
    for (size_t i = 0; i < count; i++)
        requests[i] = &batch[i]->request;
    return channel_fitting(requests, count);
}

/* How long before its deadline an execution has to begin that waits in the worker for a slot: the
 * front does not see when that is. */
static uint64_t needs_ns(const struct replica *replica, uint64_t rows)
{
    if (replica->executions.count < slots_of(replica) || replica->generation->stateful)
        return 0;
    return learner_execution_ns(&replica->generation->schedule.learner, rows);
}

static bool send_requests(struct replica *replica, struct inference *const *batch, size_t count,
                          uint64_t rows)
{
    struct channel_request *requests[BATCH_MAX_REQUESTS] UNSET;
    for (size_t i = 0; i < count; i++)
        requests[i] = &batch[i]->request;
    return channel_execute(replica->channel, replica->executions.next_id, needs_ns(replica, rows),
                           requests, count);
}

/* A pipeline's requests run alone: its steps are where they are joined. */
static bool begin_steps(struct replica *replica, struct inference *const *batch, size_t count)
{
    assert(count == 1);
    return pipeline_request_begin(replica->pipeline, batch[0], replica->executions.next_id);
}

bool replica_execute(struct replica *replica, struct inference *const *batch, size_t count,
                     uint64_t rows)
{
    struct generation *generation = replica->generation;
    assert(count > 0 && count <= BATCH_MAX_REQUESTS);
    if (!(replica->pipeline ? begin_steps(replica, batch, count)
                            : send_requests(replica, batch, count, rows)))
        return false;
    struct inference *requests[BATCH_MAX_REQUESTS] UNSET; /* without rows that have none */
    size_t request_count = 0;
    for (size_t i = 0; i < count; i++) {
        batch[i]->state = INFERENCE_RUNNING;
        batch[i]->replica = replica;
        batch[i]->execution = replica->executions.next_id;
        if (batch[i]->turn.sequence)
            sequences_run(&batch[i]->turn);
        if (!batch[i]->fills)
            requests[request_count++] = batch[i];
    }
    measure_execute(requests, request_count);
    struct execution *started = executions_add(&replica->executions);
    schedule_start(&generation->schedule, &started->run, request_count, rows,
                   generation->dispatched_ns);
    generation_take_resources(generation);
    return true;
}

void replica_end_execution(struct replica *replica, struct execution *execution, bool failed)
{
    struct schedule *schedule = &replica->generation->schedule;
    struct executions *executions = &replica->executions;
    uint64_t now_ns = clock_now_ns(), slots = slots_of(replica);
    bool had_slot = execution < executions->items + slots;
    schedule_end(schedule, &execution->run, failed, now_ns);
    generation_return_resources(replica->generation);
    executions_remove(executions, execution);
    if (had_slot && executions->count >= slots)
        schedule_begin(schedule, &executions->items[slots - 1].run, now_ns);
}

uint64_t replica_not_begun(const struct replica *replica)
{
    const struct executions *executions = &replica->executions;
    const struct schema *schema = replica->generation->schema;
    return executions_not_begun(executions, schema && !schema->starts_at_once ? slots_of(replica)
                                                                              : EXECUTIONS_MAX);
}

void replica_end_executions(struct replica *replica)
{
    struct executions *executions = &replica->executions;
    while (executions->count)
        replica_end_execution(replica, &executions->items[executions->count - 1], true);
}

/* INTERRUPTED is UNAVAILABLE without an invitation to come back, which programs would follow. */
static void fail_request(const struct replica *replica, struct inference *inference,
                         const char *reason)
{
    struct channel_response response = {.final = true};
    if (replica->seated)
        sequence_broken_off(inference, reason, &response.error);
    else
        error_set(&response.error, ERROR_INTERRUPTED,
                  "the worker of model '%.*s' ended (%s); the request may be sent again",
                  SPAN_ARGS(replica->generation->spec.name), reason);
    inference_answer(inference, &response);
}

/* It waits again, where it can; begun: it was perhaps executed. */
static bool send_again(const struct replica *replica, struct inference *inference, bool begun)
{
    if (!begun)
        return generation_wait_on(replica->generation, inference);
    return replica->replaced && generation_repeat(replica->generation, inference);
}

void replica_fail_requests(struct replica *replica, const char *reason, uint64_t not_begun)
{
    struct channel_request *request;
    size_t position = 0;
    while ((request = channel_next_request(replica->channel, &position))) {
        struct inference *inference = list_entry(request, struct inference, request);
        request->channel = NULL;
        if (inference->fills)
            filler_free(inference);
        else if (!send_again(replica, inference, inference->execution < not_begun))
            fail_request(replica, inference, reason);
    }
}

void replica_cancel(struct replica *replica, struct inference *inference)
{
    if (replica->pipeline) {
        pipeline_request_fail(inference->steps,
                              &(struct error){.code = ERROR_CANCELLED, .message = "cancelled"});
        return;
    }
    channel_cancel(replica->channel, &inference->request);
    calls_cancel(&replica->calls, inference);
}

/* ---- what waits for ever ---- */

void replica_note_stuck(struct replica *replica, uint64_t execution, uint64_t round)
{
    struct execution *stuck = executions_find(&replica->executions, execution);
    if (stuck)
        stuck->stuck_round = round;
}

static bool is_about_to_end(const struct replica *replica)
{
    return replica->stopping || replica->failure.code != ERROR_OK;
}

size_t replica_stuck_executions(const struct replica *replica, uint64_t round)
{
    return is_about_to_end(replica)
               ? 0
               : executions_stuck(&replica->executions, round, slots_of(replica));
}

bool replica_execution_is_stuck(const struct replica *replica, uint64_t execution, uint64_t round)
{
    return !is_about_to_end(replica) &&
           executions_is_stuck(&replica->executions, execution, round, slots_of(replica));
}

/* ---- sequences ---- */

void replica_seat(struct replica *replica, bool closed)
{
    bool serves = replica->loaded && !replica->probe && !replica->stopping;
    replica->seat.closed = closed || !serves;
    if (replica->seated || !serves)
        return;
    replica->seated = true;
    stateful_add_worker(replica->generation->stateful, &replica->seat);
}

struct replica *replica_with_seat(struct sequence_worker *seat)
{
    return list_entry(seat, struct replica, seat);
}

bool replica_has_sequences(const struct replica *replica)
{
    return replica->seat.used > 0;
}
