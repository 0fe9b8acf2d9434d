/* States in tensor memory; see states.h. */
#include "serving/states.h"

#include "serving/generation.h"
#include "serving/stateful.h"

#include <stdlib.h>

struct state_value {
    struct shape shape;
    struct extent extent; /* a part of the piece */
};

struct states {
    unsigned references;
    struct generation *generation;
    struct extent piece;
    struct admission_share share;
    struct state_value values[];
};

struct states *states_ref(struct states *states)
{
    states->references++;
    return states;
}

void states_unref(struct states *states)
{
    if (!states || --states->references > 0)
        return;
    tensor_memory_release(states->generation->memory, states->piece);
    admission_leave(&states->generation->admission, &states->share);
    generation_admit(states->generation);
    free(states);
}

static struct states *states_new(struct stateful *stateful, struct error *ret_error)
{
    struct states *states =
        calloc(1, sizeof *states + stateful->config->state_count * sizeof *states->values);
    if (!states) {
        error_no_memory(ret_error);
        return NULL;
    }
    states->references = 1;
    states->generation = stateful->generation;
    return states;
}

/* Places a state of that size behind those before it. */
static void place(struct states *states, size_t at, uint64_t size, uint64_t *total)
{
    states->values[at].extent = (struct extent){*total, size};
    *total += tensor_memory_charge(size);
}

/* Takes the memory for all of them. */
static bool take_piece(struct states *states, size_t count, uint64_t total, struct error *ret_error)
{
    struct generation *generation = states->generation;
    if (total > STATES_MOST_BYTES) {
        limit_hit(LIMIT_sequence_states);
        return error_set(
            ret_error, ERROR_TOO_LARGE,
            "the states of a sequence of model '%.*s' take %llu bytes; %d are the most",
            SPAN_ARGS(generation->spec.name), (unsigned long long)total, STATES_MOST_BYTES);
    }
    if (!admission_grow(&generation->admission, &states->share, total) ||
        !tensor_memory_alloc(generation->memory, total, &states->piece, NULL))
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "the model's memory for tensors is in use: there is none for the states "
                         "of this sequence, which is over");
    for (size_t i = 0; i < count; i++)
        states->values[i].extent.offset += states->piece.offset;
    return true;
}

static char *bytes_of(const struct states *states, size_t at)
{
    return tensor_memory_at(states->generation->memory, states->values[at].extent);
}

/* Zeros; of BYTES, empty strings, whose lengths are zeros. */
static bool first_size(const struct stateful_state *state, uint64_t *ret_size)
{
    uint64_t count;
    if (state->datatype != TENSORD_BYTES)
        return shape_size_bytes(&state->shape, state->datatype, ret_size);
    bool good = shape_count(&state->shape, &count) && count <= STATES_MOST_BYTES;
    *ret_size = count * sizeof(uint32_t);
    return good;
}

/* What a file says must be as much as the tensor takes. */
static bool check_initial(const struct stateful_state *state, uint64_t *size,
                          struct error *ret_error)
{
    struct span initial = state->config->initial;
    uint64_t count;
    bool text = state->datatype == TENSORD_BYTES;
    if (!state->config->initial_file.size)
        return true;
    bool good = text ? shape_count(&state->shape, &count) && bytes_tensor_check(initial, count)
                     : initial.size == *size;
    *size = initial.size;
    return good || error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'data_file' of the initial state of '%.*s' has %zu bytes, which are "
                             "not those of a tensor of its shape and data_type",
                             SPAN_ARGS(state->config->input), initial.size);
}

static bool place_first(struct states *states, const struct stateful *stateful, uint64_t *total,
                        struct error *ret_error)
{
    for (size_t i = 0; i < stateful->config->state_count; i++) {
        const struct stateful_state *state = &stateful->states[i];
        uint64_t size;
        if (!first_size(state, &size) || size > STATES_MOST_BYTES)
            return error_set(
                ret_error, ERROR_TOO_LARGE,
                "the state '%.*s' is larger than %d bytes, or of no size that is known",
                SPAN_ARGS(state->config->input), STATES_MOST_BYTES);
        if (!check_initial(state, &size, ret_error))
            return false;
        states->values[i].shape = state->shape;
        place(states, i, size, total);
    }
    return true;
}

struct states *states_first(struct stateful *stateful, struct error *ret_error)
{
    size_t count = stateful->config->state_count;
    uint64_t total = 0;
    struct states *states = states_new(stateful, ret_error);
    if (!states || !place_first(states, stateful, &total, ret_error) ||
        !take_piece(states, count, total, ret_error)) {
        states_unref(states);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        struct span initial = stateful->states[i].config->initial;
        uint64_t size = states->values[i].extent.size;
        if (size && initial.size)
            memcpy(bytes_of(states, i), initial.data, size);
        else if (size)
            memset(bytes_of(states, i), 0, size);
    }
    return states;
}

static const struct channel_tensor *find(const struct channel_response *response, uint32_t output)
{
    for (size_t i = 0; i < response->output_count; i++) {
        if (response->outputs[i].index == output)
            return &response->outputs[i];
    }
    return NULL;
}

bool states_are_in(const struct stateful *stateful, const struct channel_response *response)
{
    bool there = false;
    for (size_t i = 0; i < stateful->config->state_count && !there; i++)
        there = find(response, stateful->states[i].output) != NULL;
    return there;
}

struct states *states_of_answer(struct stateful *stateful, const struct channel_response *response,
                                struct error *ret_error)
{
    size_t count = stateful->config->state_count;
    uint64_t total = 0;
    struct states *states = states_new(stateful, ret_error);
    bool good = states != NULL;
    for (size_t i = 0; good && i < count; i++) {
        const struct channel_tensor *output = find(response, stateful->states[i].output);
        if (output) {
            states->values[i].shape = output->shape;
            place(states, i, output->extent.size, &total);
        } else
            good = error_set(ret_error, ERROR_INTERNAL,
                             "the model gave no output '%.*s', a state of its sequence",
                             SPAN_ARGS(stateful->states[i].config->output));
    }
    if (!good || !take_piece(states, count, total, ret_error)) {
        states_unref(states);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        /* -Wanalyzer-null-dereference: it was found above */
        struct extent from = find(response, stateful->states[i].output)->extent;
        if (from.size)
            memcpy(bytes_of(states, i), tensor_memory_at(states->generation->memory, from),
                   from.size);
    }
    return states;
}

struct channel_tensor states_input(const struct states *states, const struct stateful_state *state,
                                   size_t at)
{
    return (struct channel_tensor){.index = state->input,
                                   .datatype = state->datatype,
                                   .shape = states->values[at].shape,
                                   .extent = states->values[at].extent};
}
