/* Padding and cutting back; see padding.h. */
#include "base/padding.h"

#include <float.h>

int64_t padding_size(const struct padding *padding, int64_t size)
{
    for (size_t i = 0; i < padding->size_count; i++) {
        if (padding->sizes[i] >= size)
            return padding->sizes[i];
    }
    return size;
}

/* ---- elements ---- */

static bool put_integer(double value, size_t bytes, bool is_signed, void *element)
{
    double half = (double)(UINT64_C(1) << (8 * bytes - 1));
    double least = is_signed ? -half : 0, beyond = is_signed ? half : 2 * half;
    if (!(value >= least && value < beyond)) /* nor is it NaN */
        return false;
    uint64_t bits = value < 0 ? (uint64_t)(int64_t)value : (uint64_t)value;
    memcpy(element, &bits, sizeof bits);
    return value == (value < 0 ? (double)(int64_t)bits : (double)bits);
}

bool padding_element(const struct padding *padding, enum tensord_datatype datatype, void *element)
{
    double value = padding->value, most = (double)FLT_MAX;
    size_t bytes = datatype_size_bytes(datatype);
    float single;
    memset(element, 0, sizeof(uint64_t));
    switch (datatype) {
    case TENSORD_BYTES:
    case TENSORD_INVALID:
        return false;
    case TENSORD_FP64:
        memcpy(element, &value, sizeof value);
        return true;
    case TENSORD_FP32:
        if (!(value >= -most && value <= most))
            return false;
        single = (float)value;
        memcpy(element, &single, sizeof single);
        return true;
    case TENSORD_FP16:
    case TENSORD_BF16:
        return value == 0;
    case TENSORD_BOOL:
        return put_integer(value, bytes, false, element) && value <= 1;
    case TENSORD_INT8:
    case TENSORD_INT16:
    case TENSORD_INT32:
    case TENSORD_INT64:
        return put_integer(value, bytes, true, element);
    default:
        return put_integer(value, bytes, false, element);
    }
}

/* ---- copies ---- */

/* How a tensor lies in memory around the dimension: `outer` times its pieces of `inner` bytes. */
struct lay {
    uint64_t outer, inner;
};

static struct lay lay_of(const struct padding *padding, enum tensord_datatype datatype,
                         const struct shape *shape)
{
    struct lay lay = {1, datatype_size_bytes(datatype)};
    for (uint32_t i = 0; i < shape->ndim; i++) {
        if (i < padding->dim)
            lay.outer *= (uint64_t)shape->dims[i];
        else if (i > padding->dim)
            lay.inner *= (uint64_t)shape->dims[i];
    }
    return lay;
}

char *padding_fill(const struct padding *padding, enum tensord_datatype datatype,
                   const struct shape *shape, int64_t size, const char *from, char *to)
{
    struct lay lay = lay_of(padding, datatype, shape);
    uint64_t own = (uint64_t)shape->dims[padding->dim] * lay.inner;
    uint64_t rest = (uint64_t)(size - shape->dims[padding->dim]) * lay.inner;
    size_t bytes = datatype_size_bytes(datatype);
    uint64_t element;
    padding_element(padding, datatype, &element);
    for (uint64_t i = 0; i < lay.outer; i++) {
        if (own)
            memcpy(to, from, own);
        from += own;
        to += own;
        if (element == 0)
            memset(to, 0, rest);
        for (uint64_t at = 0; element && at < rest; at += bytes)
            memcpy(to + at, &element, bytes);
        to += rest;
    }
    return to;
}

char *padding_cut(const struct padding *padding, enum tensord_datatype datatype,
                  const struct shape *shape, int64_t size, const char *from, char *to)
{
    struct lay lay = lay_of(padding, datatype, shape);
    uint64_t kept = (uint64_t)size * lay.inner;
    uint64_t whole = (uint64_t)shape->dims[padding->dim] * lay.inner;
    for (uint64_t i = 0; i < lay.outer; i++) {
        if (kept)
            memcpy(to, from, kept);
        from += whole;
        to += kept;
    }
    return to;
}

/* ---- as bytes ---- */

static void write_names(const struct span *names, size_t count, struct buf *buf)
{
    pack_number(buf, count);
    for (size_t i = 0; i < count; i++)
        pack_string(buf, names[i]);
}

void padding_write(const struct padding *padding, struct buf *buf)
{
    uint64_t bits;
    memcpy(&bits, &padding->value, sizeof bits);
    write_names(padding->inputs, padding->input_count, buf);
    write_names(padding->outputs, padding->output_count, buf);
    pack_number(buf, padding->dim);
    pack_number(buf, padding->size_count);
    for (size_t i = 0; i < padding->size_count; i++)
        pack_number(buf, (uint64_t)padding->sizes[i]);
    pack_number(buf, bits);
}

static struct span *read_names(struct unpack *unpack, size_t *ret_count)
{
    struct span *names = unpack_array(unpack, TENSOR_MAX_PER_REQUEST, sizeof *names, ret_count);
    for (size_t i = 0; i < *ret_count && !unpack->failed; i++)
        names[i] = unpack_string(unpack);
    return names;
}

void padding_read(struct unpack *unpack, struct padding *padding)
{
    padding->inputs = read_names(unpack, &padding->input_count);
    padding->outputs = read_names(unpack, &padding->output_count);
    padding->dim = (uint32_t)unpack_number(unpack, TENSOR_MAX_DIMS - 1);
    padding->sizes =
        unpack_array(unpack, PADDING_MOST_SIZES, sizeof *padding->sizes, &padding->size_count);
    for (size_t i = 0; i < padding->size_count && !unpack->failed; i++)
        padding->sizes[i] = (int64_t)unpack_number(unpack, PADDING_MOST_SIZE);
    uint64_t bits = unpack_number(unpack, UINT64_MAX);
    memcpy(&padding->value, &bits, sizeof bits);
    unpack->failed |= padding->dim == 0 || !padding->input_count;
}

/* ---- as a copy ---- */

static struct span *copy_names(struct arena *arena, const struct span *from, size_t count)
{
    struct span *names = arena_calloc(arena, count, sizeof *names);
    for (size_t i = 0; names && i < count; i++) {
        if (!arena_copy(arena, from[i], &names[i]))
            return NULL;
    }
    return names;
}

bool padding_copy(struct arena *arena, const struct padding *from, struct padding *ret_copy)
{
    *ret_copy = *from;
    ret_copy->inputs = copy_names(arena, from->inputs, from->input_count);
    ret_copy->outputs = copy_names(arena, from->outputs, from->output_count);
    ret_copy->sizes = arena_calloc(arena, from->size_count, sizeof *ret_copy->sizes);
    if (!ret_copy->inputs || !ret_copy->outputs || !ret_copy->sizes)
        return false;
    if (from->size_count)
        memcpy(ret_copy->sizes, from->sizes, from->size_count * sizeof *from->sizes);
    return true;
}
