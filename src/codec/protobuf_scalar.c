/* Scalars from text; see protobuf_scalar.h. */
#include "codec/protobuf_scalar.h"
#include "codec/number.h"
#include "codec/suggest.h"

#include <math.h>

static bool fail(const struct pb_field *field, struct span text, const char *expected,
                 struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%.*s' must be %s, not '%.*s'",
                     SPAN_ARGS(field->name), expected, SPAN_ARGS(suggest_cut(text)));
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/* Reads sign and magnitude of an integer. */
static bool read_integer(struct span text, bool *ret_negative, uint64_t *ret_magnitude)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    uint64_t magnitude = 0;
    uint64_t base = 10;
    text = span_after(text, negative);
    if (span_starts_with(text, SPAN("0x")) || span_starts_with(text, SPAN("0X"))) {
        base = 16;
        text = span_after(text, 2);
    } else if (text.size > 1 && text.data[0] == '0') {
        base = 8;
        text = span_after(text, 1);
    }
    for (size_t i = 0; i < text.size; i++) {
        /* -Wanalyzer-null-dereference: only an empty span has no data */
        uint64_t digit = (uint64_t)digit_value(text.data[i]);
        if (digit >= base || __builtin_mul_overflow(magnitude, base, &magnitude) ||
            __builtin_add_overflow(magnitude, digit, &magnitude))
            return false;
    }
    *ret_negative = negative;
    *ret_magnitude = magnitude;
    return text.size > 0;
}

static bool read_signed(struct span text, int64_t least, int64_t greatest, int64_t *ret_value)
{
    bool negative;
    uint64_t magnitude;
    if (!read_integer(text, &negative, &magnitude))
        return false;
    uint64_t limit = negative ? (uint64_t)0 - (uint64_t)least : (uint64_t)greatest;
    if (magnitude > limit)
        return false;
    *ret_value = (int64_t)(negative ? (uint64_t)0 - magnitude : magnitude);
    return true;
}

static bool read_unsigned(struct span text, uint64_t greatest, uint64_t *ret_value)
{
    bool negative;
    return read_integer(text, &negative, ret_value) && *ret_value <= greatest &&
           (!negative || *ret_value == 0);
}

static bool read_double(struct span text, double *ret_value)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    struct span rest = span_after(text, negative);
    if (span_equal_nocase(rest, SPAN("inf")) || span_equal_nocase(rest, SPAN("infinity"))) {
        *ret_value = negative ? -INFINITY : INFINITY;
        return true;
    }
    if (span_equal_nocase(rest, SPAN("nan"))) {
        *ret_value = NAN;
        return true;
    }
    if (text.size > 1 && (text.data[text.size - 1] == 'f' || text.data[text.size - 1] == 'F'))
        text.size--;
    struct number number;
    return number_scan(text, &number) && number.text.size == text.size &&
           number_to_double(&number, ret_value);
}

static bool read_bool(struct span text, bool *ret_value)
{
    bool yes = span_equal(text, SPAN("true")) || span_equal(text, SPAN("True")) ||
               span_equal(text, SPAN("t")) || span_equal(text, SPAN("1"));
    bool no = span_equal(text, SPAN("false")) || span_equal(text, SPAN("False")) ||
              span_equal(text, SPAN("f")) || span_equal(text, SPAN("0"));
    if (yes || no)
        *ret_value = yes;
    return yes || no;
}

static bool read_enum(const struct pb_field *field, struct span text, int32_t *slot,
                      struct error *ret_error)
{
    const struct pb_enum *enumeration = field->enumeration;
    int64_t number;
    bool numeric = read_signed(text, INT32_MIN, INT32_MAX, &number);
    for (size_t i = 0; i < enumeration->value_count; i++) {
        const struct pb_enum_value *value = &enumeration->values[i];
        if (numeric ? value->number == number : span_equal(value->name, text)) {
            *slot = value->number;
            return true;
        }
    }
    char hint[96];
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%.*s' has no value '%.*s'%s",
                     SPAN_ARGS(field->name), SPAN_ARGS(suggest_cut(text)),
                     suggest_value(enumeration, text, hint, sizeof hint));
}

static bool read_integer_field(const struct pb_field *field, struct span text, void *slot)
{
    int64_t number;
    uint64_t magnitude;
    switch (field->type) {
    case PB_INT64:
    case PB_SINT64:
    case PB_SFIXED64:
        return read_signed(text, INT64_MIN, INT64_MAX, slot);
    case PB_UINT64:
    case PB_FIXED64:
        return read_unsigned(text, UINT64_MAX, slot);
    case PB_UINT32:
    case PB_FIXED32:
        if (!read_unsigned(text, UINT32_MAX, &magnitude))
            return false;
        *(uint32_t *)slot = (uint32_t)magnitude;
        return true;
    default:
        if (!read_signed(text, INT32_MIN, INT32_MAX, &number))
            return false;
        *(int32_t *)slot = (int32_t)number;
        return true;
    }
}

bool pb_scalar_read(const struct pb_field *field, struct span text, void *slot,
                    struct error *ret_error)
{
    double number;
    switch (field->type) {
    case PB_ENUM:
        return read_enum(field, text, slot, ret_error);
    case PB_BOOL:
        return read_bool(text, slot) || fail(field, text, "true or false", ret_error);
    case PB_DOUBLE:
    case PB_FLOAT:
        if (!read_double(text, &number))
            return fail(field, text, "a number", ret_error);
        if (field->type == PB_FLOAT)
            *(float *)slot = (float)number;
        else
            *(double *)slot = number;
        return true;
    default:
        return read_integer_field(field, text, slot) ||
               fail(field, text, "an integer that it can hold", ret_error);
    }
}
