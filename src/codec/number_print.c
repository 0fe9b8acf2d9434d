/* Binary to the shortest decimal text; see number.h.
 *
 * Floating point by Schubfach (R. Giulietti, "The Schubfach way to render doubles", 2020): the
 * value and the two ends of its rounding interval are scaled by one power of ten, such that the
 * interval holds at least one integer and at most one multiple of ten; that multiple, when it
 * exists, is the shortest, else the integer nearest to the value. No loop and no
 * fallback.
 *
 * How many digits a number has, and where its point stands, no branch predictor knows. So on most
 * numbers' way nothing branches on these: eight digits are one word, which is shifted to its place
 * and written whole, and what follows is written over what was too much. */
#include "codec/number.h"

#include "codec/number_print.h"
#include "codec/powers_of_ten.h"

#include <assert.h>

/* ---- integers ---- */

/* Prints a value below 10^8. Eight bytes are written; returns how many of them count. */
static inline size_t print_below_ten_to_8(uint64_t value, char *to)
{
    uint64_t digits = eight_digits(value);
    /* Zeros in front are the lowest bytes; the last digit stays. */
    unsigned skipped = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) / 8;
    put_word(to, (digits + zero_digits) >> 8 * skipped);
    return 8 - skipped;
}

size_t number_print_u64(uint64_t value, char *to)
{
    size_t size;
    if (value < ten_to_8)
        return print_below_ten_to_8(value, to);
    if (value < ten_to_16) {
        size = print_below_ten_to_8(value / ten_to_8, to);
    } else {
        size = print_below_ten_to_8(value / ten_to_16, to) + 8;
        put_word(to + size - 8, eight_digits(value / ten_to_8 % ten_to_8) + zero_digits);
    }
    put_word(to + size, eight_digits(value % ten_to_8) + zero_digits);
    return size + 8;
}

size_t number_print_i64(int64_t value, char *to)
{
    bool negative = value < 0;
    *to = '-';
    return negative +
           number_print_u64(negative ? -(uint64_t)value : (uint64_t)value, to + negative);
}

/* ---- the shortest decimal ---- */

/* floor(c × power / 2^128), with its lowest bit set when anything was cut off: comparisons with
 * even numbers stay true. */
