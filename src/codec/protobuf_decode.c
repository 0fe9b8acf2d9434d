/* The wire format's reader; see pb_decode in protobuf.h.
 *
 * One loop over the bytes; nested messages are entered by pushing where the outer one ends, so that
 * hostile nesting costs a row of a fixed stack and no C stack. A known field of the wrong wire type
 * is refused rather than skipped: it is always a client's mistake, and saying so helps. */
#include "base/utf8.h"
#include "codec/protobuf.h"

#include "base/unset.h"
#include "codec/protobuf_slot.h"
#include "codec/protobuf_wire.h"

struct frame {
    const struct pb_message *table;
    void *message;
    const char *end;
};

struct decoder {
    const char *at, *end; /* end of the innermost message */
    const char *start;
    struct arena *arena;
    const struct pb_message *root;
    struct error *error;
    size_t depth; /* of the innermost frame */
    struct frame frames[PB_MAX_DEPTH];
};

const struct pb_field *pb_field_of_number(const struct pb_message *table, uint32_t number)
{
    if (number - 1 < table->dense)
        return &table->fields[number - 1];
    for (size_t i = table->dense; i < table->field_count; i++) {
        if (table->fields[i].number == number)
            return &table->fields[i];
    }
    return NULL;
}

const struct pb_field *pb_field_of_name(const struct pb_message *table, struct span name)
{
    for (size_t i = 0; i < table->field_count; i++) {
        if (span_equal(table->fields[i].name, name))
            return &table->fields[i];
    }
    return NULL;
}

/* Fails at the current byte; field may be NULL. */
static bool fail(struct decoder *decoder, const struct pb_field *field, const char *what)
{
    struct span name = field ? field->name : SPAN("message");
    return error_set(decoder->error, ERROR_INVALID_ARGUMENT,
                     "cannot read %.*s: %.*s: %s at byte %zu", SPAN_ARGS(decoder->root->name),
                     SPAN_ARGS(name), what, (size_t)(decoder->at - decoder->start));
}

static bool read_length(struct decoder *decoder, const struct pb_field *field, size_t *ret_length)
{
    uint64_t length;
    if (!pb_varint_read(&decoder->at, decoder->end, &length))
        return fail(decoder, field, "bad length");
    if (length > (size_t)(decoder->end - decoder->at))
        return fail(decoder, field, "length passes the end");
    *ret_length = (size_t)length;
    return true;
}

/* Skips the value of an unknown field, whose tag was read. */
static bool skip(struct decoder *decoder, enum pb_wire wire)
{
    uint64_t value;
    size_t size = 0;
    switch (wire) {
    case PB_WIRE_VARINT:
        return pb_varint_read(&decoder->at, decoder->end, &value) ||
               fail(decoder, NULL, "bad varint");
    case PB_WIRE_LENGTH:
        if (!read_length(decoder, NULL, &size))
            return false;
        break;
    case PB_WIRE_64:
    case PB_WIRE_32:
        size = wire == PB_WIRE_64 ? 8 : 4;
        if ((size_t)(decoder->end - decoder->at) < size)
            return fail(decoder, NULL, "number passes the end");
        break;
    default:
        return fail(decoder, NULL, "groups are not supported");
    }
    decoder->at += size;
    return true;
}

static int64_t zigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ -(value & 1));
}

/* Stores a varint as the field's C type; larger ones lose their high bits, as the format says. */
static void store_varint(const struct pb_field *field, void *to, uint64_t value)
{
    switch (field->type) {
    case PB_BOOL:
        *(bool *)to = value != 0;
        break;
    case PB_SINT64:
        *(int64_t *)to = zigzag(value);
        break;
    case PB_INT64:
        *(int64_t *)to = (int64_t)value;
        break;
    case PB_UINT64:
        *(uint64_t *)to = value;
        break;
    case PB_SINT32:
        *(int32_t *)to = (int32_t)zigzag((uint32_t)value);
        break;
    case PB_UINT32:
        *(uint32_t *)to = (uint32_t)value;
        break;
    default: /* PB_INT32, PB_ENUM */
        *(int32_t *)to = (int32_t)(uint32_t)value;
        break;
    }
}

/* Reads one number into `to`. Fixed-width numbers are little-endian, as this machine is. */
static bool read_number(struct decoder *decoder, const struct pb_field *field, void *to)
{
    if (pb_wire_of_type(field->type) == PB_WIRE_VARINT) {
        uint64_t value;
        if (!pb_varint_read(&decoder->at, decoder->end, &value))
            return fail(decoder, field, "bad varint");
        store_varint(field, to, value);
        return true;
    }
    size_t size = pb_value_size(field);
    if ((size_t)(decoder->end - decoder->at) < size)
        return fail(decoder, field, "number passes the end");
    memcpy(to, decoder->at, size);
    decoder->at += size;
    return true;
}

