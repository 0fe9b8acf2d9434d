/* Unit tests of net/wheel.h: against a plain list, on a clock of our own. */
#include "net/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TIMERS = 200 };

struct world {
    struct wheel wheel;
    uint64_t now_ms;
    uint64_t last_due_ms;
    unsigned fired;
    struct timer timers[TIMERS];
};

static struct world world;

/* A timer's loop says whether it runs; which loop it is does not matter here. */
static struct loop *const running = (struct loop *)(void *)&world;

static void add(struct timer *timer, uint64_t due_ms, void (*fire)(struct timer *))
{
    timer->loop = running;
    timer->due_ms = due_ms;
    timer->fire = fire;
    wheel_add(&world.wheel, timer, world.now_ms);
}

static void removed(struct timer *timer)
{
    wheel_remove(&world.wheel, timer);
    timer->loop = NULL;
}

static void count(struct timer *timer)
{
    assert_null(timer->loop);
    assert_true(timer->due_ms <= world.now_ms);
    assert_true(timer->due_ms >= world.last_due_ms);
    world.last_due_ms = timer->due_ms;
    world.fired++;
}

static void reset(uint64_t now_ms)
{
    world = (struct world){.now_ms = now_ms};
    wheel_init(&world.wheel, now_ms);
}

static void advance(uint64_t now_ms)
{
    world.now_ms = now_ms;
    wheel_advance(&world.wheel, now_ms);
}

static void an_empty_wheel_wants_nothing(void **state)
{
    reset(123);
    assert_true(wheel_next_ms(&world.wheel) == UINT64_MAX);
    advance(1000000);
    assert_true(wheel_next_ms(&world.wheel) == UINT64_MAX);
}

/* From the next millisecond to a century: fires when due, not one millisecond before, and is found
 * by following wheel_next_ms in few steps. */
static void every_distance_is_met(void **state)
{
    for (unsigned bit = 0; bit < 41; bit++) {
        reset(UINT64_C(0x3fffff) + bit);
        uint64_t due_ms = world.now_ms + (UINT64_C(1) << bit);
        add(&world.timers[0], due_ms, count);
        unsigned steps = 0;
        while (wheel_next_ms(&world.wheel) < due_ms) {
            assert_true(++steps <= WHEEL_LEVELS);
            advance(wheel_next_ms(&world.wheel));
        }
        advance(due_ms - 1);
        assert_int_equal(world.fired, 0);
        assert_true(wheel_next_ms(&world.wheel) == due_ms);
        advance(due_ms);
        assert_int_equal(world.fired, 1);
        assert_true(wheel_next_ms(&world.wheel) == UINT64_MAX);
    }
}

static uint64_t random_below(uint64_t *seed, uint64_t end)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*seed >> 20) % end;
}

/* What the list says: how many are due, and when the next is. */
static void assert_like_list(unsigned fired_before, unsigned due)
{
    assert_int_equal(world.fired - fired_before, due);
    uint64_t next_ms = UINT64_MAX;
    for (int i = 0; i < TIMERS; i++)
        if (world.timers[i].loop) {
            assert_true(world.timers[i].due_ms > world.now_ms);
            if (world.timers[i].due_ms < next_ms)
                next_ms = world.timers[i].due_ms;
        }
    assert_true(wheel_next_ms(&world.wheel) <= next_ms);
    assert_true(wheel_next_ms(&world.wheel) > world.now_ms);
}

static void a_wheel_is_like_a_list(void **state)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t random = seed;
        reset(random_below(&random, UINT64_C(1) << 40));
        for (int step = 0; step < 300; step++) {
            struct timer *timer = &world.timers[random_below(&random, TIMERS)];
            if (timer->loop)
                removed(timer);
            uint64_t reach = UINT64_C(1) << random_below(&random, 26);
            if (random_below(&random, 4) > 0)
                add(timer, world.now_ms + 1 + random_below(&random, reach), count);
            if (random_below(&random, 3) > 0)
                continue;
            uint64_t to_ms = world.now_ms + random_below(&random, reach + 1);
            unsigned due = 0, fired = world.fired;
            for (int i = 0; i < TIMERS; i++)
                due += world.timers[i].loop && world.timers[i].due_ms <= to_ms;
            advance(to_ms);
            assert_like_list(fired, due);
        }
    }
}

static void stop_the_next(struct timer *timer)
{
    count(timer);
    if (timer[1].loop)
        removed(&timer[1]);
}

static void a_timer_may_stop_another_that_is_due(void **state)
{
    reset(1000);
    for (int i = 0; i < 6; i++)
        add(&world.timers[i], 1005, stop_the_next);
    advance(1005);
    assert_int_equal(world.fired, 3);
}

static void again(struct timer *timer)
{
    count(timer);
    add(timer, world.now_ms + 1, again);
}

static void a_timer_that_starts_itself_fires_once_a_turn(void **state)
{
    reset(1000);
    add(&world.timers[0], 1001, again);
    add(&world.timers[1], 1500, again);
    advance(9000);
    assert_int_equal(world.fired, 2);
    advance(9001);
    assert_int_equal(world.fired, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_wheel_wants_nothing),
        cmocka_unit_test(every_distance_is_met),
        cmocka_unit_test(a_wheel_is_like_a_list),
        cmocka_unit_test(a_timer_may_stop_another_that_is_due),
        cmocka_unit_test(a_timer_that_starts_itself_fires_once_a_turn),
    };
    return cmocka_run_group_tests_name("net/wheel", tests, NULL, NULL);
}
