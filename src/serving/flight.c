/* Requests that are the same, at once; see flight.h. */
#include "serving/flight.h"

#include "serving/generation.h"
#include "serving/inference_internal.h"
#include "serving/measure.h"

#include <assert.h>
#include <stdlib.h>

enum { ARENA_BYTES = 4 << 20 };

struct flight {
    struct inference inference; /* the execution */
    struct arena arena;
    struct siphash_value key;
    struct list passengers; /* of struct inference, who wait for it */
    size_t references; /* passengers that wait or look at its outputs, and itself until its end */
    bool listed;       /* in the generation's flights: others may board */
};

static struct span key_bytes(const struct siphash_value *key)
{
    return (struct span){(const char *)key, sizeof *key};
}

/* Nobody else boards. */
static void close_gate(struct flight *flight)
{
    if (flight->listed)
        map_remove(&flight->inference.generation->reuse.flights, key_bytes(&flight->key));
    flight->listed = false;
}

static void unref(struct flight *flight)
{
    assert(flight->references > 0);
    if (--flight->references)
        return;
    inference_fini(&flight->inference);
    arena_fini(&flight->arena);
    free(flight);
}

/* ---- the passengers ---- */

/* Stages follow each other for each: who came while it ran has not waited. */
static void take_flight_times(struct inference *passenger, const struct flight *flight, bool first)
{
    const struct inference_times *from = &flight->inference.times;
    struct inference_times *to = &passenger->times;
    to->shared = !first;
    to->batch_rows = first ? from->batch_rows : 0;
    if (from->executed_ns)
        to->executed_ns =
            from->executed_ns > to->submitted_ns ? from->executed_ns : to->submitted_ns;
}

/* The first stands for the execution in the statistics. */
static void land(struct inference *passenger, struct flight *flight,
                 const struct inference_answer *answer, bool first)
{
    list_remove(&passenger->reuse.flight_link);
    timer_stop(&passenger->deadline);
    take_flight_times(passenger, flight, first);
    passenger->state = INFERENCE_DONE;
    passenger->reuse.landed = true;
    measure_answer(passenger, &answer->error, &flight->inference.times.worker);
    passenger->answered(passenger, answer);
}

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct flight *flight = list_entry(inference, struct flight, inference);
    struct list_link *link;
    bool first = true;
    if (!answer->final) { /* the schema says that there are no such */
        inference_cancel(inference);
        return;
    }
    close_gate(flight);
    while ((link = list_first(&flight->passengers))) { /* others may leave meanwhile */
        land(list_entry(link, struct inference, reuse.flight_link), flight, answer, first);
        first = false;
    }
    unref(flight);
}

static void late(struct timer *timer)
{
    struct inference *passenger = list_entry(timer, struct inference, deadline);
    struct error error;
    take_flight_times(passenger, passenger->reuse.flight, false);
    bool ran = passenger->times.executed_ns != 0;
    flight_leave(passenger);
    inference_deadline_error(passenger, ran, &error);
    inference_refuse(passenger, &error);
}

/* It waits, and holds no memory meanwhile. */
static void take_seat(struct inference *passenger, struct flight *flight)
{
    struct loop *loop = passenger->generation->version->model->serving->loop;
    uint64_t now_ns = loop_now_ns(loop), until_ns = passenger->deadline_ns;
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    inference_release(passenger);
    passenger->reuse.flight = flight;
    passenger->reuse.keeps = false; /* the flight's answer is */
    flight->references++;
    list_add(&flight->passengers, &passenger->reuse.flight_link);
    if (until_ns != CLOCK_NEVER)
        timer_start(&passenger->deadline, loop, left_ns / CLOCK_NS_PER_MS + 1, late);
}

void flight_leave(struct inference *inference)
{
    struct flight *flight = inference->reuse.flight;
    list_remove(&inference->reuse.flight_link);
    timer_stop(&inference->deadline);
    inference->reuse.flight = NULL;
    if (list_empty(&flight->passengers)) {
        close_gate(flight);
        inference_cancel(&flight->inference);
    }
    unref(flight);
}

