/* JSON arrays to tensors; see tensor_json.h.
 *
 * One loop walks the arrays by a counter per dimension; what an element is, one function per kind
 * of datatype knows. Nothing is stored but the elements themselves. */
#include "codec/half.h"
#include "codec/tensor_json.h"

#include <assert.h>
#include <inttypes.h>

enum { SHOWN_CHARS = 40 }; /* of a value in an error */

/* How an element is read. */
struct element_type {
    enum tensord_datatype datatype;
    size_t size_bytes;
    /* Reads one element to `to`. False, and the reader has not failed: the datatype cannot hold it.
     */
    bool (*read)(struct json *json, const struct element_type *type, char *to);
};

static bool read_bool(struct json *json, const struct element_type *type, char *to)
{
    struct number number;
    uint64_t value;
    bool truth;
    if (json_peek(json) == JSON_NUMBER) {
        if (!json_number(json, &number) || !number_to_u64(&number, &value) || value > 1)
            return false;
        truth = value == 1;
    } else if (!json_bool(json, &truth)) {
        return false;
    }
    *to = truth;
    return true;
}

static bool read_unsigned(struct json *json, const struct element_type *type, char *to)
{
    struct number number;
    uint64_t value;
    uint64_t max = UINT64_MAX >> (64 - 8 * type->size_bytes);
    if (!json_number(json, &number) || !number_to_u64(&number, &value) || value > max)
        return false;
    memcpy(to, &value, type->size_bytes); /* little-endian: the low bytes come first */
    return true;
}

static bool read_signed(struct json *json, const struct element_type *type, char *to)
{
    struct number number;
    int64_t value;
    int64_t max = INT64_MAX >> (64 - 8 * type->size_bytes);
    if (!json_number(json, &number) || !number_to_i64(&number, &value) || value > max ||
        value < -max - 1)
        return false;
    memcpy(to, &value, type->size_bytes);
    return true;
}

static bool read_float(struct json *json, const struct element_type *type, char *to)
{
    struct number number;
    float value;
    if (!json_number(json, &number) || !number_to_float(&number, &value))
        return false;
    memcpy(to, &value, sizeof value);
    return true;
}

static bool read_double(struct json *json, const struct element_type *type, char *to)
{
    struct number number;
    double value;
    if (!json_number(json, &number) || !number_to_double(&number, &value))
        return false;
    memcpy(to, &value, sizeof value);
    return true;
}

static bool read_half(struct json *json, const struct element_type *type, char *to)
{
    struct number number;
    double value;
    uint16_t bits;
    if (!json_number(json, &number) || !number_to_double(&number, &value))
        return false;
    if (!(type->datatype == TENSORD_FP16 ? fp16_from_double(value, &bits)
                                         : bf16_from_double(value, &bits)))
        return false;
    memcpy(to, &bits, sizeof bits);
    return true;
}

static const struct element_type element_types[TENSORD_DATATYPE_COUNT] = {
    [TENSORD_BOOL] = {TENSORD_BOOL, 1, read_bool},
    [TENSORD_UINT8] = {TENSORD_UINT8, 1, read_unsigned},
    [TENSORD_UINT16] = {TENSORD_UINT16, 2, read_unsigned},
    [TENSORD_UINT32] = {TENSORD_UINT32, 4, read_unsigned},
    [TENSORD_UINT64] = {TENSORD_UINT64, 8, read_unsigned},
    [TENSORD_INT8] = {TENSORD_INT8, 1, read_signed},
    [TENSORD_INT16] = {TENSORD_INT16, 2, read_signed},
    [TENSORD_INT32] = {TENSORD_INT32, 4, read_signed},
    [TENSORD_INT64] = {TENSORD_INT64, 8, read_signed},
    [TENSORD_FP16] = {TENSORD_FP16, 2, read_half},
    [TENSORD_FP32] = {TENSORD_FP32, 4, read_float},
    [TENSORD_FP64] = {TENSORD_FP64, 8, read_double},
    [TENSORD_BF16] = {TENSORD_BF16, 2, read_half},
};

