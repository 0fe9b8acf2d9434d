/* Generations at work: what their state machine decides is done, to whom it matters it is told. */
#include "serving/generation.h"

#include "serving/serving_fixture.h"

static struct fixture f;

static struct played_worker *make(enum load_policy load)
{
    fixture_init(&f, load);
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    return worker_of(&f, "m");
}

static struct client *ask(int64_t rows)
{
    struct error error;
    struct client *client = client_ask(&f, "m", rows, &error);
    assert_non_null(client);
    return client;
}

static enum generation_phase phase(void)
{
    return fixture_generation(&f, "m")->state.phase;
}

static void answer_all(struct played_worker *worker)
{
    worker_read(&f, worker);
    while (worker->request_count) {
        worker_answer(&f, worker, TENSORD_OK, true);
        worker_read(&f, worker);
    }
}

static void what_comes_while_it_loads_waits(void **state)
{
    struct played_worker *worker = make(LOAD_ALL);
    struct client *client = ask(2);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 0);
    assert_int_equal(version_state(fixture_version(&f, "m")), VERSION_LOADING);
    worker_ready(&f, worker, 0);
    assert_int_equal(version_state(fixture_version(&f, "m")), VERSION_READY);
    answer_all(worker);
    client_expect(client, ERROR_OK);
    fixture_fini(&f);
}

/* Its name for an input is known to be wrong only when the model has said what it is. */
static void what_came_while_it_loaded_is_checked_afterwards(void **state)
{
    struct error error;
    struct played_worker *worker = make(LOAD_ALL);
    const struct shape shape = {2, {1, 1}};
    char *data;
    struct client *good = ask(1), *wrong = client_new(&f, "m", 1, &error);
    assert_true(
        inference_input(&wrong->inference, SPAN("more"), TENSORD_INT32, &shape, 4, &data, &error));
    client_submit(wrong);
    worker_ready(&f, worker, 0);
    client_expect(wrong, ERROR_INVALID_ARGUMENT);
    answer_all(worker);
    client_expect(good, ERROR_OK);
    fixture_fini(&f);
}

/* How many rows a request counts for, the model says: until then, none of it has any. */
static void what_came_while_it_loaded_is_counted_afterwards(void **state)
{
    enum { MANY = 50000, ROW_MS = 10, DEADLINE_MS = 60000 };
    struct error error;
    struct played_worker *worker = make(LOAD_ALL);
    struct learner *learner = &fixture_generation(&f, "m")->schedule.learner;
    struct client *large = client_new(&f, "m", MANY, &error);
    large->inference.deadline_ns = clock_now_ns() + DEADLINE_MS * CLOCK_NS_PER_MS;
    client_submit(large);
    struct client *small = ask(1);
    for (int i = 0; i < LEARNER_SAMPLES; i++)
        learner_observe(learner, 1, 1, ROW_MS * CLOCK_NS_PER_MS, false);
    worker_ready(&f, worker, 0);
    answer_all(worker);
    client_expect(small, ERROR_OK);
    client_expect(large, ERROR_OK);
    fixture_fini(&f);
}

/* Which is no timeout: the client is told when to come back. */
static void what_has_become_too_late_is_told_so(void **state)
{
    enum { MANY = 1000, ROWS_MS = 60000, DEADLINE_MS = 30000 };
    struct error error;
    struct played_worker *worker = make(LOAD_ALL);
    worker_ready(&f, worker, MANY);
    struct client *running = ask(1), *large = client_new(&f, "m", MANY, &error);
    large->inference.deadline_ns = clock_now_ns() + DEADLINE_MS * CLOCK_NS_PER_MS;
    client_submit(large);
    struct client *small = ask(1);
    for (int i = 0; i < LEARNER_SAMPLES; i++)
        learner_observe(&fixture_generation(&f, "m")->schedule.learner, MANY, 1,
                        ROWS_MS * CLOCK_NS_PER_MS, false);
    answer_all(worker);
    client_expect(running, ERROR_OK);
    client_expect(small, ERROR_OK);
    assert_true(span_starts_with(
        span_of(large->error.message),
        SPAN("the request has waited, and would be answered too late: try again in ")));
    assert_in_range(large->error.retry_after_s, 29, 31);
    client_expect(large, ERROR_UNAVAILABLE);
    fixture_fini(&f);
}

static void a_lazy_one_is_probed_and_woken(void **state)
{
    struct played_worker *worker = make(LOAD_LAZY);
    assert_true(worker->probe);
    assert_int_equal(version_state(fixture_version(&f, "m")), VERSION_PROBING);
    worker_ready(&f, worker, 0);
    assert_int_equal(version_state(fixture_version(&f, "m")), VERSION_ASLEEP);
    struct client *client = ask(1); /* before the probe has ended */
    assert_int_equal(phase(), GENERATION_PROBED);
    worker_end(&f, worker, "exited with status 0");
    worker = worker_of(&f, "m");
    assert_false(worker->probe);
    worker_ready(&f, worker, 0);
    answer_all(worker);
    client_expect(client, ERROR_OK);
    assert_int_equal(f.started, 2);
    fixture_fini(&f);
}

