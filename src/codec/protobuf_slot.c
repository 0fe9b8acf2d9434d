/* Access to the fields of a message; see protobuf_slot.h.
 *
 * Pointers are copied in and out by memcpy: the structs' members are typed pointers, and reading
 * one through a void * lvalue would break C's aliasing rules. */
#include "codec/protobuf_slot.h"

#include <assert.h>

static void *pointer_read(const void *from)
{
    void *pointer;
    memcpy(&pointer, from, sizeof pointer);
    return pointer;
}

static void pointer_write(void *to, void *pointer)
{
    memcpy(to, &pointer, sizeof pointer);
}

size_t pb_value_size(const struct pb_field *field)
{
    switch (field->type) {
    case PB_BOOL:
        return sizeof(bool);
    case PB_STRING:
    case PB_BYTES:
        return sizeof(struct span);
    case PB_MESSAGE:
        return field->message->size_bytes;
    case PB_FLOAT:
    case PB_INT32:
    case PB_UINT32:
    case PB_FIXED32:
    case PB_SFIXED32:
    case PB_SINT32:
    case PB_ENUM:
        return 4;
    default:
        return 8;
    }
}

/* The message of a field that is not repeated, made when it is not there yet. */
static void *nested_message(const struct pb_field *field, char *message, struct arena *arena)
{
    void *nested = pointer_read(message + field->offset);
    if (!nested) {
        nested = arena_calloc(arena, 1, field->message->size_bytes);
        if (nested)
            pointer_write(message + field->offset, nested);
    }
    return nested;
}

/* The value of a map's entry is always there. */
static bool entry_complete(const struct pb_message *entry, char *message, struct arena *arena)
{
    const struct pb_field *value = &entry->fields[1];
    return value->type != PB_MESSAGE || nested_message(value, message, arena) != NULL;
}

/* Doubles the room, or takes exactly what is asked for when that is more. */
static bool list_reserve(struct pb_list *list, struct arena *arena, uint32_t count, size_t size)
{
    uint32_t wanted;
    if (__builtin_add_overflow(list->count, count, &wanted))
        return false;
    if (wanted <= list->capacity)
        return true;
    uint32_t doubled = list->capacity > UINT32_MAX / 2 ? UINT32_MAX : list->capacity * 2;
    uint32_t capacity = wanted > doubled ? wanted : doubled;
    size_t bytes;
    if (__builtin_mul_overflow((size_t)capacity, size, &bytes))
        return false;
    char *items = arena_alloc(arena, bytes);
    if (!items)
        return false;
    if (list->count)
        memcpy(items, list->items, list->count * size);
    list->items = items;
    list->capacity = capacity;
    return true;
}

static void *list_add(const struct pb_field *field, char *at, struct arena *arena, uint32_t count)
{
    struct pb_list list;
    size_t size = pb_value_size(field);
    memcpy(&list, at, sizeof list);
    if (!list_reserve(&list, arena, count, size))
        return NULL;
    char *values = list.items + list.count * size;
    memset(values, 0, count * size);
    if (field->message && field->message->map_entry &&
        !entry_complete(field->message, values, arena))
        return NULL;
    list.count += count;
    memcpy(at, &list, sizeof list);
    return values;
}

/* Marks a field as set. A choice of a oneof that was not set before starts cleared, since the union
 * may hold another one's value. */
static void mark_set(const struct pb_field *field, char *message)
{
    char *presence = message + field->presence_offset;
    if (field->presence == PB_OPTIONAL) {
        *(bool *)(void *)presence = true;
    } else if (field->presence == PB_ONEOF && *(uint32_t *)(void *)presence != field->number) {
        *(uint32_t *)(void *)presence = field->number;
        size_t size = field->type == PB_MESSAGE ? sizeof(void *) : pb_value_size(field);
        memset(message + field->offset, 0, size);
    }
}

void *pb_slot_add(const struct pb_field *field, void *message, struct arena *arena, uint32_t count)
{
    char *base = message;
    if (field->repeated)
        return list_add(field, base + field->offset, arena, count);
    assert(count == 1);
    mark_set(field, base);
    if (field->type == PB_MESSAGE)
        return nested_message(field, base, arena);
    return base + field->offset;
}

static bool is_zero(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

bool pb_slot_is_set(const struct pb_field *field, const void *message)
{
    const char *base = message, *at = base + field->offset;
    if (field->repeated) {
        struct pb_list list;
        memcpy(&list, at, sizeof list);
        return list.count > 0;
    }
    const char *presence = base + field->presence_offset;
    if (field->presence == PB_OPTIONAL)
        return *(const bool *)(const void *)presence;
    if (field->presence == PB_ONEOF && *(const uint32_t *)(const void *)presence != field->number)
        return false;
    if (field->type == PB_MESSAGE)
        return pointer_read(at) != NULL;
    if (field->presence != PB_IMPLICIT)
        return true;
    if (field->type == PB_STRING || field->type == PB_BYTES)
        return ((const struct span *)(const void *)at)->size > 0;
    return !is_zero(at, pb_value_size(field));
}

uint32_t pb_slot_values(const struct pb_field *field, const void *message, const void **ret_values)
{
    const char *at = (const char *)message + field->offset;
    if (field->repeated) {
        struct pb_list list;
        memcpy(&list, at, sizeof list);
        *ret_values = list.items;
        return list.count;
    }
    *ret_values = field->type == PB_MESSAGE ? pointer_read(at) : at;
    return 1;
}
