/* Sequences one by one; worlds of them are the simulator's (sequences_simulator.c). */
#include "schedule/sequences.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { REQUESTS = 16, WORKERS = 2, IDLE_NS = 100 };

static struct sequences sequences;
static struct sequence_request requests[REQUESTS];
static struct sequence_worker workers[WORKERS];
static size_t ended, recalled;

static void on_ended(struct sequence *sequence)
{
    sequence->data = NULL;
    ended++;
}

static void on_recalled(struct sequence_request *request)
{
    recalled++;
}

static const struct sequences_events events = {on_ended, on_recalled};

static int set_up(void **state)
{
    memset(requests, 0, sizeof requests);
    memset(workers, 0, sizeof workers);
    ended = recalled = 0;
    sequences_init(&sequences, &events);
    sequences_bound(&sequences, 2, true, IDLE_NS);
    return 0;
}

static int tear_down(void **state)
{
    sequences_fini(&sequences);
    assert_int_equal(sequences_count(&sequences), 0);
    return 0;
}

static void add_worker(size_t at)
{
    sequences_add_worker(&sequences, &workers[at]);
}

/* "s": it starts, "e": it ends its sequence. */
static enum sequences_verdict submit(size_t at, uint64_t number, const char *marks)
{
    requests[at] = (struct sequence_request){.starts = strchr(marks, 's') != NULL,
                                             .ends = strchr(marks, 'e') != NULL};
    return sequences_submit(&sequences, &requests[at], &(struct sequence_id){.number = number});
}

static void expect_next(size_t at)
{
    assert_ptr_equal(sequences_next(&sequences, 0), &requests[at]);
    assert_int_equal(requests[at].state, SEQUENCE_HAS_TURN);
}

static void expect_none(void)
{
    assert_null(sequences_next(&sequences, 0));
}

static void execute(size_t at, uint64_t now_ns)
{
    expect_next(at);
    sequences_run(&requests[at]);
    sequences_answered(&sequences, &requests[at], false, now_ns);
}

static void requests_of_one_sequence_run_one_by_one(void **state)
{
    add_worker(0);
    assert_int_equal(submit(0, 7, "s"), SEQUENCES_TAKEN);
    assert_int_equal(submit(1, 7, ""), SEQUENCES_TAKEN);
    assert_int_equal(submit(2, 7, "e"), SEQUENCES_TAKEN);
    assert_int_equal(submit(3, 7, ""), SEQUENCES_NOT_STARTED);
    expect_next(0);
    expect_none();
    sequences_run(&requests[0]);
    expect_none();
    sequences_answered(&sequences, &requests[0], false, 0);
    execute(1, 0);
    execute(2, 0);
    assert_int_equal(sequences_count(&sequences), 0);
    assert_int_equal(workers[0].used, 0);
}

static void text_and_number_are_two_names(void **state)
{
    struct sequence_id text = {.text = SPAN("7")};
    add_worker(0);
    assert_int_equal(submit(0, 7, "s"), SEQUENCES_TAKEN);
    assert_int_equal(sequences_submit(&sequences, &requests[1], &text), SEQUENCES_NOT_STARTED);
    requests[1].starts = true;
    assert_int_equal(sequences_submit(&sequences, &requests[1], &text), SEQUENCES_TAKEN);
    execute(0, 0);
    execute(1, 0);
    assert_int_equal(sequences_count(&sequences), 2);
}

