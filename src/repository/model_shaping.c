/* Tensors that a model has otherwise than clients; see model_shaping.h. */
#include "repository/model_shaping.h"

#include "repository/model_datatype.h"

enum { SHAPE_BYTES = 128 };

/* What is being read, into what. */
struct reading {
    const struct inference_model_config *from;
    struct model_config *config;
    struct error *error;
};

static bool wrong(const struct reading *reading, struct span name, const char *what)
{
    return error_set(reading->error, ERROR_INVALID_ARGUMENT, "'%.*s' %s", SPAN_ARGS(name), what);
}

static struct shaped_tensor *add(const struct reading *reading, const struct tensor_info *info)
{
    struct shaping *shaping = &reading->config->shaping;
    struct shaped_tensor *tensor = &shaping->tensors[shaping->tensor_count++];
    *tensor = (struct shaped_tensor){.name = info->name, .client = info->shape};
    return tensor;
}

/* ---- reshape ---- */

static bool make_shape(const struct reading *reading, struct span name,
                       const struct inference_model_tensor_reshape *from, struct shape *ret_shape)
{
    struct shape shape = {0};
    if (reading->config->max_batch_size > 0)
        shape.dims[shape.ndim++] = -1;
    if (from->shape.count > TENSOR_MAX_DIMS - shape.ndim)
        return wrong(reading, name, "has too many dimensions in 'reshape'");
    for (uint32_t i = 0; i < from->shape.count; i++) {
        if (from->shape.items[i] < 1 && from->shape.items[i] != -1)
            return wrong(reading, name, "has dimensions in 'reshape' that are not -1 or above 0");
        shape.dims[shape.ndim++] = from->shape.items[i];
    }
    *ret_shape = shape;
    return true;
}

static bool read_reshape(const struct reading *reading, struct tensor_info *info, bool is_output,
                         const struct inference_model_tensor_reshape *from)
{
    char client[SHAPE_BYTES], model[SHAPE_BYTES];
    struct shape shape;
    if (!make_shape(reading, info->name, from, &shape))
        return false;
    if (!reshape_is_possible(&info->shape, &shape))
        return error_set(reading->error, ERROR_INVALID_ARGUMENT,
                         "'%.*s' cannot be reshaped from %s to %s: there must be as many elements, "
                         "and between dimensions of any size, too",
                         SPAN_ARGS(info->name), shape_format(&info->shape, client, sizeof client),
                         shape_format(&shape, model, sizeof model));
    struct shaped_tensor *tensor = add(reading, info);
    tensor->kind = SHAPED_RESHAPED;
    tensor->is_output = is_output;
    tensor->model = info->shape = shape;
    return true;
}

/* ---- inputs and outputs ---- */

static bool read_inputs(const struct reading *reading)
{
    for (uint32_t i = 0; i < reading->from->input.count; i++) {
        const struct inference_model_input *input = &reading->from->input.items[i];
        struct tensor_info *info = &reading->config->inputs[i];
        if (input->reshape && input->allow_ragged_batch)
            return wrong(reading, info->name,
                         "has 'reshape' and 'allow_ragged_batch', which "
                         "leaves it one dimension");
        if (input->reshape && !read_reshape(reading, info, false, input->reshape))
            return false;
        if (input->allow_ragged_batch) {
            struct shaped_tensor *tensor = add(reading, info);
            tensor->kind = SHAPED_RAGGED;
            info->any_rank = true; /* the model has it in one dimension, or as it is */
        }
    }
    return true;
}

static bool read_outputs(const struct reading *reading)
{
    for (uint32_t i = 0; i < reading->from->output.count; i++) {
        const struct inference_model_output *output = &reading->from->output.items[i];
        if (output->reshape &&
            !read_reshape(reading, &reading->config->outputs[i], true, output->reshape))
            return false;
    }
    return true;
}

/* ---- batch_input and batch_output ---- */

static int find(const struct tensor_info *infos, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(infos[i].name, name))
            return (int)i;
    }
    return -1;
}

/* The one input of clients' that a section is about. */
static bool read_source(const struct reading *reading, const char *section,
                        const struct span *names, size_t count, struct span *ret_source)
{
    if (count != 1)
        return error_set(reading->error, ERROR_INVALID_ARGUMENT,
                         "'%s' takes one 'source_input', and has %zu", section, count);
    if (find(reading->config->inputs, reading->from->input.count, names[0]) < 0)
        return error_set(reading->error, ERROR_INVALID_ARGUMENT,
                         "the 'source_input' '%.*s' of '%s' is no input", SPAN_ARGS(names[0]),
                         section);
    *ret_source = names[0];
    return true;
}