INLINE uint64_t scale(uint64_t c, uint64_t high, uint64_t low)
{
    u128 product = (u128)c * high + (uint64_t)(((u128)c * low) >> 64);
    return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

INLINE struct decimal shortest(uint64_t c, int q, bool closer)
{
    int k = (int)(((int64_t)q * 1262611 - (closer ? 524031 : 0)) >> 22); /* floor(log10(…)) */
    int h = q + floor_log2_of_10_to(-k) + 1;
    const struct power_of_ten *power = power_of_ten(-k);
    uint64_t low =
        power->low + !power_of_ten_is_exact(-k); /* rounded up; no low word is all ones */
    uint64_t value = scale((4 * c) << h, power->high, low);
    uint64_t lower = scale((4 * c - 2 + closer) << h, power->high, low) + (c & 1);
    uint64_t upper = scale((4 * c + 2) << h, power->high, low) - (c & 1);

    uint64_t s = value / 4, tens = s / 10;
    bool under = lower <= 40 * tens, over = 40 * tens + 40 <= upper;
    if (under != over && s >= 10)
        return (struct decimal){10 * (tens + over), k};
    under = lower <= 4 * s, over = 4 * s + 4 <= upper;
    bool nearer = (value & 3) + (s & 1) > 2; /* to s + 1, or as near and that one is even */
    return (struct decimal){s + (under != over ? over : nearer), k};
}

struct decimal number_shortest(uint64_t c, int q, bool closer)
{
    return shortest(c, q, closer);
}

/* ---- layout ---- */

static char *put(char *to, const char *from, int count)
{
    memcpy(to, from, (size_t)count);
    return to + count;
}

static char *put_zeros(char *to, int count)
{
    memset(to, '0', (size_t)count);
    return to + count;
}

size_t number_print_exponent(int exponent, char *to)
{
    *to = 'e';
    return 1 + number_print_i64(exponent, to + 1);
}

/* Lays out 0.DIGITS × 10^point. */
static char *lay_out_any(char *to, const char *digits, int count, int point)
{
    if (point < NUMBER_MIN_POINT || point > NUMBER_MAX_POINT) {
        to = put(to, digits, 1);
        if (count > 1) {
            *to++ = '.';
            to = put(to, digits + 1, count - 1);
        }
        return to + number_print_exponent(point - 1, to);
    }
    if (point <= 0) {
        to = put(to, "0.", 2);
        return put(put_zeros(to, -point), digits, count);
    }
    if (count <= point)
        return put(put_zeros(put(to, digits, count), point - count), ".0", 2);
    to = put(to, digits, point);
    *to++ = '.';
    return put(to, digits + point, count - point);
}

enum { MAX_WHOLE = 16 }; /* digits that lay_out can have before the point */

/* Lays out 17 digits, the first one not 0, as 0.DIGITS × 10^point; NUMBER_MIN_POINT ≤ point ≤
 * MAX_WHOLE. */
INLINE size_t lay_out(uint64_t digits, int point, char *to)
{
    uint64_t nine = digits / ten_to_8, first = nine / ten_to_8;
    uint64_t middle = eight_digits(nine % ten_to_8), last = eight_digits(digits % ten_to_8);
    int kept = 1 + (int)(last ? 8 + significant(last) : significant(middle));
    int whole = point > 0 ? point : 1, lead = point > 0 ? 0 : 2 - point;
    middle += zero_digits;
    last += zero_digits;
    memcpy(to, "0.000000", 8); /* NOLINT(bugprone-not-null-terminated-result): no string */
    to[lead] = (char)('0' + first);
    put_word(to + lead + 1, middle);
    put_word(to + lead + 9, last);
    to[whole] = '.';
    /* The digits behind the point: one byte further, or where they are. */
    u128 behind = ((u128)last << 64 | middle) >> 8 * (whole - 1);
    memcpy(to + 1 + (point > 0 ? point : lead), &behind, sizeof behind);
    return (size_t)(point > 0 ? (kept > point ? kept : point + 1) + 1 : lead + kept);
}

size_t number_print_decimal(struct decimal decimal, char *to)
{
    char digits[NUMBER_MAX_CHARS];
    int count = (int)number_print_u64(decimal.digits, digits);
    int point = count + decimal.exponent;
    while (digits[count - 1] == '0')
        count--;
    return (size_t)(lay_out_any(to, digits, count, point) - to);
}

/* ---- doubles ---- */

enum { MANTISSA_BITS = 52, BIAS = 1075, FIELDS = 2047 };

static size_t print_magnitude(uint64_t bits, char *to)
{
    const uint64_t hidden = UINT64_C(1) << MANTISSA_BITS;
    uint64_t fraction = bits & (hidden - 1);
    int field = (int)(bits >> MANTISSA_BITS);
    assert(field < FIELDS); /* finite */
    if (bits == 0)
        return (size_t)(put(to, "0.0", 3) - to);
    if (field == 0)
        return number_print_decimal(number_shortest(fraction, 1 - BIAS, false), to);
    struct decimal decimal = shortest(fraction | hidden, field - BIAS, fraction == 0 && field > 1);
    /* 2^52 to 2^53, times 1 to 13: 16 digits or 17. */
    bool all = decimal.digits >= ten_to_16;
    int point = 16 + all + decimal.exponent;
    uint64_t digits = decimal.digits * (all ? 1 : 10);
    if (point > MAX_WHOLE && point <= NUMBER_MAX_POINT)
        return number_print_decimal(decimal, to);
    if (point >= NUMBER_MIN_POINT && point <= NUMBER_MAX_POINT)
        return lay_out(digits, point, to);
    size_t size = lay_out(digits, 1, to);
    if (to[size - 1] == '0') /* "1.0" */
        size -= 2;
    return size + number_print_exponent(point - 1, to + size);
}

size_t number_print_double(double value, char *to)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bool negative = bits >> 63;
    *to = '-';
    return negative + print_magnitude(bits & INT64_MAX, to + negative);
}
