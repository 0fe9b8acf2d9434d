/* The powers of ten as binary numbers, to 128 bits; internal to number_parse.c and number_print.c.
 */
#ifndef TENSORD_CODEC_POWERS_OF_TEN_H
#define TENSORD_CODEC_POWERS_OF_TEN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    POWER_OF_TEN_MIN = -342, /* below, no 19 digits reach half of the smallest double */
    POWER_OF_TEN_MAX = 324,  /* the scale that the smallest double is printed with */
};

/* 10^q lies in [bits, bits + 1) × 2^(floor(log2(10^q)) - 127), bits = high × 2^64 + low, and bits
 * has its topmost bit set. */
struct power_of_ten {
    uint64_t high;
    uint64_t low;
};

extern const struct power_of_ten powers_of_ten[POWER_OF_TEN_MAX - POWER_OF_TEN_MIN + 1];

/* The row of 10^q; POWER_OF_TEN_MIN ≤ q ≤ POWER_OF_TEN_MAX. */
static inline const struct power_of_ten *power_of_ten(int q)
{
    return &powers_of_ten[q - POWER_OF_TEN_MIN];
}

/* floor(log2(10^q)), exact for |q| ≤ 1233. */
static inline int floor_log2_of_10_to(int q)
{
    return (int)(((int64_t)q * 1741647) >> 19);
}

/* True when 10^q is bits × 2^n exactly: 5^55 is the last power of five below 2^128. */
static inline bool power_of_ten_is_exact(int q)
{
    return q >= 0 && q <= 55;
}

#endif
