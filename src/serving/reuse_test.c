/* Requests that are answered without an execution of their own, with a worker that the test plays:
 * from the cache, and by sharing the execution of another. */
#include "serving/serving_fixture.h"

enum { CROWD = 32, SHORT_MS = 20 };

static struct fixture f;
static struct played_worker *worker;

static void start(bool caches, bool coalesces)
{
    metrics_measure = true;
    fixture_init(&f, LOAD_ALL);
    struct found *found = fixture_put(&f, "m", 1);
    found->caches = caches;
    found->coalesces = coalesces;
    found->data = true;
    fixture_scan(&f);
    worker = worker_of(&f, "m");
    worker_ready(&f, worker, 0);
}

static const struct model_metrics *counts(void)
{
    return &fixture_version(&f, "m")->statistics.metrics;
}

/* A request of one number. */
static struct client *make(int32_t number)
{
    struct error error;
    struct client *client = client_new(&f, "m", 1, &error);
    assert_non_null(client);
    memcpy(
        tensor_memory_at(client->inference.generation->memory, client->inference.inputs[0].extent),
        &number, sizeof number);
    return client;
}

static struct client *ask(int32_t number)
{
    struct client *client = make(number);
    client_submit(client);
    return client;
}

static void turn(void)
{
    worker_read(&f, worker);
}

static void answer(enum tensord_status status)
{
    worker_answer(&f, worker, status, true);
}

static void nothing_is_left(void)
{
    const struct generation *generation = fixture_generation(&f, "m");
    assert_int_equal(generation->reuse.flights.count, 0);
    assert_int_equal(tensor_memory_used_bytes(generation->memory), 0);
    assert_int_equal(generation->admission.held_bytes, 0);
    assert_int_equal(f.serving.inferences, 0);
}

/* ---- the cache ---- */

/* The model answers 7 once. */
static void keep_answer(void)
{
    struct client *first = ask(7);
    turn();
    answer(TENSORD_OK);
    client_expect(first, ERROR_OK);
}

static void a_kept_answer_needs_no_worker(void **state)
{
    start(true, false);
    keep_answer();
    struct client *again = ask(7), *other = ask(8);
    turn();
    client_expect(again, ERROR_OK);
    assert_int_equal(worker->request_count, 1);
    answer(TENSORD_OK);
    client_expect(other, ERROR_OK);
    assert_int_equal(counts()->cache_hit.count, 1);
    assert_int_equal(counts()->cache_miss.count, 2);
    assert_int_equal(counts()->executions, 2);
    nothing_is_left();
    fixture_fini(&f);
}

/* Between finding it and telling it. */
static void a_client_may_leave_when_its_answer_is_found(void **state)
{
    start(true, false);
    keep_answer();
    struct client *again = ask(7);
    inference_cancel(&again->inference);
    turn();
    client_expect(again, ERROR_CANCELLED);
    assert_int_equal(f.serving.reuse.cache.bytes, f.serving.reuse.cache.idle_bytes);
    nothing_is_left();
    fixture_fini(&f);
}

/* It lies in memory of its own: whatever becomes of the worker, and of the model's files. */
static void an_answer_that_is_being_sent_outlives_its_model(void **state)
{
    start(true, false);
    keep_answer();
    struct client *again = ask(7);
    fixture_turn(&f);
    assert_int_equal(again->finals, 1);
    const struct inference_output *output = again->inference.reuse.response->outputs.items;
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    worker_ready(&f, worker_of(&f, "m"), 0);
    assert_int_equal(f.serving.reuse.cache.count, 0);
    int32_t number;
    memcpy(&number, output->data.data, sizeof number);
    assert_int_equal(number, 7);
    assert_true(f.serving.reuse.cache.bytes > 0);
    client_expect(again, ERROR_OK);
    assert_int_equal(f.serving.reuse.cache.bytes, 0);
    fixture_fini(&f);
}

