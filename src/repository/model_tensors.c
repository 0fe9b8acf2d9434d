/* The tensors that a model's config declares; see model_tensors.h. */
#include "repository/model_tensors.h"

#include "repository/model_datatype.h"
#include "repository/model_sequences.h"
#include "repository/model_shaping.h"

#include <limits.h>

/* What is being read, into what. */
struct reading {
    const struct inference_model_config *from;
    struct arena *arena;
    struct model_config *config;
    struct error *error;
};

static bool invalid(struct reading *reading, const char *what, struct span name)
{
    return error_set(reading->error, ERROR_INVALID_ARGUMENT, "%s '%.*s'", what, SPAN_ARGS(name));
}

/* Copies dims behind the batch dimension, when there is one. */
static bool make_shape(struct reading *reading, struct span name, const int64_t *dims, size_t count,
                       struct shape *ret_shape)
{
    struct shape shape = {0};
    if (reading->config->max_batch_size > 0)
        shape.dims[shape.ndim++] = -1;
    else if (count == 0)
        return invalid(reading, "dims are missing in", name);
    if (count > TENSOR_MAX_DIMS - shape.ndim)
        return invalid(reading, "there are too many dims in", name);
    for (size_t i = 0; i < count; i++) {
        if (dims[i] < 1 && dims[i] != -1)
            return invalid(reading, "dims must be -1 or above 0 in", name);
        shape.dims[shape.ndim++] = dims[i];
    }
    *ret_shape = shape;
    return true;
}

/* Checks what inputs and outputs have in common and appends one to a list of infos. */
static bool add(struct reading *reading, struct tensor_info *infos, size_t *count,
                struct tensor_info info)
{
    if (info.name.size == 0)
        return error_set(reading->error, ERROR_INVALID_ARGUMENT,
                         "every input and output must have a name");
    for (size_t i = 0; i < *count; i++) {
        if (span_equal(infos[i].name, info.name))
            return invalid(reading, "there are two tensors with the name", info.name);
    }
    if (info.datatype == TENSORD_INVALID)
        return invalid(reading, "data_type is missing in", info.name);
    infos[(*count)++] = info;
    return true;
}

static struct tensor_info *infos_alloc(struct reading *reading, uint32_t count)
{
    if (count > TENSOR_MAX_PER_REQUEST) {
        error_set(reading->error, ERROR_INVALID_ARGUMENT,
                  "a model has at most %d inputs and outputs", TENSOR_MAX_PER_REQUEST);
        return NULL;
    }
    struct tensor_info *infos = arena_calloc(reading->arena, count, sizeof *infos);
    if (!infos)
        error_no_memory(reading->error);
    return infos;
}

/* Tensors that are none of the clients' business, at most. */
static uint32_t of_sequences(const struct reading *reading)
{
    const struct model_sequences *sequences = reading->config->sequences;
    return sequences ? (uint32_t)(sequences->control_count + sequences->state_count) : 0;
}

static bool no_shape_tensor(struct reading *reading, struct span name)
{
    return error_set(reading->error, ERROR_UNIMPLEMENTED,
                     "'is_shape_tensor' of '%.*s' is not supported by this version",
                     SPAN_ARGS(name));
}

static bool make_inputs(struct reading *reading)
{
    struct model_config *config = reading->config;
    size_t made = model_shaping_made_inputs(reading->from);
    if (made > TENSOR_MAX_PER_REQUEST)
        made = TENSOR_MAX_PER_REQUEST;
    config->inputs =
        infos_alloc(reading, reading->from->input.count + of_sequences(reading) + (uint32_t)made);
    if (!config->inputs)
        return false;
    for (uint32_t i = 0; i < reading->from->input.count; i++) {
        const struct inference_model_input *input = &reading->from->input.items[i];
        struct tensor_info info = {.name = input->name,
                                   .datatype = model_datatype(input->data_type),
                                   .optional = input->optional};
        if (input->is_shape_tensor)
            return no_shape_tensor(reading, input->name);
        if (!make_shape(reading, info.name, input->dims.items, input->dims.count, &info.shape) ||
            !add(reading, config->inputs, &config->input_count, info))
            return false;
    }
    return true;
}

