/* The wire format's small change: varints, tags and wire types. */
#ifndef TENSORD_CODEC_PROTOBUF_WIRE_H
#define TENSORD_CODEC_PROTOBUF_WIRE_H

#include "codec/protobuf.h"

enum pb_wire {
    PB_WIRE_VARINT = 0,
    PB_WIRE_64 = 1,
    PB_WIRE_LENGTH = 2,
    PB_WIRE_GROUP = 3,
    PB_WIRE_GROUP_END = 4,
    PB_WIRE_32 = 5,
};

/* Reads a varint off *at. False when it passes `end` or does not fit 64 bits. */
static inline bool pb_varint_read(const char **at, const char *end, uint64_t *ret_value)
{
    const char *from = *at;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (from == end)
            return false;
        unsigned char byte = (unsigned char)*from++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *at = from;
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* The bytes that a value takes as a varint. */
static inline size_t pb_varint_size(uint64_t value)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

/* Writes a varint, at most PB_VARINT_MAX bytes, and returns its size. */
static inline size_t pb_varint_write(char *to, uint64_t value)
{
    size_t size = 0;
    while (value >= 0x80) {
        to[size++] = (char)(value | 0x80);
        value >>= 7;
    }
    to[size++] = (char)value;
    return size;
}

/* The wire type of one value of that type, outside a packed field. */
static inline enum pb_wire pb_wire_of_type(enum pb_type type)
{
    switch (type) {
    case PB_DOUBLE:
    case PB_FIXED64:
    case PB_SFIXED64:
        return PB_WIRE_64;
    case PB_FLOAT:
    case PB_FIXED32:
    case PB_SFIXED32:
        return PB_WIRE_32;
    case PB_STRING:
    case PB_BYTES:
    case PB_MESSAGE:
        return PB_WIRE_LENGTH;
    default:
        return PB_WIRE_VARINT;
    }
}

/* Whether a repeated field of that type is packed. */
static inline bool pb_type_is_packed(enum pb_type type)
{
    return pb_wire_of_type(type) != PB_WIRE_LENGTH;
}

#endif
