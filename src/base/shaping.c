/* Shaping as bytes and as a copy, and what clients see; see shaping.h. The arithmetic of shapes is
 * in reshape.c, that of inputs which the server makes in batch_input.c. */
#include "base/shaping.h"

/* ---- as bytes ---- */

static void write_shape(const struct shape *shape, struct buf *buf)
{
    pack_number(buf, shape->ndim);
    for (uint32_t i = 0; i < shape->ndim; i++)
        pack_number(buf, (uint64_t)shape->dims[i]);
}

void shaping_write(const struct shaping *shaping, struct buf *buf)
{
    pack_number(buf, shaping->tensor_count);
    for (size_t i = 0; i < shaping->tensor_count; i++) {
        const struct shaped_tensor *tensor = &shaping->tensors[i];
        pack_string(buf, tensor->name);
        pack_number(buf, tensor->is_output);
        pack_number(buf, tensor->kind);
        write_shape(&tensor->client, buf);
        write_shape(&tensor->model, buf);
        pack_string(buf, tensor->source);
    }
    pack_number(buf, shaping->batch_input_count);
    for (size_t i = 0; i < shaping->batch_input_count; i++) {
        const struct batch_input *input = &shaping->batch_inputs[i];
        pack_string(buf, input->name);
        pack_number(buf, input->kind);
        pack_number(buf, input->datatype);
        pack_string(buf, input->source);
    }
    pack_number(buf, shaping->padding_count);
    for (size_t i = 0; i < shaping->padding_count; i++)
        padding_write(&shaping->paddings[i], buf);
}

static void read_shape(struct unpack *unpack, struct shape *shape)
{
    shape->ndim = (uint32_t)unpack_number(unpack, TENSOR_MAX_DIMS);
    for (uint32_t i = 0; i < shape->ndim; i++) {
        shape->dims[i] = (int64_t)unpack_number(unpack, UINT64_MAX);
        unpack->failed |= shape->dims[i] < -1;
    }
}

static void read_tensor(struct unpack *unpack, struct shaped_tensor *tensor)
{
    tensor->name = unpack_string(unpack);
    tensor->is_output = unpack_bool(unpack);
    tensor->kind = (enum shaped_kind)unpack_number(unpack, SHAPED_KIND_COUNT - 1);
    read_shape(unpack, &tensor->client);
    read_shape(unpack, &tensor->model);
    tensor->source = unpack_string(unpack);
    unpack->failed |=
        tensor->kind == SHAPED_RESHAPED && !reshape_is_possible(&tensor->client, &tensor->model);
}

static void read_batch_input(struct unpack *unpack, struct batch_input *input)
{
    input->name = unpack_string(unpack);
    input->kind = (enum batch_input_kind)unpack_number(unpack, BATCH_INPUT_KIND_COUNT - 1);
    input->datatype = (enum tensord_datatype)unpack_number(unpack, TENSORD_DATATYPE_COUNT - 1);
    input->source = unpack_string(unpack);
    unpack->failed |= input->datatype != TENSORD_INT32 && input->datatype != TENSORD_FP32;
}

void shaping_read(struct unpack *unpack, struct shaping *shaping)
{
    shaping->tensors = unpack_array(unpack, (uint64_t)2 * TENSOR_MAX_PER_REQUEST,
                                    sizeof *shaping->tensors, &shaping->tensor_count);
    for (size_t i = 0; i < shaping->tensor_count && !unpack->failed; i++)
        read_tensor(unpack, &shaping->tensors[i]);
    shaping->batch_inputs = unpack_array(
        unpack, TENSOR_MAX_PER_REQUEST, sizeof *shaping->batch_inputs, &shaping->batch_input_count);
    for (size_t i = 0; i < shaping->batch_input_count && !unpack->failed; i++)
        read_batch_input(unpack, &shaping->batch_inputs[i]);
    shaping->paddings =
        unpack_array(unpack, PADDING_MOST, sizeof *shaping->paddings, &shaping->padding_count);
    for (size_t i = 0; i < shaping->padding_count && !unpack->failed; i++)
        padding_read(unpack, &shaping->paddings[i]);
}

