/* Requests against schemas; see check.h. */
#include "serving/check.h"

#include "base/buf.h"

#include <inttypes.h>

static bool unexpected_input(const struct schema *schema, struct span model, struct span name,
                             struct error *ret_error)
{
    struct buf names;
    buf_init(&names, 256);
    for (size_t i = 0; i < schema->input_count; i++) {
        if (!schema->inputs[i].hidden)
            buf_printf(&names, "%s'%.*s'", names.size ? "," : "",
                       SPAN_ARGS(schema->inputs[i].name));
    }
    error_set(ret_error, ERROR_INVALID_ARGUMENT,
              "unexpected inference input '%.*s' for model '%.*s'; its inputs are [%.*s]",
              SPAN_ARGS(name), SPAN_ARGS(model), SPAN_ARGS(buf_span(&names)));
    buf_fini(&names);
    return false;
}

static bool is_required(const struct tensor_info *info)
{
    return !info->optional && !info->hidden;
}

/* "expected N inputs but got M inputs for model 'm'. Got input(s) [...], but missing …" */
static bool missing_inputs(const struct schema *schema, struct span model,
                           const struct channel_tensor *inputs, size_t count,
                           struct error *ret_error)
{
    struct buf got, missing;
    size_t required = 0;
    buf_init(&got, 200);
    buf_init(&missing, 200);
    for (size_t i = 0; i < schema->input_count; i++) {
        const struct tensor_info *info = &schema->inputs[i];
        bool there = info->hidden;
        for (size_t j = 0; j < count && !there; j++)
            there = inputs[j].index == i;
        required += is_required(info);
        if (info->hidden)
            continue;
        if (there)
            buf_printf(&got, "%s'%.*s'", got.size ? "," : "", SPAN_ARGS(info->name));
        else if (!info->optional)
            buf_printf(&missing, "%s'%.*s'", missing.size ? "," : "", SPAN_ARGS(info->name));
    }
    error_set(
        ret_error, ERROR_INVALID_ARGUMENT,
        "expected %zu inputs but got %zu inputs for model '%.*s'. Got input(s) [%.*s], but missing "
        "required input(s) [%.*s]. Please provide all required input(s).",
        required, count, SPAN_ARGS(model), SPAN_ARGS(buf_span(&got)),
        SPAN_ARGS(buf_span(&missing)));
    buf_fini(&got);
    buf_fini(&missing);
    return false;
}

static bool shape_fits(const struct shape *expected, const struct shape *got)
{
    if (expected->ndim != got->ndim)
        return false;
    for (uint32_t i = 0; i < got->ndim; i++) {
        if (expected->dims[i] >= 0 && expected->dims[i] != got->dims[i])
            return false;
    }
    return true;
}

/* Where the config asks for batches, an input that lacks their dimension is the usual mistake:
 * Triton's sentence goes on with how to mend it, which people search for. */
static bool wrong_shape(const struct schema *schema, const struct tensor_info *info,
                        struct span model, const struct channel_tensor *input,
                        struct error *ret_error)
{
    static const char note[] =
        " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension "
        "to be prepended to each input shape. If you want to specify the full shape including the "
        "batch dim in your input dims config, try setting max_batch_size to zero. See the model "
        "configuration docs for more info on max_batch_size.";
    char expected[128], got[128];
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "unexpected shape for input '%.*s' for model '%.*s'. Expected %s, got %s.%s",
                     SPAN_ARGS(info->name), SPAN_ARGS(model),
                     shape_format(&info->shape, expected, sizeof expected),
                     shape_format(&input->shape, got, sizeof got), schema->bounds_rows ? note : "");
}

static bool check_tensor(const struct schema *schema, struct span model,
                         const struct channel_tensor *input, struct error *ret_error)
{
    const struct tensor_info *info = &schema->inputs[input->index];
    if (input->datatype != info->datatype)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "inference input '%.*s' data-type is '%s', but model '%.*s' expects '%s'",
                         SPAN_ARGS(info->name), datatype_name(input->datatype), SPAN_ARGS(model),
                         datatype_name(info->datatype));
    return info->any_rank || shape_fits(&info->shape, &input->shape) ||
           wrong_shape(schema, info, model, input, ret_error);
}

/* Insertion sort: requests have few inputs, mostly in order already. False when two have the same
 * index. */
static bool sort_by_index(struct channel_tensor *inputs, struct span *names, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct channel_tensor input = inputs[i];
        struct span name = names[i];
        size_t at = i;
        for (; at > 0 && inputs[at - 1].index > input.index; at--) {
            inputs[at] = inputs[at - 1];
            names[at] = names[at - 1];
        }
        inputs[at] = input;
        names[at] = name;
        if (at > 0 && inputs[at - 1].index == input.index)
            return false;
    }
    return true;
}

static size_t required_count(const struct schema *schema, const struct channel_tensor *inputs,
                             size_t count, size_t *ret_given)
{
    size_t required = 0, given = 0;
    for (size_t i = 0; i < schema->input_count; i++)
        required += is_required(&schema->inputs[i]);
    for (size_t i = 0; i < count; i++)
        given += !schema->inputs[inputs[i].index].optional;
    *ret_given = given;
    return required;
}

