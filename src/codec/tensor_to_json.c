/* Tensors to JSON arrays; see tensor_json.h.
 *
 * The data may lie in memory that an untrusted process writes meanwhile. It is copied, piece by
 * piece, and only the copy is looked at: whatever the other side does, what is checked is what is
 * written. */
#include "codec/element.h"
#include "codec/half.h"
#include "codec/number.h"
#include "codec/tensor_json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

enum { PIECE_BYTES = 1024 };

/* Some elements, copied. */
union piece {
    char bytes[PIECE_BYTES];
    float floats[PIECE_BYTES / sizeof(float)];
};

/* Inlined once per datatype, whose size is then a constant. */
#define INLINE static inline __attribute__((always_inline))

/* Room for an element, and the comma before it. */
enum { ELEMENT_CHARS = NUMBER_MAX_CHARS + 1 };

static size_t print_word(const char *word, char *to)
{
    size_t size = strlen(word);
    memcpy(to, word, size); /* NOLINT(bugprone-not-null-terminated-result): it is no string */
    return size;
}

/* 0: it is not finite, and that must not be written. */
static inline size_t print_double(const struct json_writer *writer, double value, char *to)
{
    if (isfinite(value))
        return number_print_double(value, to);
    if (!writer->write_nonfinite)
        return 0;
    return print_word(isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity", to);
}

static inline size_t print_float(const struct json_writer *writer, float value, char *to)
{
    return isfinite(value) ? number_print_float(value, to)
                           : print_double(writer, (double)value, to);
}

/* Prints into `to`; returns how many bytes were used, 0 when JSON cannot say it. Floats are
 * put_floats' business. */
INLINE size_t print_element(const struct json_writer *writer, enum tensord_datatype datatype,
                            union element v, char *to)
{
    switch (datatype) {
    case TENSORD_BOOL:
        return print_word(v.u8 ? "true" : "false", to);
    case TENSORD_UINT8:
        return number_print_u64(v.u8, to);
    case TENSORD_UINT16:
        return number_print_u64(v.u16, to);
    case TENSORD_UINT32:
        return number_print_u64(v.u32, to);
    case TENSORD_UINT64:
        return number_print_u64(v.u64, to);
    case TENSORD_INT8:
        return number_print_i64(v.i8, to);
    case TENSORD_INT16:
        return number_print_i64(v.i16, to);
    case TENSORD_INT32:
        return number_print_i64(v.i32, to);
    case TENSORD_INT64:
        return number_print_i64(v.i64, to);
    default:
        assert(datatype == TENSORD_FP64);
        return print_double(writer, v.f64, to);
    }
}

/* Prints elements of one datatype, of `size` bytes each; see put_piece. */
INLINE size_t put_of(struct json_writer *writer, enum tensord_datatype datatype, size_t size,
                     const char *piece, size_t count)
{
    size_t done = 0;
    char *start = buf_reserve(writer->buf, count * ELEMENT_CHARS), *to = start;
    bool comma = writer->comma;
    for (; to && done < count; done++) {
        union element element = {.u64 = 0};
        memcpy(&element, piece + done * size, size);
        *to = ',';
        size_t printed = print_element(writer, datatype, element, to + comma);
        if (!printed)
            break;
        to += comma + printed;
        comma = true;
    }
    writer->comma = comma;
    writer->buf->size += (size_t)(to - start);
    return done;
}

static size_t put_floats(struct json_writer *writer, const float *values, size_t count)
{
    size_t done = 0;
    char *start = buf_reserve(writer->buf, count * ELEMENT_CHARS), *to = start;
    if (!start)
        return 0;
    while (done < count) {
        size_t size = 0;
        if (writer->comma)
            done += number_print_floats(values + done, count - done, to, &size);
        to += size;
        if (done == count)
            break;
        /* The first of an array, or not finite. */
        *to = ',';
        size = print_float(writer, values[done], to + writer->comma);
        if (!size)
            break;
        to += writer->comma + size;
        writer->comma = true;
        done++;
    }
    writer->buf->size += (size_t)(to - start);
    return done;
}

static size_t put_halves(struct json_writer *writer, const char *piece, size_t count,
                         float (*to_float)(uint16_t))
{
    float values[PIECE_BYTES / sizeof(uint16_t)];
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, piece + i * sizeof bits, sizeof bits);
        values[i] = to_float(bits);
    }
    return put_floats(writer, values, count);
}

/* Prints `count` elements; returns how many were: fewer when JSON cannot say the next one, or the
 * buffer is full. */
static size_t put_piece(struct json_writer *writer, enum tensord_datatype datatype,
                        const union piece *piece, size_t count)
{
    switch (datatype) {
    case TENSORD_FP32:
        return put_floats(writer, piece->floats, count);
    case TENSORD_FP16:
        return put_halves(writer, piece->bytes, count, fp16_to_float);
    case TENSORD_BF16:
        return put_halves(writer, piece->bytes, count, bf16_to_float);
    case TENSORD_BOOL:
        return put_of(writer, TENSORD_BOOL, 1, piece->bytes, count);
    case TENSORD_UINT8:
        return put_of(writer, TENSORD_UINT8, 1, piece->bytes, count);
    case TENSORD_UINT16:
        return put_of(writer, TENSORD_UINT16, 2, piece->bytes, count);
    case TENSORD_UINT32:
        return put_of(writer, TENSORD_UINT32, 4, piece->bytes, count);
    case TENSORD_UINT64:
        return put_of(writer, TENSORD_UINT64, 8, piece->bytes, count);
    case TENSORD_INT8:
        return put_of(writer, TENSORD_INT8, 1, piece->bytes, count);
    case TENSORD_INT16:
        return put_of(writer, TENSORD_INT16, 2, piece->bytes, count);
    case TENSORD_INT32:
        return put_of(writer, TENSORD_INT32, 4, piece->bytes, count);
    case TENSORD_INT64:
        return put_of(writer, TENSORD_INT64, 8, piece->bytes, count);
    default:
        return put_of(writer, TENSORD_FP64, 8, piece->bytes, count);
    }
}