/* The old generation still has a request, whose answer comes after the new one serves. */
static void what_a_replaced_model_answers_is_not_kept(void **state)
{
    start(true, false);
    struct client *old = ask(7);
    turn();
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    struct played_worker *next = worker_of(&f, "m");
    worker_ready(&f, next, 0);
    answer(TENSORD_OK);
    client_expect(old, ERROR_OK);
    assert_int_equal(f.serving.reuse.cache.count, 0);
    struct client *again = ask(7);
    worker_read(&f, next);
    assert_int_equal(next->request_count, 1);
    worker_answer(&f, next, TENSORD_OK, true);
    client_expect(again, ERROR_OK);
    fixture_fini(&f);
}

/* ---- sharing an execution ---- */

static void a_crowd_is_one_execution(void **state)
{
    struct client *crowd[CROWD];
    start(true, true);
    for (size_t i = 0; i < CROWD / 2; i++)
        crowd[i] = ask(7);
    turn();
    for (size_t i = CROWD / 2; i < CROWD; i++) /* while it runs */
        crowd[i] = ask(7);
    turn();
    assert_int_equal(worker->request_count, 1);
    answer(TENSORD_OK);
    assert_int_equal(worker->executed, 1);
    for (size_t i = 0; i < CROWD; i++)
        client_expect(crowd[i], ERROR_OK);
    assert_int_equal(counts()->success.count, CROWD);
    assert_int_equal(counts()->coalesced, CROWD - 1);
    assert_int_equal(counts()->executions, 1);
    assert_int_equal(counts()->rows, 1);
    assert_int_equal(counts()->cache_miss.count, CROWD);
    nothing_is_left();
    struct client *later = ask(7);
    fixture_turn(&f);
    client_expect(later, ERROR_OK);
    assert_int_equal(counts()->cache_hit.count, 1);
    fixture_fini(&f);
}

static void only_the_same_share(void **state)
{
    static const struct span output = {"y", 1};
    start(false, true);
    struct client *clients[] = {make(7), make(8), make(7), make(7)};
    inference_outputs(&clients[2]->inference, &output, 1);
    clients[3]->inference.priority = 1;
    for (size_t i = 0; i < 4; i++)
        client_submit(clients[i]);
    turn();
    while (worker->request_count) {
        answer(TENSORD_OK);
        turn();
    }
    assert_int_equal(worker->executed, 4);
    for (size_t i = 0; i < 4; i++)
        client_expect(clients[i], ERROR_OK);
    assert_int_equal(counts()->coalesced, 0);
    nothing_is_left();
    fixture_fini(&f);
}

/* In the queue, and with the worker. */
static void the_first_may_leave(void **state)
{
    start(false, true);
    struct client *busy = ask(1);
    turn();
    for (int with_worker = 0; with_worker < 2; with_worker++) {
        struct client *first = ask(7), *second = ask(7);
        if (with_worker)
            turn();
        client_leave(first);
        turn();
        if (!with_worker) {
            answer(TENSORD_OK);
            client_expect(busy, ERROR_OK);
            turn();
        }
        assert_int_equal(worker->request_count, 1);
        assert_false(worker->requests[0].cancelled);
        answer(TENSORD_OK);
        client_expect(second, ERROR_OK);
    }
    nothing_is_left();
    fixture_fini(&f);
}

static void with_the_last_one_gone_it_is_cancelled(void **state)
{
    start(false, true);
    struct client *first = ask(7), *second = ask(7);
    turn();
    client_leave(first);
    turn();
    assert_false(worker->requests[0].cancelled);
    client_leave(second);
    turn();
    assert_true(worker->requests[0].cancelled);
    struct client *third = ask(7); /* has nothing to do with it any more */
    answer(TENSORD_CANCELLED);
    turn();
    assert_int_equal(worker->request_count, 1);
    answer(TENSORD_OK);
    client_expect(third, ERROR_OK);
    nothing_is_left();
    fixture_fini(&f);
}