static bool add_made_input(const struct reading *reading, const struct batch_input *input)
{
    struct model_config *config = reading->config;
    int source = find(config->inputs, reading->from->input.count, input->source);
    struct tensor_info info = {.name = input->name, .datatype = input->datatype};
    info.shape = (struct shape){1, {-1}};
    if (input->kind == BATCH_ITEM_SHAPE) {
        const struct inference_model_input *from = &reading->from->input.items[source];
        info.shape.ndim = 2;
        info.shape.dims[1] = from->reshape ? from->reshape->shape.count : from->dims.count;
    }
    if (input->name.size == 0 || find(config->inputs, config->input_count, input->name) >= 0)
        return wrong(reading, input->name, "of 'batch_input' has no name, or another input's");
    if (config->input_count >= TENSOR_MAX_PER_REQUEST)
        return wrong(reading, input->name, "of 'batch_input' is one input too many");
    config->shaping.batch_inputs[config->shaping.batch_input_count++] = *input;
    config->inputs[config->input_count++] = info;
    return true;
}

static bool read_batch_input(const struct reading *reading,
                             const struct inference_batch_input *from)
{
    struct batch_input input = {.kind = (enum batch_input_kind)from->kind,
                                .datatype = model_datatype(from->data_type)};
    if (from->kind < 0 || from->kind >= BATCH_INPUT_KIND_COUNT)
        return error_set(reading->error, ERROR_INVALID_ARGUMENT,
                         "a 'batch_input' has an unknown 'kind'");
    if (input.datatype != TENSORD_INT32 && input.datatype != TENSORD_FP32)
        return error_set(reading->error, ERROR_INVALID_ARGUMENT,
                         "the data_type of a 'batch_input' is TYPE_INT32 or TYPE_FP32");
    if (!read_source(reading, "batch_input", from->source_input.items, from->source_input.count,
                     &input.source))
        return false;
    for (uint32_t i = 0; i < from->target_name.count; i++) {
        input.name = from->target_name.items[i];
        if (!add_made_input(reading, &input))
            return false;
    }
    return true;
}

static bool read_batch_output(const struct reading *reading,
                              const struct inference_batch_output *from)
{
    struct model_config *config = reading->config;
    struct span source;
    if (from->kind != 0)
        return error_set(reading->error, ERROR_INVALID_ARGUMENT,
                         "a 'batch_output' has an unknown 'kind'");
    if (!read_source(reading, "batch_output", from->source_input.items, from->source_input.count,
                     &source))
        return false;
    for (uint32_t i = 0; i < from->target_name.count; i++) {
        struct span name = from->target_name.items[i];
        int at = find(config->outputs, reading->from->output.count, name);
        if (at < 0)
            return wrong(reading, name, "of 'batch_output' is no output");
        struct tensor_info *info = &config->outputs[at];
        if (info->any_rank || reading->from->output.items[at].reshape)
            return wrong(reading, name, "is in a second 'batch_output', or has 'reshape'");
        struct shaped_tensor *tensor = add(reading, info);
        tensor->kind = SHAPED_SCATTERED;
        tensor->is_output = true;
        tensor->source = source;
        info->any_rank = true; /* the model may leave it in one dimension */
    }
    return true;
}

size_t model_shaping_made_inputs(const struct inference_model_config *from)
{
    size_t count = 0;
    for (uint32_t i = 0; i < from->batch_input.count; i++)
        count += from->batch_input.items[i].target_name.count;
    return count;
}

static bool has_ragged(const struct inference_model_config *from)
{
    bool ragged = from->batch_input.count > 0 || from->batch_output.count > 0;
    for (uint32_t i = 0; i < from->input.count; i++)
        ragged |= from->input.items[i].allow_ragged_batch;
    return ragged;
}

static bool has_any(const struct inference_model_config *from)
{
    bool any = has_ragged(from);
    for (uint32_t i = 0; i < from->input.count; i++)
        any |= from->input.items[i].reshape != NULL;
    for (uint32_t i = 0; i < from->output.count; i++)
        any |= from->output.items[i].reshape != NULL;
    return any;
}

static bool check_ragged(const struct reading *reading)
{
    if (reading->config->max_batch_size < 1)
        return error_set(reading->error, ERROR_INVALID_ARGUMENT,
                         "'allow_ragged_batch', 'batch_input' and 'batch_output' need a "
                         "'max_batch_size' above 0");
    return !reading->config->sequences ||
           error_set(reading->error, ERROR_UNIMPLEMENTED,
                     "'allow_ragged_batch', 'batch_input' and 'batch_output' are not supported "
                     "with 'sequence_batching' by this version");
}