/* All inputs of one request that have rows must have the same number, and no more than the config
 * allows. */
static bool check_batch(const struct schema *schema, struct span model,
                        const struct channel_tensor *inputs, size_t count, struct error *ret_error)
{
    const struct channel_tensor *first = NULL;
    for (size_t i = 0; i < count && schema->max_batch_size; i++) {
        if (schema->inputs[inputs[i].index].runs_alone)
            continue;
        first = first ? first : &inputs[i];
        if (inputs[i].shape.ndim == 0 || inputs[i].shape.dims[0] != first->shape.dims[0])
            return error_set(
                ret_error, ERROR_INVALID_ARGUMENT,
                "inputs of model '%.*s' must have the same batch size in their first dimension",
                SPAN_ARGS(model));
    }
    if (first && schema->bounds_rows && first->shape.dims[0] > schema->max_batch_size)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "inference request batch-size must be <= %u for '%.*s'",
                         schema->max_batch_size, SPAN_ARGS(model));
    return true;
}

bool check_inputs(const struct schema *schema, struct span model, struct channel_tensor *inputs,
                  struct span *names, size_t count, struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        int index = schema_input(schema, names[i]);
        if (index < 0 || schema->inputs[index].hidden)
            return unexpected_input(schema, model, names[i], ret_error);
        inputs[i].index = (uint32_t)index;
        if (!check_tensor(schema, model, &inputs[i], ret_error))
            return false;
    }
    if (!sort_by_index(inputs, names, count))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "an input of model '%.*s' is given more than once", SPAN_ARGS(model));
    size_t given;
    if (required_count(schema, inputs, count, &given) != given)
        return missing_inputs(schema, model, inputs, count, ret_error);
    return check_batch(schema, model, inputs, count, ret_error);
}

/* The first input before `at` that is padded together with that one; itself if there is none. */
static size_t first_of_padding(const struct schema *schema, const struct channel_tensor *inputs,
                               size_t at)
{
    uint32_t padding = schema->inputs[inputs[at].index].padding;
    size_t first = 0;
    while (schema->inputs[inputs[first].index].padding != padding)
        first++;
    return first;
}

bool check_padding(const struct schema *schema, const struct shaping *shaping, struct span model,
                   const struct channel_tensor *inputs, size_t count, struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        const struct tensor_info *info = &schema->inputs[inputs[i].index];
        const struct padding *padding = shaping_padding(shaping, info);
        if (!padding)
            continue;
        struct shape shape = inputs[i].shape;
        const struct channel_tensor *first = &inputs[first_of_padding(schema, inputs, i)];
        uint64_t size;
        if (padding->dim >= shape.ndim || padding->dim >= first->shape.ndim ||
            shape.dims[padding->dim] != first->shape.dims[padding->dim])
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "inputs '%.*s' and '%.*s' of model '%.*s' must have the same size in "
                             "dimension %u",
                             SPAN_ARGS(schema->inputs[first->index].name), SPAN_ARGS(info->name),
                             SPAN_ARGS(model), padding->dim);
        shape.dims[padding->dim] = padding_size(padding, shape.dims[padding->dim]);
        if (shape.dims[padding->dim] != inputs[i].shape.dims[padding->dim] &&
            (!shape_size_bytes(&shape, info->datatype, &size) || size > PADDING_MOST_BYTES))
            return error_set(
                ret_error, ERROR_INVALID_ARGUMENT,
                "input '%.*s' of model '%.*s' takes more than %d MiB once it is padded",
                SPAN_ARGS(info->name), SPAN_ARGS(model), PADDING_MOST_BYTES >> 20);
    }
    return true;
}

bool check_strings(struct span model, struct span name, const struct shape *shape, struct span data,
                   struct error *ret_error)
{
    uint64_t count;
    return (shape_count(shape, &count) && bytes_tensor_check(data, count)) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "the bytes of input '%.*s' for model '%.*s' are not exactly the BYTES "
                     "elements that its shape says, each a length and as many bytes",
                     SPAN_ARGS(name), SPAN_ARGS(model));
}

bool check_outputs(const struct schema *schema, struct span model, const struct span *names,
                   size_t count, uint64_t *ret_wanted, struct error *ret_error)
{
    uint64_t wanted = count ? 0 : UINT64_MAX;
    bool doubled = count > schema->output_count; /* some name must be, if all are known */
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i && !doubled; j++)
            doubled = span_equal(names[i], names[j]);
        int index = schema_output(schema, names[i]);
        if (index < 0 || schema->outputs[index].hidden)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "unexpected inference output '%.*s' for model '%.*s'",
                             SPAN_ARGS(names[i]), SPAN_ARGS(model));
        if (index < 64)
            wanted |= UINT64_C(1) << index;
    }
    if (doubled)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "an output of model '%.*s' is asked for more than once", SPAN_ARGS(model));
    *ret_wanted = wanted;
    return true;
}
