/* Unit tests of net/loop.h: messages, tasks and timers on a running loop. */
#include "net/loop.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

static int start(void **state)
{
    struct error error;
    *state = loop_new(&error);
    return *state ? 0 : -1;
}

static int end(void **state)
{
    loop_free(*state);
    return 0;
}

/* Messages */

enum { THREADS = 4, MESSAGES = 20000 };

struct numbered {
    struct loop_message message;
    struct poster *poster;
    unsigned number;
};

struct poster {
    pthread_t thread;
    struct loop *loop;
    unsigned next; /* on the loop's thread */
    unsigned *left;
    struct numbered messages[MESSAGES];
};

static void deliver(struct loop_message *message)
{
    struct numbered *numbered = list_entry(message, struct numbered, message);
    struct poster *poster = numbered->poster;
    assert_int_equal(numbered->number, poster->next);
    poster->next++;
    if (--*poster->left == 0)
        loop_stop(poster->loop);
}

static void *post_all(void *argument)
{
    struct poster *poster = argument;
    for (unsigned i = 0; i < MESSAGES; i++) {
        poster->messages[i] =
            (struct numbered){.message.deliver = deliver, .poster = poster, .number = i};
        loop_post(poster->loop, &poster->messages[i].message);
    }
    return NULL;
}

static void messages_of_a_thread_arrive_in_order(void **state)
{
    unsigned left = THREADS * MESSAGES;
    struct poster *posters = calloc(THREADS, sizeof *posters);
    assert_non_null(posters);
    for (int i = 0; i < THREADS; i++) {
        posters[i].loop = *state;
        posters[i].left = &left;
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    loop_run(*state);
    assert_int_equal(left, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(posters[i].thread, NULL);
    free(posters);
}

static void free_message(struct loop_message *message)
{
    free(message);
}

static void the_loop_delivers_before_it_is_freed(void **state)
{
    for (int i = 0; i < 3; i++) { /* the sanitizer finds what is not delivered */
        struct loop_message *message = calloc(1, sizeof *message);
        assert_non_null(message);
        message->deliver = free_message;
        loop_post(*state, message);
    }
}

static void *stop(void *loop)
{
    loop_stop(loop);
    return NULL;
}

static void any_thread_stops_the_loop(void **state)
{
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stop, *state), 0);
        loop_run(*state);
        pthread_join(thread, NULL);
    }
    loop_stop(*state);
    loop_run(*state); /* returns at once */
}

/* Tasks */

struct repeated {
    struct loop_task task;
    struct loop *loop;
    unsigned left;
};

static void repeat(struct loop_task *task)
{
    struct repeated *repeated = list_entry(task, struct repeated, task);
    if (--repeated->left > 0)
        loop_defer(repeated->loop, task);
    else
        loop_stop(repeated->loop);
}

/* Far more often than fits into one turn: the loop must go on without anything else to wake it. */
static void a_task_may_defer_itself(void **state)
{
    struct repeated repeated = {.task.run = repeat, .loop = *state, .left = 100000};
    loop_defer(*state, &repeated.task);
    loop_defer(*state, &repeated.task); /* scheduled once */
    loop_run(*state);
    assert_int_equal(repeated.left, 0);
}

static struct repeated endless;

static void stop_endless(struct loop_message *message)
{
    endless.left = 1;
}

static void tasks_do_not_starve_the_rest(void **state)
{
    struct loop_message message = {.deliver = stop_endless};
    endless = (struct repeated){.task.run = repeat, .loop = *state, .left = UINT32_MAX};
    loop_defer(*state, &endless.task);
    loop_post(*state, &message);
    loop_run(*state);
    assert_int_equal(endless.left, 0);
}

static void a_task_that_is_taken_back_does_not_run(void **state)
{
    struct repeated one = {.task.run = repeat, .loop = *state, .left = 1}, other = one;
    loop_defer(*state, &other.task);
    loop_defer(*state, &one.task);
    loop_undefer(&other.task);
    loop_undefer(&other.task);
    loop_run(*state);
    assert_int_equal(one.left, 0);
    assert_int_equal(other.left, 1);
}

/* Timers */

enum { TIMERS = 500 };

struct timed {
    struct timer timer;
    struct loop *loop;
    uint64_t started_ns;
    uint64_t after_ms;
};

static struct {
    struct timed timed[TIMERS];
    unsigned fired;
    unsigned until; /* this many have fired */
    uint64_t last_due_ms;
} timers;

