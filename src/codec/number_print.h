/* What number_print.c and number_print_float.c share; internal to these. */
#ifndef TENSORD_CODEC_NUMBER_PRINT_H
#define TENSORD_CODEC_NUMBER_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* For what is on every number's way: inlined, so that constants meet. */
#define INLINE static inline __attribute__((always_inline))

__extension__ typedef unsigned __int128 u128;

enum {
    /* Where the point may stand, counted from the first digit, before an exponent is written: as
     * JavaScript does, 1e-6 to 1e21. */
    NUMBER_MIN_POINT = -5,
    NUMBER_MAX_POINT = 21,
};

static const uint64_t ten_to_8 = 100000000, ten_to_16 = 10000000000000000;
static const uint64_t zero_digits = UINT64_MAX / 255 * '0'; /* "00000000" */

/* digits × 10^exponent */
struct decimal {
    uint64_t digits;
    int exponent;
};

/* The values of eight digits, with zeros in front, the first in the lowest byte: fours, pairs, then
 * one by one. Each step divides by d and leaves the quotient where it is, the rest above it:
 * q + (x - d × q) × 2^n. */
INLINE uint64_t eight_digits(uint64_t value)
{
    uint64_t q = value * 109951163 >> 40; /* / 10000 */
    uint64_t x = (value << 32) - q * ((UINT64_C(10000) << 32) - 1);
    q = (x * 10486 >> 20) & UINT64_C(0x0000007f0000007f); /* / 100 */
    x = (x << 16) - q * ((100 << 16) - 1);
    q = (x * 103 >> 10) & UINT64_C(0x000f000f000f000f); /* / 10 */
    return (x << 8) - q * ((10 << 8) - 1);
}

INLINE void put_word(char *to, uint64_t word)
{
    memcpy(to, &word, sizeof word);
}

/* How many of the eight digits remain without the zeros at the end. */
INLINE unsigned significant(uint64_t digits)
{
    return ((unsigned)(63 - __builtin_clzll(2 * digits | 1)) + 7) / 8;
}

/* The shortest decimal that rounds to c × 2^q; it may end in a zero. `closer`: the next smaller
 * value is half as far as the next larger one. */
struct decimal number_shortest(uint64_t c, int q, bool closer);

/* Prints any decimal but 0. */
size_t number_print_decimal(struct decimal decimal, char *to);

/* Prints "e" and the exponent; returns how many bytes were used. */
size_t number_print_exponent(int exponent, char *to);

#endif
