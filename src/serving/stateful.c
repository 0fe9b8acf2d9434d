/* Requests of sequences, and whose turn it is; see stateful.h. */
#include "serving/stateful.h"

#include "serving/generation_workers.h"
#include "serving/inference_internal.h"
#include "serving/replica.h"
#include "serving/sequence_check.h"
#include "serving/states.h"

#include <stdlib.h>

static struct inference *inference_of(struct sequence_request *request)
{
    return list_entry(request, struct inference, turn);
}

static struct stateful *stateful_of(const struct inference *inference)
{
    return inference->generation->stateful;
}

/* ---- sequences that end, and time ---- */

static void on_ended(struct sequence *sequence)
{
    states_unref(sequence->data);
    sequence->data = NULL;
}

static void on_recalled(struct sequence_request *request)
{
    struct inference *inference = inference_of(request);
    schedule_leave(&inference->generation->schedule, &inference->entry);
    stateful_release(inference);
}

static const struct sequences_events events = {on_ended, on_recalled};

static void look_again(struct stateful *stateful);

static void time_passed(struct timer *timer)
{
    struct stateful *stateful = list_entry(timer, struct stateful, idle);
    sequences_expire(&stateful->sequences, clock_now_ns());
    look_again(stateful);
}

/* A sequence is not what it was: others may have their turn, a model may be idle, and some time
 * later there may be something to be dropped. */
static void look_again(struct stateful *stateful)
{
    struct generation *generation = stateful->generation;
    uint64_t now_ns = clock_now_ns(), at_ns = sequences_expires_ns(&stateful->sequences);
    timer_stop(&stateful->idle);
    if (at_ns != CLOCK_NEVER)
        timer_start(&stateful->idle, generation->version->model->serving->loop,
                    (at_ns > now_ns ? at_ns - now_ns : 0) / CLOCK_NS_PER_MS + 1, time_passed);
    if (generation->state.queued)
        generation_dispatch(generation);
    if (generation->shrinks)
        generation_staff(generation);
    if (sequences_count(&stateful->sequences) == 0)
        residence_rest(generation);
}

/* ---- life ---- */

struct stateful *stateful_new(struct generation *generation, const struct model_sequences *config,
                              struct error *ret_error)
{
    struct stateful *stateful = calloc(1, sizeof *stateful);
    const struct model_sequences *copy =
        stateful ? model_sequences_copy(&generation->arena, config) : NULL;
    if (copy)
        stateful->states =
            arena_calloc(&generation->arena, copy->state_count, sizeof *stateful->states);
    if (!copy || !stateful->states) {
        free(stateful);
        error_no_memory(ret_error);
        return NULL;
    }
    stateful->generation = generation;
    stateful->config = copy;
    sequences_init(&stateful->sequences, &events);
    return stateful;
}

void stateful_free(struct stateful *stateful)
{
    if (!stateful)
        return;
    struct generation *generation = stateful->generation;
    timer_stop(&stateful->idle);
    sequences_fini(&stateful->sequences);
    states_unref(stateful->initial);
    tensor_memory_release(generation->memory, stateful->constants);
    admission_leave(&generation->admission, &stateful->share);
    free(stateful);
}

/* ---- requests ---- */

bool stateful_submit(struct inference *inference, struct error *ret_error)
{
    struct stateful *stateful = stateful_of(inference);
    inference->turn = (struct sequence_request){.starts = inference->sequence.starts,
                                                .ends = inference->sequence.ends};
    switch (sequences_submit(&stateful->sequences, &inference->turn, &inference->sequence.id)) {
    case SEQUENCES_TAKEN:
        return true;
    case SEQUENCES_LOST:
        return sequence_lost(inference, ret_error);
    case SEQUENCES_NOT_STARTED:
        return sequence_not_started(inference, ret_error);
    case SEQUENCES_NO_MEMORY:
        break;
    }
    return error_no_memory(ret_error);
}

struct inference *stateful_next(struct stateful *stateful, struct error *ret_error)
{
    struct sequence_request *request = sequences_next(&stateful->sequences, clock_now_ns());
    if (!request)
        return NULL;
    struct inference *inference = inference_of(request);
    *ret_error = (struct error){.code = ERROR_OK};
    if (request->state == SEQUENCE_NONE && request->lost)
        sequence_lost(inference, ret_error);
    else if (request->state == SEQUENCE_NONE)
        sequence_not_started(inference, ret_error);
    else
        stateful_put_inputs(inference, ret_error);
    return inference;
}

struct replica *stateful_replica(const struct inference *inference)
{
    return replica_with_seat(inference->turn.sequence->worker);
}

bool stateful_may_go(const struct queue_entry *entry)
{
    const struct inference *inference = list_entry(entry, struct inference, entry);
    const struct replica *replica = stateful_replica(inference);
    if (stateful_of(inference)->keeps_rows && replica_executions(replica))
        return false; /* each row is in all of them */
    return replica_room(replica) > 0;
}

void stateful_leave(struct inference *inference)
{
    struct stateful *stateful = stateful_of(inference);
    sequences_leave(&stateful->sequences, &inference->turn, clock_now_ns());
    look_again(stateful);
}

/* ---- answers ---- */

bool stateful_keep(struct inference *inference, const struct channel_response *response,
                   struct error *ret_error)
{
    struct sequence *sequence = inference->turn.sequence;
    struct stateful *stateful = stateful_of(inference);
    if (!sequence->worker || inference->turn.ends || !stateful->config->state_count ||
        (inference->generation->schema->streams && !states_are_in(stateful, response)))
        return true;
    struct states *states = states_of_answer(stateful, response, ret_error);
    if (!states)
        return false;
    states_unref(sequence->data);
    sequence->data = states;
    return true;
}

void stateful_answered(struct inference *inference, bool broken)
{
    struct stateful *stateful = stateful_of(inference);
    sequences_answered(&stateful->sequences, &inference->turn, broken, clock_now_ns());
    look_again(stateful);
}

/* ---- workers ---- */

void stateful_add_worker(struct stateful *stateful, struct sequence_worker *worker)
{
    sequences_add_worker(&stateful->sequences, worker);
}

void stateful_remove_worker(struct stateful *stateful, struct sequence_worker *worker)
{
    sequences_remove_worker(&stateful->sequences, worker, clock_now_ns());
    look_again(stateful);
}