static void failures_are_everybody_s(void **state)
{
    start(true, true);
    struct client *first = ask(7), *second = ask(7);
    turn();
    answer(TENSORD_INTERNAL);
    client_expect(first, ERROR_INTERNAL);
    client_expect(second, ERROR_INTERNAL);
    assert_int_equal(counts()->fail.count, 2);
    assert_int_equal(f.serving.reuse.cache.count, 0);
    first = ask(7), second = ask(7);
    turn();
    worker_end(&f, worker, "killed by signal 9");
    client_expect(first, ERROR_INTERRUPTED);
    client_expect(second, ERROR_INTERRUPTED);
    nothing_is_left();
    fixture_fini(&f);
}

static void turn_until_answered(struct client *client)
{
    uint64_t until_ns = clock_now_ns() + 10 * CLOCK_NS_PER_S;
    while (!client->finals && clock_now_ns() < until_ns)
        turn();
}

static void each_has_its_own_deadline(void **state)
{
    start(false, true);
    struct client *soon = make(7), *never = make(7);
    soon->inference.deadline_ns = loop_now_ns(f.loop) + SHORT_MS * CLOCK_NS_PER_MS;
    client_submit(soon);
    client_submit(never);
    turn_until_answered(soon);
    client_expect(soon, ERROR_DEADLINE_EXCEEDED);
    assert_int_equal(never->finals, 0);
    assert_int_equal(worker->request_count, 1);
    assert_false(worker->requests[0].cancelled);
    answer(TENSORD_OK);
    client_expect(never, ERROR_OK);
    nothing_is_left();
    fixture_fini(&f);
}

/* Passengers have given their memory back: a crowd needs no more of it than one. */
static void a_crowd_holds_the_memory_of_one(void **state)
{
    struct client *crowd[CROWD];
    start(false, true);
    const struct generation *generation = fixture_generation(&f, "m");
    crowd[0] = ask(7);
    turn();
    uint64_t one = tensor_memory_used_bytes(generation->memory);
    for (size_t i = 1; i < CROWD; i++)
        crowd[i] = ask(7);
    turn();
    assert_int_equal(tensor_memory_used_bytes(generation->memory), one);
    answer(TENSORD_OK);
    assert_int_equal(tensor_memory_used_bytes(generation->memory), one); /* they read it */
    for (size_t i = 0; i < CROWD; i++)
        client_expect(crowd[i], ERROR_OK);
    nothing_is_left();
    fixture_fini(&f);
}

static void a_full_queue_refuses_all_of_them(void **state)
{
    struct client *waiting[64];
    start(false, true);
    struct client *busy = ask(1);
    turn();
    for (int32_t i = 0; i < 64; i++)
        waiting[i] = ask(100 + i);
    struct client *first = ask(7), *second = ask(7);
    fixture_turn(&f);
    client_expect(first, ERROR_UNAVAILABLE);
    client_expect(second, ERROR_UNAVAILABLE);
    for (size_t i = 0; i < 64; i++)
        client_leave(waiting[i]);
    fixture_turn(&f);
    answer(TENSORD_OK);
    client_expect(busy, ERROR_OK);
    nothing_is_left();
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kept_answer_needs_no_worker),
        cmocka_unit_test(a_client_may_leave_when_its_answer_is_found),
        cmocka_unit_test(an_answer_that_is_being_sent_outlives_its_model),
        cmocka_unit_test(what_a_replaced_model_answers_is_not_kept),
        cmocka_unit_test(a_crowd_is_one_execution),
        cmocka_unit_test(only_the_same_share),
        cmocka_unit_test(the_first_may_leave),
        cmocka_unit_test(with_the_last_one_gone_it_is_cancelled),
        cmocka_unit_test(failures_are_everybody_s),
        cmocka_unit_test(each_has_its_own_deadline),
        cmocka_unit_test(a_crowd_holds_the_memory_of_one),
        cmocka_unit_test(a_full_queue_refuses_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
