/* Base64 (RFC 4648 §4): the standard alphabet, padded or not, nothing between the digits. Pure. */
#ifndef TENSORD_BASE_BASE64_H
#define TENSORD_BASE_BASE64_H

#include "base/span.h"

/* How many bytes a text of so many can mean at most: the room that base64_decode needs. */
static inline size_t base64_most_bytes(size_t text_size)
{
    return text_size / 4 * 3 + text_size % 4;
}

/* Writes what the text means into room, and how much that is. False when it is no base64: another
 * character, padding that is not at its end or too long, or it is cut short. */
bool base64_decode(struct span text, char *room, size_t *ret_size);

#endif
