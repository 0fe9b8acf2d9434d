/* Unit tests of codec/half.h. */
#include "codec/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void every_finite_value_round_trips(void **state)
{
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++) {
        uint16_t back = 7;
        float value = fp16_to_float((uint16_t)bits);
        if (isfinite(value)) {
            assert_true(fp16_from_double((double)value, &back));
            assert_int_equal(back, bits);
        }
        value = bf16_to_float((uint16_t)bits);
        if (isfinite(value)) {
            assert_true(bf16_from_double((double)value, &back));
            assert_int_equal(back, bits);
        }
    }
}

/* Between two neighbours, the middle goes to the even one and all else to the nearer one. */
static void rounds_to_nearest_even(void **state)
{
    for (uint16_t bits = 0; bits < 0x7bff; bits++) {
        uint16_t back;
        double low = (double)fp16_to_float(bits), high = (double)fp16_to_float(bits + 1);
        double middle = (low + high) / 2;
        assert_true(fp16_from_double(middle, &back));
        assert_int_equal(back, bits + (bits & 1));
        assert_true(fp16_from_double(middle * (1 - 0x1p-50), &back));
        assert_int_equal(back, bits);
        assert_true(fp16_from_double(-middle * (1 + 0x1p-50), &back));
        assert_int_equal(back, 0x8000 | (bits + 1));
    }
}

static void knows_special_values(void **state)
{
    assert_true(fp16_to_float(0x3c00) == 1.0f);
    assert_true(fp16_to_float(0xc000) == -2.0f);
    assert_true(fp16_to_float(0x7bff) == 65504.0f);
    assert_true(fp16_to_float(0x0001) == 0x1p-24f);
    assert_true(fp16_to_float(0x7c00) == INFINITY);
    assert_true(fp16_to_float(0xfc00) == -INFINITY);
    assert_true(isnan(fp16_to_float(0x7e00)));
    assert_true(bf16_to_float(0x3f80) == 1.0f);
    assert_true(isnan(bf16_to_float(0x7fc0)));
}

static void refuses_what_is_too_large(void **state)
{
    uint16_t bits = 7;
    assert_false(fp16_from_double(65520.0, &bits));
    assert_false(fp16_from_double(-1e300, &bits));
    assert_false(bf16_from_double(3.4e38, &bits));
    assert_int_equal(bits, 7);
    assert_true(fp16_from_double(65519.999, &bits));
    assert_int_equal(bits, 0x7bff);
    assert_true(fp16_from_double(1e-300, &bits));
    assert_int_equal(bits, 0);
    assert_true(fp16_from_double(-5e-324, &bits));
    assert_int_equal(bits, 0x8000);
    assert_true(fp16_from_double(0x1p-25, &bits)); /* a tie between 0 and the smallest */
    assert_int_equal(bits, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_finite_value_round_trips),
        cmocka_unit_test(rounds_to_nearest_even),
        cmocka_unit_test(knows_special_values),
        cmocka_unit_test(refuses_what_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