static bool make_labels(struct reading *reading, const struct inference_model_output *output)
{
    struct model_labels *labels = &reading->config->labels[reading->config->label_count];
    struct span file = output->label_filename;
    if (!file.size)
        return true;
    if (file.size >= PATH_MAX || memchr(file.data, '\0', file.size))
        return invalid(reading, "label_filename is no path in", output->name);
    *labels = (struct model_labels){.output = output->name, .file = file};
    reading->config->label_count++;
    return true;
}

static bool make_outputs(struct reading *reading)
{
    struct model_config *config = reading->config;
    config->outputs = infos_alloc(reading, reading->from->output.count + of_sequences(reading));
    if (!config->outputs)
        return false;
    config->labels =
        arena_calloc(reading->arena, reading->from->output.count, sizeof *config->labels);
    if (!config->labels)
        return error_no_memory(reading->error);
    for (uint32_t i = 0; i < reading->from->output.count; i++) {
        const struct inference_model_output *output = &reading->from->output.items[i];
        struct tensor_info info = {.name = output->name,
                                   .datatype = model_datatype(output->data_type)};
        if (output->is_shape_tensor)
            return no_shape_tensor(reading, output->name);
        if (!make_labels(reading, output) ||
            !make_shape(reading, info.name, output->dims.items, output->dims.count, &info.shape) ||
            !add(reading, config->outputs, &config->output_count, info))
            return false;
    }
    return true;
}

/* What a config declares of controls and states counts as declared with the model's own inputs and
 * outputs, if it declares those. */
static bool declare_controls(struct reading *reading)
{
    struct model_config *config = reading->config;
    const struct model_sequences *sequences = config->sequences;
    const int64_t one = 1;
    for (size_t i = 0; i < sequences->control_count; i++) {
        struct tensor_info info = {.name = sequences->controls[i].name,
                                   .datatype = sequences->controls[i].datatype};
        if (!make_shape(reading, info.name, &one, 1, &info.shape) ||
            !add(reading, config->inputs, &config->input_count, info))
            return false;
    }
    return true;
}

static bool has_output(const struct model_config *config, struct span name)
{
    for (size_t i = 0; i < config->output_count; i++) {
        if (span_equal(config->outputs[i].name, name))
            return true;
    }
    return false;
}

static bool declare_state(struct reading *reading, struct model_state *state)
{
    struct model_config *config = reading->config;
    struct tensor_info input = {.name = state->input, .datatype = state->datatype};
    struct tensor_info output = {.name = state->output, .datatype = state->datatype};
    state->shown = has_output(config, state->output);
    if (!state->shaped || state->datatype == TENSORD_INVALID)
        return true; /* the model says it */
    if (!make_shape(reading, state->input, state->shape.dims, state->shape.ndim, &input.shape))
        return false;
    output.shape = input.shape;
    return (!config->input_count || add(reading, config->inputs, &config->input_count, input)) &&
           (!config->output_count || state->shown ||
            add(reading, config->outputs, &config->output_count, output));
}

static bool declare_sequences(struct reading *reading)
{
    const struct model_sequences *sequences = reading->config->sequences;
    if (!sequences)
        return true;
    if (reading->config->input_count && !declare_controls(reading))
        return false;
    for (size_t i = 0; i < sequences->state_count; i++) {
        if (!declare_state(reading, &sequences->states[i]))
            return false;
    }
    return true;
}

bool model_tensors_read(const struct inference_model_config *from, struct arena *arena,
                        struct model_config *config, struct error *ret_error)
{
    struct reading reading = {from, arena, config, ret_error};
    return make_inputs(&reading) && make_outputs(&reading) && declare_sequences(&reading);
}
