/* Unit tests of net/fine_timer.h on a running loop. */
#include "net/fine_timer.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TIMERS = 5 };

struct noted {
    struct fine_timer timer;
    char name;
};

static struct loop *loop;
static char fired[TIMERS + 1];
static uint64_t fired_ns;

static int start(void **state)
{
    struct error error;
    loop = loop_new(&error);
    memset(fired, 0, sizeof fired);
    return loop ? 0 : -1;
}

static int end(void **state)
{
    loop_free(loop);
    return 0;
}

static void note(struct fine_timer *timer)
{
    const struct noted *noted = list_entry(timer, struct noted, timer);
    size_t count = strlen(fired);
    fired_ns = clock_now_ns();
    assert_true(fired_ns >= timer->due_ns);
    fired[count] = noted->name;
}

static void note_and_stop(struct fine_timer *timer)
{
    note(timer);
    loop_stop(loop);
}

static void they_fire_in_the_order_of_their_times(void **state)
{
    struct noted timers[TIMERS] = {
        {.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}, {.name = 'e'}};
    uint64_t now_ns = clock_now_ns();
    static const uint64_t after_us[TIMERS] = {300, 100, 500, 200, 400};
    for (int i = 0; i < TIMERS; i++)
        fine_timer_start(&timers[i].timer, loop, now_ns + after_us[i] * CLOCK_NS_PER_US,
                         i == 2 ? note_and_stop : note);
    loop_run(loop);
    assert_string_equal(fired, "bdaec");
    assert_true(fired_ns - now_ns >= 500 * CLOCK_NS_PER_US);
}

static void they_move_and_stop(void **state)
{
    struct noted a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    uint64_t now_ns = clock_now_ns();
    fine_timer_start(&a.timer, loop, now_ns + 100 * CLOCK_NS_PER_US, note);
    fine_timer_start(&b.timer, loop, now_ns + 200 * CLOCK_NS_PER_US, note);
    fine_timer_start(&c.timer, loop, now_ns + 300 * CLOCK_NS_PER_US, note);
    fine_timer_start(&a.timer, loop, now_ns + 400 * CLOCK_NS_PER_US, note_and_stop);
    fine_timer_stop(&b.timer);
    fine_timer_stop(&b.timer);
    loop_run(loop);
    assert_string_equal(fired, "ca");
}

static int rounds;

static void again(struct fine_timer *timer)
{
    note(timer);
    fired[0] = '\0';
    if (++rounds == 50)
        loop_stop(loop);
    else
        fine_timer_start(timer, loop, 0, again); /* a time that has passed */
}

static void one_may_start_itself(void **state)
{
    struct noted a = {.name = 'a'};
    rounds = 0;
    fine_timer_start(&a.timer, loop, clock_now_ns(), again);
    loop_run(loop);
    assert_int_equal(rounds, 50);
    assert_null(a.timer.loop);
}

static void a_loop_ends_with_timers_that_run(void **state)
{
    struct noted a = {.name = 'a'};
    fine_timer_start(&a.timer, loop, clock_now_ns() + CLOCK_NS_PER_S, note);
    loop_stop(loop);
    loop_run(loop);
    assert_string_equal(fired, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(they_fire_in_the_order_of_their_times, start, end),
        cmocka_unit_test_setup_teardown(they_move_and_stop, start, end),
        cmocka_unit_test_setup_teardown(one_may_start_itself, start, end),
        cmocka_unit_test_setup_teardown(a_loop_ends_with_timers_that_run, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
