/* UTF-8; see utf8.h. The first byte says the length and what the second may be: that is where
 * overlong forms, surrogates and too large code points show (RFC 3629 §4). */
#include "base/utf8.h"

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The length that a first byte of 0x80 and above announces, and the range of the second byte. */
static size_t announced_size(unsigned char first, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *ret_high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0xc2)
        return 0;
    if (first < 0xe0)
        return 2;
    if (first < 0xf0)
        return 3;
    return first < 0xf5 ? 4 : 0;
}

size_t utf8_char_size(const char *at, const char *end)
{
    if (at == end)
        return 0;
    if ((unsigned char)*at < 0x80)
        return 1;
    unsigned char low, high;
    size_t size = announced_size((unsigned char)*at, &low, &high);
    if (size == 0 || (size_t)(end - at) < size)
        return 0;
    if ((unsigned char)at[1] < low || (unsigned char)at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if (!is_continuation(at[i]))
            return 0;
    }
    return size;
}

size_t utf8_encode(uint32_t code_point, char *to)
{
    if (code_point < 0x80) {
        to[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        to[0] = (char)(0xc0 | code_point >> 6);
        to[1] = (char)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        to[0] = (char)(0xe0 | code_point >> 12);
        to[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
        to[2] = (char)(0x80 | (code_point & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | code_point >> 18);
    to[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
    to[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
    to[3] = (char)(0x80 | (code_point & 0x3f));
    return 4;
}

bool utf8_valid(struct span text)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    const char *at = text.data, *end = at + text.size;
    while (at < end) {
        uint64_t chunk;
        while (end - at >= 8 && (memcpy(&chunk, at, sizeof chunk), !(chunk & high_bits)))
            at += 8;
        if (at == end)
            break;
        size_t size = utf8_char_size(at, end);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

void utf8_clean(char *text)
{
    struct span whole = span_of(text);
    if (utf8_valid(whole))
        return;
    for (char *end = text + whole.size; text < end;) {
        size_t size = utf8_char_size(text, end);
        if (size == 0)
            *text = '?';
        text += size ? size : 1;
    }
}
