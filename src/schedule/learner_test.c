/* Unit tests of schedule/learner.h: models that want opposite things, noise, change, restarts. */
#include "schedule/learner.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 64, CORES = 2 };

/* Execution time in ns of `rows` rows when `slots` such executions run at once. */
typedef double execution_time(double rows, double slots);

static struct learner learner;
static uint64_t seed;

static int set_up(void **state)
{
    learner_init(&learner, MANY, CORES, false);
    seed = 88172645463325252;
    return 0;
}

static double next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

/* 3.95 ms a row on a core of its own; a batch of 64 costs 9.6 ms a row. */
static double likes_single_rows(double rows, double slots)
{
    return 7.9e6 * rows * (1 + 0.0035 * (rows - 1)) *
           (slots > (double)CORES ? slots / (double)CORES : 1);
}

/* Mostly overhead: 1.3 ms, and 0.17 ms a row. */
static double likes_batches(double rows, double slots)
{
    return (1.3e6 + 0.17e6 * rows) * (slots > (double)CORES ? slots / (double)CORES : 1);
}

/* It uses all cores by itself: two at once take twice as long, and then some. */
static double likes_to_be_alone(double rows, double slots)
{
    return (1e6 + 1e6 * rows) * (slots > 1 ? 1.15 * slots : 1);
}

/* Executions under a load that always has more: each takes what the point in use says. */
static void run(execution_time *time_of, int executions, double noise)
{
    for (int i = 0; i < executions; i++) {
        double rows = (double)learner.rows, slots = (double)learner.slots;
        double time_ns = time_of(rows, slots) * (1 + noise * (2 * next_random() - 1));
        if (noise > 0 && next_random() < 0.05)
            time_ns *= 20; /* the machine had something else to do */
        learner_observe(&learner, learner.rows, slots, (uint64_t)time_ns, true);
    }
}

/* Rows a second at a point. */
static double speed(execution_time *time_of, double rows, double slots)
{
    return 1e9 * rows * slots / time_of(rows, slots);
}

static double best_speed(execution_time *time_of)
{
    double best = 0;
    for (unsigned rows = 1; rows <= MANY; rows *= 2) {
        for (unsigned slots = 1; slots <= CORES; slots *= 2)
            best = fmax(best, speed(time_of, rows, slots));
    }
    return best;
}

/* Of the best speed, the mean over the next executions, trials among them. */
static double share_of_best(execution_time *time_of, int executions, double noise)
{
    double rows = 0, time_ns = 0;
    for (int i = 0; i < executions; i++) {
        double batch = (double)learner.rows, slots = (double)learner.slots;
        rows += batch;
        time_ns += time_of(batch, slots) / slots;
        run(time_of, 1, noise);
    }
    return 1e9 * rows / time_ns / best_speed(time_of);
}

static void single_rows_in_two_slots(void **state)
{
    run(likes_single_rows, 100, 0);
    assert_int_equal(learner.slots, 2);
    assert_true(learner.rows <= 4); /* within a fiftieth of the best */
    assert_true(share_of_best(likes_single_rows, 1000, 0) > 0.97);
}

static void batches(void **state)
{
    run(likes_batches, 100, 0);
    assert_int_equal(learner.slots, 2);
    assert_true(learner.rows >= 32);
    assert_true(share_of_best(likes_batches, 1000, 0) > 0.97);
}

static void one_at_a_time(void **state)
{
    run(likes_to_be_alone, 100, 0);
    assert_int_equal(learner.slots, 1);
    assert_true(share_of_best(likes_to_be_alone, 1000, 0) > 0.95);
}

/* Two at once are cheaper by this factor, on a machine that for a dozen executions now and then is
 * three times slower. */
static double factor_of_two;

static double likes_two(double rows, double slots)
{
    static int executions;
    double slower = executions++ % 60 < 12 ? 3 : 1;
    return 1e6 * rows * slower * (slots > 1 ? factor_of_two * slots : 1);
}

static int executions_in_two(double factor)
{
    int in_two = 0;
    factor_of_two = factor;
    learner_init(&learner, 1, CORES, false);
    run(likes_two, 300, 0.1);
    for (int i = 0; i < 3000; i++) {
        run(likes_two, 1, 0.1);
        in_two += learner.slots == 2;
    }
    return in_two;
}

static void ups_and_downs_of_the_machine_do_not_mislead_it(void **state)
{
    assert_true(executions_in_two(0.9) > 2700);
}

static void trials_that_cost_much_are_seldom(void **state)
{
    assert_true(executions_in_two(0.55) > 2850);
}

static void slots_may_be_given(void **state)
{
    learner_init(&learner, MANY, CORES, true);
    for (int i = 0; i < 3; i++) /* at leisure */
        learner_observe(&learner, 1, 1, 1000000, false);
    run(likes_to_be_alone, 1000, 0.05);
    assert_int_equal(learner.slots, CORES);
    assert_true(learner.rows >= 16);
}

static void noise_does_not_mislead_it(void **state)
{
    run(likes_batches, 300, 0.2);
    assert_true(share_of_best(likes_batches, 3000, 0.2) > 0.93);
    set_up(NULL);
    run(likes_single_rows, 300, 0.2);
    assert_true(share_of_best(likes_single_rows, 3000, 0.2) > 0.93);
}

static void it_follows_a_change(void **state)
{
    run(likes_single_rows, 3000, 0.05);
    run(likes_batches, 3000, 0.05);
    assert_true(share_of_best(likes_batches, 1000, 0.05) > 0.93);
}

static void first_executions_that_are_slow_are_forgotten(void **state)
{
    learner_observe(&learner, 1, 1, 5000000000, false);
    for (int i = 0; i < 4; i++)
        learner_observe(&learner, 1, 1, 1000000, false);
    assert_int_equal(learner_execution_ns(&learner, 1), 1000000);
}

