/* Requests of sequences, with a worker that the test plays: what the server gives with each, and
 * what it keeps of an answer. Whose turn it is, is tested in schedule/sequences_test.c. */
#include "serving/stateful.h"

#include "serving/generation_workers.h"
#include "serving/serving_fixture.h"
#include "serving/states.h"

enum { X, START, READY, STATE };

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
    fixture_scan(&f);
    worker = worker_of(&f, "m");
    worker_ready_for_sequences(&f, worker, 0);
    return 0;
}

static int tear_down(void **state)
{
    fixture_fini(&f);
    return 0;
}

/* "s": it starts, "e": it ends its sequence. */
static struct client *ask(uint64_t sequence, int32_t number, const char *marks)
{
    struct error error;
    struct client *client = client_new(&f, "m", 1, &error);
    assert_non_null(client);
    memcpy(tensor_memory_at(generation()->memory, client->inference.inputs[0].extent), &number,
           sizeof number);
    client->inference.sequence = (struct sequence_mark){.id = {.number = sequence},
                                                        .starts = strchr(marks, 's') != NULL,
                                                        .ends = strchr(marks, 'e') != NULL};
    client_submit(client);
    worker_read(&f, worker);
    return client;
}

static int32_t input(size_t request, size_t at)
{
    int32_t number;
    const struct channel_tensor *tensor = &worker->requests[request].inputs[at];
    assert_int_equal(worker->requests[request].input_count, 4);
    assert_int_equal(tensor->index, at);
    assert_int_equal(tensor->extent.size, sizeof number);
    memcpy(&number, tensor_memory_at(generation()->memory, tensor->extent), sizeof number);
    return number;
}

static void expect_inputs(int32_t x, int32_t start, int32_t kept)
{
    assert_int_equal(input(0, X), x);
    assert_int_equal(input(0, START), start);
    assert_int_equal(input(0, READY), 1);
    assert_int_equal(input(0, STATE), kept);
}

static void answer(struct client *client, enum tensord_status status, enum error_code code)
{
    worker_answer(&f, worker, status, true);
    worker_read(&f, worker);
    client_expect(client, code);
}

/* What the generation has of its own: the first states, and the values of controls. */
static uint64_t used(void)
{
    return tensor_memory_used_bytes(generation()->memory);
}

static void clients_see_neither_controls_nor_states(void **state)
{
    const struct schema *shown = generation()->shown;
    assert_int_equal(shown->input_count, 1);
    assert_int_equal(shown->output_count, 1);
    assert_true(span_equal(shown->outputs[0].name, SPAN("y")));
}

static void an_answer_is_the_next_requests_state(void **state)
{
    uint64_t before = used();
    struct client *first = ask(1, 7, "s");
    expect_inputs(7, 1, 0);
    answer(first, TENSORD_OK, ERROR_OK);
    struct client *other = ask(2, 100, "s");
    expect_inputs(100, 1, 0);
    answer(other, TENSORD_OK, ERROR_OK);
    struct client *second = ask(1, 8, "");
    expect_inputs(8, 0, 7);
    answer(second, TENSORD_OK, ERROR_OK);
    struct client *third = ask(1, 9, "e");
    expect_inputs(9, 0, 8);
    answer(third, TENSORD_OK, ERROR_OK);
    struct client *last = ask(2, 101, "e");
    expect_inputs(101, 0, 100);
    answer(last, TENSORD_OK, ERROR_OK);
    assert_int_equal(used(), before);
    assert_int_equal(sequences_count(&generation()->stateful->sequences), 0);
}

static void another_start_begins_with_the_first_state(void **state)
{
    answer(ask(1, 7, "s"), TENSORD_OK, ERROR_OK);
    struct client *again = ask(1, 8, "s");
    expect_inputs(8, 1, 0);
    answer(again, TENSORD_OK, ERROR_OK);
}

static void a_request_that_fails_changes_nothing(void **state)
{
    answer(ask(1, 7, "s"), TENSORD_OK, ERROR_OK);
    answer(ask(1, 8, ""), TENSORD_INTERNAL, ERROR_INTERNAL);
    struct client *next = ask(1, 9, "");
    expect_inputs(9, 0, 7);
    answer(next, TENSORD_OK, ERROR_OK);
}

static void an_answer_without_its_state_ends_the_sequence(void **state)
{
    uint64_t before = used();
    struct client *client = ask(1, 7, "s");
    worker->forgets = true;
    worker_answer(&f, worker, TENSORD_OK, true);
    assert_non_null(strstr(client->error.message, "gave no output 't'"));
    client_expect(client, ERROR_INTERNAL);
    worker->forgets = false;
    client_expect(ask(1, 8, ""), ERROR_INVALID_ARGUMENT);
    assert_int_equal(used(), before);
}