/* Where a tensor is being read to. */
struct reading {
    struct json *json;
    enum tensord_datatype datatype;
    struct room room; /* what is left */
    uint64_t index;   /* of the next element */
};

static bool fail_element(struct reading *reading, const char *start)
{
    struct json *json = reading->json;
    if (json->failed)
        return false;
    const char *end = json->at;
    json->at = start;
    json_peek(json); /* goes to where the value starts */
    struct span text = {json->at, (size_t)(end - json->at)};
    return json_fail(json, "element %" PRIu64 ", %.*s%s, is no value of %s", reading->index,
                     (int)(text.size < SHOWN_CHARS ? text.size : SHOWN_CHARS), text.data,
                     text.size < SHOWN_CHARS ? "" : "...", datatype_name(reading->datatype));
}

static bool read_string(struct reading *reading)
{
    struct json_text text;
    uint32_t size;
    if (!json_text(reading->json, &text))
        return false;
    size = (uint32_t)text.size;
    if (size != text.size || reading->room.size < sizeof size ||
        reading->room.size - sizeof size < text.size)
        return json_fail(reading->json, "more bytes than the tensor has room for");
    memcpy(reading->room.data, &size, sizeof size);
    json_text_copy(&text, reading->room.data + sizeof size);
    reading->room.data += sizeof size + text.size;
    reading->room.size -= sizeof size + text.size;
    return true;
}

static bool read_element(struct reading *reading)
{
    if (reading->datatype == TENSORD_BYTES)
        return read_string(reading);
    const struct element_type *type = &element_types[reading->datatype];
    const char *start = reading->json->at;
    if (reading->room.size < type->size_bytes)
        return json_fail(reading->json, "more elements than the tensor has room for");
    if (!type->read(reading->json, type, reading->room.data))
        return fail_element(reading, start);
    reading->room.data += type->size_bytes;
    reading->room.size -= type->size_bytes;
    return true;
}

/* Counts what is left of an array whose next element has been reached already, and fails. */
static bool fail_too_many(struct json *json, uint64_t expected)
{
    uint64_t count = expected;
    const char *surplus = json->at;
    do {
        count++;
    } while (json_skip(json, NULL) && json_next_element(json));
    if (json->failed)
        return false;
    json->at = surplus;
    return json_fail(json, "expected %" PRIu64 " elements but got %" PRIu64, expected, count);
}

static bool fail_too_few(struct json *json, uint64_t expected, uint64_t count)
{
    if (json->failed)
        return false;
    json->at--;
    return json_fail(json, "expected %" PRIu64 " elements but got %" PRIu64, expected, count);
}

/* Reads FP32 elements that follow each other by a comma, and maybe a blank, alone: as many as there
 * are, from the one that was reached on. What is anything else is left, an error too. Returns how
 * many were read. */
static uint64_t read_plain_floats(struct reading *reading, uint64_t most)
{
    struct json *json = reading->json;
    struct span rest = {json->at, (size_t)(json->end - json->at)};
    uint64_t fitting = reading->room.size / sizeof(float);
    if (reading->datatype != TENSORD_FP32)
        return 0;
    uint64_t count = number_take_floats(&rest, reading->room.data, most < fitting ? most : fitting);
    json->at = rest.data;
    reading->room.data += count * sizeof(float);
    reading->room.size -= count * sizeof(float);
    return count;
}

/* Reads the elements of an array that was entered; its first one was reached when `reached`. */
static bool read_row(struct reading *reading, uint64_t expected, bool reached)
{
    struct json *json = reading->json;
    uint64_t count = 0;
    while (reached || json_next_element(json)) {
        reached = false;
        if (count == expected)
            return fail_too_many(json, expected);
        uint64_t plain = read_plain_floats(reading, expected - count);
        if (!plain && !read_element(reading))
            return false;
        reading->index += plain ? plain : 1;
        count += plain ? plain : 1;
    }
    return count == expected ? json_ok(json) : fail_too_few(json, expected, count);
}

/* Reads nested arrays; the outermost was entered and its first element reached. counts[d] is how
 * many elements of the open array of dimension d were reached. */