/* How many varints end in these bytes: those without the continuation bit. */
static size_t count_varints(const char *at, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += (unsigned char)at[i] < 0x80;
    return count;
}

/* Reads a packed field, whose length bytes start here, into an array that is allocated once. */
static bool read_packed(struct decoder *decoder, const struct pb_field *field, void *message,
                        size_t length)
{
    size_t size = pb_value_size(field), count;
    bool varints = pb_wire_of_type(field->type) == PB_WIRE_VARINT;
    if (!varints && length % size)
        return fail(decoder, field, "length is no multiple of the number's size");
    count = varints ? count_varints(decoder->at, length) : length / size;
    const char *end = decoder->at + length;
    if (varints && length && (unsigned char)end[-1] >= 0x80)
        return fail(decoder, field, "bad varint");
    if (count == 0)
        return true;
    char *values =
        count > UINT32_MAX ? NULL : pb_slot_add(field, message, decoder->arena, (uint32_t)count);
    if (!values)
        return error_no_memory(decoder->error);
    if (!varints) {
        memcpy(values, decoder->at, length);
        decoder->at = end;
        return true;
    }
    for (; decoder->at < end; values += size) {
        if (!read_number(decoder, field, values))
            return false;
    }
    return true;
}

/* Enters a nested message of `length` bytes that starts here. */
static bool enter(struct decoder *decoder, const struct pb_field *field, void *message,
                  size_t length)
{
    if (decoder->depth + 1 == PB_MAX_DEPTH)
        return fail(decoder, field, "messages nest too deep");
    decoder->end = decoder->at + length;
    decoder->frames[++decoder->depth] = (struct frame){field->message, message, decoder->end};
    return true;
}

/* Reads a length-delimited value that is not packed. */
static bool read_delimited(struct decoder *decoder, const struct pb_field *field, void *message,
                           size_t length)
{
    struct span bytes = {decoder->at, length};
    if (field->type == PB_STRING && !utf8_valid(bytes))
        return fail(decoder, field, "string is not UTF-8");
    void *slot = pb_slot_add(field, message, decoder->arena, 1);
    if (!slot)
        return error_no_memory(decoder->error);
    if (field->type == PB_MESSAGE)
        return enter(decoder, field, slot, length);
    *(struct span *)slot = bytes;
    decoder->at += length;
    return true;
}

static bool read_field(struct decoder *decoder, const struct pb_field *field, enum pb_wire wire,
                       void *message)
{
    enum pb_wire natural = pb_wire_of_type(field->type);
    bool packed = field->repeated && wire == PB_WIRE_LENGTH && natural != PB_WIRE_LENGTH;
    if (wire != natural && !packed)
        return fail(decoder, field, "wrong wire type");
    if (wire == PB_WIRE_LENGTH) {
        size_t length = 0;
        if (!read_length(decoder, field, &length))
            return false;
        return packed ? read_packed(decoder, field, message, length)
                      : read_delimited(decoder, field, message, length);
    }
    void *slot = pb_slot_add(field, message, decoder->arena, 1);
    if (!slot)
        return error_no_memory(decoder->error);
    return read_number(decoder, field, slot);
}

bool pb_decode(const struct pb_message *table, struct span bytes, struct arena *arena,
               void *ret_message, struct error *ret_error)
{
    if (!bytes.data)
        bytes.data = "";
    struct decoder decoder UNSET;
    decoder.at = decoder.start = bytes.data;
    decoder.end = bytes.data + bytes.size;
    decoder.arena = arena;
    decoder.root = table;
    decoder.error = ret_error;
    decoder.depth = 0;
    decoder.frames[0] = (struct frame){table, ret_message, decoder.end};
    memset(ret_message, 0, table->size_bytes);
    for (;;) {
        struct frame *frame = &decoder.frames[decoder.depth];
        if (decoder.at == frame->end) {
            if (decoder.depth == 0)
                return true;
            decoder.end = decoder.frames[--decoder.depth].end;
            continue;
        }
        uint64_t tag;
        if (!pb_varint_read(&decoder.at, decoder.end, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
            return fail(&decoder, NULL, "bad tag");
        const struct pb_field *field = pb_field_of_number(frame->table, (uint32_t)(tag >> 3));
        if (!(field ? read_field(&decoder, field, tag & 7, frame->message)
                    : skip(&decoder, tag & 7)))
            return false;
    }
}