static void times_that_vary_promise_little(void **state)
{
    static const uint64_t times_ms[] = {10, 12, 16, 60, 80, 90, 100};
    for (size_t i = 0; i < 3; i++)
        learner_observe(&learner, 1, 1, times_ms[i] * 1000000, false);
    assert_in_range(learner_execution_ns(&learner, 1), 11999000, 12001000); /* much alike */
    for (size_t i = 3; i < 7; i++)
        learner_observe(&learner, 1, 1, times_ms[i] * 1000000, false);
    assert_in_range(learner_execution_ns(&learner, 1), 9999000, 10001000);
}

/* Larger batches than come cannot be tried: that costs nothing and ends. */
static void what_does_not_come_is_not_waited_for(void **state)
{
    for (int i = 0; i < 1000; i++) {
        uint64_t rows = learner.rows < 8 ? learner.rows : 8;
        double time_ns = likes_batches((double)rows, (double)learner.slots);
        learner_observe(&learner, rows, (double)learner.slots, (uint64_t)time_ns, true);
    }
    assert_true(learner.rows >= 8);
    assert_true(learner.pause >= 64);
}

static void slots_are_used_until_known_to_be_dearer(void **state)
{
    for (int i = 0; i < 10; i++)
        learner_observe(&learner, 1, 1, 1000000, false);
    assert_int_equal(learner.slots, 2);
}

static void waits_are_foreseen(void **state)
{
    assert_int_equal(learner_wait_ns(&learner, 10), 0); /* nobody knows */
    run(likes_batches, 2000, 0);
    double spacing_ns = 1e9 / best_speed(likes_batches);
    double wait_ns = (double)learner_wait_ns(&learner, 640);
    assert_true(wait_ns > 600 * spacing_ns && wait_ns < 700 * spacing_ns);
    assert_true(learner_wait_ns(&learner, 641) >= learner_wait_ns(&learner, 640));
}

static void a_wait_is_foreseen_from_what_smaller_batches_took(void **state)
{
    for (int i = 0; i < 3; i++)
        learner_observe(&learner, 1, 1, 1000000, false);
    learner.rows = 64;
    assert_int_equal(learner_wait_ns(&learner, 64), 1000000); /* as if all went at once */
}

static void larger_requests_than_were_seen_promise_what_smaller_ones_took(void **state)
{
    for (int i = 0; i < 3; i++)
        learner_observe(&learner, 1, 1, 1000000, false);
    learner.rows = 1; /* what it likes is no matter */
    assert_int_equal(learner_execution_ns(&learner, 5000), 1000000);
    for (int i = 0; i < 3; i++)
        learner_observe(&learner, 5000, 1, 10000000, false);
    assert_in_range(learner_execution_ns(&learner, 5000), 9999000, 10001000);
    assert_int_equal(learner_execution_ns(&learner, 1), 1000000);
}

static void it_remembers_over_a_restart(void **state)
{
    struct learner_point points[LEARNER_POINTS + 3];
    run(likes_batches, 1000, 0);
    uint64_t rows = learner.rows, wait_ns = learner_wait_ns(&learner, 500);
    size_t count = learner_save(&learner, points);
    assert_true(count >= 3);
    points[count++] = (struct learner_point){1U << 20, 1, 1};
    points[count++] = (struct learner_point){1, 1, NAN};
    points[count++] = (struct learner_point){1, 1, -1};
    learner_init(&learner, MANY, CORES, false);
    learner_restore(&learner, points, count);
    assert_int_equal(learner.rows, rows);
    assert_int_equal(learner_wait_ns(&learner, 500), wait_ns);
    learner_init(&learner, 8, 1, false); /* fewer are allowed now */
    learner_restore(&learner, points, count);
    assert_true(learner.rows <= 8);
    assert_int_equal(learner.slots, 1);
}

static void odd_limits_are_kept(void **state)
{
    learner_init(&learner, 24, 3, false);
    run(likes_batches, 500, 0);
    assert_int_equal(learner.rows, 24);
    assert_true(learner.slots <= 3);
    learner_init(&learner, 1000, 300, false);
    run(likes_batches, 500, 0);
    assert_true(learner.rows <= 1000 && learner.slots <= 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(single_rows_in_two_slots, set_up),
        cmocka_unit_test_setup(batches, set_up),
        cmocka_unit_test_setup(one_at_a_time, set_up),
        cmocka_unit_test_setup(ups_and_downs_of_the_machine_do_not_mislead_it, set_up),
        cmocka_unit_test_setup(trials_that_cost_much_are_seldom, set_up),
        cmocka_unit_test_setup(slots_may_be_given, set_up),
        cmocka_unit_test_setup(noise_does_not_mislead_it, set_up),
        cmocka_unit_test_setup(it_follows_a_change, set_up),
        cmocka_unit_test_setup(first_executions_that_are_slow_are_forgotten, set_up),
        cmocka_unit_test_setup(times_that_vary_promise_little, set_up),
        cmocka_unit_test_setup(what_does_not_come_is_not_waited_for, set_up),
        cmocka_unit_test_setup(slots_are_used_until_known_to_be_dearer, set_up),
        cmocka_unit_test_setup(waits_are_foreseen, set_up),
        cmocka_unit_test_setup(a_wait_is_foreseen_from_what_smaller_batches_took, set_up),
        cmocka_unit_test_setup(larger_requests_than_were_seen_promise_what_smaller_ones_took,
                               set_up),
        cmocka_unit_test_setup(it_remembers_over_a_restart, set_up),
        cmocka_unit_test_setup(odd_limits_are_kept, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