static void sequences_without_a_place_wait_in_order(void **state)
{
    add_worker(0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(submit(i, i + 1, "s"), SEQUENCES_TAKEN);
    assert_int_equal(submit(4, 1, "e"), SEQUENCES_TAKEN);
    execute(0, 0);
    execute(4, 0);
    execute(1, 0);
    execute(2, 0);
    expect_none();
    assert_int_equal(submit(5, 2, "e"), SEQUENCES_TAKEN);
    execute(5, 0);
    execute(3, 0);
}

static void places_are_numbered(void **state)
{
    add_worker(0);
    submit(0, 1, "s");
    submit(1, 2, "s");
    expect_next(0);
    expect_next(1);
    assert_int_equal(requests[0].sequence->row, 0);
    assert_int_equal(requests[1].sequence->row, 1);
    sequences_run(&requests[0]);
    sequences_answered(&sequences, &requests[0], true, 0);
    assert_null(workers[0].rows[0]);
    submit(2, 3, "s");
    expect_next(2);
    assert_ptr_equal(workers[0].rows[0], requests[2].sequence);
    sequences_leave(&sequences, &requests[1], 0);
    sequences_leave(&sequences, &requests[2], 0);
    assert_int_equal(workers[0].used, 0);
}

static void idle_sequences_are_dropped(void **state)
{
    add_worker(0);
    submit(0, 1, "s");
    submit(1, 2, "s");
    assert_int_equal(sequences_expires_ns(&sequences), CLOCK_NEVER);
    execute(0, 10);
    execute(1, 20);
    assert_int_equal(sequences_expires_ns(&sequences), 10 + IDLE_NS);
    submit(2, 1, "");
    execute(2, 50);
    sequences_expire(&sequences, 20 + IDLE_NS);
    assert_int_equal(sequences_count(&sequences), 1);
    assert_int_equal(submit(3, 2, ""), SEQUENCES_NOT_STARTED);
    assert_int_equal(ended, 1);
    sequences_expire(&sequences, 50 + IDLE_NS);
    assert_int_equal(sequences_count(&sequences), 0);
}

static void another_first_request_starts_anew(void **state)
{
    add_worker(0);
    submit(0, 1, "s");
    execute(0, 0);
    submit(1, 1, "s");
    assert_int_equal(ended, 0);
    expect_next(1);
    assert_int_equal(ended, 1);
    sequences_run(&requests[1]);
    sequences_answered(&sequences, &requests[1], false, 0);
    assert_int_equal(workers[0].used, 1);
}

static void what_has_not_begun_is_refused_when_its_first_request_leaves(void **state)
{
    add_worker(0);
    submit(0, 1, "s");
    submit(1, 1, "");
    submit(2, 1, "e");
    submit(3, 1, "se");
    expect_next(0);
    sequences_leave(&sequences, &requests[0], 0);
    assert_ptr_equal(sequences_next(&sequences, 0), &requests[1]);
    assert_int_equal(requests[1].state, SEQUENCE_NONE);
    assert_ptr_equal(sequences_next(&sequences, 0), &requests[2]);
    assert_null(requests[2].sequence);
    execute(3, 0);
    assert_int_equal(sequences_count(&sequences), 0);
}

static void one_that_leaves_changes_nothing(void **state)
{
    add_worker(0);
    submit(0, 1, "s");
    execute(0, 0);
    submit(1, 1, "");
    submit(2, 1, "e");
    submit(3, 2, "s");
    sequences_leave(&sequences, &requests[2], 0);
    assert_int_equal(submit(4, 1, ""), SEQUENCES_TAKEN);
    execute(1, 0);
    execute(4, 0);
    execute(3, 0);
    assert_int_equal(sequences_count(&sequences), 2);
}

static void a_worker_takes_its_sequences_with_it(void **state)
{
    add_worker(0);
    submit(0, 1, "s");
    submit(1, 2, "s");
    execute(0, 0);
    expect_next(1);
    submit(2, 1, "");
    expect_next(2);
    sequences_run(&requests[2]);
    submit(3, 1, "");
    submit(4, 1, "se");
    sequences_remove_worker(&sequences, &workers[0], 0);
    assert_int_equal(recalled, 1);
    assert_int_equal(ended, 1);
    sequences_answered(&sequences, &requests[2], false, 0);
    assert_ptr_equal(sequences_next(&sequences, 0), &requests[3]);
    assert_int_equal(requests[3].state, SEQUENCE_NONE);
    assert_true(requests[3].lost);
    expect_none();
    add_worker(1);
    execute(1, 0);
    execute(4, 0);
}

/* Those that are remembered count for nothing but to tell what became of them. */
static void what_was_lost_is_remembered_for_a_while(void **state)
{
    add_worker(0);
    submit(0, 1, "s");
    execute(0, 0);
    submit(1, 2, "s");
    expect_next(1); /* it has not begun */
    sequences_remove_worker(&sequences, &workers[0], 10);
    assert_int_equal(sequences_count(&sequences), 1);
    sequences_leave(&sequences, &requests[1], 10);
    assert_int_equal(sequences_count(&sequences), 0);
    assert_int_equal(submit(2, 1, ""), SEQUENCES_LOST);
    assert_int_equal(submit(2, 1, "e"), SEQUENCES_LOST);
    assert_int_equal(submit(3, 2, ""), SEQUENCES_NOT_STARTED);
    assert_int_equal(submit(4, 1, "s"), SEQUENCES_TAKEN); /* which leaves before it has run */
    assert_int_equal(sequences_count(&sequences), 1);
    sequences_leave(&sequences, &requests[4], 20);
    assert_int_equal(submit(2, 1, ""), SEQUENCES_LOST);
    assert_int_equal(sequences_expires_ns(&sequences), 20 + IDLE_NS);
    sequences_expire(&sequences, 19 + IDLE_NS);
    assert_int_equal(submit(2, 1, ""), SEQUENCES_LOST);
    sequences_expire(&sequences, 20 + IDLE_NS);
    assert_int_equal(submit(2, 1, ""), SEQUENCES_NOT_STARTED);
    assert_int_equal(sequences_expires_ns(&sequences), CLOCK_NEVER);
}

static void what_was_lost_may_begin_anew(void **state)
{
    add_worker(0);
    submit(0, 1, "s");
    execute(0, 0);
    sequences_remove_worker(&sequences, &workers[0], 0);
    add_worker(1);
    submit(1, 1, "s");
    submit(2, 1, "e");
    execute(1, 0);
    execute(2, 0);
    assert_int_equal(submit(3, 1, ""), SEQUENCES_NOT_STARTED);
    assert_int_equal(sequences_count(&sequences), 0);
}

static void no_more_are_remembered_than_the_bound(void **state)
{
    for (uint64_t name = 1; name <= SEQUENCES_MAX_LOST + 2; name++) {
        memset(&workers[0], 0, sizeof workers[0]);
        add_worker(0);
        submit(0, name, "s");
        execute(0, 0);
        sequences_remove_worker(&sequences, &workers[0], 0);
    }
    assert_int_equal(sequences.by_key.count, SEQUENCES_MAX_LOST);
    assert_int_equal(submit(0, 2, ""), SEQUENCES_NOT_STARTED);
    assert_int_equal(submit(0, 3, ""), SEQUENCES_LOST);
}

static void workers_share(void **state)
{
    add_worker(0);
    add_worker(1);
    for (size_t i = 0; i < 2; i++) {
        submit(i, i + 1, "s");
        execute(i, 0);
    }
    assert_int_equal(workers[0].used, 1);
    assert_int_equal(workers[1].used, 1);
    workers[0].closed = true;
    submit(2, 3, "s");
    submit(3, 4, "s");
    execute(2, 0);
    expect_none();
    assert_int_equal(workers[1].used, 2);
    sequences_leave(&sequences, &requests[3], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_of_one_sequence_run_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_and_number_are_two_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sequences_without_a_place_wait_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_are_numbered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(idle_sequences_are_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_first_request_starts_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_not_begun_is_refused_when_its_first_request_leaves,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_leaves_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_takes_its_sequences_with_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_lost_is_remembered_for_a_while, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_lost_may_begin_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_more_are_remembered_than_the_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(workers_share, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
