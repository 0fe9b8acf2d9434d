/* Structs as bytes; see pack.h. */
#include "base/pack.h"

enum { NUMBER_BYTES = 8 };

void pack_number(struct buf *buf, uint64_t value)
{
    char bytes[NUMBER_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(unsigned char)(value >> (8 * i));
    buf_append(buf, (struct span){bytes, sizeof bytes});
}

void pack_string(struct buf *buf, struct span string)
{
    pack_number(buf, string.size);
    buf_append(buf, string);
}

void pack_tensors(struct buf *buf, const struct tensor_info *tensors, size_t count)
{
    pack_number(buf, count);
    for (size_t i = 0; i < count; i++) {
        pack_string(buf, tensors[i].name);
        pack_number(buf, (uint64_t)tensors[i].datatype);
        pack_number(buf, tensors[i].optional);
        pack_number(buf, tensors[i].any_rank);
        pack_number(buf, tensors[i].shape.ndim);
        for (uint32_t d = 0; d < tensors[i].shape.ndim; d++)
            pack_number(buf, (uint64_t)tensors[i].shape.dims[d]);
    }
}

void pack_parameters(struct buf *buf, const struct parameter *parameters, size_t count)
{
    pack_number(buf, count);
    for (size_t i = 0; i < count; i++) {
        pack_string(buf, parameters[i].key);
        pack_string(buf, parameters[i].value);
    }
}

uint64_t unpack_number(struct unpack *unpack, uint64_t limit)
{
    uint64_t value = 0;
    if (unpack->failed || unpack->rest.size < NUMBER_BYTES) {
        unpack->failed = true;
        return 0;
    }
    for (size_t i = 0; i < NUMBER_BYTES; i++)
        value |= (uint64_t)(unsigned char)unpack->rest.data[i] << (8 * i);
    unpack->rest = span_after(unpack->rest, NUMBER_BYTES);
    unpack->failed = value > limit;
    return unpack->failed ? 0 : value;
}

bool unpack_bool(struct unpack *unpack)
{
    return unpack_number(unpack, 1) != 0;
}

struct span unpack_bytes(struct unpack *unpack)
{
    size_t size = unpack_number(unpack, SIZE_MAX);
    if (unpack->failed || size > unpack->rest.size) {
        unpack->failed = true;
        return (struct span){NULL, 0};
    }
    struct span bytes = {unpack->rest.data, size};
    unpack->rest = span_after(unpack->rest, size);
    return bytes;
}

struct span unpack_string(struct unpack *unpack)
{
    struct span string = unpack_bytes(unpack);
    if (string.size && memchr(string.data, '\0', string.size)) {
        unpack->failed = true;
        return (struct span){NULL, 0};
    }
    return string;
}

void *unpack_array(struct unpack *unpack, uint64_t limit, size_t element_size, size_t *ret_count)
{
    size_t most = unpack->rest.size / NUMBER_BYTES; /* each has a number or a string at least */
    size_t count = unpack_number(unpack, limit < most ? limit : most);
    void *array = count ? arena_calloc(unpack->arena, count, element_size) : NULL;
    unpack->failed = unpack->failed || (count && !array);
    *ret_count = array ? count : 0;
    return array;
}

static void unpack_tensor(struct unpack *unpack, struct tensor_info *tensor)
{
    tensor->name = unpack_string(unpack);
    tensor->datatype = (enum tensord_datatype)unpack_number(unpack, TENSORD_DATATYPE_COUNT - 1);
    tensor->optional = unpack_bool(unpack);
    tensor->any_rank = unpack_bool(unpack);
    tensor->shape.ndim = (uint32_t)unpack_number(unpack, TENSOR_MAX_DIMS);
    for (uint32_t d = 0; d < tensor->shape.ndim; d++)
        tensor->shape.dims[d] = (int64_t)unpack_number(unpack, UINT64_MAX);
}

struct tensor_info *unpack_tensors(struct unpack *unpack, size_t *ret_count)
{
    struct tensor_info *tensors =
        unpack_array(unpack, TENSOR_MAX_PER_REQUEST, sizeof *tensors, ret_count);
    for (size_t i = 0; i < *ret_count && !unpack->failed; i++)
        unpack_tensor(unpack, &tensors[i]);
    return tensors;
}

struct parameter *unpack_parameters(struct unpack *unpack, uint64_t limit, size_t *ret_count)
{
    struct parameter *parameters = unpack_array(unpack, limit, sizeof *parameters, ret_count);
    for (size_t i = 0; i < *ret_count && !unpack->failed; i++) {
        parameters[i].key = unpack_string(unpack);
        parameters[i].value = unpack_string(unpack);
    }
    return parameters;
}

bool unpack_end(const struct unpack *unpack)
{
    return !unpack->failed && unpack->rest.size == 0;
}
