/* model.yaml by the field tables; see model_yaml.h. What is open stands in a fixed stack. */
#include "repository/model_yaml.h"
#include "codec/protobuf_scalar.h"
#include "codec/protobuf_slot.h"
#include "codec/suggest.h"
#include "codec/yaml_reader.h"

#include <assert.h>
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
    struct pb_field value; /* of a FRAME_MAP: the next value's, by the name in label */
    char label[160];       /* FIELD.KEY */
    uint64_t seen;         /* bit i: table->fields[i] was given */
};

struct reader {
    struct yaml_reader yaml;
    struct arena *arena;
    struct error *error;
    const struct model_yaml_target *targets;
    size_t target_count;
    size_t target;                         /* of the last key of the document itself */
    uint64_t seen[MODEL_YAML_MAX_TARGETS]; /* as a frame's, of the other targets */
    size_t depth; /* frames in use: as many as mappings and lists are open */
    struct frame frames[PB_MAX_DEPTH];
};

#define fail(reader, ...) yaml_reader_fail(&(reader)->yaml, __VA_ARGS__)

static bool is_map(const struct pb_field *field)
{
    return field->repeated && field->message && field->message->map_entry;
}

static bool unknown_key(struct reader *reader, const struct frame *frame, struct span key)
{
    char hint[96];
    return fail(reader, ERROR_INVALID_ARGUMENT, "unknown key '%.*s'%s", SPAN_ARGS(suggest_cut(key)),
                suggest_field(reader->depth == 1 ? reader->targets[0].table : frame->table, key,
                              hint, sizeof hint));
}

/* The document's frame turns to the target that has the key. */
static void choose_target(struct reader *reader, struct frame *frame, struct span key)
{
    for (size_t i = 0; i < reader->target_count; i++) {
        const struct model_yaml_target *target = &reader->targets[i];
        if (!pb_field_of_name(target->table, key))
            continue;
        reader->seen[reader->target] = frame->seen;
        frame->seen = reader->seen[i];
        frame->table = target->table;
        frame->message = target->message;
        reader->target = i;
        return;
    }
}

