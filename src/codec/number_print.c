/* Binary to the shortest decimal text; see number.h.
 *
 * Floating point by Schubfach (R. Giulietti, "The Schubfach way to render doubles", 2020): the
 * value and the two ends of its rounding interval are scaled by one power of ten, such that the
 * interval holds at least one integer and at most one multiple of ten; that multiple, when it
 * exists, is the shortest, else the integer nearest to the value. No loop, no fallback, and the
 * same few multiplications for float and double. */
#include "codec/number.h"

#include "codec/powers_of_ten.h"

#include <assert.h>

enum {
    MAX_DIGITS = 20, /* of 64 bits */

    /* Where the point may stand, counted from the first digit, before an exponent is written: as
     * JavaScript does, 1e-6 to 1e21. */
    MIN_POINT = -5,
    MAX_POINT = 21,
};

/* digits × 10^exponent */
struct decimal {
    uint64_t digits;
    int exponent;
};

static const char digit_pairs[200] = "00010203040506070809101112131415161718192021222324"
                                     "25262728293031323334353637383940414243444546474849"
                                     "50515253545556575859606162636465666768697071727374"
                                     "75767778798081828384858687888990919293949596979899";

/* Writes the digits of value so that they end before `end`; returns where they start. */
static char *print_backward(uint64_t value, char *end)
{
    while (value >= 100) {
        end -= 2;
        memcpy(end, &digit_pairs[value % 100 * 2], 2);
        value /= 100;
    }
    if (value >= 10) {
        end -= 2;
        memcpy(end, &digit_pairs[value * 2], 2);
    } else {
        *--end = (char)('0' + value);
    }
    return end;
}

size_t number_print_u64(uint64_t value, char *to)
{
    char digits[MAX_DIGITS];
    char *end = digits + sizeof digits;
    char *start = print_backward(value, end);
    memcpy(to, start, (size_t)(end - start));
    return (size_t)(end - start);
}

size_t number_print_i64(int64_t value, char *to)
{
    if (value >= 0)
        return number_print_u64((uint64_t)value, to);
    *to = '-';
    return 1 + number_print_u64(-(uint64_t)value, to + 1);
}

/* floor(c × power / 2^128), with its lowest bit set when anything was cut off: comparisons with
 * even numbers stay true. */
static inline uint64_t scale(uint64_t c, uint64_t high, uint64_t low)
{
    __extension__ typedef unsigned __int128 u128;
    u128 product = (u128)c * high + (uint64_t)(((u128)c * low) >> 64);
    return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

/* The shortest decimal that rounds to c × 2^q. `closer`: the next smaller value is half as far as
 * the next larger one. */
static struct decimal shortest(uint64_t c, int q, bool closer)
{
    int k = (int)(((int64_t)q * 1262611 - (closer ? 524031 : 0)) >> 22); /* floor(log10(…)) */
    int h = q + floor_log2_of_10_to(-k) + 1;
    const struct power_of_ten *power = power_of_ten(-k);
    uint64_t low =
        power->low + !power_of_ten_is_exact(-k); /* rounded up; no low word is all ones */
    uint64_t value = scale((4 * c) << h, power->high, low);
    uint64_t lower = scale((4 * c - 2 + closer) << h, power->high, low) + (c & 1);
    uint64_t upper = scale((4 * c + 2) << h, power->high, low) - (c & 1);

    uint64_t s = value / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        bool under = lower <= 40 * tens, over = 40 * tens + 40 <= upper;
        if (under != over)
            return (struct decimal){tens + over, k + 1};
    }
    bool under = lower <= 4 * s, over = 4 * s + 4 <= upper;
    if (under != over)
        return (struct decimal){s + over, k};
    uint64_t middle = 4 * s + 2;
    return (struct decimal){s + (value > middle || (value == middle && (s & 1))), k};
}

/* Eight digits, with zeros in front, the first in the lowest byte: fours, pairs, then one by one.
 */
static inline uint64_t eight_digits(uint32_t value)
{
    uint64_t x = value / 10000 | (uint64_t)(value % 10000) << 32;
    uint64_t q = (x * 10486 >> 20) & UINT64_C(0x0000007f0000007f); /* / 100 */
    x = q | (x - 100 * q) << 16;
    q = (x * 103 >> 10) & UINT64_C(0x000f000f000f000f); /* / 10 */
    x = q | (x - 10 * q) << 8;
    return x + UINT64_MAX / 255 * '0';
}

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

