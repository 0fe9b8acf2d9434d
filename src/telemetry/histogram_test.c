/* Unit tests of telemetry/histogram.h. */
#include "telemetry/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The bucket by definition: the first bound that is not less. */
static size_t expected_bucket(const struct histogram_scale *scale, uint64_t value)
{
    size_t bucket = 0;
    while (bucket < scale->count && value > scale->bounds[bucket])
        bucket++;
    return bucket;
}

/* Wherever the one before it fell. */
static void check_value(const struct histogram_scale *scale, uint64_t value)
{
    for (uint64_t guess = 0; guess <= scale->count + 2; guess++) {
        struct histogram histogram = {.guess = guess};
        histogram_observe(&histogram, scale, value);
        assert_int_equal(histogram.buckets[expected_bucket(scale, value)], 1);
        assert_int_equal(histogram_count(&histogram), 1);
        assert_int_equal(histogram.sum, value);
    }
}

static void a_value_falls_under_the_first_bound_that_holds_it(void **state)
{
    static const struct histogram_scale *const scales[] = {
        &histogram_durations, &histogram_first_response, &histogram_load_ratio,
        &histogram_differences};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        for (size_t j = 0; j < scales[i]->count; j++) {
            check_value(scales[i], scales[i]->bounds[j] - 1);
            check_value(scales[i], scales[i]->bounds[j]);
            check_value(scales[i], scales[i]->bounds[j] + 1);
        }
        check_value(scales[i], 0);
        check_value(scales[i], UINT64_MAX);
    }
}

/* What is written as a bound is the bound. */
static void texts_say_the_bounds(void **state)
{
    static const struct histogram_scale *const scales[] = {
        &histogram_durations, &histogram_first_response, &histogram_load_ratio,
        &histogram_differences};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        for (size_t j = 0; j < scales[i]->count; j++) {
            double said = strtod(scales[i]->texts[j], NULL);
            double is = (double)scales[i]->bounds[j] * scales[i]->unit;
            assert_true(said / is > 0.999999 && said / is < 1.000001);
            assert_true(j == 0 || scales[i]->bounds[j] > scales[i]->bounds[j - 1]);
        }
    }
}

static void durations_reach_from_10_us_to_100_s(void **state)
{
    assert_int_equal(histogram_durations.bounds[0], 10000);
    assert_int_equal(histogram_durations.bounds[histogram_durations.count - 1],
                     UINT64_C(100000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_falls_under_the_first_bound_that_holds_it),
        cmocka_unit_test(texts_say_the_bounds),
        cmocka_unit_test(durations_reach_from_10_us_to_100_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
