/* Tensors to JSON arrays; see tensor_json.h.
 *
 * The data may lie in memory that an untrusted process writes meanwhile. It is copied, piece by
 * piece, and only the copy is looked at: whatever the other side does, what is checked is what is
 * written. */
#include "codec/element.h"
#include "codec/half.h"
#include "codec/tensor_json.h"

#include <assert.h>
#include <inttypes.h>

enum { PIECE_BYTES = 1024 };

static bool put_element(struct json_writer *writer, enum tensord_datatype datatype, const char *at)
{
    union element v = element_read(datatype, at);
    switch (datatype) {
    case TENSORD_BOOL:
        json_put_bool(writer, v.u8 != 0);
        return true;
    case TENSORD_UINT8:
        json_put_u64(writer, v.u8);
        return true;
    case TENSORD_UINT16:
        json_put_u64(writer, v.u16);
        return true;
    case TENSORD_UINT32:
        json_put_u64(writer, v.u32);
        return true;
    case TENSORD_UINT64:
        json_put_u64(writer, v.u64);
        return true;
    case TENSORD_INT8:
        json_put_i64(writer, v.i8);
        return true;
    case TENSORD_INT16:
        json_put_i64(writer, v.i16);
        return true;
    case TENSORD_INT32:
        json_put_i64(writer, v.i32);
        return true;
    case TENSORD_INT64:
        json_put_i64(writer, v.i64);
        return true;
    case TENSORD_FP16:
        return json_put_float(writer, fp16_to_float(v.u16));
    case TENSORD_BF16:
        return json_put_float(writer, bf16_to_float(v.u16));
    case TENSORD_FP32:
        return json_put_float(writer, v.f32);
    default:
        assert(datatype == TENSORD_FP64);
        return json_put_double(writer, v.f64);
    }
}

static bool put_numbers(struct json_writer *writer, enum tensord_datatype datatype,
                        struct span data, struct error *ret_error)
{
    char piece[PIECE_BYTES];
    size_t size = datatype_size_bytes(datatype);
    uint64_t index = 0;
    while (data.size && buf_ok(writer->buf)) {
        size_t bytes = data.size < sizeof piece ? data.size : sizeof piece;
        memcpy(piece, data.data, bytes);
        data = span_after(data, bytes);
        for (size_t at = 0; at < bytes; at += size, index++) {
            if (!put_element(writer, datatype, piece + at))
                return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                                 "element %" PRIu64 " is NaN or infinite, which JSON cannot say: "
                                 "ask for binary data",
                                 index);
        }
    }
    return true;
}

static bool fail_size(struct error *ret_error)
{
    return error_set(ret_error, ERROR_INTERNAL, "the tensor's data disagree with its shape");
}

static bool put_strings(struct json_writer *writer, uint64_t count, struct span data,
                        struct error *ret_error)
{
    for (uint64_t index = 0; index < count && buf_ok(writer->buf); index++) {
        struct span element;
        if (!bytes_tensor_next(&data, &element))
            return fail_size(ret_error);
        if (!json_put_string(writer, element))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "element %" PRIu64 " is not UTF-8, which JSON cannot say: ask for "
                             "binary data",
                             index);
    }
    return !buf_ok(writer->buf) || data.size == 0 || fail_size(ret_error);
}

/* False when the tensor is none. */
static bool count_elements(enum tensord_datatype datatype, const struct shape *shape,
                           struct span data, uint64_t *ret_count, struct error *ret_error)
{
    uint64_t size;
    assert(datatype > TENSORD_INVALID && datatype < TENSORD_DATATYPE_COUNT);
    return (shape_count(shape, ret_count) && shape_size_bytes(shape, datatype, &size) &&
            (datatype == TENSORD_BYTES || size == data.size)) ||
           fail_size(ret_error);
}

static bool put_elements(struct json_writer *writer, enum tensord_datatype datatype, uint64_t count,
                         struct span data, struct error *ret_error)
{
    return datatype == TENSORD_BYTES ? put_strings(writer, count, data, ret_error)
                                     : put_numbers(writer, datatype, data, ret_error);
}

bool tensor_to_json(struct json_writer *writer, enum tensord_datatype datatype,
                    const struct shape *shape, struct span data, struct error *ret_error)
{
    uint64_t count;
    if (!count_elements(datatype, shape, data, &count, ret_error))
        return false;
    json_put_array(writer);
    bool put = put_elements(writer, datatype, count, data, ret_error);
    json_put_array_end(writer);
    return put;
}

bool tensor_to_json_or_value(struct json_writer *writer, enum tensord_datatype datatype,
                             const struct shape *shape, struct span data, struct error *ret_error)
{
    uint64_t count;
    if (!count_elements(datatype, shape, data, &count, ret_error))
        return false;
    return count == 1 ? put_elements(writer, datatype, 1, data, ret_error)
                      : tensor_to_json(writer, datatype, shape, data, ret_error);
}
