/* Typed contents; see infer_contents.h. INT8 and INT16 ride in int_contents, UINT8 and UINT16 in
 * uint_contents. A list may come packed, value by value, or in several pieces. */
#include "codec/infer_contents.h"

#include "codec/protobuf_wire.h"

/* The field that values of a datatype ride in. */
struct carrier {
    uint32_t number; /* 0: none */
    enum pb_wire wire;
};

enum { LAST_CARRIER = 8 };

static struct carrier carrier_of(enum tensord_datatype datatype)
{
    switch (datatype) {
    case TENSORD_BOOL:
        return (struct carrier){1, PB_WIRE_VARINT};
    case TENSORD_INT8:
    case TENSORD_INT16:
    case TENSORD_INT32:
        return (struct carrier){2, PB_WIRE_VARINT};
    case TENSORD_INT64:
        return (struct carrier){3, PB_WIRE_VARINT};
    case TENSORD_UINT8:
    case TENSORD_UINT16:
    case TENSORD_UINT32:
        return (struct carrier){4, PB_WIRE_VARINT};
    case TENSORD_UINT64:
        return (struct carrier){5, PB_WIRE_VARINT};
    case TENSORD_FP32:
        return (struct carrier){6, PB_WIRE_32};
    case TENSORD_FP64:
        return (struct carrier){7, PB_WIRE_64};
    case TENSORD_BYTES:
        return (struct carrier){LAST_CARRIER, PB_WIRE_LENGTH};
    default:
        return (struct carrier){0, PB_WIRE_VARINT};
    }
}

/* ---- fields ---- */

struct field {
    uint32_t number;
    enum pb_wire wire;
    struct span value; /* without the length that stands before it */
};

static bool malformed(struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the contents are no InferTensorContents");
}

static bool take_value(struct span *rest, enum pb_wire wire, struct span *ret_value)
{
    const char *at = rest->data, *end = rest->data + rest->size;
    uint64_t size = wire == PB_WIRE_64 ? 8 : 4, varint;
    if (wire == PB_WIRE_VARINT) {
        if (!pb_varint_read(&at, end, &varint))
            return false;
        size = (uint64_t)(at - rest->data);
    } else if (wire == PB_WIRE_LENGTH) {
        if (!pb_varint_read(&at, end, &size))
            return false;
        *rest = span_after(*rest, (size_t)(at - rest->data));
    } else if (wire != PB_WIRE_64 && wire != PB_WIRE_32) {
        return false;
    }
    if (size > rest->size)
        return false;
    *ret_value = (struct span){rest->data, size};
    *rest = span_after(*rest, size);
    return true;
}

/* Takes the next field off; false with an error when there is none, but bytes. */
static bool take_field(struct span *rest, struct field *ret_field, struct error *ret_error)
{
    const char *at = rest->data;
    uint64_t tag;
    if (!pb_varint_read(&at, at + rest->size, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return malformed(ret_error);
    *rest = span_after(*rest, (size_t)(at - rest->data));
    ret_field->number = (uint32_t)(tag >> 3);
    ret_field->wire = tag & 7;
    return take_value(rest, ret_field->wire, &ret_field->value) || malformed(ret_error);
}

/* ---- sizes ---- */

/* How many varints end in these bytes; the last one must. */
static bool count_varints(struct span bytes, uint64_t *ret_count)
{
    uint64_t count = 0;
    for (size_t i = 0; i < bytes.size; i++)
        count += (unsigned char)bytes.data[i] < 0x80;
    *ret_count = count;
    return bytes.size == 0 || (unsigned char)bytes.data[bytes.size - 1] < 0x80;
}

/* Bytes that a field's values take. False when it is of another wire type than the carrier. */
static bool field_size(const struct field *field, struct carrier carrier,
                       enum tensord_datatype datatype, uint64_t *ret_size)
{
    uint64_t width = datatype_size_bytes(datatype), count;
    if (field->wire != carrier.wire && field->wire != PB_WIRE_LENGTH)
        return false;
    if (datatype == TENSORD_BYTES) {
        *ret_size = sizeof(uint32_t) + field->value.size;
        return field->value.size <= UINT32_MAX;
    }
    if (carrier.wire != PB_WIRE_VARINT) {
        *ret_size = field->value.size;
        return field->value.size % width == 0;
    }
    if (!count_varints(field->value, &count))
        return false;
    *ret_size = count * width; /* of at most eight times the bytes that are there */
    return true;
}

bool contents_size(struct span contents, enum tensord_datatype datatype, uint64_t *ret_size_bytes,
                   struct error *ret_error)
{
    struct carrier carrier = carrier_of(datatype);
    uint64_t sum = 0, size;
    if (!carrier.number)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "%s values can only be sent in raw_input_contents",
                         datatype_name(datatype));
    while (contents.size) {
        struct field field = {0};
        if (!take_field(&contents, &field, ret_error))
            return false;
        if (field.number > LAST_CARRIER)
            continue; /* of a later version */
        if (field.number != carrier.number)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "the contents hold values of another datatype than %s",
                             datatype_name(datatype));
        if (!field_size(&field, carrier, datatype, &size))
            return malformed(ret_error);
        sum += size;
    }
    *ret_size_bytes = sum;
    return true;
}

/* ---- values ---- */

/* Whether the value fits a narrow integer that rides in one of 32 bits. */
static bool in_range(enum tensord_datatype datatype, uint64_t value)
{
    int32_t number = (int32_t)(uint32_t)value;
    switch (datatype) {
    case TENSORD_INT8:
        return number >= INT8_MIN && number <= INT8_MAX;
    case TENSORD_INT16:
        return number >= INT16_MIN && number <= INT16_MAX;
    case TENSORD_UINT8:
        return (uint32_t)value <= UINT8_MAX;
    case TENSORD_UINT16:
        return (uint32_t)value <= UINT16_MAX;
    default:
        return true;
    }
}

/* Writes varints as values of `width` bytes, of which *count were written before. */
static bool copy_varints(struct span from, enum tensord_datatype datatype, char *to,
                         uint64_t *count, struct error *ret_error)
{
    const char *at = from.data, *end = from.data + from.size;
    size_t width = datatype_size_bytes(datatype);
    for (; at < end; ++*count) {
        uint64_t value;
        if (!pb_varint_read(&at, end, &value))
            return malformed(ret_error);
        if (datatype == TENSORD_BOOL)
            value = value != 0;
        if (!in_range(datatype, value))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "value %llu of the contents does not fit %s",
                             (unsigned long long)*count, datatype_name(datatype));
        memcpy(to + *count * width, &value, width); /* little-endian: the low bytes come first */
    }
    return true;
}

static char *copy_bytes(struct span from, char *to)
{
    if (!from.size)
        return to;
    memcpy(to, from.data, from.size);
    return to + from.size;
}

bool contents_copy(struct span contents, enum tensord_datatype datatype, char *to,
                   struct error *ret_error)
{
    struct carrier carrier = carrier_of(datatype);
    uint64_t count = 0;
    while (contents.size) {
        struct field field = {0};
        if (!take_field(&contents, &field, ret_error))
            return false;
        if (field.number != carrier.number)
            continue;
        if (carrier.wire == PB_WIRE_VARINT) {
            if (!copy_varints(field.value, datatype, to, &count, ret_error))
                return false;
            continue;
        }
        const uint32_t length = (uint32_t)field.value.size;
        if (datatype == TENSORD_BYTES)
            to = copy_bytes((struct span){(const char *)&length, sizeof length}, to);
        to = copy_bytes(field.value, to);
    }
    return true;
}
