/* Floats to the shortest decimal text; see number.h.
 *
 * The same as number_print.c does for any binary number, made for the one that tensors consist of.
 * What depends on the exponent alone is a table's. A word of 64 bits holds what is cut off of a
 * scaled value, too: with the 24 bits of a float all comparisons stay true, as a comparison of all
 * floats with exact arithmetic shows.
 *
 * How many digits a number has, and where its point stands, no branch predictor knows. So nothing
 * branches on these: eight digits are one word, which is shifted to its place and written whole,
 * and what follows is written over what was too much. */
#include "codec/number.h"
#include "codec/number_print.h"

#include <assert.h>

enum { MANTISSA_BITS = 23, BIAS = 150, FIELDS = 255 };

/* Of c × 2^q / 10^k as a fixed-point number with FRACTION_BITS bits behind the point: its product
 * with c, shifted to the top of a word. */
struct float_scale {
    uint64_t factor;
    int k;
};

static const struct float_scale float_scales[FIELDS] = {
#include "codec/float_scales.inc"
};

enum { FRACTION_BITS = 34, C_SHIFT = 38 };

INLINE uint64_t multiply_high(uint64_t a, uint64_t b)
{
    return (uint64_t)((u128)a * b >> 64);
}

/* The digits of the shortest decimal with the exponent k, or one that ends in a zero. The interval
 * that rounds to c × 2^q has c in its middle and is from 1 to 10 wide: the integer next to c is in
 * it, and at most one multiple of ten. (Schubfach; a product is too large by one at most.) */
INLINE uint32_t shortest_digits(uint64_t c, uint64_t factor)
{
    const uint64_t one = UINT64_C(1) << FRACTION_BITS, ten = 10 * one;
    const uint64_t half = UINT64_C(1) << (C_SHIFT - 1);
    uint64_t odd = 2 * (c & 1); /* whose interval has no ends */
    uint64_t value = multiply_high(c << C_SHIFT, factor);
    uint64_t lower = multiply_high((c << C_SHIFT) - half, factor) + odd - 1;
    uint64_t upper = multiply_high((c << C_SHIFT) + half, factor) - odd;
    uint32_t whole = (uint32_t)(value >> FRACTION_BITS), tens = whole / 10;
    uint32_t under = lower <= tens * ten, over = tens * ten + ten <= upper;
    /* Ties go to even. */
    uint32_t nearest = (uint32_t)((value + 2 * (whole & 1) + one / 2 - 2) >> FRACTION_BITS);
    return nearest ^ ((nearest ^ 10 * (tens + over)) & -(under | over));
}

/* Where things stand that are printed of nine digits, by the point. */
struct layout {
    uint8_t first; /* digit */
    uint8_t point;
    uint8_t behind; /* the digits behind the point */
    uint8_t shift;  /* bits of the other eight that stand before the point */
    uint8_t more;   /* characters than digits */
    uint8_t least;  /* characters: a digit behind the point */
};

#define BEHIND(zeros) {2 + (zeros), 1, 3 + (zeros), 0, 2 + (zeros), 0}
#define WITHIN(whole) {0, (whole), (whole) + 1, 8 * (whole) - 8, 1, (whole) + 2}

enum { MAX_WHOLE = 8 };

static const struct layout layouts[MAX_WHOLE - NUMBER_MIN_POINT + 1] = {
    BEHIND(5), BEHIND(4), BEHIND(3), BEHIND(2), BEHIND(1), BEHIND(0), WITHIN(1),
    WITHIN(2), WITHIN(3), WITHIN(4), WITHIN(5), WITHIN(6), WITHIN(7), WITHIN(8),
};

/* Lays out nine digits, the first one not 0, as 0.DIGITS × 10^point; NUMBER_MIN_POINT ≤ point ≤
 * MAX_WHOLE. */
INLINE size_t lay_out(uint32_t digits, int point, char *to)
{
    const struct layout *layout = &layouts[point - NUMBER_MIN_POINT];
    uint32_t first = digits / (uint32_t)ten_to_8;
    uint64_t others = eight_digits(digits - first * (uint32_t)ten_to_8);
    size_t size = 1 + significant(others) + layout->more;
    others += zero_digits;
    memcpy(to, "0.000000", 8); /* NOLINT(bugprone-not-null-terminated-result): no string */
    to[layout->first] = (char)('0' + first);
    put_word(to + layout->first + 1, others);
    to[layout->point] = '.';
    put_word(to + layout->behind, others >> layout->shift);
    return size > layout->least ? size : layout->least;
}

/* What is rare: a number with an exponent, or with zeros before the point. */
static __attribute__((noinline)) size_t print_far(uint32_t digits, int point, char *to)
{
    if (point > MAX_WHOLE && point <= NUMBER_MAX_POINT)
        return number_print_decimal((struct decimal){digits, point - 9}, to);
    size_t size = lay_out(digits, 1, to);
    if (to[size - 1] == '0') /* "1.0" */
        size -= 2;
    return size + number_print_exponent(point - 1, to + size);
}

INLINE size_t print_magnitude(uint32_t bits, char *to)
{
    static const uint32_t scales[] = {100, 10, 1};
    const uint32_t hidden = UINT32_C(1) << MANTISSA_BITS;
    uint32_t fraction = bits & (hidden - 1), field = bits >> MANTISSA_BITS;
    struct decimal decimal;
    assert(field < FIELDS); /* finite */
    if (bits == 0) {
        memcpy(to, "0.0", 3); /* NOLINT(bugprone-not-null-terminated-result): no string */
        return 3;
    }
    if (field == 0)
        return number_print_decimal(number_shortest(fraction, 1 - BIAS, false), to);
    if (fraction == 0) {
        decimal = number_shortest(hidden, (int)field - BIAS, field > 1);
    } else {
        decimal.digits = shortest_digits(fraction | hidden, float_scales[field].factor);
        decimal.exponent = float_scales[field].k;
    }
    /* 2^23 to 2^24, times 1 to 13: 7 digits, 8 or 9. */
    uint32_t digits = (uint32_t)decimal.digits;
    unsigned more = 0U + (digits >= 10000000) + (digits >= 100000000);
    int point = 7 + (int)more + decimal.exponent;
    digits *= scales[more];
    if (point < NUMBER_MIN_POINT || point > MAX_WHOLE)
        return print_far(digits, point, to);
    return lay_out(digits, point, to);
}

INLINE size_t print(uint32_t bits, char *to)
{
    uint32_t negative = bits >> 31;
    *to = '-';
    return negative + print_magnitude(bits & INT32_MAX, to + negative);
}

size_t number_print_float(float value, char *to)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return print(bits, to);
}

size_t number_print_floats(const float *values, size_t count, char *to, size_t *ret_size)
{
    char *at = to;
    size_t i = 0;
    for (; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        if ((bits & INT32_MAX) >> MANTISSA_BITS == FIELDS)
            break;
        *at++ = ',';
        at += print(bits, at);
    }
    *ret_size = (size_t)(at - to);
    return i;
}
