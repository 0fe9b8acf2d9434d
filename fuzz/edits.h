/* A sound message, which the target's own writer has made, with the bytes that an input changes: so
 * that inputs reach what lies behind the first checks, whatever the layout is. */
#ifndef TENSORD_FUZZ_EDITS_H
#define TENSORD_FUZZ_EDITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Each four bytes of the input are an edit: a place (modulo the size), a byte that is put there,
 * and whether the message ends behind it (an odd last byte). Returns the size then. */
static inline size_t edits_apply(char *message, size_t size, const uint8_t *data, size_t data_size)
{
    for (; size && data_size >= 4; data += 4, data_size -= 4) {
        uint16_t place;
        memcpy(&place, data, sizeof place);
        message[place % size] = (char)data[2];
        if (data[3] & 1)
            size = place % size + 1;
    }
    return size;
}

#endif