static void a_load_that_fails_refuses_what_waits(void **state)
{
    struct played_worker *worker = make(LOAD_ALL);
    struct client *client = ask(1);
    worker_fail(&f, worker, TENSORD_INVALID_ARGUMENT);
    worker_read(&f, worker);
    assert_true(worker->stopped);
    worker_end(&f, worker, "exited with status 1");
    assert_string_equal(client->error.message, "model 'm' has failed: no good");
    client_expect(client, ERROR_FAILED);
    assert_int_equal(version_state(fixture_version(&f, "m")), VERSION_FAILED);
    client_expect((client = ask(1), fixture_turn(&f), client), ERROR_FAILED);
    assert_int_equal(f.started, 1);
    fixture_fini(&f);
}

static void files_that_are_being_written_are_tried_again(void **state)
{
    struct played_worker *worker = make(LOAD_ALL);
    for (int i = 0; i < 10; i++) {
        worker_fail(&f, worker, TENSORD_UNAVAILABLE);
        worker_end(&f, worker, "exited with status 1");
        assert_int_equal(phase(), GENERATION_RETRYING);
        pass_time(&f, fixture_generation(&f, "m"));
        worker = worker_of(&f, "m");
    }
    worker_ready(&f, worker, 0);
    assert_int_equal(phase(), GENERATION_READY);
    fixture_fini(&f);
}

static void workers_that_die_in_a_row_end_it(void **state)
{
    struct played_worker *worker = make(LOAD_ALL);
    for (int i = 1; i < GENERATION_MAX_FAILURES; i++) {
        worker_ready(&f, worker, 0);
        worker_end(&f, worker, "killed by signal 11 (Segmentation fault)");
        assert_int_equal(version_state(fixture_version(&f, "m")), VERSION_READY);
        pass_time(&f, fixture_generation(&f, "m"));
        worker = worker_of(&f, "m");
    }
    worker_end(&f, worker, "killed by signal 11 (Segmentation fault)");
    assert_int_equal(version_state(fixture_version(&f, "m")), VERSION_FAILED);
    assert_string_equal(version_reason(fixture_version(&f, "m")),
                        "killed by signal 11 (Segmentation fault)");
    fixture_fini(&f);
}

static void no_descriptor_for_a_worker_is_no_reason_to_give_up(void **state)
{
    fixture_init(&f, LOAD_ALL);
    f.refuse_start = true;
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    assert_int_equal(phase(), GENERATION_RETRYING);
    struct client *client = ask(1);
    f.refuse_start = false;
    pass_time(&f, fixture_generation(&f, "m"));
    worker_ready(&f, worker_of(&f, "m"), 0);
    answer_all(worker_of(&f, "m"));
    client_expect(client, ERROR_OK);
    fixture_fini(&f);
}

static void a_model_that_has_become_another_is_given_up(void **state)
{
    struct played_worker *worker = make(LOAD_ALL);
    worker_ready(&f, worker, 0);
    struct client *client = ask(1);
    worker_read(&f, worker);
    worker_end(&f, worker, "killed");
    client_expect(client, ERROR_INTERRUPTED);
    client = ask(1);
    pass_time(&f, fixture_generation(&f, "m"));
    worker = worker_of(&f, "m");
    worker_ready_otherwise(&f, worker);
    assert_int_equal(phase(), GENERATION_REJECTED);
    client_expect(client, ERROR_FAILED);
    worker_read(&f, worker);
    assert_true(worker->stopped);
    worker_end(&f, worker, "exited with status 0");
    assert_int_equal(phase(), GENERATION_FAILED);
    fixture_fini(&f);
}

