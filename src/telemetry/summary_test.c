/* Unit tests of telemetry/summary.h. */
#include "telemetry/summary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define US UINT64_C(1000)
#define S UINT64_C(1000000000)

static struct summary summary;

static int setup(void **state)
{
    memset(&summary, 0, sizeof summary);
    return 0;
}

static void assert_near(double quantile, uint64_t expected_ns)
{
    uint64_t got = summary_quantile(&summary, quantile);
    assert_true(got >= expected_ns && got <= expected_ns + expected_ns / 16 + US);
}

static void quantiles_are_at_most_a_sixteenth_too_high(void **state)
{
    for (uint64_t i = 1; i <= 10000; i++)
        summary_observe(&summary, S, i * 10 * US);
    assert_near(0.5, 5000 * 10 * US);
    assert_near(0.9, 9000 * 10 * US);
    assert_near(0.99, 9900 * 10 * US);
    assert_near(0.999, 9990 * 10 * US);
}

static void nothing_counted_is_zero(void **state)
{
    assert_int_equal(summary_quantile(&summary, 0.5), 0);
}

static void the_smallest_and_the_largest_have_a_place(void **state)
{
    summary_observe(&summary, S, 0);
    assert_in_range(summary_quantile(&summary, 0.5), 1 * US, 2 * US);
    for (int i = 0; i < 100; i++)
        summary_observe(&summary, S, UINT64_MAX);
    assert_true(summary_quantile(&summary, 0.5) > 3600 * S);
}

static void what_is_old_is_forgotten(void **state)
{
    summary_observe(&summary, 100 * S, 50000 * US);
    summary_observe(&summary, 129 * S, 50000 * US);
    summary_observe(&summary, 131 * S, 10 * US); /* the first half is still known */
    assert_near(0.9, 50000 * US);
    summary_observe(&summary, 162 * S, 10 * US);
    assert_near(0.999, 10 * US);
    summary_observe(&summary, 500 * S, 70 * US); /* both halves are old */
    assert_near(0, 70 * US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(quantiles_are_at_most_a_sixteenth_too_high, setup),
        cmocka_unit_test_setup(nothing_counted_is_zero, setup),
        cmocka_unit_test_setup(the_smallest_and_the_largest_have_a_place, setup),
        cmocka_unit_test_setup(what_is_old_is_forgotten, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
