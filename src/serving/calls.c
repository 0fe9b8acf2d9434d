/* A model's calls to other models; see calls.h. */
#include "serving/calls.h"

#include "base/unset.h"
#include "serving/generation.h"
#include "serving/inference_internal.h"
#include "serving/nested.h"

#include <stdlib.h>

struct call {
    struct list_link link; /* in the caller's list */
    struct nested *nested;
    struct channel *channel;  /* of the caller */
    struct inference *parent; /* that it is made for */
    uint64_t id;
};

static void call_free(struct call *call)
{
    list_remove(&call->link);
    nested_free(call->nested);
    free(call);
}

/* ---- the answer ---- */

static bool copy_output(struct inference *parent, const struct inference_output *output,
                        uint32_t index, struct channel_tensor *ret_tensor, struct error *ret_error)
{
    struct extent extent; /* in the caller's memory; it goes with the parent */
    if (!inference_take_extra(parent, output->data.size, &extent, ret_error))
        return false;
    if (extent.size)
        memcpy(tensor_memory_at(parent->generation->memory, extent), output->data.data,
               extent.size);
    *ret_tensor = (struct channel_tensor){index, output->datatype, output->shape, extent};
    return true;
}

static bool send_outputs(struct call *call, const struct inference_outputs *outputs,
                         struct error *ret_error)
{
    size_t count = outputs->count;
    struct arena *arena = &call->nested->arena;
    struct channel_tensor *tensors = arena_calloc(arena, count, sizeof *tensors);
    struct span *names = arena_calloc(arena, count, sizeof *names);
    if (!tensors || !names)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < count; i++) {
        names[i] = outputs->items[i].info->name;
        if (!copy_output(call->parent, &outputs->items[i], (uint32_t)i, &tensors[i], ret_error))
            return false;
    }
    channel_call_answer(call->channel, call->id, NULL, names, tensors, count);
    return true;
}

static void ended(struct nested *nested, const struct inference_outputs *outputs,
                  const struct error *error)
{
    struct call *call = nested->owner;
    struct error failure = *error;
    if (!outputs || !send_outputs(call, outputs, &failure))
        channel_call_answer(call->channel, call->id, &failure, NULL, NULL, 0);
    call_free(call);
}

/* ---- the call ---- */

static bool copy_input(struct call *call, const struct channel_call *asked, size_t i,
                       struct error *ret_error)
{
    const struct channel_tensor *input = &asked->inputs[i];
    char *data;
    if (!nested_input(call->nested, asked->input_names[i], input->datatype, &input->shape,
                      input->extent.size, &data, ret_error))
        return false;
    if (input->extent.size)
        memcpy(data, tensor_memory_at(call->parent->generation->memory, input->extent),
               input->extent.size);
    return true;
}

static bool prepare(struct call *call, const struct channel_call *asked, struct error *ret_error)
{
    call->nested = nested_new(call->parent, asked->model, asked->version, ret_error);
    if (!call->nested)
        return false;
    call->nested->owner = call;
    call->nested->ended = ended;
    for (size_t i = 0; i < asked->input_count; i++) {
        if (!copy_input(call, asked, i, ret_error))
            return false;
    }
    return true;
}

void calls_begin(struct list *calls, struct channel *channel, const struct channel_call *asked,
                 struct inference *parent)
{
    struct error error UNSET;
    struct call *call = calloc(1, sizeof *call);
    if (!call) {
        error_no_memory(&error);
        channel_call_answer(channel, asked->id, &error, NULL, NULL, 0);
        return;
    }
    call->channel = channel;
    call->id = asked->id;
    call->parent = parent;
    if (!prepare(call, asked, &error)) {
        channel_call_answer(channel, asked->id, &error, NULL, NULL, 0);
        call_free(call);
        return;
    }
    list_add(calls, &call->link);
    nested_submit(call->nested);
}

void calls_cancel(struct list *calls, const struct inference *parent)
{
    list_each(link, calls)
    {
        struct call *call = list_entry(link, struct call, link);
        if (call->parent == parent)
            nested_cancel(call->nested);
    }
}

void calls_forget(struct list *calls, const struct inference *parent)
{
    list_each(link, calls)
    {
        struct call *call = list_entry(link, struct call, link);
        if (parent && call->parent != parent)
            continue;
        channel_call_forget(call->channel);
        call_free(call);
    }
}
