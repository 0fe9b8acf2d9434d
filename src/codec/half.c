/* FP16 and BF16; see half.h. By integers, so that every compiler and machine agrees. */
#include "codec/half.h"

#include <math.h>
#include <string.h>

enum { DOUBLE_PRECISION = 53, DOUBLE_BIAS = 1023 };

/* A type of 16 bits. */
struct half_type {
    int precision;    /* bits, the hidden one too */
    int min_exponent; /* of the smallest normal number, 2^min_exponent */
    uint16_t infinity;
};

static const struct half_type fp16 = {11, -14, 0x7c00};
static const struct half_type bf16 = {8, -126, 0x7f80};

static bool round_to(double value, const struct half_type *type, uint16_t *ret_bits)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 63 << 15);
    int field = (int)(bits >> 52 & 0x7ff);
    uint64_t hidden = UINT64_C(1) << (DOUBLE_PRECISION - 1);
    uint64_t mantissa = (bits & (hidden - 1)) | hidden;
    int exponent = field - DOUBLE_BIAS;
    int below = exponent < type->min_exponent ? type->min_exponent - exponent : 0;
    int shift = DOUBLE_PRECISION - type->precision + below;
    if (shift > DOUBLE_PRECISION) { /* less than half of the smallest; zero and subnormals too */
        *ret_bits = sign;
        return true;
    }
    uint64_t half = UINT64_C(1) << (shift - 1);
    uint64_t kept = mantissa >> shift, rest = mantissa & (half | (half - 1));
    kept += rest > half || (rest == half && (kept & 1));
    if (!below) /* the hidden bit adds one to the exponent's field */
        kept += (uint64_t)(exponent - type->min_exponent) << (type->precision - 1);
    if (kept >= type->infinity)
        return false;
    *ret_bits = (uint16_t)(sign | kept);
    return true;
}

bool fp16_from_double(double value, uint16_t *ret_bits)
{
    return round_to(value, &fp16, ret_bits);
}

bool bf16_from_double(double value, uint16_t *ret_bits)
{
    return round_to(value, &bf16, ret_bits);
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float fp16_to_float(uint16_t bits)
{
    uint32_t field = bits >> 10 & 0x1f, mantissa = bits & 0x3ff;
    float magnitude;
    if (field == 0) /* zero and subnormals count in units of 2^-24 */
        magnitude = (float)mantissa * 0x1p-24f;
    else if (field == 0x1f)
        magnitude = mantissa ? NAN : INFINITY;
    else /* the same exponent, counted from 127 instead of 15 */
        magnitude = float_of_bits((field + 112) << 23 | mantissa << 13);
    return bits >> 15 ? -magnitude : magnitude;
}

float bf16_to_float(uint16_t bits)
{
    return float_of_bits((uint32_t)bits << 16);
}