static void an_unloaded_one_serves_what_it_has_and_ends(void **state)
{
    struct error error;
    struct played_worker *worker = make(LOAD_ALL);
    worker_ready(&f, worker, 0);
    struct client *filling = client_new(&f, "m", 1, &error), *running = ask(1);
    struct version *version = fixture_version(&f, "m");
    model_unload(version->model);
    assert_int_equal(version_state(version), VERSION_DRAINING);
    assert_null(client_ask(&f, "m", 1, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    answer_all(worker);
    client_expect(running, ERROR_OK);
    worker_read(&f, worker);
    assert_false(worker->stopped);
    client_submit(filling);
    answer_all(worker);
    client_expect(filling, ERROR_OK);
    worker_read(&f, worker);
    assert_true(worker->stopped);
    worker_end(&f, worker, "exited with status 0");
    assert_int_equal(version_state(version), VERSION_UNLOADED);
    fixture_fini(&f);
}

static void an_unloaded_one_whose_worker_dies_is_restarted_for_what_waits(void **state)
{
    struct error error;
    struct played_worker *worker = make(LOAD_ALL);
    worker_ready(&f, worker, 0);
    struct generation *generation = fixture_generation(&f, "m");
    struct client *filling = client_new(&f, "m", 1, &error);
    model_unload(fixture_version(&f, "m")->model);
    worker_end(&f, worker, "killed");
    assert_null(worker_of(&f, "m"));
    client_submit(filling);
    fixture_turn(&f);
    worker = worker_of(&f, "m");
    worker_end(&f, worker, "killed");
    pass_time(&f, generation);
    worker = worker_of(&f, "m");
    worker_ready(&f, worker, 0);
    answer_all(worker);
    client_expect(filling, ERROR_OK);
    worker_read(&f, worker);
    assert_true(worker->stopped);
    fixture_fini(&f);
}

static void one_that_is_abandoned_ends_without_an_answer(void **state)
{
    struct played_worker *worker = make(LOAD_ALL);
    worker_ready(&f, worker, 0);
    struct client *client = ask(1);
    worker_read(&f, worker);
    client_leave(client); /* and the model does not hear it */
    model_unload(fixture_version(&f, "m")->model);
    worker_read(&f, worker);
    assert_true(worker->stopped);
    worker_end(&f, worker, "killed");
    assert_int_equal(f.serving.inferences, 0);
    fixture_fini(&f);
}

static void the_queue_is_bounded(void **state)
{
    struct client *clients[65];
    struct played_worker *worker = make(LOAD_ALL);
    for (size_t i = 0; i < 65; i++)
        clients[i] = ask(1);
    fixture_turn(&f);
    assert_string_equal(clients[64]->error.message, "Exceeds maximum queue size");
    client_expect(clients[64], ERROR_UNAVAILABLE);
    worker_ready(&f, worker, 8);
    answer_all(worker);
    for (size_t i = 0; i < 64; i++)
        client_expect(clients[i], ERROR_OK);
    assert_in_range(worker->executed, 8, 32); /* joined, in sizes that are being learned */
    fixture_fini(&f);
}

/* Of the simplest of models, too: one that joins nothing and runs one execution at a time. */
static void what_was_learned_is_there_after_an_unload(void **state)
{
    struct played_worker *worker = make(LOAD_ALL);
    struct model *model = fixture_version(&f, "m")->model;
    worker_ready(&f, worker, 0);
    for (int i = 0; i < LEARNER_SAMPLES; i++) {
        struct client *client = ask(1);
        answer_all(worker);
        client_expect(client, ERROR_OK);
    }
    model_unload(model);
    worker_end(&f, worker, "exited with status 0");
    model_load(model, NULL);
    fixture_scan(&f);
    worker_ready(&f, worker_of(&f, "m"), 0);
    assert_true(learner_row_ns(&fixture_generation(&f, "m")->schedule.learner) > 0);
    fixture_fini(&f);
}

static void how_many_executions_is_learned_of_data_alone(void **state)
{
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "code", 1);
    fixture_put(&f, "data", 1)->data = true;
    struct found *several = fixture_put(&f, "several", 1); /* which somebody has chosen */
    several->data = several->three = true;
    fixture_scan(&f);
    assert_true(fixture_generation(&f, "code")->schedule.policy.all_slots);
    assert_false(fixture_generation(&f, "data")->schedule.policy.all_slots);
    assert_true(fixture_generation(&f, "several")->schedule.policy.all_slots);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_while_it_loads_waits),
        cmocka_unit_test(what_came_while_it_loaded_is_checked_afterwards),
        cmocka_unit_test(what_came_while_it_loaded_is_counted_afterwards),
        cmocka_unit_test(what_has_become_too_late_is_told_so),
        cmocka_unit_test(a_lazy_one_is_probed_and_woken),
        cmocka_unit_test(a_load_that_fails_refuses_what_waits),
        cmocka_unit_test(files_that_are_being_written_are_tried_again),
        cmocka_unit_test(workers_that_die_in_a_row_end_it),
        cmocka_unit_test(no_descriptor_for_a_worker_is_no_reason_to_give_up),
        cmocka_unit_test(a_model_that_has_become_another_is_given_up),
        cmocka_unit_test(an_unloaded_one_serves_what_it_has_and_ends),
        cmocka_unit_test(an_unloaded_one_whose_worker_dies_is_restarted_for_what_waits),
        cmocka_unit_test(one_that_is_abandoned_ends_without_an_answer),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(what_was_learned_is_there_after_an_unload),
        cmocka_unit_test(how_many_executions_is_learned_of_data_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