static void states_that_find_no_memory_end_the_sequence(void **state)
{
    struct client *client = ask(1, 7, "s");
    struct admission_share rest = {0};
    while (admission_grow(&generation()->admission, &rest, TENSOR_ALIGNMENT)) {
    }
    worker_answer(&f, worker, TENSORD_OK, true);
    assert_non_null(strstr(client->error.message, "none for the states of this sequence"));
    client_expect(client, ERROR_RESOURCE_EXHAUSTED);
    admission_leave(&generation()->admission, &rest);
    client_expect(ask(1, 8, ""), ERROR_INVALID_ARGUMENT);
}

static void states_beyond_the_bound_are_counted(void **state)
{
    struct error error;
    uint64_t hits = metrics.limit_hits[LIMIT_sequence_states];
    const struct channel_tensor output = {
        .index = 1, .shape = {1, {1}}, .extent = {0, STATES_MOST_BYTES + UINT64_C(1)}};
    const struct channel_response response = {.outputs = &output, .output_count = 1};
    assert_true(states_are_in(generation()->stateful, &response));
    assert_null(states_of_answer(generation()->stateful, &response, &error));
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    assert_int_equal(metrics.limit_hits[LIMIT_sequence_states], hits + 1);
}

static void a_sequence_ends_with_its_worker_and_says_so(void **state)
{
    uint64_t before = used();
    answer(ask(1, 7, "s"), TENSORD_OK, ERROR_OK);
    answer(ask(2, 7, "s"), TENSORD_OK, ERROR_OK);
    struct client *runs = ask(1, 8, ""), *waits = ask(1, 9, "");
    worker_end(&f, worker, "killed by signal 9 (Killed)");
    assert_non_null(strstr(runs->error.message, "and with it sequence 1: begin it anew"));
    client_expect(runs, ERROR_CONFLICT);
    assert_non_null(strstr(waits->error.message, "sequence 1 of model 'm' is over"));
    client_expect(waits, ERROR_CONFLICT);
    pass_time(&f, generation());
    worker = worker_of(&f, "m");
    worker_ready_for_sequences(&f, worker, 0);
    client_expect(ask(2, 8, ""), ERROR_CONFLICT);
    assert_int_equal(worker->request_count, 0);
    struct client *anew = ask(2, 9, "s");
    expect_inputs(9, 1, 0);
    answer(anew, TENSORD_OK, ERROR_OK);
    client_expect(ask(1, 8, ""), ERROR_CONFLICT);
    answer(ask(2, 9, "e"), TENSORD_OK, ERROR_OK);
    assert_int_equal(used(), before);
}

static void a_first_request_that_dies_may_be_sent_again(void **state)
{
    struct client *first = ask(1, 7, "s");
    worker_end(&f, worker, "killed by signal 9 (Killed)");
    client_expect(first, ERROR_INTERRUPTED);
    pass_time(&f, generation());
    worker = worker_of(&f, "m");
    worker_ready_for_sequences(&f, worker, 0);
    struct client *again = ask(1, 7, "s");
    expect_inputs(7, 1, 0);
    answer(again, TENSORD_OK, ERROR_OK);
}

/* What it was given is kept until no worker looks at it any more. */
static void a_client_that_leaves_leaves_the_states_to_the_worker(void **state)
{
    answer(ask(1, 7, "s"), TENSORD_OK, ERROR_OK);
    client_leave(ask(1, 8, ""));
    expect_inputs(8, 0, 7);
    worker_answer(&f, worker, TENSORD_CANCELLED, true);
    struct client *next = ask(1, 9, "");
    expect_inputs(9, 0, 7);
    answer(next, TENSORD_OK, ERROR_OK);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(clients_see_neither_controls_nor_states),
        CASE(an_answer_is_the_next_requests_state),
        CASE(another_start_begins_with_the_first_state),
        CASE(a_request_that_fails_changes_nothing),
        CASE(an_answer_without_its_state_ends_the_sequence),
        CASE(states_that_find_no_memory_end_the_sequence),
        CASE(states_beyond_the_bound_are_counted),
        CASE(a_sequence_ends_with_its_worker_and_says_so),
        CASE(a_first_request_that_dies_may_be_sent_again),
        CASE(a_client_that_leaves_leaves_the_states_to_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