static bool read_field_key(struct reader *reader, struct frame *frame, struct span key)
{
    if (reader->depth == 1)
        choose_target(reader, frame, key);
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
static bool store_scalar(struct reader *reader, const struct pb_field *field, char *message,
                         struct span text)
{
    void *slot = pb_slot_add(field, message, reader->arena, 1);
    if (!slot)
        return error_no_memory(reader->error);
    if (field->type == PB_STRING && text.size && memchr(text.data, '\0', text.size))
        return fail(reader, ERROR_INVALID_ARGUMENT, "'%.*s' has a NUL character",
                    SPAN_ARGS(field->name));
    if (field->type == PB_STRING || field->type == PB_BYTES)
        return arena_copy(reader->arena, text, slot) || error_no_memory(reader->error);
    struct error error;
    return pb_scalar_read(field, text, slot, &error) ||
           fail(reader, error.code, "%s", error.message);
}

/* The next value is of that key: errors name both. */
static void name_value(struct frame *frame, struct span key)
{
    int size = snprintf(frame->label, sizeof frame->label, "%.*s.%.*s", SPAN_ARGS(frame->map->name),
                        SPAN_ARGS(suggest_cut(key)));
    size_t most = sizeof frame->label - 1;
    frame->value = frame->table->fields[1];
    frame->value.name = (struct span){frame->label, (size_t)size < most ? (size_t)size : most};
    frame->field = &frame->value;
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
    name_value(frame, key);
    return store_scalar(reader, key_field, frame->message, key);
}

/* ---- values ---- */

static void push(struct reader *reader, struct frame frame)
{
    assert(reader->depth < PB_MAX_DEPTH);
    reader->frames[reader->depth++] = frame;
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

static bool on_key(struct reader *reader, struct frame *frame, struct span key)
{
    return frame->kind == FRAME_MAP ? read_map_key(reader, frame, key)
                                    : read_field_key(reader, frame, key);
}

/* A value in a section's place is its first field, by the section's name. */
static bool on_short_section(struct reader *reader, const struct pb_field *field, char *message,
                             struct span text)
{
    const struct pb_field *first = &field->message->fields[0];
    if (first->repeated || first->type == PB_MESSAGE)
        return wrong_kind(reader, field, false);
    char *section = pb_slot_add(field, message, reader->arena, 1);
    struct pb_field named = *first;
    named.name = field->name;
    return section ? store_scalar(reader, &named, section, text) : error_no_memory(reader->error);
}

static bool on_scalar(struct reader *reader, struct frame *frame, struct span text)
{
    const struct pb_field *field = take_field(frame);
    bool in_list = frame->kind == FRAME_LIST;
    if (reader->target > 0 && field->type == PB_MESSAGE && !field->repeated)
        return on_short_section(reader, field, frame->message, text);
    if (field->type == PB_MESSAGE || (field->repeated && !in_list))
        return wrong_kind(reader, field, in_list);
    return store_scalar(reader, field, frame->message, text);
}

static bool on_list(struct reader *reader, struct frame *frame)
{
    const struct pb_field *field = take_field(frame);
    if (!field->repeated || is_map(field) || frame->kind == FRAME_LIST)
        return wrong_kind(reader, field, frame->kind == FRAME_LIST);
    push(reader,
         (struct frame){
             .kind = FRAME_LIST, .table = frame->table, .message = frame->message, .field = field});
    return true;
}

static bool on_mapping(struct reader *reader, struct frame *frame)
{
    const struct pb_field *field = take_field(frame);
    bool in_list = frame->kind == FRAME_LIST;
    if (is_map(field)) {
        push(reader, (struct frame){.kind = FRAME_MAP,
                                    .table = field->message,
                                    .map = field,
                                    .owner = frame->message});
        return true;
    }
    if (field->type != PB_MESSAGE || (field->repeated && !in_list))
        return wrong_kind(reader, field, in_list);
    char *message = pb_slot_add(field, frame->message, reader->arena, 1);
    if (!message)
        return error_no_memory(reader->error);
    push(reader,
         (struct frame){.kind = FRAME_MESSAGE, .table = field->message, .message = message});
    return true;
}

/* ---- the document ---- */

static bool on_item(struct reader *reader, const struct yaml_item *item, struct frame root)
{
    struct frame *frame = reader->depth ? &reader->frames[reader->depth - 1] : NULL;
    assert(frame || item->kind == YAML_ITEM_MAP || item->kind == YAML_ITEM_DONE);
    switch (item->kind) {
    case YAML_ITEM_KEY:
        return on_key(reader, frame, item->text);
    case YAML_ITEM_SCALAR:
        return on_scalar(reader, frame, item->text);
    case YAML_ITEM_LIST:
        return on_list(reader, frame);
    case YAML_ITEM_MAP:
        if (frame)
            return on_mapping(reader, frame);
        push(reader, root);
        return true;
    case YAML_ITEM_END:
        reader->depth--;
        return true;
    case YAML_ITEM_DONE:
        break;
    }
    return true;
}

bool model_yaml_read(const struct model_yaml_target *targets, size_t count, struct span text,
                     struct arena *arena, struct error *ret_error)
{
    const struct frame root = {
        .kind = FRAME_MESSAGE, .table = targets[0].table, .message = targets[0].message};
    struct reader reader;
    assert(count <= MODEL_YAML_MAX_TARGETS);
    reader.targets = targets;
    reader.target_count = count;
    reader.target = 0;
    memset(reader.seen, 0, sizeof reader.seen);
    struct yaml_item item = {.kind = YAML_ITEM_MAP};
    reader.arena = arena;
    reader.error = ret_error;
    reader.depth = 0;
    yaml_reader_init(&reader.yaml, text, PB_MAX_DEPTH, ret_error);
    bool good = true;
    while (good && item.kind != YAML_ITEM_DONE)
        good = yaml_reader_next(&reader.yaml, &item) && on_item(&reader, &item, root);
    yaml_reader_fini(&reader.yaml);
    return good;
}
