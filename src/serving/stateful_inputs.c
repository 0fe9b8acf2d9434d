/* The inputs that the server gives to requests of sequences: controls and states; see stateful.h.
 */
#include "serving/generation.h"
#include "serving/inference_internal.h"
#include "serving/sequence_check.h"
#include "serving/stateful.h"
#include "serving/states.h"

/* The bytes of a control that tells the id, in memory of the request. */
static bool put_id(struct inference *inference, enum tensord_datatype datatype,
                   struct extent *ret_extent, struct error *ret_error)
{
    const struct sequence_id *id = &inference->sequence.id;
    char text[SEQUENCE_MAX_ID + 1];
    sequence_id_write(id, text);
    uint32_t length = (uint32_t)strlen(text);
    size_t size =
        datatype == TENSORD_BYTES ? sizeof length + length : datatype_size_bytes(datatype);
    if (!inference_take_extra(inference, size, ret_extent, ret_error))
        return false;
    char *data = tensor_memory_at(inference->generation->memory, *ret_extent);
    if (datatype != TENSORD_BYTES) {
        memcpy(data, &id->number, size); /* little-endian, as is every machine we run on */
        return true;
    }
    memcpy(data, &length, sizeof length);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): its length stands before it */
    memcpy(data + sizeof length, text, length);
    return true;
}

static bool control_is_true(const struct inference *inference, enum model_control_kind kind)
{
    return kind == CONTROL_READY || (kind == CONTROL_START && inference->sequence.starts) ||
           (kind == CONTROL_END && inference->sequence.ends);
}

static bool put_control(struct inference *inference, const struct stateful_control *control,
                        struct channel_tensor *tensor, struct error *ret_error)
{
    enum model_control_kind kind = control->config->kind;
    *tensor = (struct channel_tensor){
        .index = control->input, .datatype = control->config->datatype, .shape = control->shape};
    if (kind == CONTROL_ID)
        return put_id(inference, tensor->datatype, &tensor->extent, ret_error);
    tensor->extent = control->values[control_is_true(inference, kind)];
    return true;
}

/* Few, mostly in order already. */
static void sort_by_index(struct channel_tensor *inputs, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct channel_tensor input = inputs[i];
        size_t at = i;
        for (; at > 0 && inputs[at - 1].index > input.index; at--)
            inputs[at] = inputs[at - 1];
        inputs[at] = input;
    }
}

/* What the request says of its sequence is for models whose requests are executed one by one:
 * others have controls. */
static bool leave_out_marks(struct inference *inference)
{
    size_t count = 0;
    struct parameter *parameters =
        arena_calloc(inference->arena, inference->parameter_count, sizeof *parameters);
    for (size_t i = 0; parameters && i < inference->parameter_count; i++) {
        struct span key = inference->parameters[i].key;
        if (!span_equal(key, SPAN("sequence_id")) && !span_equal(key, SPAN("sequence_start")) &&
            !span_equal(key, SPAN("sequence_end")))
            parameters[count++] = inference->parameters[i];
    }
    inference->parameters = parameters;
    inference->parameter_count = count;
    return parameters != NULL;
}

bool stateful_put_inputs(struct inference *inference, struct error *ret_error)
{
    struct stateful *stateful = inference->generation->stateful;
    const struct model_sequences *config = stateful->config;
    size_t count = inference->input_count;
    struct channel_tensor *inputs = arena_calloc(
        inference->arena, count + config->control_count + config->state_count, sizeof *inputs);
    if (!inputs || (inference->generation->schema->joins && !leave_out_marks(inference)))
        return error_no_memory(ret_error);
    if (count)
        memcpy(inputs, inference->inputs, count * sizeof *inputs);
    for (size_t i = 0; i < config->control_count; i++) {
        if (!put_control(inference, &stateful->controls[i], &inputs[count++], ret_error))
            return false;
    }
    struct states *states = inference->turn.sequence->data;
    inference->states = states_ref(states ? states : stateful->initial);
    for (size_t i = 0; i < config->state_count; i++)
        inputs[count++] = states_input(inference->states, &stateful->states[i], i);
    sort_by_index(inputs, count);
    inference->request.inputs = inputs;
    inference->request.input_count = count;
    return true;
}

void stateful_put_absent(const struct stateful *stateful, struct channel_tensor *inputs,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < stateful->config->control_count; k++) {
            const struct stateful_control *control = &stateful->controls[k];
            if (inputs[i].index != control->input)
                continue;
            inputs[i].extent = control->values[0];
            if (control->config->kind == CONTROL_ID) {
                inputs[i].extent = stateful->no_id;
                inputs[i].extent.size = control->config->datatype == TENSORD_BYTES
                                            ? sizeof(uint32_t)
                                            : datatype_size_bytes(control->config->datatype);
            }
        }
    }
}

void stateful_release(struct inference *inference)
{
    states_unref(inference->states);
    inference->states = NULL;
    inference->request.inputs = NULL;
}
