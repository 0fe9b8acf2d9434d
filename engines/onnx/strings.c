/* Strings: the one datatype whose memory ONNX Runtime owns, so that it is copied both ways. */
#include "onnx/strings.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

static bool element_count(const int64_t *shape, uint32_t ndim, size_t *ret_count)
{
    size_t count = 1;
    for (uint32_t i = 0; i < ndim; i++) {
        if (shape[i] < 0 || __builtin_mul_overflow(count, (size_t)shape[i], &count))
            return false;
    }
    *ret_count = count;
    return true;
}

/* The length of the element at *rest, of which `left` bytes remain. Little-endian; read once. */
static bool next_length(const unsigned char *rest, size_t left, uint32_t *ret_length)
{
    uint32_t length;
    if (left < sizeof length)
        return false;
    memcpy(&length, rest, sizeof length);
    length = le32toh(length);
    if (length > left - sizeof length)
        return false;
    *ret_length = length;
    return true;
}

enum tensord_status onnx_strings_in(const struct onnx_model *model,
                                    const struct tensord_tensor *input,
                                    struct ort_value **ret_value)
{
    const struct onnx_library *library = &model->library;
    const unsigned char *rest = input->data;
    size_t left = input->size_bytes, count;
    uint32_t length;
    /* Each element takes four bytes at least: a count that lies allocates nothing. */
    if (!element_count(input->shape, input->ndim, &count) || count > left / sizeof length)
        return library->host->reason(TENSORD_INVALID_ARGUMENT, "a BYTES tensor is too short");
    enum tensord_status status = onnx_status(
        library, library->api->CreateTensorAsOrtValue(model->allocator, input->shape, input->ndim,
                                                      ORT_STRING, ret_value));
    for (size_t i = 0; i < count && status == TENSORD_OK; i++) {
        char *element;
        if (!next_length(rest, left, &length))
            return library->host->reason(TENSORD_INVALID_ARGUMENT,
                                         "the lengths in a BYTES tensor do not add up");
        status = onnx_status(library, library->api->GetResizedStringTensorElementBuffer(
                                          *ret_value, i, length, &element));
        if (status == TENSORD_OK && length)
            memcpy(element, rest + sizeof length, length);
        rest += sizeof length + length;
        left -= sizeof length + length;
    }
    return status;
}

/* The elements lie without lengths at the end of `data`, 4 bytes a piece after its start. Moves
 * each forward to behind its length; none is overwritten before it was moved. */
static bool spread(unsigned char *data, const size_t *offsets, size_t count, size_t total)
{
    const unsigned char *content = data + count * sizeof(uint32_t);
    for (size_t i = 0; i < count; i++) {
        size_t end = i + 1 < count ? offsets[i + 1] : total;
        size_t size = end - offsets[i];
        if (end < offsets[i] || end > total || size > UINT32_MAX)
            return false;
        uint32_t length = htole32((uint32_t)size);
        memcpy(data, &length, sizeof length);
        memmove(data + sizeof length, content + offsets[i], size);
        data += sizeof length + size;
    }
    return true;
}

static enum tensord_status write_strings(const struct onnx_model *model,
                                         const struct ort_value *result, unsigned char *data,
                                         size_t count, size_t total)
{
    const struct onnx_library *library = &model->library;
    size_t *offsets = calloc(count, sizeof *offsets);
    if (!offsets)
        return library->host->reason(TENSORD_UNAVAILABLE, "out of memory");
    enum tensord_status status =
        onnx_status(library, library->api->GetStringTensorContent(
                                 result, data + count * sizeof(uint32_t), total, offsets, count));
    if (status == TENSORD_OK && !spread(data, offsets, count, total))
        status = library->host->reason(TENSORD_INTERNAL, "an output has impossible strings");
    free(offsets);
    return status;
}

enum tensord_status onnx_strings_out(const struct onnx_model *model,
                                     struct tensord_execution *execution, uint32_t index,
                                     const struct ort_value *result, const int64_t *shape,
                                     uint32_t ndim)
{
    const struct onnx_library *library = &model->library;
    size_t count, total = 0, size;
    if (!element_count(shape, ndim, &count) ||
        __builtin_mul_overflow(count, sizeof(uint32_t), &size))
        return library->host->reason(TENSORD_INTERNAL, "an output has an impossible shape");
    enum tensord_status status = TENSORD_OK;
    if (count)
        status = onnx_status(library, library->api->GetStringTensorDataLength(result, &total));
    if (status != TENSORD_OK)
        return status;
    if (__builtin_add_overflow(size, total, &size))
        return library->host->reason(TENSORD_INTERNAL, "an output has an impossible shape");
    unsigned char *data =
        execution->host->output(execution, index, TENSORD_BYTES, shape, ndim, size);
    if (!data)
        return TENSORD_UNAVAILABLE;
    return count ? write_strings(model, result, data, count, total) : TENSORD_OK;
}