static bool read_nested(struct reading *reading, const struct shape *shape)
{
    struct json *json = reading->json;
    uint64_t counts[TENSOR_MAX_DIMS] = {1};
    uint32_t d = 0; /* the dimension of the innermost open array */
    bool reached = true;
    for (;;) {
        uint64_t expected = (uint64_t)shape->dims[d];
        if (!reached && !json_next_element(json)) {
            if (json->failed || counts[d] != expected)
                return fail_too_few(json, expected, counts[d]);
            if (d == 0)
                return true;
            d--;
            continue;
        }
        counts[d] += !reached;
        reached = false;
        if (counts[d] > expected)
            return fail_too_many(json, expected);
        if (!json_enter_array(json))
            return false;
        if (d + 2 < shape->ndim)
            counts[++d] = 0;
        else if (!read_row(reading, (uint64_t)shape->dims[d + 1], false))
            return false;
    }
}

bool tensor_from_json(struct json *json, enum tensord_datatype datatype, const struct shape *shape,
                      struct room out)
{
    assert(datatype > TENSORD_INVALID && datatype < TENSORD_DATATYPE_COUNT);
    struct reading reading = {.json = json, .datatype = datatype, .room = out};
    uint64_t count;
    if (!shape_count(shape, &count))
        return json_fail(json, "the shape's size overflows");
    if (shape->ndim == 0 && json_peek(json) != JSON_ARRAY)
        return read_element(&reading);
    if (!json_enter_array(json))
        return false;
    bool any = json_next_element(json);
    if (json->failed)
        return false;
    if (!any)
        return count == 0 || fail_too_few(json, count, 0);
    bool nested = shape->ndim > 1 && json_peek(json) == JSON_ARRAY;
    if (!(nested ? read_nested(&reading, shape) : read_row(&reading, count, true)))
        return false;
    return reading.room.size == 0 || json_fail(json, "fewer bytes than the tensor has room for");
}

/* What `look` did wrong is the reader's failure too. */
static bool looked(struct json *json, const struct json *look)
{
    if (look->failed)
        *json = *look;
    return !look->failed;
}

/* The array was entered and its first element read: counts all. */
static int64_t count_elements(struct json *json)
{
    int64_t count = 1;
    while (json_next_element(json) && json_skip(json, NULL))
        count++;
    return count;
}

bool tensor_json_shape(struct json *json, struct shape *ret_shape)
{
    struct json look = *json;
    struct shape shape = {.ndim = 0};
    bool empty = false;
    while (!empty && json_peek(&look) == JSON_ARRAY) {
        if (shape.ndim == TENSOR_MAX_DIMS)
            return json_fail(json, "more than %d dimensions", TENSOR_MAX_DIMS);
        json_enter_array(&look);
        shape.dims[shape.ndim++] = 0;
        empty = !json_next_element(&look);
    }
    if (!empty)
        json_skip(&look, NULL);
    for (uint32_t d = shape.ndim - empty; d > 0; d--)
        shape.dims[d - 1] = count_elements(&look);
    if (!looked(json, &look))
        return false;
    *ret_shape = shape;
    return true;
}

static uint64_t string_size(struct json *json)
{
    struct json_text text;
    if (!json_text(json, &text))
        return 0;
    if (text.size > UINT32_MAX)
        json_fail(json, "a string of more than 4 GiB");
    return sizeof(uint32_t) + text.size;
}

/* Adds up the strings of arrays of any depth. */
static uint64_t strings_size(struct json *json)
{
    uint64_t size = 0;
    uint32_t floor = json->depth;
    do {
        if (json_peek(json) == JSON_ARRAY)
            json_enter_array(json);
        else
            size += string_size(json);
        while (json_ok(json) && json->depth > floor && !json_next_element(json))
            ;
    } while (json_ok(json) && json->depth > floor);
    return size;
}

bool tensor_json_bytes_size(struct json *json, uint64_t *ret_size_bytes)
{
    struct json look = *json;
    uint64_t size = strings_size(&look);
    if (!looked(json, &look))
        return false;
    *ret_size_bytes = size;
    return true;
}