static void on_fire(struct timer *timer)
{
    struct timed *timed = list_entry(timer, struct timed, timer);
    assert_null(timer->loop);
    assert_true(timer->due_ms >= timers.last_due_ms);
    assert_true(clock_now_ns() - timed->started_ns >= timed->after_ms * CLOCK_NS_PER_MS);
    timers.last_due_ms = timer->due_ms;
    if (++timers.fired == timers.until)
        loop_stop(timed->loop);
}

static void start_timed(int index, struct loop *loop, uint64_t after_ms)
{
    struct timed *timed = &timers.timed[index];
    timed->loop = loop;
    timed->after_ms = after_ms;
    timed->started_ns = loop_now_ns(loop);
    timer_start(&timed->timer, loop, after_ms, on_fire);
}

static void reset_timers(unsigned until)
{
    memset(&timers, 0, sizeof timers);
    timers.until = until;
}

static void timers_fire_in_order_and_not_early(void **state)
{
    reset_timers(TIMERS);
    for (int i = 0; i < TIMERS; i++)
        start_timed(i, *state, (uint64_t)(i * 7919) % 200);
    loop_run(*state);
    assert_int_equal(timers.fired, TIMERS);
}

static void a_timer_moves_both_ways_and_stops(void **state)
{
    reset_timers(3);
    for (int i = 0; i < 4; i++)
        start_timed(i, *state, 50);
    start_timed(0, *state, 10);
    start_timed(1, *state, 150);
    timer_stop(&timers.timed[2].timer);
    timer_stop(&timers.timed[2].timer);
    start_timed(4, *state, UINT64_MAX);
    loop_run(*state);
    assert_int_equal(timers.fired, 3);
    assert_null(timers.timed[2].timer.loop);
    assert_non_null(timers.timed[4].timer.loop);
    timer_stop(&timers.timed[4].timer);
}

static void restart(struct timer *timer)
{
    struct timed *timed = list_entry(timer, struct timed, timer);
    if (timed->after_ms-- > 0) {
        timer_start(timer, timed->loop, 2, restart);
        timer_stop(&timers.timed[1].timer);
        timer_start(&timers.timed[1].timer, timed->loop, 1, restart);
        timer_stop(&timers.timed[1].timer);
    } else {
        loop_stop(timed->loop);
    }
}

static void a_timer_starts_and_stops_within_fire(void **state)
{
    reset_timers(0);
    timers.timed[0].loop = *state;
    timers.timed[0].after_ms = 20; /* times to go */
    uint64_t before_ns = clock_now_ns();
    timer_start(&timers.timed[0].timer, *state, 0, restart);
    loop_run(*state);
    assert_true(clock_now_ns() - before_ns >= 40 * CLOCK_NS_PER_MS);
    assert_null(timers.timed[1].timer.loop);
}

static unsigned turns;

static void count_turn(uv_prepare_t *prepare)
{
    turns++;
}

/* Ten seconds ahead, moved ten thousand times, then stopped: none of this may wake the loop. */
static void timers_that_are_not_due_do_not_wake_the_loop(void **state)
{
    uv_prepare_t prepare;
    reset_timers(1);
    uv_prepare_init(loop_uv(*state), &prepare);
    uv_prepare_start(&prepare, count_turn);
    turns = 0;
    for (int i = 0; i < 10000; i++)
        start_timed(i % 400, *state, 10000);
    for (int i = 1; i < 400; i++)
        timer_stop(&timers.timed[i].timer);
    start_timed(401, *state, 300);
    loop_run(*state);
    assert_true(turns <= 10);
    timer_stop(&timers.timed[0].timer);
    uv_close((uv_handle_t *)&prepare, NULL);
    loop_stop(*state);
    loop_run(*state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_of_a_thread_arrive_in_order),
        TEST(the_loop_delivers_before_it_is_freed),
        TEST(any_thread_stops_the_loop),
        TEST(a_task_may_defer_itself),
        TEST(tasks_do_not_starve_the_rest),
        TEST(a_task_that_is_taken_back_does_not_run),
        TEST(timers_fire_in_order_and_not_early),
        TEST(a_timer_moves_both_ways_and_stops),
        TEST(a_timer_starts_and_stops_within_fire),
        TEST(timers_that_are_not_due_do_not_wake_the_loop),
    };
    return cmocka_run_group_tests_name("net/loop", tests, NULL, NULL);
}
