/* Rows of a batch that have no request, with a worker that the test plays. */
#include "serving/filler.h"

#include "serving/serving_fixture.h"

enum { X, START, READY, STATE, ROWS = 4 };

static struct fixture f;
static struct played_worker *worker;

static struct generation *generation(void)
{
    return fixture_generation(&f, "m");
}

static int set_up(void **state)
{
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "m", 1)->sequences = true;
    fixture_put(&f, "m", 1)->rows = true;
    fixture_scan(&f);
    worker = worker_of(&f, "m");
    worker_ready_for_sequences(&f, worker, ROWS);
    return 0;
}

static int tear_down(void **state)
{
    fixture_fini(&f);
    return 0;
}

static struct client *ask(uint64_t sequence, bool starts, bool ends)
{
    struct error error;
    int32_t number = (int32_t)sequence;
    struct client *client = client_new(&f, "m", 1, &error);
    assert_non_null(client);
    memcpy(tensor_memory_at(generation()->memory, client->inference.inputs[0].extent), &number,
           sizeof number);
    client->inference.sequence =
        (struct sequence_mark){.id = {.number = sequence}, .starts = starts, .ends = ends};
    client_submit(client);
    return client;
}

static int32_t input(size_t request, size_t at)
{
    int32_t number;
    memcpy(&number,
           tensor_memory_at(generation()->memory, worker->requests[request].inputs[at].extent),
           sizeof number);
    return number;
}

/* The rows of the execution that the worker has: the x of each, 0 of those that are not READY. */
static void expect_rows(const int32_t *expected, size_t count)
{
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(worker->requests[i].execution, worker->requests[0].execution);
        assert_int_equal(input(i, READY), expected[i] != 0);
        if (expected[i])
            assert_int_equal(input(i, X), expected[i]);
        else
            assert_int_equal(input(i, START), 0);
    }
}

static void answer_all(void)
{
    while (worker->request_count)
        worker_answer(&f, worker, TENSORD_OK, true);
    worker_read(&f, worker);
}

static void start_three(void)
{
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        struct client *client = ask(sequence, true, false);
        worker_read(&f, worker);
        answer_all();
        client_expect(client, ERROR_OK);
    }
}

static void rows_without_a_request_are_filled(void **state)
{
    start_three();
    uint64_t before = tensor_memory_used_bytes(generation()->memory);
    struct client *client = ask(3, false, false);
    expect_rows((int32_t[]){0, 0, 3}, 3);
    answer_all();
    client_expect(client, ERROR_OK);
    assert_int_equal(tensor_memory_used_bytes(generation()->memory), before);
    struct client *first = ask(1, false, false), *third = ask(3, false, false);
    expect_rows((int32_t[]){1, 0, 3}, 3);
    answer_all();
    client_expect(first, ERROR_OK);
    client_expect(third, ERROR_OK);
}

static void a_row_that_is_nobodys_at_the_end_is_left_out(void **state)
{
    start_three();
    struct client *last = ask(3, false, true);
    expect_rows((int32_t[]){0, 0, 3}, 3);
    answer_all();
    client_expect(last, ERROR_OK);
    struct client *client = ask(1, false, false);
    expect_rows((int32_t[]){1, 0}, 2);
    answer_all();
    client_expect(client, ERROR_OK);
}

static void fillers_die_with_the_worker(void **state)
{
    start_three();
    struct client *client = ask(3, false, false);
    expect_rows((int32_t[]){0, 0, 3}, 3);
    worker_end(&f, worker, "killed by signal 9 (Killed)");
    client_expect(client, ERROR_CONFLICT);
    pass_time(&f, generation());
    worker = worker_of(&f, "m");
    worker_ready_for_sequences(&f, worker, ROWS);
    struct client *anew = ask(3, true, false);
    expect_rows((int32_t[]){3}, 1);
    answer_all();
    client_expect(anew, ERROR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_without_a_request_are_filled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_row_that_is_nobodys_at_the_end_is_left_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(fillers_die_with_the_worker, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
