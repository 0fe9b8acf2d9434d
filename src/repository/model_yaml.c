/* model.yaml over libyaml's events and the field tables; see model_yaml.h.
 *
 * What is open stands in a fixed stack. No tree is built, and an alias, which would let a small
 * file stand for a huge tree, is refused. */
#include "repository/model_yaml.h"
#include "codec/protobuf_scalar.h"
#include "codec/protobuf_slot.h"
#include "codec/suggest.h"

#include <yaml.h>

#include <stdarg.h>
#include <stdio.h>

enum { MAX_MAP_ENTRIES = 1024 };

/* Something that is open. */
struct frame {
    enum frame_kind {
        FRAME_MESSAGE, /* a mapping of fields to values */
        FRAME_LIST,    /* a sequence of a field's values */
        FRAME_MAP,     /* a mapping that is a map field */
    } kind;
    const struct pb_message *table; /* of message */
    char *message;                  /* whose field the next value is; in a map, the newest entry */
    const struct pb_field *field;   /* of the next value; NULL: a key comes next */
    const struct pb_field *map;     /* of a FRAME_MAP, in owner */
    char *owner;
    uint64_t seen; /* bit i: table->fields[i] was given */
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    struct arena *arena;
    struct error *error;
    size_t depth; /* frames in use */
    struct frame frames[PB_MAX_DEPTH];
};

/* Sections of later versions, refused with a sentence of their own. */
static const char *const later_sections[] = {
    "python", "server", "steps", "rollout", "sandbox", "residency",
};

