/* The memory of an inference: all of its inputs' at once, with room for its outputs, before the
 * first byte of a tensor is received; see admission.h. */
#include "serving/generation.h"
#include "serving/inference_internal.h"
#include "serving/kept.h"
#include "serving/pipeline_request.h"
#include "serving/reuse.h"
#include "serving/shadow.h"
#include "serving/stateful.h"
#include "telemetry/metrics.h"

#include <assert.h>

static struct serving *serving_of(const struct inference *inference)
{
    return inference->generation->version->model->serving;
}

/* ---- reserving ---- */

static void stop_waiting(struct inference *inference, const struct error *error)
{
    timer_stop(&inference->deadline);
    inference->reserved(inference, error);
}

void inference_admit(struct inference *inference)
{
    stop_waiting(inference, &(struct error){.code = ERROR_OK});
}

static void waited_too_long(struct timer *timer)
{
    struct inference *inference = list_entry(timer, struct inference, deadline);
    struct generation *generation = inference->generation;
    struct error error;
    if (loop_now_ns(serving_of(inference)->loop) >= inference->deadline_ns)
        inference_deadline_error(inference, false, &error);
    else {
        limit_hit(LIMIT_memory_wait_ms);
        error_set(&error, ERROR_UNAVAILABLE,
                  "the model's memory for tensors has been in use for too long; try again later");
    }
    admission_leave(&generation->admission, &inference->share);
    generation_admit(generation); /* it may have been in the way of others */
    stop_waiting(inference, &error);
}

static enum inference_memory wait_for_memory(struct inference *inference, struct error *ret_error)
{
    struct generation *generation = inference->generation;
    const struct serving *serving = serving_of(inference);
    uint64_t now_ns = loop_now_ns(serving->loop), wait_ms = serving->options.memory_wait_ms;
    limit_hit(LIMIT_memory_limit_mib);
    if (generation->state.queued + generation->admission.waiting_count >
        serving->options.queue_limit) {
        limit_hit(LIMIT_queue_limit);
        admission_leave(&generation->admission, &inference->share);
        error_set(ret_error, ERROR_UNAVAILABLE, "Exceeds maximum queue size");
        return INFERENCE_MEMORY_REFUSED;
    }
    generation_admit(generation); /* it may be let by those who wait for their own connection */
    uint64_t left_ns = inference->deadline_ns > now_ns ? inference->deadline_ns - now_ns : 0;
    if (left_ns / CLOCK_NS_PER_MS < wait_ms)
        wait_ms = left_ns / CLOCK_NS_PER_MS + 1;
    timer_start(&inference->deadline, serving->loop, wait_ms, waited_too_long);
    return INFERENCE_MEMORY_WAITS;
}

enum inference_memory inference_reserve(struct inference *inference, uint64_t input_bytes,
                                        int64_t rows, uint64_t *connection, struct error *ret_error)
{
    struct admission *admission = &inference->generation->admission;
    uint64_t most = admission_most_bytes(admission);
    uint64_t room = generation_room(inference->generation, rows);
    assert(inference->state == INFERENCE_FILLING && inference->reserved);
    if (input_bytes > most) {
        limit_hit(LIMIT_memory_limit_mib);
        error_set(ret_error, ERROR_TOO_LARGE,
                  "the request's inputs need %llu bytes, more than the %llu of the model's memory "
                  "for tensors that one request may have",
                  (unsigned long long)input_bytes, (unsigned long long)most);
        return INFERENCE_MEMORY_REFUSED;
    }
    if (room > most - input_bytes)
        room = most - input_bytes; /* the worker will ask for more, if it needs it */
    inference->input_bytes = input_bytes;
    inference->room_bytes = room;
    if (admission_ask(admission, &inference->share, input_bytes + room, connection))
        return INFERENCE_MEMORY_GIVEN;
    return wait_for_memory(inference, ret_error);
}

void inference_disconnect(struct inference *inference)
{
    admission_disconnect(&inference->share);
}

/* ---- inputs ---- */

static bool check_size(struct span name, enum tensord_datatype datatype, const struct shape *shape,
                       uint64_t size_bytes, struct error *ret_error)
{
    uint64_t expected, count;
    if (!shape_count(shape, &count) || !shape_size_bytes(shape, datatype, &expected))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the shape of input '%.*s' is negative or too large", SPAN_ARGS(name));
    if (datatype != TENSORD_BYTES && size_bytes != expected)
        return error_set(
            ret_error, ERROR_INVALID_ARGUMENT,
            "input byte size mismatch for input '%.*s': expected %llu bytes for its shape and "
            "datatype %s, got %llu",
            SPAN_ARGS(name), (unsigned long long)expected, datatype_name(datatype),
            (unsigned long long)size_bytes);
    if (datatype == TENSORD_BYTES && count > size_bytes / sizeof(uint32_t))
        return error_set(
            ret_error, ERROR_INVALID_ARGUMENT,
            "input byte size mismatch for input '%.*s': %llu bytes cannot hold %llu BYTES elements",
            SPAN_ARGS(name), (unsigned long long)size_bytes, (unsigned long long)count);
    return true;
}

