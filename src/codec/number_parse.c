/* Decimal text to binary; see number.h.
 *
 * The value is w × 10^q with w of at most 19 digits. One multiplication of w by the leading 128
 * bits of 10^q gives the leading 128 bits of the product and an interval of a few units in which
 * the truth lies (D. Lemire, "Number Parsing at a Gigabyte per Second", 2021). As long as that
 * interval holds no point halfway between two values of the type, the rounding is certain. The
 * rest (ties, and numbers of very many digits close to one) goes to the C library, which is exact
 * and a hundred times slower. */
#include "codec/number.h"

#include "codec/number_parse.h"
#include "codec/powers_of_ten.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* More significant digits never decide a double's rounding: a point halfway between two of them
     * has at most 767. What is left out is replaced by one digit 1. */
    EXACT_DIGITS = 770,

    /* Beyond any exponent that EXACT_DIGITS digits could make up for. */
    EXACT_EXPONENT_LIMIT = 99999,
};

static const int64_t written_exponent_limit = INT64_C(1000000000000000);

/* A binary floating point type. */
struct binary_type {
    int precision;    /* bits, the hidden one too */
    int min_exponent; /* of the smallest normal number, 2^min_exponent */
    uint64_t infinity;
};

static const struct binary_type binary64 = {53, -1022, UINT64_C(0x7ff0000000000000)};
static const struct binary_type binary32 = {24, -126, UINT64_C(0x7f800000)};

/* For more digits than fit: keeps the first significant ones of [at, end). */
static void keep_first_digits(struct number *number, const char *at, const char *end)
{
    unsigned kept = 0;
    bool fraction = false;
    number->digits = 0;
    number->exponent = number->written_exponent;
    for (; at < end; at++) {
        if (*at == '.') {
            fraction = true;
        } else if (kept < NUMBER_KEPT_DIGITS) {
            number->digits = number->digits * 10 + (uint64_t)(*at - '0');
            number->exponent -= fraction;
            kept += number->digits != 0;
        } else {
            number->truncated |= *at != '0';
            number->exponent += !fraction;
        }
    }
}

/* What stands after "e"; NULL when there is no digit. */
static const char *scan_exponent(const char *at, const char *end, int64_t *ret_exponent)
{
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    const char *first = at;
    int64_t exponent = 0;
    for (; at < end && is_digit(*at); at++) {
        if (exponent < written_exponent_limit)
            exponent = exponent * 10 + (*at - '0');
    }
    *ret_exponent = negative ? -exponent : exponent;
    return at > first ? at : NULL;
}

INLINE bool scan(struct span text, struct number *ret_number)
{
    const char *at = text.data, *end = at + text.size;
    bool negative = at < end && *at == '-', integer = true;
    uint64_t digits = 0;
    int64_t exponent = 0, written_exponent = 0;
    at += negative;
    const char *whole = at;
    at = scan_digits(at, end, &digits);
    ptrdiff_t count = at - whole;
    if (count == 0 || (count > 1 && *whole == '0'))
        return false;
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        at = scan_fraction(at, end, &digits);
        if (at == fraction)
            return false;
        exponent = fraction - at;
        count += at - fraction;
        integer = false;
    }
    const char *digits_end = at;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at = scan_exponent(at + 1, end, &written_exponent);
        if (!at)
            return false;
        integer = false;
    }
    *ret_number = (struct number){.text = {text.data, (size_t)(at - text.data)},
                                  .digits = digits,
                                  .exponent = exponent + written_exponent,
                                  .written_exponent = written_exponent,
                                  .negative = negative,
                                  .integer = integer};
    if (count > NUMBER_KEPT_DIGITS)
        keep_first_digits(ret_number, whole, digits_end);
    return true;
}

bool number_scan(struct span text, struct number *ret_number)
{
    return scan(text, ret_number);
}

static inline const char *skip_digits(const char *at, const char *end)
{
    uint64_t chunk;
    while (end - at >= 8) {
        memcpy(&chunk, at, sizeof chunk);
        unsigned count = leading_digits(chunk ^ UINT64_MAX / 255 * '0');
        at += count;
        if (count < 8)
            return at;
    }
    while (at < end && is_digit(*at))
        at++;
    return at;
}

const char *number_skip(const char *at, const char *end)
{
    int64_t exponent;
    at += at < end && *at == '-';
    const char *whole = at;
    while (at < end && is_digit(*at))
        at++;
    if (at == whole || (at - whole > 1 && *whole == '0'))
        return NULL;
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        at = skip_digits(at, end);
        if (at == fraction)
            return NULL;
    }
    return at < end && (*at == 'e' || *at == 'E') ? scan_exponent(at + 1, end, &exponent) : at;
}

/* The bits of the value of `type` nearest to hi × 2^exponent, where the truth may be a few units of
 * 2^-64 above hi + lo / 2^64 and hi has its topmost bit set. False when that leaves a doubt. */
INLINE bool round_product(uint64_t hi, uint64_t lo, int exponent, const struct binary_type *type,
                          uint64_t *ret_bits)
{
    const uint64_t doubt = 4;
    int magnitude = exponent + 63; /* the value is in [2^magnitude, 2^(magnitude + 1)) */
    int below = magnitude < type->min_exponent ? type->min_exponent - magnitude : 0;
    int shift = 64 - type->precision + below;
    if (shift > 64) { /* less than half of the smallest */
        *ret_bits = 0;
        return true;
    }
    uint64_t half = UINT64_C(1) << (shift - 1);
    uint64_t kept = shift < 64 ? hi >> shift : 0;
    uint64_t rest = hi & (half | (half - 1));
    if ((rest == half && lo == 0) || (rest == half - 1 && lo > UINT64_MAX - doubt))
        return false;
    uint64_t bits = kept + (rest >= half);
    if (!below) /* the hidden bit adds one to the exponent's field */
        bits += (uint64_t)(magnitude - type->min_exponent) << (type->precision - 1);
    *ret_bits = bits < type->infinity ? bits : type->infinity;
    return true;
}

