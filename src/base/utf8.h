/* UTF-8 (RFC 3629): no overlong form, no surrogate, nothing beyond U+10FFFF. Pure; any thread. */
#ifndef TENSORD_BASE_UTF8_H
#define TENSORD_BASE_UTF8_H

#include "base/span.h"

/* Bytes of the character that [at, end) starts with, 1 to 4; 0 when there is no valid one. */
size_t utf8_char_size(const char *at, const char *end);

/* Writes a code point that is no surrogate and at most 0x10FFFF; returns how many bytes, 1 to 4. */
size_t utf8_encode(uint32_t code_point, char *to);

/* True when the whole text is UTF-8. */
bool utf8_valid(struct span text);

/* Makes a string UTF-8, in place: each byte that belongs to no character becomes '?'. */
void utf8_clean(char *text);

#endif
