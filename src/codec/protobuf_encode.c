/* The wire format's writer; see pb_encode in protobuf.h.
 *
 * A message's length stands before it and is known after it. One byte is left for it, which is
 * enough for nearly all; a longer message is moved when it ends. Measuring is the same walk without
 * a buffer. Nothing recurses. */
#include "codec/protobuf.h"

#include "base/unset.h"
#include "codec/protobuf_slot.h"
#include "codec/protobuf_wire.h"

struct frame {
    const struct pb_message *table;
    const char *message;
    size_t field;  /* index, the next one */
    uint32_t item; /* of a repeated field of messages, the next one */
    size_t start;  /* where the message's bytes begin */
};

struct encoder {
    struct buf *buf; /* NULL: only measure */
    size_t size;     /* bytes so far */
    bool failed;
    size_t depth; /* frames in use */
    struct frame frames[PB_MAX_DEPTH];
};

static void put(struct encoder *encoder, const void *bytes, size_t size)
{
    encoder->size += size;
    if (encoder->buf)
        buf_append(encoder->buf, (struct span){bytes, size});
}

static void put_varint(struct encoder *encoder, uint64_t value)
{
    char bytes[PB_VARINT_MAX];
    put(encoder, bytes, pb_varint_write(bytes, value));
}

static void put_tag(struct encoder *encoder, const struct pb_field *field, enum pb_wire wire)
{
    put_varint(encoder, (uint64_t)field->number << 3 | wire);
}

static uint64_t zigzag(int64_t number)
{
    return (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0);
}

/* A number of varint kind as the 64 bits that go onto the wire. */
static uint64_t varint_of(const struct pb_field *field, const void *value)
{
    int64_t number;
    switch (field->type) {
    case PB_BOOL:
        return *(const bool *)value;
    case PB_UINT32:
        return *(const uint32_t *)value;
    case PB_INT64:
    case PB_UINT64:
        return *(const uint64_t *)value;
    case PB_SINT64:
        number = *(const int64_t *)value;
        return zigzag(number);
    case PB_SINT32:
        number = *(const int32_t *)value;
        return (uint32_t)zigzag(number);
    default: /* PB_INT32, PB_ENUM: sign-extended */
        return (uint64_t)(int64_t)*(const int32_t *)value;
    }
}

static void put_value(struct encoder *encoder, const struct pb_field *field, const void *value)
{
    switch (pb_wire_of_type(field->type)) {
    case PB_WIRE_VARINT:
        put_varint(encoder, varint_of(field, value));
        break;
    case PB_WIRE_LENGTH: {
        const struct span *bytes = value;
        put_varint(encoder, bytes->size);
        put(encoder, bytes->data, bytes->size);
        break;
    }
    default:
        put(encoder, value, pb_value_size(field));
        break;
    }
}

static void put_packed(struct encoder *encoder, const struct pb_field *field, const char *values,
                       uint32_t count)
{
    size_t size = pb_value_size(field), length = 0;
    bool varints = pb_wire_of_type(field->type) == PB_WIRE_VARINT;
    if (!varints)
        length = count * size;
    for (uint32_t i = 0; varints && i < count; i++)
        length += pb_varint_size(varint_of(field, values + i * size));
    put_tag(encoder, field, PB_WIRE_LENGTH);
    put_varint(encoder, length);
    if (!varints)
        put(encoder, values, length);
    for (uint32_t i = 0; varints && i < count; i++)
        put_varint(encoder, varint_of(field, values + i * size));
}

/* Writes a field of strings, bytes or numbers. */
static void put_field(struct encoder *encoder, const struct pb_field *field, const char *message)
{
    const void *values;
    uint32_t count = pb_slot_values(field, message, &values);
    if (field->repeated && pb_type_is_packed(field->type)) {
        put_packed(encoder, field, values, count);
        return;
    }
    size_t size = pb_value_size(field);
    for (uint32_t i = 0; i < count; i++) {
        put_tag(encoder, field, pb_wire_of_type(field->type));
        put_value(encoder, field, (const char *)values + i * size);
    }
}

/* Begins a nested message: its tag, and one byte for its length. */
static void enter(struct encoder *encoder, const struct pb_field *field, const char *message)
{
    if (encoder->depth == PB_MAX_DEPTH) {
        encoder->failed = true;
        return;
    }
    put_tag(encoder, field, PB_WIRE_LENGTH);
    put(encoder, "", 1);
    encoder->frames[encoder->depth++] =
        (struct frame){.table = field->message, .message = message, .start = encoder->size};
}

/* Ends a nested message: writes its length into the byte before it, or moves it for a longer one.
 */
static void leave(struct encoder *encoder)
{
    const struct frame *frame = &encoder->frames[--encoder->depth];
    if (encoder->depth == 0)
        return;
    size_t length = encoder->size - frame->start, extra = pb_varint_size(length) - 1;
    encoder->size += extra;
    if (!encoder->buf || !buf_reserve(encoder->buf, extra))
        return;
    char *start = encoder->buf->data + encoder->buf->size - length;
    if (extra)
        memmove(start + extra, start, length);
    pb_varint_write(start - 1, length);
    encoder->buf->size += extra;
}

/* Writes the innermost message's next field, or the next message of a field of messages. */
static void step(struct encoder *encoder, struct frame *frame)
{
    const struct pb_field *field = &frame->table->fields[frame->field];
    if (!pb_slot_is_set(field, frame->message)) {
        frame->field++;
        return;
    }
    if (field->type != PB_MESSAGE) {
        frame->field++;
        put_field(encoder, field, frame->message);
        return;
    }
    const void *values;
    uint32_t count = pb_slot_values(field, frame->message, &values);
    const char *message = (const char *)values + frame->item * pb_value_size(field);
    if (++frame->item >= count) {
        frame->item = 0;
        frame->field++;
    }
    enter(encoder, field, message);
}

static bool encode(const struct pb_message *table, const void *message, struct buf *buf,
                   size_t *ret_size)
{
    struct encoder encoder UNSET;
    encoder.buf = buf;
    encoder.size = 0;
    encoder.failed = false;
    encoder.depth = 1;
    encoder.frames[0] = (struct frame){.table = table, .message = message};
    while (encoder.depth > 0 && !encoder.failed) {
        struct frame *frame = &encoder.frames[encoder.depth - 1];
        if (frame->field == frame->table->field_count)
            leave(&encoder);
        else
            step(&encoder, frame);
    }
    *ret_size = encoder.size;
    return !encoder.failed && (!buf || buf_ok(buf));
}

bool pb_encode(const struct pb_message *table, const void *message, struct buf *buf)
{
    size_t size;
    return encode(table, message, buf, &size);
}

size_t pb_encoded_size(const struct pb_message *table, const void *message)
{
    size_t size;
    encode(table, message, NULL, &size);
    return size;
}

bool pb_encode_bytes_head(struct buf *buf, uint32_t number, uint64_t size)
{
    char head[2 * PB_VARINT_MAX];
    size_t length = pb_varint_write(head, (uint64_t)number << 3 | PB_WIRE_LENGTH);
    length += pb_varint_write(head + length, size);
    return buf_append(buf, (struct span){head, length});
}