/* The bits of w × 10^q, or false when the rounding is in doubt. */
INLINE bool multiply(uint64_t w, int64_t q, const struct binary_type *type, uint64_t *ret_bits)
{
    if (w == 0 || q < POWER_OF_TEN_MIN) {
        *ret_bits = 0;
        return true;
    }
    if (q > POWER_OF_TEN_MAX) {
        *ret_bits = type->infinity;
        return true;
    }
    const struct power_of_ten *power = power_of_ten((int)q);
    int zeros = __builtin_clzll(w);
    w <<= zeros;
    u128 product = (u128)w * power->high + (uint64_t)(((u128)w * power->low) >> 64);
    int exponent = 1 - zeros + floor_log2_of_10_to((int)q);
    if (!(product >> 127)) {
        product <<= 1;
        exponent--;
    }
    return round_product((uint64_t)(product >> 64), (uint64_t)product, exponent, type, ret_bits);
}

/* The number as DIGITSeEXPONENT: no point, hence no locale. */
static void exact_text(const struct number *number, char *text, size_t size)
{
    const char *at = number->text.data + number->negative;
    const char *end = number->text.data + number->text.size;
    int64_t exponent = number->written_exponent;
    size_t kept = 0;
    bool fraction = false, dropped = false;
    for (; at < end && (is_digit(*at) || *at == '.'); at++) {
        if (*at == '.') {
            fraction = true;
        } else if (kept < EXACT_DIGITS) {
            text[kept] = *at;
            kept += kept > 0 || *at != '0';
            exponent -= fraction;
        } else {
            dropped |= *at != '0';
            exponent += !fraction;
        }
    }
    if (dropped) {
        text[kept++] = '1';
        exponent--;
    }
    if (exponent > EXACT_EXPONENT_LIMIT)
        exponent = EXACT_EXPONENT_LIMIT;
    if (exponent < -EXACT_EXPONENT_LIMIT)
        exponent = -EXACT_EXPONENT_LIMIT;
    snprintf(text + kept, size - kept, "e%d", (int)exponent);
}

/* With digits left out, the truth lies between w and w + 1: certain when both round alike. */
static __attribute__((noinline)) bool
truncated_bits(const struct number *number, const struct binary_type *type, uint64_t *ret_bits)
{
    uint64_t next;
    return multiply(number->digits, number->exponent, type, ret_bits) &&
           multiply(number->digits + 1, number->exponent, type, &next) && next == *ret_bits;
}

/* The certain bits of the number without its sign, or false when the C library must be asked. */
INLINE bool fast_bits(const struct number *number, const struct binary_type *type,
                      uint64_t *ret_bits)
{
    if (number->truncated)
        return truncated_bits(number, type, ret_bits);
    return multiply(number->digits, number->exponent, type, ret_bits);
}

/* Infinite when beyond the largest. Apart, so that the fast way needs no frame of this size. */
static __attribute__((noinline)) double exact_double(const struct number *number)
{
    char text[EXACT_DIGITS + 16];
    exact_text(number, text, sizeof text);
    return strtod(text, NULL);
}

static __attribute__((noinline)) float exact_float(const struct number *number)
{
    char text[EXACT_DIGITS + 16];
    exact_text(number, text, sizeof text);
    return strtof(text, NULL);
}

bool number_to_double(const struct number *number, double *ret_value)
{
    uint64_t bits;
    double value;
    if (fast_bits(number, &binary64, &bits))
        memcpy(&value, &bits, sizeof value);
    else
        value = exact_double(number);
    if (isinf(value))
        return false;
    *ret_value = number->negative ? -value : value;
    return true;
}

INLINE bool to_float(const struct number *number, float *ret_value)
{
    uint64_t bits;
    float value;
    if (fast_bits(number, &binary32, &bits)) {
        uint32_t narrow = (uint32_t)bits;
        memcpy(&value, &narrow, sizeof value);
    } else {
        value = exact_float(number);
    }
    if (isinf(value))
        return false;
    *ret_value = number->negative ? -value : value;
    return true;
}

bool number_to_float(const struct number *number, float *ret_value)
{
    return to_float(number, ret_value);
}

bool number_take_float(struct span *text, float *ret_value)
{
    struct number number;
    if (!scan(*text, &number) || !to_float(&number, ret_value))
        return false;
    *text = span_after(*text, number.text.size);
    return true;
}

/* The digits of an integer without its sign. */
static bool magnitude_of(const struct number *number, uint64_t *ret_value)
{
    if (!number->integer)
        return false;
    if (number->exponent == 0) {
        *ret_value = number->digits;
        return true;
    }
    return span_to_u64(span_after(number->text, number->negative), ret_value);
}

bool number_to_u64(const struct number *number, uint64_t *ret_value)
{
    uint64_t magnitude;
    if (!magnitude_of(number, &magnitude) || (number->negative && magnitude))
        return false;
    *ret_value = magnitude;
    return true;
}

bool number_to_i64(const struct number *number, int64_t *ret_value)
{
    uint64_t magnitude;
    if (!magnitude_of(number, &magnitude) || magnitude > (uint64_t)INT64_MAX + number->negative)
        return false;
    *ret_value = number->negative ? (int64_t)-magnitude : (int64_t)magnitude;
    return true;
}
