/* Which version answers: exact over a cycle, the same for the same key, and few keys that move. */
#include "schedule/rollout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 20000 };

static const bool all[ROLLOUT_MAX_VERSIONS] = {true, true, true, true};

static uint64_t key_number(unsigned number)
{
    char text[32];
    snprintf(text, sizeof text, "user-%u", number);
    return rollout_key(span_of(text));
}

static void a_cycle_is_exact(void **state)
{
    const struct rollout rollout = {.weights = {{1, 90}, {2, 7}, {5, 3}}, .weight_count = 3};
    struct rollout_turns turns = {0};
    for (int cycle = 0; cycle < 3; cycle++) {
        unsigned counts[3] = {0}, since = 0;
        for (int i = 0; i < 100; i++) {
            size_t at = rollout_turn(&rollout, &turns, all);
            counts[at]++;
            since = at == 1 ? 0 : since + 1;
            assert_true(since < 2 * 100 / 7); /* evenly spread */
        }
        assert_int_equal(counts[0], 90);
        assert_int_equal(counts[1], 7);
        assert_int_equal(counts[2], 3);
    }
}

static void who_cannot_answer_is_passed_over(void **state)
{
    const struct rollout rollout = {.weights = {{1, 1}, {2, 2}, {3, 1}}, .weight_count = 3};
    const bool without_second[ROLLOUT_MAX_VERSIONS] = {true, false, true};
    const bool none[ROLLOUT_MAX_VERSIONS] = {false};
    struct rollout_turns turns = {0};
    unsigned counts[3] = {0};
    for (int i = 0; i < 7; i++)
        rollout_turn(&rollout, &turns, all);
    for (int i = 0; i < 10; i++)
        counts[rollout_turn(&rollout, &turns, without_second)]++;
    assert_int_equal(counts[0], 5);
    assert_int_equal(counts[1], 0);
    assert_int_equal(counts[2], 5);
    assert_int_equal(rollout_turn(&rollout, &turns, none), ROLLOUT_NONE);
    assert_int_equal(rollout_stick(&rollout, 1, none), ROLLOUT_NONE);
    assert_int_equal(rollout_primary(&rollout, none), ROLLOUT_NONE);
    memset(counts, 0, sizeof counts); /* back again: a cycle from its beginning */
    for (int i = 0; i < 8; i++)
        counts[rollout_turn(&rollout, &turns, all)]++;
    assert_int_equal(counts[1], 4);
}

static void a_weight_of_nothing_gets_nothing(void **state)
{
    const struct rollout rollout = {.weights = {{1, 0}, {2, 1}}, .weight_count = 2};
    const bool first[ROLLOUT_MAX_VERSIONS] = {true};
    struct rollout_turns turns = {0};
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(rollout_turn(&rollout, &turns, all), 1);
        assert_int_equal(rollout_stick(&rollout, key_number(i), all), 1);
    }
    assert_int_equal(rollout_turn(&rollout, &turns, first), ROLLOUT_NONE);
}

static void keys_are_shared_by_weight(void **state)
{
    const struct rollout rollout = {.weights = {{1, 70}, {2, 20}, {9, 10}}, .weight_count = 3};
    unsigned counts[3] = {0};
    for (unsigned i = 0; i < KEYS; i++) {
        size_t at = rollout_stick(&rollout, key_number(i), all);
        assert_int_equal(at, rollout_stick(&rollout, key_number(i), all));
        counts[at]++;
    }
    /* Six standard deviations of a binomial: 390, 340, 255. */
    assert_in_range(counts[0], KEYS * 70 / 100 - 390, KEYS * 70 / 100 + 390);
    assert_in_range(counts[1], KEYS * 20 / 100 - 340, KEYS * 20 / 100 + 340);
    assert_in_range(counts[2], KEYS * 10 / 100 - 255, KEYS * 10 / 100 + 255);
}

/* From 95:5 to 90:10: one key in twenty moves, all of them to the second. */
static void few_keys_move(void **state)
{
    const struct rollout before = {.weights = {{1, 95}, {2, 5}}, .weight_count = 2};
    const struct rollout after = {.weights = {{1, 95}, {2, 10}}, .weight_count = 2};
    unsigned moved = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        size_t then = rollout_stick(&before, key_number(i), all);
        size_t now = rollout_stick(&after, key_number(i), all);
        assert_true(then == now || now == 1);
        moved += then != now;
    }
    /* 10/105 - 5/100, with six standard deviations. */
    assert_in_range(moved, KEYS * 45 / 1000 - 180, KEYS * 45 / 1000 + 180);
}

/* The keys of a version that has gone are spread; nobody else's move. */
static void only_its_own_keys_leave_a_version(void **state)
{
    const struct rollout rollout = {.weights = {{1, 2}, {2, 1}, {3, 1}}, .weight_count = 3};
    const bool without_first[ROLLOUT_MAX_VERSIONS] = {false, true, true};
    for (unsigned i = 0; i < KEYS; i++) {
        size_t then = rollout_stick(&rollout, key_number(i), all);
        size_t now = rollout_stick(&rollout, key_number(i), without_first);
        assert_true(then == 0 ? now != 0 : now == then);
    }
}

static void the_primary_has_most(void **state)
{
    const struct rollout rollout = {.weights = {{1, 5}, {2, 90}, {3, 5}}, .weight_count = 3};
    const bool without_second[ROLLOUT_MAX_VERSIONS] = {true, false, true};
    assert_int_equal(rollout_primary(&rollout, all), 1);
    assert_int_equal(rollout_primary(&rollout, without_second), 0);
}

static void a_share_is_copied(void **state)
{
    const struct rollout rollout = {.shadow = 2, .shadow_share = 250000};
    const struct rollout whole = {.shadow = 2, .shadow_share = ROLLOUT_WHOLE};
    struct rollout_turns turns = {0}, of_whole = {0};
    unsigned copied = 0;
    for (int i = 0; i < 1000; i++) {
        copied += rollout_copies(&rollout, &turns);
        assert_true(rollout_copies(&whole, &of_whole));
    }
    assert_int_equal(copied, 250);
}

static void the_largest_weights_fit(void **state)
{
    const struct rollout rollout = {
        .weights = {{1, ROLLOUT_MAX_WEIGHT}, {INT64_MAX, ROLLOUT_MAX_WEIGHT}}, .weight_count = 2};
    struct rollout_turns turns = {0};
    assert_int_equal(rollout_turn(&rollout, &turns, all), 0);
    assert_int_equal(rollout_turn(&rollout, &turns, all), 1);
    assert_true(rollout_stick(&rollout, 0, all) < 2);
    assert_true(rollout_stick(&rollout, UINT64_MAX, all) < 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cycle_is_exact),
        cmocka_unit_test(who_cannot_answer_is_passed_over),
        cmocka_unit_test(a_weight_of_nothing_gets_nothing),
        cmocka_unit_test(keys_are_shared_by_weight),
        cmocka_unit_test(few_keys_move),
        cmocka_unit_test(only_its_own_keys_leave_a_version),
        cmocka_unit_test(the_primary_has_most),
        cmocka_unit_test(a_share_is_copied),
        cmocka_unit_test(the_largest_weights_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
