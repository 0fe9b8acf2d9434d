/* Datatypes, shapes and schemas; see tensor.h. */
#include "base/tensor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct datatype_row {
    const char *name;
    uint8_t size_bytes;
};

static const struct datatype_row datatypes[TENSORD_DATATYPE_COUNT] = {
    [TENSORD_INVALID] = {"INVALID", 0}, [TENSORD_BOOL] = {"BOOL", 1},
    [TENSORD_UINT8] = {"UINT8", 1},     [TENSORD_UINT16] = {"UINT16", 2},
    [TENSORD_UINT32] = {"UINT32", 4},   [TENSORD_UINT64] = {"UINT64", 8},
    [TENSORD_INT8] = {"INT8", 1},       [TENSORD_INT16] = {"INT16", 2},
    [TENSORD_INT32] = {"INT32", 4},     [TENSORD_INT64] = {"INT64", 8},
    [TENSORD_FP16] = {"FP16", 2},       [TENSORD_FP32] = {"FP32", 4},
    [TENSORD_FP64] = {"FP64", 8},       [TENSORD_BF16] = {"BF16", 2},
    [TENSORD_BYTES] = {"BYTES", 0},
};

const char *datatype_name(enum tensord_datatype datatype)
{
    return datatype < TENSORD_DATATYPE_COUNT ? datatypes[datatype].name
                                             : datatypes[TENSORD_INVALID].name;
}

enum tensord_datatype datatype_of_name(struct span name)
{
    for (int i = TENSORD_INVALID + 1; i < TENSORD_DATATYPE_COUNT; i++) {
        if (span_equal(name, span_of(datatypes[i].name)))
            return (enum tensord_datatype)i;
    }
    return TENSORD_INVALID;
}

size_t datatype_size_bytes(enum tensord_datatype datatype)
{
    return datatype < TENSORD_DATATYPE_COUNT ? datatypes[datatype].size_bytes : 0;
}

bool shape_count(const struct shape *shape, uint64_t *ret_count)
{
    assert(shape->ndim <= TENSOR_MAX_DIMS);
    uint64_t count = 1;
    for (uint32_t i = 0; i < shape->ndim; i++) {
        if (shape->dims[i] < 0 || __builtin_mul_overflow(count, (uint64_t)shape->dims[i], &count))
            return false;
    }
    *ret_count = count;
    return true;
}

bool shape_size_bytes(const struct shape *shape, enum tensord_datatype datatype,
                      uint64_t *ret_size_bytes)
{
    uint64_t count, size;
    if (!shape_count(shape, &count) ||
        __builtin_mul_overflow(count, (uint64_t)datatype_size_bytes(datatype), &size))
        return false;
    *ret_size_bytes = size;
    return true;
}

char *shape_format(const struct shape *shape, char *text, size_t size)
{
    size_t at = 0;
    for (uint32_t i = 0; i < shape->ndim && at < size; i++) {
        int wrote = snprintf(text + at, size - at, "%s%" PRId64, i ? "," : "[", shape->dims[i]);
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    if (at < size)
        snprintf(text + at, size - at, shape->ndim ? "]" : "[]");
    return text;
}

bool bytes_tensor_next(struct span *rest, struct span *ret_element)
{
    uint32_t length;
    if (rest->size < sizeof length)
        return false;
    memcpy(&length, rest->data, sizeof length); /* little-endian, as is every machine we run on */
    if (length > rest->size - sizeof length)
        return false;
    *ret_element = (struct span){rest->data + sizeof length, length};
    *rest = span_after(*rest, sizeof length + length);
    return true;
}

bool bytes_tensor_check(struct span data, uint64_t count)
{
    struct span element;
    if (count > data.size / sizeof(uint32_t))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!bytes_tensor_next(&data, &element))
            return false;
    }
    return data.size == 0;
}

static int find(const struct tensor_info *infos, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(infos[i].name, name))
            return (int)i;
    }
    return -1;
}

int schema_input(const struct schema *schema, struct span name)
{
    return find(schema->inputs, schema->input_count, name);
}

int schema_output(const struct schema *schema, struct span name)
{
    return find(schema->outputs, schema->output_count, name);
}

static size_t names_size(const struct tensor_info *infos, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += infos[i].name.size;
    return size;
}

static struct span take(char **at, struct span from)
{
    struct span copy = {*at, from.size};
    if (from.size)
        memcpy(*at, from.data, from.size);
    *at += from.size;
    return copy;
}

static void take_infos(char **at, struct tensor_info *to, const struct tensor_info *from,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        to[i].name = take(at, from[i].name);
    }
}

struct schema *schema_copy(const struct schema *schema)
{
    size_t infos = schema->input_count + schema->output_count;
    size_t texts = schema->platform.size + schema->engine.size + schema->batch_note.size +
                   names_size(schema->inputs, schema->input_count) +
                   names_size(schema->outputs, schema->output_count);
    struct schema *copy = malloc(sizeof *copy + infos * sizeof(struct tensor_info) + texts);
    if (!copy)
        return NULL;
    *copy = *schema;
    copy->inputs = (struct tensor_info *)(copy + 1);
    copy->outputs = copy->inputs + schema->input_count;
    char *at = (char *)(copy->outputs + schema->output_count);
    take_infos(&at, copy->inputs, schema->inputs, schema->input_count);
    take_infos(&at, copy->outputs, schema->outputs, schema->output_count);
    copy->platform = take(&at, schema->platform);
    copy->engine = take(&at, schema->engine);
    copy->batch_note = take(&at, schema->batch_note);
    return copy;
}

void schema_free(struct schema *schema)
{
    free(schema);
}

static size_t keep_shown(struct tensor_info *infos, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!infos[i].hidden)
            infos[kept++] = infos[i];
    }
    return kept;
}

struct schema *schema_shown(const struct schema *schema)
{
    struct schema *shown = schema_copy(schema);
    if (shown) {
        shown->input_count = keep_shown(shown->inputs, shown->input_count);
        shown->output_count = keep_shown(shown->outputs, shown->output_count);
    }
    return shown;
}

static bool same_infos(const struct tensor_info *a, size_t a_count, const struct tensor_info *b,
                       size_t b_count)
{
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++) {
        same = span_equal(a[i].name, b[i].name) && a[i].datatype == b[i].datatype &&
               a[i].optional == b[i].optional && a[i].any_rank == b[i].any_rank &&
               a[i].runs_alone == b[i].runs_alone && a[i].shape.ndim == b[i].shape.ndim;
        for (uint32_t d = 0; same && d < a[i].shape.ndim; d++)
            same = a[i].shape.dims[d] == b[i].shape.dims[d];
    }
    return same;
}

bool schema_same_tensors(const struct schema *a, const struct schema *b)
{
    return same_infos(a->inputs, a->input_count, b->inputs, b->input_count) &&
           same_infos(a->outputs, a->output_count, b->outputs, b->output_count);
}
