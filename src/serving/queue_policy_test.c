/* Unit tests of serving/queue_policy.h. */
#include "serving/queue_policy.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct serving_options options = {.queue_limit = 7};

static void without_a_config_there_are_three_levels(void **state)
{
    struct schedule_policy policy;
    queue_policy(NULL, &options, false, &policy);
    assert_int_equal(policy.queue_limit, 7);
    assert_int_equal(policy_level(&policy, 0), 2);
    assert_int_equal(policy_level(&policy, 1), 1);
    assert_int_equal(policy_level(&policy, 3), 3);
    assert_int_equal(policy_level(&policy, UINT64_MAX), 2); /* no level of it */
    assert_null(policy_rule(&policy, 2));
    assert_true(policy.patience_ns < policy.aging_ns && policy.all_slots);
    queue_policy(NULL, &options, true, &policy);
    assert_false(policy.all_slots);
}

static void what_the_config_says_counts(void **state)
{
    const struct schedule_policy config = {
        .delay_ns = 5 * CLOCK_NS_PER_MS,
        .levels = 9,
        .default_level = 4,
        .rules = {{.level = 2, .queue_size = 1}, {.level = 0, .queue_size = 2}},
        .rule_count = 2,
    };
    struct schedule_policy policy;
    queue_policy(&config, &options, false, &policy);
    assert_int_equal(policy.delay_ns, 5 * CLOCK_NS_PER_MS);
    assert_int_equal(policy_level(&policy, 0), 4);
    assert_int_equal(policy_level(&policy, 9), 9);
    assert_int_equal(policy_rule(&policy, 2)->queue_size, 1);
    assert_int_equal(policy_rule(&policy, 3)->queue_size, 2);
}

static void a_delay_that_no_timer_can_keep_is_none(void **state)
{
    const struct schedule_policy config = {.delay_ns = CLOCK_NS_PER_MS - 1};
    struct schedule_policy policy;
    queue_policy(&config, &options, false, &policy);
    assert_int_equal(policy.delay_ns, 0);
    assert_int_equal(policy.levels, 3);
}

static void with_preserved_order_nobody_goes_first(void **state)
{
    const struct schedule_policy config = {.preserve_order = true};
    struct schedule_policy policy;
    queue_policy(&config, &options, false, &policy);
    assert_int_equal(policy_level(&policy, 1), policy_level(&policy, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_config_there_are_three_levels),
        cmocka_unit_test(what_the_config_says_counts),
        cmocka_unit_test(a_delay_that_no_timer_can_keep_is_none),
        cmocka_unit_test(with_preserved_order_nobody_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
