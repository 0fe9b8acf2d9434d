/* What number_parse.c and number_parse_float.c share: digits, read eight at a time; internal to
 * these. */
#ifndef TENSORD_CODEC_NUMBER_PARSE_H
#define TENSORD_CODEC_NUMBER_PARSE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* For what is on every number's way: inlined once per type, whose widths are then constants. */
#define INLINE static inline __attribute__((always_inline))

__extension__ typedef unsigned __int128 u128;

enum { NUMBER_KEPT_DIGITS = 19 }; /* what always fits 64 bits */

INLINE bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* The next eight bytes, less '0': digits are the values 0 to 9. */
INLINE uint64_t eight_bytes(const char *at)
{
    uint64_t chunk;
    memcpy(&chunk, at, sizeof chunk);
    return chunk ^ UINT64_MAX / 255 * '0';
}

/* A bit set in the first of the eight bytes that is none of the values 0 to 9, and maybe in some
 * behind it; 0 when all are. */
INLINE uint64_t other_bytes(uint64_t chunk)
{
    /* The sum carries into the next byte only behind a byte that is no digit. */
    return (chunk | (chunk + UINT64_C(0x7676767676767676))) & (UINT64_MAX / 255 * 0x80);
}

/* How many of the eight bytes, from the lowest on, are the values 0 to 9. */
INLINE unsigned leading_digits(uint64_t chunk)
{
    uint64_t others = other_bytes(chunk);
    return others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
}

/* The value of eight digits 0 to 9, the first in the lowest byte: pairs, then fours, then all. */
INLINE uint64_t eight_digits(uint64_t chunk)
{
    const uint64_t pairs = UINT64_C(0x000000ff000000ff);
    chunk = chunk * 10 + (chunk >> 8);
    return ((chunk & pairs) * (100 + (UINT64_C(1000000) << 32)) +
            (chunk >> 16 & pairs) * (1 + (UINT64_C(10000) << 32))) >>
           32;
}

/* Appends the digits at `at` to *value, modulo 2^64; returns where they end. One by one: integers,
 * and what stands before a point, are short. */
INLINE const char *scan_digits(const char *at, const char *end, uint64_t *value)
{
    uint64_t v = *value;
    for (; at < end && is_digit(*at); at++)
        v = v * 10 + (uint64_t)(*at - '0');
    *value = v;
    return at;
}

/* The same, sixteen bytes at a time, and eight of what is behind these: how many digits a fraction
 * has varies, and each wrong guess of a branch predictor costs more than what is done here. */
INLINE const char *scan_fraction(const char *at, const char *end, uint64_t *value)
{
    static const uint64_t scales[] = {1,
                                      10,
                                      100,
                                      1000,
                                      10000,
                                      100000,
                                      1000000,
                                      10000000,
                                      100000000,
                                      1000000000,
                                      10000000000,
                                      100000000000,
                                      1000000000000,
                                      10000000000000,
                                      100000000000000,
                                      1000000000000000};
    uint64_t v = *value;
    if (end - at >= 16) {
        uint64_t first = eight_bytes(at), second = eight_bytes(at + 8);
        uint64_t others = other_bytes(first), behind = other_bytes(second);
        if (others | behind) {
            unsigned far = !others; /* a mask, lest it becomes a branch */
            unsigned count =
                (unsigned)__builtin_ctzll(others | (behind & -(uint64_t)far)) / 8 + 8 * far;
            if (count == 0)
                return at;
            u128 digits = ((u128)second << 64 | first) << (128 - 8 * count);
            *value = v * scales[count] + eight_digits((uint64_t)digits) * scales[8] +
                     eight_digits((uint64_t)(digits >> 64));
            return at + count;
        }
        v = (v * scales[8] + eight_digits(first)) * scales[8] + eight_digits(second);
        at += 16;
    }
    while (end - at >= 8) {
        uint64_t chunk = eight_bytes(at);
        unsigned count = leading_digits(chunk);
        if (count == 0)
            break;
        if (count < 8) {
            *value = v * scales[count] + eight_digits(chunk << (64 - 8 * count));
            return at + count;
        }
        v = v * scales[8] + eight_digits(chunk);
        at += 8;
    }
    *value = v;
    return scan_digits(at, end, value);
}

#endif