static bool in_use(struct error *ret_error)
{
    limit_hit(LIMIT_memory_limit_mib);
    return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                     "the model's memory for tensors is in use");
}

/* Takes the charge of a piece out of what was reserved for such, or else of what is free. */
static bool take_reserved(struct inference *inference, uint64_t *reserved_bytes, uint64_t size,
                          struct error *ret_error)
{
    uint64_t charge = tensor_memory_charge(size);
    uint64_t missing = charge > *reserved_bytes ? charge - *reserved_bytes : 0;
    if (size > inference->generation->admission.limit_bytes) {
        limit_hit(LIMIT_memory_limit_mib);
        return error_set(ret_error, ERROR_TOO_LARGE,
                         "a tensor of %llu bytes is larger than the model's memory for tensors",
                         (unsigned long long)size);
    }
    if (missing && !admission_grow(&inference->generation->admission, &inference->share, missing))
        return in_use(ret_error);
    *reserved_bytes += missing - charge;
    return true;
}

static bool grow_inputs(struct inference *inference)
{
    return arena_grow(inference->arena, (void **)&inference->inputs, inference->input_count,
                      &inference->input_capacity, sizeof *inference->inputs) &&
           arena_grow(inference->arena, (void **)&inference->input_names, inference->input_count,
                      &inference->input_names_capacity, sizeof *inference->input_names);
}

bool inference_input(struct inference *inference, struct span name, enum tensord_datatype datatype,
                     const struct shape *shape, uint64_t size_bytes, char **ret_data,
                     struct error *ret_error)
{
    struct extent extent = {0, 0};
    assert(inference->state == INFERENCE_FILLING);
    if (inference->input_count == TENSOR_MAX_PER_REQUEST)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a request may have at most %d inputs",
                         TENSOR_MAX_PER_REQUEST);
    if (!check_size(name, datatype, shape, size_bytes, ret_error))
        return false;
    if (!grow_inputs(inference))
        return error_no_memory(ret_error);
    struct tensor_memory *memory = inference->generation->memory;
    if (!take_reserved(inference, &inference->input_bytes, size_bytes, ret_error) ||
        !tensor_memory_alloc(memory, size_bytes, &extent, ret_error))
        return false;
    size_t at = inference->input_count++;
    inference->inputs[at] =
        (struct channel_tensor){.datatype = datatype, .shape = *shape, .extent = extent};
    inference->input_names[at] = name;
    *ret_data = size_bytes ? tensor_memory_at(memory, extent) : NULL;
    return true;
}

void inference_pass_inputs(struct inference *from, struct inference *to)
{
    struct generation *generation = from->generation;
    to->input_count = from->input_count;
    to->input_bytes = from->input_bytes;
    to->room_bytes = from->room_bytes;
    admission_pass(&generation->admission, &from->share, from->share.held_bytes, &to->share);
    from->released = true;
    generation_admit(generation);
}

/* ---- outputs ---- */

bool inference_take_grant(struct inference *inference, struct error *ret_error)
{
    struct generation *generation = inference->generation;
    int64_t rows = inference->input_count && inference->inputs[0].shape.ndim
                       ? inference->inputs[0].shape.dims[0]
                       : 0;
    uint64_t room = generation_room(generation, rows);
    if (room > inference->room_bytes &&
        !take_reserved(inference, &inference->room_bytes, room, NULL))
        room = inference->room_bytes; /* the worker will ask for more */
    return tensor_memory_alloc(generation->memory, room, &inference->request.grant, ret_error);
}

bool inference_take_extra(struct inference *inference, uint64_t size, struct extent *ret_extent,
                          struct error *ret_error)
{
    uint64_t nothing = 0;
    if (!arena_grow(inference->arena, (void **)&inference->extras, inference->extra_count,
                    &inference->extra_capacity, sizeof *inference->extras))
        return error_no_memory(ret_error);
    struct extent *extra = &inference->extras[inference->extra_count];
    if (!take_reserved(inference, &nothing, size, ret_error) ||
        !tensor_memory_alloc(inference->generation->memory, size, extra, ret_error))
        return false;
    inference->extra_count += size > 0;
    *ret_extent = *extra;
    return true;
}

void inference_release(struct inference *inference)
{
    struct generation *generation = inference->generation;
    timer_stop(&inference->deadline);
    if (inference->shadow.copied)
        shadow_copy(inference);
    reuse_end(inference);
    if (inference->released)
        return;
    inference->released = true;
    pipeline_request_free(inference->steps);
    inference->steps = NULL;
    if (inference->states)
        stateful_release(inference);
    if (!kept_take(inference)) {
        for (size_t i = 0; i < inference->input_count; i++)
            tensor_memory_release(generation->memory, inference->inputs[i].extent);
        for (size_t i = 0; i < inference->extra_count; i++)
            tensor_memory_release(generation->memory, inference->extras[i]);
        tensor_memory_release(generation->memory, inference->request.grant);
        admission_leave(&generation->admission, &inference->share);
    }
    generation_admit(generation);
}

void inference_forget_tensors(struct inference *inference)
{
    assert(inference->state == INFERENCE_DONE && inference->generation);
    inference_release(inference);
}