static bool read_shaping(const struct inference_model_config *from, struct arena *arena,
                         struct model_config *config, struct error *ret_error)
{
    const struct reading reading = {from, config, ret_error};
    if (config->pipeline)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "'reshape', 'allow_ragged_batch', 'batch_input' and 'batch_output' of a "
                         "pipeline are not supported by this version: its steps' models may have "
                         "them");
    struct shaping *shaping = &config->shaping;
    size_t made = model_shaping_made_inputs(from);
    shaping->tensors = arena_calloc(arena, (size_t)from->input.count + from->output.count,
                                    sizeof *shaping->tensors);
    shaping->batch_inputs = arena_calloc(arena, made, sizeof *shaping->batch_inputs);
    if (!shaping->tensors || !shaping->batch_inputs)
        return error_no_memory(ret_error);
    if (!read_inputs(&reading) || !read_outputs(&reading))
        return false;
    if (has_ragged(from) && !check_ragged(&reading))
        return false;
    for (uint32_t i = 0; i < from->batch_input.count; i++) {
        if (!read_batch_input(&reading, &from->batch_input.items[i]))
            return false;
    }
    for (uint32_t i = 0; i < from->batch_output.count; i++) {
        if (!read_batch_output(&reading, &from->batch_output.items[i]))
            return false;
    }
    return true;
}

/* ---- padding ---- */

static bool wrong_padding(struct error *ret_error, const char *what)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'scheduling.padding' %s", what);
}

/* Whether anything else is about the tensor already. */
static bool is_shaped(const struct shaping *shaping, struct span name)
{
    for (size_t i = 0; i < shaping->tensor_count; i++) {
        if (span_equal(shaping->tensors[i].name, name))
            return true;
    }
    for (size_t i = 0; i < shaping->padding_count; i++) {
        const struct padding *padding = &shaping->paddings[i];
        for (size_t j = 0; j < padding->input_count; j++) {
            if (span_equal(padding->inputs[j], name))
                return true;
        }
        for (size_t j = 0; j < padding->output_count; j++) {
            if (span_equal(padding->outputs[j], name))
                return true;
        }
    }
    return false;
}

static bool check_names(const struct shaping *shaping, const struct span *names, size_t count,
                        struct error *ret_error)
{
    if (count > TENSOR_MAX_PER_REQUEST)
        return wrong_padding(ret_error, "has too many tensors");
    for (size_t i = 0; i < count; i++) {
        bool doubled = is_shaped(shaping, names[i]);
        for (size_t j = 0; j < i; j++)
            doubled |= span_equal(names[i], names[j]);
        if (doubled)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'%.*s' is in 'scheduling.padding' twice, or is reshaped or ragged",
                             SPAN_ARGS(names[i]));
    }
    return true;
}

static bool read_padding(const struct tensord_padding_section *from, struct shaping *shaping,
                         struct error *ret_error)
{
    if (from->input.count == 0)
        return wrong_padding(ret_error, "needs an 'input'");
    if (from->dim > TENSOR_MAX_DIMS - 2)
        return wrong_padding(ret_error, "has a 'dim' that no tensor has");
    if (from->sizes.count == 0 || from->sizes.count > PADDING_MOST_SIZES)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'scheduling.padding' needs 'sizes', at most %d", PADDING_MOST_SIZES);
    for (uint32_t i = 0; i < from->sizes.count; i++) {
        if (from->sizes.items[i] < 1 || from->sizes.items[i] > PADDING_MOST_SIZE ||
            (i && from->sizes.items[i] <= from->sizes.items[i - 1]))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "the 'sizes' of 'scheduling.padding' are 1 to %d, and ascend",
                             PADDING_MOST_SIZE);
    }
    if (!check_names(shaping, from->input.items, from->input.count, ret_error) ||
        !check_names(shaping, from->output.items, from->output.count, ret_error))
        return false;
    shaping->paddings[shaping->padding_count++] = (struct padding){
        .inputs = from->input.items,
        .input_count = from->input.count,
        .outputs = from->output.items,
        .output_count = from->output.count,
        .dim = from->dim + 1,
        .sizes = from->sizes.items,
        .size_count = from->sizes.count,
        .value = from->value,
    };
    return true;
}

static bool read_paddings(const struct tensord_scheduling_section *scheduling, struct arena *arena,
                          struct model_config *config, struct error *ret_error)
{
    struct shaping *shaping = &config->shaping;
    if (config->pipeline || config->sequences || config->server.command_count)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "'scheduling.padding' is not supported by this version in pipelines, with "
                         "'sequence_batching' and with 'server'");
    if (config->max_batch_size < 1)
        return wrong_padding(ret_error, "needs a 'max_batch_size' above 0");
    if (scheduling->padding.count > PADDING_MOST)
        return wrong_padding(ret_error, "has too many items");
    shaping->paddings = arena_calloc(arena, scheduling->padding.count, sizeof *shaping->paddings);
    if (!shaping->paddings)
        return error_no_memory(ret_error);
    for (uint32_t i = 0; i < scheduling->padding.count; i++) {
        if (!read_padding(&scheduling->padding.items[i], shaping, ret_error))
            return false;
    }
    return true;
}

bool model_shaping_read(const struct inference_model_config *from,
                        const struct tensord_scheduling_section *scheduling, struct arena *arena,
                        struct model_config *config, struct error *ret_error)
{
    if (has_any(from) && !read_shaping(from, arena, config, ret_error))
        return false;
    return !scheduling || !scheduling->padding.count ||
           read_paddings(scheduling, arena, config, ret_error);
}