static bool fail(struct reader *reader, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail(struct reader *reader, enum error_code code, const char *format, ...)
{
    char sentence[400];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return error_set(reader->error, code, "line %zu: %s", reader->event.start_mark.line + 1,
                     sentence);
}

static struct span event_text(const struct reader *reader)
{
    return (struct span){(const char *)reader->event.data.scalar.value,
                         reader->event.data.scalar.length};
}

static bool is_map(const struct pb_field *field)
{
    return field->repeated && field->message && field->message->map_entry;
}

static bool unknown_key(struct reader *reader, const struct frame *frame, struct span key)
{
    for (size_t i = 0; reader->depth == 1 && i < sizeof later_sections / sizeof *later_sections;
         i++) {
        if (span_equal(key, span_of(later_sections[i])))
            return fail(reader, ERROR_UNIMPLEMENTED,
                        "section '%s' is not supported by this version", later_sections[i]);
    }
    char hint[96];
    return fail(reader, ERROR_INVALID_ARGUMENT, "unknown key '%.*s'%s", SPAN_ARGS(suggest_cut(key)),
                suggest_field(frame->table, key, hint, sizeof hint));
}

static bool read_field_key(struct reader *reader, struct frame *frame, struct span key)
{
    const struct pb_field *field = pb_field_of_name(frame->table, key);
    if (!field)
        return unknown_key(reader, frame, key);
    uint64_t bit = UINT64_C(1) << ((size_t)(field - frame->table->fields) % 64);
    if (frame->seen & bit)
        return fail(reader, ERROR_INVALID_ARGUMENT, "key '%.*s' is given twice", SPAN_ARGS(key));
    if (field->presence == PB_ONEOF &&
        *(uint32_t *)(void *)(frame->message + field->presence_offset) != 0)
        return fail(reader, ERROR_INVALID_ARGUMENT, "'%.*s' excludes another choice that is given",
                    SPAN_ARGS(key));
    frame->seen |= bit;
    frame->field = field;
    return true;
}

/* Stores the scalar as the value of a field. */
static bool store_scalar(struct reader *reader, const struct pb_field *field, char *message)
{
    struct span text = event_text(reader);
    void *slot = pb_slot_add(field, message, reader->arena, 1);
    if (!slot)
        return error_no_memory(reader->error);
    if (field->type == PB_STRING || field->type == PB_BYTES)
        return arena_copy(reader->arena, text, slot) || error_no_memory(reader->error);
    struct error error;
    return pb_scalar_read(field, text, slot, &error) ||
           fail(reader, error.code, "%s", error.message);
}

/* Begins an entry of a map: stores its key, after which its value comes. */
static bool read_map_key(struct reader *reader, struct frame *frame, struct span key)
{
    const void *values;
    uint32_t count = pb_slot_values(frame->map, frame->owner, &values);
    const struct pb_field *key_field = &frame->table->fields[0];
    for (uint32_t i = 0; key_field->type == PB_STRING && i < count; i++) {
        const char *entry = (const char *)values + i * frame->table->size_bytes;
        if (span_equal(*(const struct span *)(const void *)(entry + key_field->offset), key))
            return fail(reader, ERROR_INVALID_ARGUMENT, "key '%.*s' is given twice",
                        SPAN_ARGS(suggest_cut(key)));
    }
    if (count == MAX_MAP_ENTRIES)
        return fail(reader, ERROR_INVALID_ARGUMENT, "'%.*s' has more than %d entries",
                    SPAN_ARGS(frame->map->name), MAX_MAP_ENTRIES);
    frame->message = pb_slot_add(frame->map, frame->owner, reader->arena, 1);
    if (!frame->message)
        return error_no_memory(reader->error);
    frame->field = &frame->table->fields[1];
    return store_scalar(reader, key_field, frame->message);
}

/* ---- values ---- */

static bool push(struct reader *reader, struct frame frame)
{
    if (reader->depth == PB_MAX_DEPTH)
        return fail(reader, ERROR_INVALID_ARGUMENT, "values nest too deep");
    reader->frames[reader->depth++] = frame;
    return true;
}

/* Takes the field that the value which comes now is for; a list keeps it for the next value. */
static const struct pb_field *take_field(struct frame *frame)
{
    const struct pb_field *field = frame->field;
    if (frame->kind != FRAME_LIST)
        frame->field = NULL;
    return field;
}

static bool wrong_kind(struct reader *reader, const struct pb_field *field, bool in_list)
{
    const char *expected = is_map(field)                 ? "a mapping"
                           : field->repeated && !in_list ? "a list"
                           : field->type == PB_MESSAGE   ? "a mapping"
                                                         : "a single value";
    return fail(reader, ERROR_INVALID_ARGUMENT, "'%.*s' must be %s", SPAN_ARGS(field->name),
                expected);
}

static bool on_scalar(struct reader *reader, struct frame *frame)
{
    if (!frame->field) {
        struct span key = event_text(reader);
        return frame->kind == FRAME_MAP ? read_map_key(reader, frame, key)
                                        : read_field_key(reader, frame, key);
    }
    const struct pb_field *field = take_field(frame);
    bool in_list = frame->kind == FRAME_LIST;
    if (field->type == PB_MESSAGE || (field->repeated && !in_list))
        return wrong_kind(reader, field, in_list);
    return store_scalar(reader, field, frame->message);
}

static bool on_sequence(struct reader *reader, struct frame *frame)
{
    if (!frame->field)
        return fail(reader, ERROR_INVALID_ARGUMENT, "a key must be a single value");
    const struct pb_field *field = take_field(frame);
    if (!field->repeated || is_map(field) || frame->kind == FRAME_LIST)
        return wrong_kind(reader, field, frame->kind == FRAME_LIST);
    return push(reader, (struct frame){.kind = FRAME_LIST,
                                       .table = frame->table,
                                       .message = frame->message,
                                       .field = field});
}

static bool on_mapping(struct reader *reader, struct frame *frame)
{
    if (!frame->field)
        return fail(reader, ERROR_INVALID_ARGUMENT, "a key must be a single value");
    const struct pb_field *field = take_field(frame);
    bool in_list = frame->kind == FRAME_LIST;
    if (is_map(field))
        return push(reader, (struct frame){.kind = FRAME_MAP,
                                           .table = field->message,
                                           .map = field,
                                           .owner = frame->message});
    if (field->type != PB_MESSAGE || (field->repeated && !in_list))
        return wrong_kind(reader, field, in_list);
    char *message = pb_slot_add(field, frame->message, reader->arena, 1);
    if (!message)
        return error_no_memory(reader->error);
    return push(reader,
                (struct frame){.kind = FRAME_MESSAGE, .table = field->message, .message = message});
}

/* ---- the document ---- */

/* The outermost value: a mapping, or nothing at all. */
static bool on_root(struct reader *reader, const struct pb_message *table, char *message)
{
    bool nothing = reader->event.type == YAML_SCALAR_EVENT && event_text(reader).size == 0;
    if (nothing)
        return true;
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return fail(reader, ERROR_INVALID_ARGUMENT, "the file must be a mapping of keys to values");
    return push(reader, (struct frame){.kind = FRAME_MESSAGE, .table = table, .message = message});
}

/* Refuses what makes a document more than a tree of values. */
static bool check_plain(struct reader *reader)
{
    const yaml_event_t *event = &reader->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return fail(reader, ERROR_INVALID_ARGUMENT, "anchors and aliases are not supported");
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor, tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor, tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor, tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return fail(reader, ERROR_INVALID_ARGUMENT, "anchors and aliases are not supported");
    return !tag || fail(reader, ERROR_INVALID_ARGUMENT, "tags are not supported");
}

static bool on_value(struct reader *reader, const struct pb_message *table, char *message)
{
    if (!check_plain(reader))
        return false;
    if (reader->depth == 0)
        return on_root(reader, table, message);
    struct frame *frame = &reader->frames[reader->depth - 1];
    switch (reader->event.type) {
    case YAML_SEQUENCE_START_EVENT:
        return on_sequence(reader, frame);
    case YAML_MAPPING_START_EVENT:
        return on_mapping(reader, frame);
    default:
        return on_scalar(reader, frame);
    }
}

static bool on_event(struct reader *reader, const struct pb_message *table, char *message,
                     size_t *documents)
{
    switch (reader->event.type) {
    case YAML_DOCUMENT_START_EVENT:
        return ++*documents == 1 ||
               fail(reader, ERROR_INVALID_ARGUMENT, "there is more than one document");
    case YAML_ALIAS_EVENT:
    case YAML_SCALAR_EVENT:
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return on_value(reader, table, message);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        reader->depth--;
        return true;
    default:
        return true;
    }
}

static bool parser_failed(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return error_no_memory(reader->error);
    return error_set(reader->error, ERROR_INVALID_ARGUMENT, "line %zu: %s",
                     parser->problem_mark.line + 1, parser->problem ? parser->problem : "not YAML");
}

static bool read_events(struct reader *reader, const struct pb_message *table, char *message)
{
    size_t documents = 0;
    for (bool end = false; !end;) {
        if (!yaml_parser_parse(&reader->parser, &reader->event))
            return parser_failed(reader);
        end = reader->event.type == YAML_STREAM_END_EVENT;
        bool ok = on_event(reader, table, message, &documents);
        yaml_event_delete(&reader->event);
        if (!ok)
            return false;
    }
    return true;
}

bool model_yaml_read(const struct pb_message *table, struct span text, struct arena *arena,
                     void *message, struct error *ret_error)
{
    struct reader reader;
    reader.arena = arena;
    reader.error = ret_error;
    reader.depth = 0;
    if (!yaml_parser_initialize(&reader.parser))
        return error_no_memory(ret_error);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser,
                                 (const unsigned char *)(text.data ? text.data : ""), text.size);
    bool ok = read_events(&reader, table, message);
    yaml_parser_delete(&reader.parser);
    return ok;
}
