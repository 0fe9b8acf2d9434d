/* Many floats, one after the other; see number.h.
 *
 * What almost all numbers of a tensor are is read here without a look at the rest of what a number
 * can be: no exponent, no more digits than fit a word, a normal float that is not close to the
 * middle between two. All others are left to number_take_float. */
#include "codec/number.h"
#include "codec/number_parse.h"
#include "codec/powers_of_ten.h"

enum {
    PRECISION = 24,
    BIAS = 127,
    MAX_FIELD = 254,

    /* The exponents of ten that w × 10^q may have; those of floats, and some more. */
    MIN_EXPONENT = -64,
    MAX_EXPONENT = 38,
};

/* The bits of the float nearest to w × 10^q, without a sign. One multiplication by the leading 64
 * bits of 10^q gives the leading bits of the product, too small by less than 4 of the last of them
 * (see number_parse.c). False when that leaves a doubt, or the float has no hidden bit. */
INLINE bool nearest_float(uint64_t w, int64_t q, uint32_t *ret_bits)
{
    const int shift = 64 - PRECISION;
    const uint64_t half = UINT64_C(1) << (shift - 1), doubt = 4;
    *ret_bits = 0;
    if (w == 0)
        return true;
    if (q < MIN_EXPONENT || q > MAX_EXPONENT)
        return false;
    int zeros = __builtin_clzll(w);
    uint64_t high = (uint64_t)((u128)(w << zeros) * power_of_ten((int)q)->high >> 64);
    int below = !(high >> 63);
    high <<= below;
    int field = BIAS + 64 - zeros - below + floor_log2_of_10_to((int)q);
    uint64_t rest = high & (2 * half - 1);
    if (field < 1 || field >= MAX_FIELD || rest - (half - doubt + 1) < doubt)
        return false;
    /* The hidden bit adds one to the field; what is rounded up may add another. */
    *ret_bits =
        ((uint32_t)(field - 1) << (PRECISION - 1)) + (uint32_t)(high >> shift) + (rest > half);
    return true;
}

/* Reads the number at `at`; NULL when it must be left to number_take_float. */
INLINE const char *take_usual(const char *at, const char *end, uint32_t *ret_bits)
{
    uint64_t digits = 0;
    uint32_t negative = at < end && *at == '-';
    const char *whole = at + negative, *point, *last;
    last = point = scan_digits(whole, end, &digits);
    if (point == whole || (point - whole > 1 && *whole == '0'))
        return NULL;
    int64_t exponent = 0;
    if (last < end && *last == '.') {
        last = scan_fraction(point + 1, end, &digits);
        exponent = point + 1 - last;
        if (exponent == 0)
            return NULL;
    }
    if (last - whole - (exponent != 0) > NUMBER_KEPT_DIGITS ||
        (last < end && (*last | 0x20) == 'e') || !nearest_float(digits, exponent, ret_bits))
        return NULL;
    *ret_bits |= negative << 31;
    return last;
}

uint64_t number_take_floats(struct span *text, char *to, uint64_t most)
{
    const char *at = text->data, *end = at + text->size, *behind = at;
    uint64_t count = 0;
    while (count < most) {
        uint32_t bits;
        const char *next = take_usual(at, end, &bits);
        if (!next) {
            struct span rest = {at, (size_t)(end - at)};
            float value;
            if (!number_take_float(&rest, &value))
                break;
            memcpy(&bits, &value, sizeof bits);
            next = rest.data;
        }
        memcpy(to + count++ * sizeof bits, &bits, sizeof bits);
        at = behind = next;
        if (end - at < 2 || *at != ',')
            break;
        at += 1 + (at[1] == ' ');
    }
    *text = span_after(*text, (size_t)(behind - text->data));
    return count;
}
