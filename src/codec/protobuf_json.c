/* Messages as JSON; see protobuf_json.h. One step writes a field, or begins the next message that
 * is in it, so that nothing recurses. */
#include "codec/protobuf_json.h"

#include "base/unset.h"
#include "codec/protobuf_slot.h"

#include <math.h>
#include <stdio.h>

enum { NUMBER_CHARS = 24 };

/* A message that is being written. */
struct frame {
    const struct pb_message *table;
    const char *message;
    size_t field;  /* the next one */
    uint32_t item; /* of a field of several messages: the next one */
};

struct writer {
    struct json_writer *json;
    struct frame frames[PB_MAX_DEPTH];
    size_t depth;
};

static void put_text(struct json_writer *json, struct span text)
{
    if (!json_put_string(json, text)) /* it was not decoded, and is no UTF-8 */
        json_put_string(json, SPAN(""));
}

static void put_nonfinite(struct json_writer *json, double value)
{
    json_put_string(json, isnan(value) ? SPAN("NaN")
                          : value > 0  ? SPAN("Infinity")
                                       : SPAN("-Infinity"));
}

static void put_enum(struct json_writer *json, const struct pb_enum *enumeration, int32_t number)
{
    for (size_t i = 0; i < enumeration->value_count; i++) {
        if (enumeration->values[i].number == number) {
            json_put_string(json, enumeration->values[i].name);
            return;
        }
    }
    json_put_i64(json, number);
}

static void put_scalar(struct json_writer *json, const struct pb_field *field, const void *value)
{
    switch (field->type) {
    case PB_BOOL:
        json_put_bool(json, *(const bool *)value);
        break;
    case PB_ENUM:
        put_enum(json, field->enumeration, *(const int32_t *)value);
        break;
    case PB_STRING:
        put_text(json, *(const struct span *)value);
        break;
    case PB_FLOAT:
        if (!json_put_float(json, *(const float *)value))
            put_nonfinite(json, (double)*(const float *)value);
        break;
    case PB_DOUBLE:
        if (!json_put_double(json, *(const double *)value))
            put_nonfinite(json, *(const double *)value);
        break;
    case PB_UINT64:
    case PB_FIXED64:
        json_put_u64(json, *(const uint64_t *)value);
        break;
    case PB_UINT32:
    case PB_FIXED32:
        json_put_u64(json, *(const uint32_t *)value);
        break;
    case PB_INT64:
    case PB_SFIXED64:
    case PB_SINT64:
        json_put_i64(json, *(const int64_t *)value);
        break;
    default:
        json_put_i64(json, *(const int32_t *)value);
        break;
    }
}

static void put_scalars(struct json_writer *json, const struct pb_field *field, const char *message)
{
    const void *values;
    uint32_t count = pb_slot_values(field, message, &values);
    size_t size = pb_value_size(field);
    json_put_key(json, field->name);
    if (!field->repeated) {
        put_scalar(json, field, values);
        return;
    }
    json_put_array(json);
    for (uint32_t i = 0; i < count; i++)
        put_scalar(json, field, (const char *)values + i * size);
    json_put_array_end(json);
}

/* Begins an object; false when there are too many inside one another. */
static bool enter(struct writer *writer, const struct pb_message *table, const char *message)
{
    if (writer->depth == PB_MAX_DEPTH)
        return false;
    json_put_object(writer->json);
    writer->frames[writer->depth++] = (struct frame){.table = table, .message = message};
    return true;
}

/* A number that is the key of a map's entry, as text. */
static void number_text(const struct pb_field *field, const void *key, char text[NUMBER_CHARS])
{
    bool wide = pb_value_size(field) == sizeof(uint64_t);
    bool is_unsigned = field->type == PB_UINT64 || field->type == PB_FIXED64 ||
                       field->type == PB_UINT32 || field->type == PB_FIXED32;
    if (is_unsigned)
        snprintf(text, NUMBER_CHARS, "%llu",
                 wide ? *(const unsigned long long *)key : *(const uint32_t *)key);
    else
        snprintf(text, NUMBER_CHARS, "%lld",
                 wide ? *(const long long *)key : *(const int32_t *)key);
}

/* The key of a map's entry, which is a string in JSON whatever it is in the map. */
static void put_map_key(struct json_writer *json, const struct pb_field *field, const char *entry)
{
    const void *key;
    char text[NUMBER_CHARS];
    pb_slot_values(field, entry, &key);
    if (field->type == PB_STRING) {
        if (!json_put_name(json, *(const struct span *)key))
            json_put_key(json, SPAN(""));
        return;
    }
    if (field->type == PB_BOOL)
        snprintf(text, sizeof text, "%s", *(const bool *)key ? "true" : "false");
    else
        number_text(field, key, text);
    json_put_key(json, span_of(text));
}

/* Writes the key of an entry and its value, or begins that. */
static bool put_entry(struct writer *writer, const struct pb_message *table, const char *entry)
{
    const struct pb_field *field = &table->fields[1];
    const void *value;
    put_map_key(writer->json, &table->fields[0], entry);
    pb_slot_values(field, entry, &value);
    if (field->type == PB_MESSAGE)
        return enter(writer, field->message, value);
    put_scalar(writer->json, field, value);
    return true;
}

/* Writes the beginning, the next message or the end of a field of several. */
static bool put_messages(struct writer *writer, struct frame *frame, const struct pb_field *field)
{
    const void *values;
    uint32_t count = pb_slot_values(field, frame->message, &values);
    bool map = field->message->map_entry;
    if (frame->item == 0) {
        json_put_key(writer->json, field->name);
        map ? json_put_object(writer->json) : json_put_array(writer->json);
    }
    if (frame->item == count) {
        map ? json_put_object_end(writer->json) : json_put_array_end(writer->json);
        frame->item = 0;
        frame->field++;
        return true;
    }
    const char *message = (const char *)values + frame->item++ * pb_value_size(field);
    return map ? put_entry(writer, field->message, message)
               : enter(writer, field->message, message);
}

static bool step(struct writer *writer, struct frame *frame)
{
    const struct pb_field *field = &frame->table->fields[frame->field];
    const void *value;
    if (field->type == PB_MESSAGE && field->repeated)
        return put_messages(writer, frame, field);
    frame->field++;
    bool may_be_absent =
        field->type == PB_MESSAGE || field->presence == PB_ONEOF || field->presence == PB_OPTIONAL;
    if (may_be_absent && !pb_slot_is_set(field, frame->message))
        return true;
    if (field->type != PB_MESSAGE) {
        put_scalars(writer->json, field, frame->message);
        return true;
    }
    json_put_key(writer->json, field->name);
    pb_slot_values(field, frame->message, &value);
    return enter(writer, field->message, value);
}

bool pb_json_write(const struct pb_message *table, const void *message, struct json_writer *json)
{
    struct writer writer UNSET;
    writer.json = json;
    writer.depth = 0;
    bool good = enter(&writer, table, message);
    while (good && writer.depth > 0) {
        struct frame *frame = &writer.frames[writer.depth - 1];
        if (frame->field == frame->table->field_count) {
            json_put_object_end(json);
            writer.depth--;
        } else {
            good = step(&writer, frame);
        }
    }
    return good;
}