static char *put_exponent(char *to, int exponent)
{
    *to++ = 'e';
    return to + number_print_i64(exponent, to);
}

/* Lays out 0.DIGITS × 10^point. */
static char *lay_out(char *to, const char *digits, int count, int point)
{
    if (point < MIN_POINT || point > MAX_POINT) {
        to = put(to, digits, 1);
        if (count > 1) {
            *to++ = '.';
            to = put(to, digits + 1, count - 1);
        }
        return put_exponent(to, point - 1);
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

enum { SHORT_DIGITS = 9, COPY_BYTES = 16 };

/* The same as lay_out, for at most 9 digits around or behind the point, which most floats are: no
 * loop, and copies of fixed sizes, since how many digits there are is anybody's guess. False when
 * it is another number. `to` has NUMBER_MAX_CHARS bytes of room. */
static inline bool lay_out_short(char *to, struct decimal decimal, size_t *ret_size)
{
    static const uint32_t powers[] = {1,      10,      100,      1000,      10000,
                                      100000, 1000000, 10000000, 100000000, 1000000000};
    if (decimal.digits >= powers[SHORT_DIGITS])
        return false;
    uint32_t value = (uint32_t)decimal.digits;
    int count = (32 - __builtin_clz(value | 1)) * 1233 >> 12;
    count += value >= powers[count];
    int point = count + decimal.exponent;
    if (point < MIN_POINT || point >= SHORT_DIGITS)
        return false;
    value *= powers[SHORT_DIGITS - count];
    char digits[COPY_BYTES + SHORT_DIGITS] = {0};
    uint64_t last = eight_digits(value % powers[SHORT_DIGITS - 1]);
    digits[0] = (char)('0' + value / powers[SHORT_DIGITS - 1]);
    memcpy(digits + 1, &last, sizeof last);
    /* Zeros at the end are the highest bytes. */
    uint64_t others = last ^ UINT64_MAX / 255 * '0';
    int kept = others ? SHORT_DIGITS - __builtin_clzll(others) / 8 : 1;
    if (point > 0) {
        memcpy(to, digits, SHORT_DIGITS);
        to[point] = '.';
        memcpy(to + point + 1, digits + point, COPY_BYTES);
        *ret_size = (size_t)(kept > point ? kept : point + 1) + 1;
    } else {
        memcpy(to, "0.000000", 8); /* NOLINT(bugprone-not-null-terminated-result): no string */
        memcpy(to + 2 - point, digits, COPY_BYTES);
        *ret_size = (size_t)(2 - point) + (size_t)kept;
    }
    return true;
}

/* Prints ±c × 2^q, c ≠ 0. */
static size_t print_binary(bool negative, uint64_t c, int q, bool closer, char *to)
{
    struct decimal decimal = shortest(c, q, closer);
    char digits[MAX_DIGITS];
    size_t size;
    *to = '-';
    if (lay_out_short(to + negative, decimal, &size))
        return size + negative;
    char *end = digits + sizeof digits;
    char *start = print_backward(decimal.digits, end);
    int point = (int)(end - start) + decimal.exponent;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): not 0, so it has digits */
    while (end[-1] == '0')
        end--;
    char *at = to;
    if (negative)
        *at++ = '-';
    at = lay_out(at, start, (int)(end - start), point);
    return (size_t)(at - to);
}

/* Takes apart the bits of a type with `mantissa` stored bits and an exponent's field that counts
 * from `bias`. */
static size_t print_bits(uint64_t bits, int mantissa, int width, int bias, char *to)
{
    bool negative = bits >> (width - 1);
    uint64_t hidden = UINT64_C(1) << mantissa;
    uint64_t fraction = bits & (hidden - 1);
    int field_bits = width - 1 - mantissa;
    int field = (int)((bits >> mantissa) & ((UINT64_C(1) << field_bits) - 1));
    assert(field != (1 << field_bits) - 1); /* finite */
    if (field == 0 && fraction == 0)
        return (size_t)(put(to, negative ? "-0.0" : "0.0", 3 + negative) - to);
    if (field == 0)
        return print_binary(negative, fraction, 1 - bias - mantissa, false, to);
    bool closer = fraction == 0 && field > 1;
    return print_binary(negative, fraction | hidden, field - bias - mantissa, closer, to);
}

size_t number_print_double(double value, char *to)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return print_bits(bits, 52, 64, 1023, to);
}

size_t number_print_float(float value, char *to)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return print_bits(bits, 23, 32, 127, to);
}
