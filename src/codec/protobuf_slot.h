/* Reaching the fields of a message through its table: where values are put and found, whatever
 * the format that they come from or go to. */
#ifndef TENSORD_CODEC_PROTOBUF_SLOT_H
#define TENSORD_CODEC_PROTOBUF_SLOT_H

#include "codec/protobuf.h"

/* A repeated field. Every one has this layout, with a type of its own for items; therefore it is
 * copied in and out. */
struct pb_list {
    uint32_t count;
    uint32_t capacity;
    char *items;
};

/* Bytes of one value of the field, in an array of them. */
size_t pb_value_size(const struct pb_field *field);

/* Makes room for `count` more values of a repeated field, or for the one value of another field
 * (count 1), marks the field as set and returns where the values go: cleared when new. A message
 * field that is set already keeps its value, so that two parts of it are merged. NULL when the
 * arena is full. */
void *pb_slot_add(const struct pb_field *field, void *message, struct arena *arena, uint32_t count);

/* Whether a field is set, as its presence says; a repeated one: whether it has values. */
bool pb_slot_is_set(const struct pb_field *field, const void *message);

/* The values of a field that is set: *ret_values and how many. */
uint32_t pb_slot_values(const struct pb_field *field, const void *message, const void **ret_values);

#endif
