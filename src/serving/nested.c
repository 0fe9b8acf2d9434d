/* Nested inferences; see nested.h. */
#include "serving/nested.h"

#include "base/unset.h"
#include "serving/generation.h"
#include "serving/inference_internal.h"
#include "serving/measure.h"
#include "serving/only_answer.h"

#include <stdlib.h>

enum { ARENA_BYTES = 1 << 20 };

struct nested {
    struct list_link link; /* in the caller's list; unlinked: nobody waits for the answer */
    struct inference inference;
    struct only_answer only;
    struct arena arena;
    struct channel *channel; /* of the caller */
    struct inference *parent;
    uint64_t call_id;
};

static void nested_free(struct nested *nested)
{
    list_remove(&nested->link);
    inference_fini(&nested->inference);
    arena_fini(&nested->arena);
    free(nested);
}

static void answer_error(struct channel *channel, uint64_t call_id, const struct error *error)
{
    channel_call_answer(channel, call_id, error, NULL, NULL, 0);
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

static bool send_outputs(struct nested *nested, const struct inference_outputs *outputs,
                         struct error *ret_error)
{
    size_t count = outputs->count;
    struct channel_tensor *tensors = arena_calloc(&nested->arena, count, sizeof *tensors);
    struct span *names = arena_calloc(&nested->arena, count, sizeof *names);
    if (!tensors || !names)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < count; i++) {
        names[i] = outputs->items[i].info->name;
        if (!copy_output(nested->parent, &outputs->items[i], (uint32_t)i, &tensors[i], ret_error))
            return false;
    }
    channel_call_answer(nested->channel, nested->call_id, NULL, names, tensors, count);
    return true;
}

/* Answers the call, if anybody still waits for that. False: another answer has to come first. */
static bool answer_call(struct nested *nested, const struct inference_answer *answer,
                        struct error *ret_error)
{
    struct inference_outputs only;
    ret_error->code = ERROR_OK;
    if (!list_linked(&nested->link)) {
        *ret_error = answer->error;
        return true;
    }
    switch (only_answer_take(&nested->only, &nested->inference, answer, &only, ret_error)) {
    case ONLY_ANSWER_WAITS:
        return false;
    case ONLY_ANSWER_GIVEN:
        if (send_outputs(nested, &only, ret_error))
            break;
        answer_error(nested->channel, nested->call_id, ret_error);
        break;
    case ONLY_ANSWER_FAILED:
        answer_error(nested->channel, nested->call_id, ret_error);
        break;
    }
    list_remove(&nested->link);
    nested->inference.parent = NULL; /* it may go before this one's last answer comes */
    return true;
}

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct nested *nested = list_entry(inference, struct nested, inference);
    struct error error UNSET;
    bool told = answer_call(nested, answer, &error);
    if (answer->final) {
        measure_span(inference, &error, inference->times.answered_ns);
        nested_free(nested);
    } else if (told) {
        inference_cancel(inference);
    }
}

/* ---- the call ---- */

static bool copy_input(struct nested *nested, const struct channel_call *call, size_t i,
                       struct error *ret_error)
{
    const struct channel_tensor *input = &call->inputs[i];
    struct span name;
    char *data;
    if (!arena_copy(&nested->arena, call->input_names[i], &name))
        return error_no_memory(ret_error);
    if (!inference_input(&nested->inference, name, input->datatype, &input->shape,
                         input->extent.size, &data, ret_error))
        return false;
    if (input->extent.size)
        memcpy(data, tensor_memory_at(nested->parent->generation->memory, input->extent),
               input->extent.size);
    return true;
}

/* True when one of the requests that wait for this call is for the same model: it would wait for
 * itself. */
static bool is_circle(const struct inference *parent, const struct version *version)
{
    for (; parent; parent = parent->parent) {
        if (parent->generation->version == version)
            return true;
    }
    return false;
}

static bool prepare(struct nested *nested, const struct channel_call *call, struct error *ret_error)
{
    struct serving *serving = nested->parent->generation->version->model->serving;
    struct model *model = serving_model(serving, call->model, ret_error);
    struct version *version = model ? model_version(model, call->version, ret_error) : NULL;
    if (nested->parent->depth >= NESTED_MAX_DEPTH)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "models call each other more than %d deep", NESTED_MAX_DEPTH);
    if (version && is_circle(nested->parent, version))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "models call each other in a circle, which would never end");
    if (!version || !inference_init_nested(&nested->inference, version, &nested->arena,
                                           nested->parent, ret_error))
        return false;
    nested->inference.answered = answered;
    for (size_t i = 0; i < call->input_count; i++) {
        if (!copy_input(nested, call, i, ret_error))
            return false;
    }
    return true;
}

void nested_begin(struct list *calls, struct channel *channel, const struct channel_call *call,
                  struct inference *parent)
{
    struct error error;
    struct nested *nested = calloc(1, sizeof *nested);
    if (!nested) {
        error_no_memory(&error);
        answer_error(channel, call->id, &error);
        return;
    }
    nested->channel = channel;
    nested->call_id = call->id;
    nested->parent = parent;
    arena_init(&nested->arena, 1024, ARENA_BYTES);
    if (!prepare(nested, call, &error)) {
        answer_error(channel, call->id, &error);
        nested_free(nested);
        return;
    }
    list_add(calls, &nested->link);
    inference_submit(&nested->inference);
}

void nested_cancel(struct list *calls, const struct inference *parent)
{
    list_each(link, calls)
    {
        struct nested *nested = list_entry(link, struct nested, link);
        if (nested->parent == parent)
            inference_cancel(&nested->inference);
    }
}

void nested_forget(struct list *calls, const struct inference *parent)
{
    list_each(link, calls)
    {
        struct nested *nested = list_entry(link, struct nested, link);
        if (parent && nested->parent != parent)
            continue;
        list_remove(link);
        channel_call_forget(nested->channel);
        nested->inference.parent = NULL; /* likewise */
        inference_cancel(&nested->inference);
    }
}