void flight_end(struct inference *inference)
{
    struct flight *flight = inference->reuse.flight;
    if (!flight || !inference->reuse.landed)
        return;
    inference->reuse.flight = NULL;
    unref(flight);
}

/* ---- the flight ---- */

static bool copy_spans(struct arena *arena, const struct span *from, size_t count,
                       const struct span **ret_copy)
{
    struct span *copy = arena_calloc(arena, count, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++) {
        if (!arena_copy(arena, from[i], &copy[i]))
            return false;
    }
    *ret_copy = copy;
    return copy != NULL;
}

static bool copy_parameters(struct arena *arena, const struct inference *from, struct inference *to)
{
    struct parameter *copy = arena_calloc(arena, from->parameter_count, sizeof *copy);
    for (size_t i = 0; copy && i < from->parameter_count; i++) {
        if (!arena_copy(arena, from->parameters[i].key, &copy[i].key) ||
            !arena_copy(arena, from->parameters[i].value, &copy[i].value))
            return false;
        copy[i].literal = from->parameters[i].literal;
    }
    to->parameters = copy;
    to->parameter_count = from->parameter_count;
    return copy != NULL;
}

/* What the model is told of the first one is told of the flight, in memory of its own. */
static bool copy_request(const struct inference *from, struct flight *flight)
{
    struct inference *to = &flight->inference;
    struct arena *arena = &flight->arena;
    const struct span *names;
    to->inputs = arena_calloc(arena, from->input_count, sizeof *to->inputs);
    if (!to->inputs || !arena_copy(arena, from->id, &to->id) ||
        !copy_spans(arena, from->input_names, from->input_count, &names) ||
        !copy_spans(arena, from->output_names, from->output_name_count, &to->output_names) ||
        !copy_parameters(arena, from, to))
        return false;
    memcpy(to->inputs, from->inputs, from->input_count * sizeof *to->inputs);
    to->input_names = (struct span *)(uintptr_t)names;
    to->input_capacity = to->input_names_capacity = from->input_count;
    to->output_name_count = from->output_name_count;
    to->request.wanted_outputs = from->request.wanted_outputs;
    to->runs_alone = from->runs_alone;
    to->priority = from->priority;
    to->caller = from->caller;
    to->trace = from->trace;
    to->trace.state = (struct span){NULL, 0};
    to->times = from->times;
    to->times.lookup = LOOKUP_NONE;
    return true;
}

static struct flight *flight_new(struct inference *first, const struct siphash_value *key)
{
    struct flight *flight = calloc(1, sizeof *flight);
    if (!flight)
        return NULL;
    arena_init(&flight->arena, 1024, ARENA_BYTES);
    list_init(&flight->passengers);
    flight->references = 1;
    flight->key = *key;
    struct generation_reuse *reuse = &first->generation->reuse;
    inference_init_flight(&flight->inference, first->generation, &flight->arena);
    if (copy_request(first, flight) && map_set(&reuse->flights, key_bytes(&flight->key), flight)) {
        flight->listed = true;
        flight->inference.answered = answered;
        flight->inference.reuse.key = first->reuse.key;
        flight->inference.reuse.keeps = first->reuse.keeps;
        return flight;
    }
    unref(flight);
    return NULL;
}

/* Of one priority: the words are as good as random, so that a small number keeps keys apart. */
static struct siphash_value flight_key(const struct inference *inference)
{
    struct siphash_value key = inference->reuse.key;
    key.words[0] ^= policy_level(&inference->generation->schedule.policy, inference->priority);
    return key;
}

bool flight_board(struct inference *inference)
{
    struct generation *generation = inference->generation;
    if (inference->parent || inference->entry.timeout_ns)
        return false;
    struct siphash_value key = flight_key(inference);
    struct flight *flight = map_get(&generation->reuse.flights, key_bytes(&key));
    if (flight) {
        take_seat(inference, flight);
        return true;
    }
    flight = flight_new(inference, &key);
    if (!flight)
        return false;
    inference_pass_inputs(inference, &flight->inference);
    take_seat(inference, flight);
    flight->inference.state = INFERENCE_QUEUED;
    generation_enter(generation, &flight->inference);
    if (flight->inference.entry.waits)
        inference_waits(&flight->inference);
    return true;
}