/* What is being written, and where in the tensor the writing is. */
struct writing {
    struct json_writer *json;
    enum tensord_datatype datatype;
    struct span rest; /* of the data */
    uint64_t index;   /* of the next element */
    struct error *error;
};

static bool fail_size(struct error *ret_error)
{
    return error_set(ret_error, ERROR_INTERNAL, "the tensor's data disagree with its shape");
}

static bool put_numbers(struct writing *writing, uint64_t count)
{
    union piece piece;
    size_t size = datatype_size_bytes(writing->datatype), in_piece = sizeof piece / size;
    uint64_t end = writing->index + count;
    if (writing->rest.size / size < count)
        return fail_size(writing->error);
    while (writing->index < end && buf_ok(writing->json->buf)) {
        uint64_t left = end - writing->index;
        size_t wanted = left < in_piece ? (size_t)left : in_piece;
        memcpy(&piece, writing->rest.data, wanted * size);
        writing->rest = span_after(writing->rest, wanted * size);
        size_t done = put_piece(writing->json, writing->datatype, &piece, wanted);
        writing->index += done;
        if (done < wanted && buf_ok(writing->json->buf))
            return error_set(writing->error, ERROR_INVALID_ARGUMENT,
                             "element %" PRIu64 " is NaN or infinite, which JSON cannot say: "
                             "ask for binary data",
                             writing->index);
    }
    return true;
}

static bool put_strings(struct writing *writing, uint64_t count)
{
    for (uint64_t end = writing->index + count; writing->index < end && buf_ok(writing->json->buf);
         writing->index++) {
        struct span element;
        if (!bytes_tensor_next(&writing->rest, &element))
            return fail_size(writing->error);
        if (!json_put_string(writing->json, element))
            return error_set(writing->error, ERROR_INVALID_ARGUMENT,
                             "element %" PRIu64 " is not UTF-8, which JSON cannot say: ask for "
                             "binary data",
                             writing->index);
    }
    return true;
}

static bool put_elements(struct writing *writing, uint64_t count)
{
    return writing->datatype == TENSORD_BYTES ? put_strings(writing, count)
                                              : put_numbers(writing, count);
}

/* Puts all elements of a tensor, which are all of its data. */
static bool put_all(struct json_writer *writer, enum tensord_datatype datatype, uint64_t count,
                    struct span data, struct error *ret_error)
{
    struct writing writing = {writer, datatype, data, 0, ret_error};
    return put_elements(&writing, count) &&
           (writing.rest.size == 0 || !buf_ok(writer->buf) || fail_size(ret_error));
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

bool tensor_to_json(struct json_writer *writer, enum tensord_datatype datatype,
                    const struct shape *shape, struct span data, struct error *ret_error)
{
    uint64_t count;
    if (!count_elements(datatype, shape, data, &count, ret_error))
        return false;
    json_put_array(writer);
    bool put = put_all(writer, datatype, count, data, ret_error);
    json_put_array_end(writer);
    return put;
}

bool tensor_to_json_or_value(struct json_writer *writer, enum tensord_datatype datatype,
                             const struct shape *shape, struct span data, struct error *ret_error)
{
    uint64_t count;
    if (!count_elements(datatype, shape, data, &count, ret_error))
        return false;
    return count == 1 ? put_all(writer, datatype, 1, data, ret_error)
                      : tensor_to_json(writer, datatype, shape, data, ret_error);
}

/* Puts the arrays of dimension d and all within; the tensor has elements, so that no dimension is
 * 0. */
static bool put_nested(struct writing *writing, const struct shape *shape, uint32_t d)
{
    bool put = true;
    json_put_array(writing->json);
    if (d + 1 == shape->ndim)
        put = put_elements(writing, (uint64_t)shape->dims[d]);
    for (int64_t i = 0; d + 1 < shape->ndim && i < shape->dims[d] && put; i++)
        put = buf_ok(writing->json->buf) && put_nested(writing, shape, d + 1);
    json_put_array_end(writing->json);
    return put || !buf_ok(writing->json->buf);
}

bool tensor_take_to_json(struct json_writer *writer, enum tensord_datatype datatype,
                         const struct shape *shape, struct span *data, struct error *ret_error)
{
    struct writing writing = {writer, datatype, *data, 0, ret_error};
    uint64_t count;
    if (!shape_count(shape, &count))
        return fail_size(ret_error);
    if (!count) {
        json_put_array(writer);
        json_put_array_end(writer);
        return true;
    }
    bool put = shape->ndim ? put_nested(&writing, shape, 0) : put_elements(&writing, 1);
    *data = writing.rest;
    return put;
}