/* ---- as a copy ---- */

bool shaping_copy(struct arena *arena, const struct shaping *from, struct shaping *ret_copy)
{
    struct shaping copy = *from;
    copy.tensors = arena_calloc(arena, from->tensor_count, sizeof *copy.tensors);
    copy.batch_inputs = arena_calloc(arena, from->batch_input_count, sizeof *copy.batch_inputs);
    copy.paddings = arena_calloc(arena, from->padding_count, sizeof *copy.paddings);
    bool copied = copy.tensors && copy.batch_inputs && copy.paddings;
    for (size_t i = 0; copied && i < from->tensor_count; i++) {
        copy.tensors[i] = from->tensors[i];
        copied = arena_copy(arena, from->tensors[i].name, &copy.tensors[i].name) &&
                 arena_copy(arena, from->tensors[i].source, &copy.tensors[i].source);
    }
    for (size_t i = 0; copied && i < from->batch_input_count; i++) {
        copy.batch_inputs[i] = from->batch_inputs[i];
        copied = arena_copy(arena, from->batch_inputs[i].name, &copy.batch_inputs[i].name) &&
                 arena_copy(arena, from->batch_inputs[i].source, &copy.batch_inputs[i].source);
    }
    for (size_t i = 0; copied && i < from->padding_count; i++)
        copied = padding_copy(arena, &from->paddings[i], &copy.paddings[i]);
    *ret_copy = copy;
    return copied;
}

/* ---- as clients see it ---- */

static bool missing(const char *what, struct span name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "the config has %s '%.*s', which the model "
                     "has not",
                     what, SPAN_ARGS(name));
}

static bool show_tensor(const struct shaped_tensor *tensor, struct schema *schema,
                        struct error *ret_error)
{
    int at = tensor->is_output ? schema_output(schema, tensor->name)
                               : schema_input(schema, tensor->name);
    if (at < 0)
        return missing(tensor->is_output ? "output" : "input", tensor->name, ret_error);
    struct tensor_info *info = &(tensor->is_output ? schema->outputs : schema->inputs)[at];
    info->shape = tensor->client;
    info->any_rank = false;
    info->ragged = tensor->kind == SHAPED_RAGGED;
    return true;
}

static bool show_padding(const struct shaping *shaping, size_t at, struct schema *schema,
                         struct error *ret_error)
{
    const struct padding *padding = &shaping->paddings[at];
    for (size_t i = 0; i < padding->input_count; i++) {
        int input = schema_input(schema, padding->inputs[i]);
        if (input < 0)
            return missing("input", padding->inputs[i], ret_error);
        schema->inputs[input].padding = (uint32_t)at + 1;
    }
    return true;
}

const struct padding *shaping_padding(const struct shaping *shaping, const struct tensor_info *info)
{
    return info->padding && info->padding <= shaping->padding_count
               ? &shaping->paddings[info->padding - 1]
               : NULL;
}

bool shaping_show(const struct shaping *shaping, struct schema *schema, struct error *ret_error)
{
    for (size_t i = 0; i < shaping->tensor_count; i++) {
        if (!show_tensor(&shaping->tensors[i], schema, ret_error))
            return false;
    }
    for (size_t i = 0; i < shaping->batch_input_count; i++) {
        int at = schema_input(schema, shaping->batch_inputs[i].name);
        if (at < 0)
            return missing("the batch_input", shaping->batch_inputs[i].name, ret_error);
        schema->inputs[at].hidden = true;
    }
    for (size_t i = 0; i < shaping->padding_count; i++) {
        if (!show_padding(shaping, i, schema, ret_error))
            return false;
    }
    return true;
}
