/* What is allowed for beyond what was foreseen. */
#include "schedule/allowance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 20000 };

static const double FORESEEN_NS = 1e6;

/* Waits that are spread evenly, up to so many hundredths beyond what was foreseen. Returns how many
 * hundredths are allowed for in the end, on average. */
static double learned(unsigned short seed, double most_beyond)
{
    unsigned short state[3] = {seed, 2, 3};
    struct allowance allowance;
    double sum = 0;
    allowance_init(&allowance);
    for (int i = 0; i < 2 * ROUNDS; i++) {
        double waited_ns = FORESEEN_NS * (1 + most_beyond / 100 * erand48(state));
        allowance_learn(&allowance, (uint64_t)FORESEEN_NS, (uint64_t)waited_ns);
        if (i >= ROUNDS)
            sum += (double)allowance_ns(&allowance, (uint64_t)FORESEEN_NS) / FORESEEN_NS - 1;
    }
    return 100 * sum / (double)ROUNDS;
}

static void one_of_fifty_waits_longer(void **state)
{
    for (unsigned short seed = 1; seed < 5; seed++) {
        assert_true(learned(seed, 60) > 55 && learned(seed, 60) < 62);
        assert_true(learned(seed, 30) > 26 && learned(seed, 30) < 34);
    }
}

static void there_is_a_least_and_a_most(void **state)
{
    assert_true(learned(1, 0) > 4.9 && learned(1, 0) < 5.1);
    assert_true(learned(1, 1000) > 95 && learned(1, 1000) < 100.1);
}

static void at_first_a_quarter_is_allowed_for(void **state)
{
    struct allowance allowance;
    allowance_init(&allowance);
    assert_int_equal(allowance_ns(&allowance, 400), 500);
    assert_int_equal(allowance_ns(&allowance, UINT64_MAX), UINT64_C(1000000000000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_fifty_waits_longer),
        cmocka_unit_test(there_is_a_least_and_a_most),
        cmocka_unit_test(at_first_a_quarter_is_allowed_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
