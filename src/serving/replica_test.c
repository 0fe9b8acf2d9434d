/* A worker's life as a replica sees it, with a worker that the test plays. */
#include "serving/replica.h"

#include "serving/serving_fixture.h"

static struct fixture f;

/* One model, "m", whose worker is ready. */
static struct played_worker *make_ready(uint32_t max_rows)
{
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    struct played_worker *worker = worker_of(&f, "m");
    worker_ready(&f, worker, max_rows);
    return worker;
}

static struct client *ask(int64_t rows)
{
    struct error error;
    struct client *client = client_ask(&f, "m", rows, &error);
    assert_non_null(client);
    return client;
}

static void a_request_is_answered_once(void **state)
{
    struct played_worker *worker = make_ready(0);
    struct client *client = ask(3);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 1);
    assert_int_equal(client->finals, 0);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(client, ERROR_OK);
    fixture_fini(&f);
}

static void a_slot_that_is_free_takes_what_waits(void **state)
{
    struct played_worker *worker = make_ready(8);
    struct client *first = ask(1), *second, *third;
    worker_read(&f, worker);
    second = ask(2);
    third = ask(3);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 1); /* it says that it runs one at a time */
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(first, ERROR_OK);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 2);
    assert_int_equal(worker->requests[0].execution, worker->requests[1].execution);
    worker_answer(&f, worker, TENSORD_OK, true);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(second, ERROR_OK);
    client_expect(third, ERROR_OK);
    fixture_fini(&f);
}

static void an_engine_that_fails_says_so(void **state)
{
    struct played_worker *worker = make_ready(0);
    struct client *client = ask(1);
    worker_read(&f, worker);
    worker_answer(&f, worker, TENSORD_INVALID_ARGUMENT, true);
    client_expect(client, ERROR_INVALID_ARGUMENT);
    fixture_fini(&f);
}

static void answers_before_the_last_are_passed_on(void **state)
{
    struct played_worker *worker = make_ready(0);
    struct client *client = ask(1);
    worker_read(&f, worker);
    worker_answer(&f, worker, TENSORD_OK, false);
    assert_int_equal(client->answers, 1);
    assert_int_equal(client->finals, 0);
    worker_answer(&f, worker, TENSORD_OK, true);
    assert_int_equal(client->answers, 2);
    client_expect(client, ERROR_OK);
    fixture_fini(&f);
}

static void a_death_costs_what_was_with_the_worker(void **state)
{
    struct played_worker *worker = make_ready(0);
    struct client *running = ask(1), *waiting;
    worker_read(&f, worker);
    waiting = ask(1);
    worker_end(&f, worker, "killed by signal 9 (Killed)");
    assert_non_null(strstr(running->error.message, "may be sent again"));
    client_expect(running, ERROR_INTERRUPTED);
    assert_int_equal(waiting->finals, 0);
    pass_time(&f, fixture_generation(&f, "m"));
    worker = worker_of(&f, "m");
    worker_ready(&f, worker, 0);
    worker_read(&f, worker);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(waiting, ERROR_OK);
    fixture_fini(&f);
}

static void room_is_given_as_long_as_there_is_some(void **state)
{
    struct played_worker *worker = make_ready(0);
    struct client *client = ask(1);
    worker_read(&f, worker);
    worker_need_room(&f, worker, 1000);
    assert_int_equal(worker->grants, 1);
    assert_int_equal(worker->granted.size, 1000);
    worker_need_room(&f, worker, MEMORY_LIMIT_BYTES);
    worker_need_room(&f, worker, MEMORY_LIMIT_BYTES + 1);
    assert_int_equal(worker->refused_grants, 2);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(client, ERROR_OK);
    struct generation *generation = fixture_generation(&f, "m");
    assert_int_equal(tensor_memory_used_bytes(generation->memory), 0);
    assert_int_equal(generation->admission.held_bytes, 0);
    fixture_fini(&f);
}

static void a_liar_is_killed(void **state)
{
    struct played_worker *worker = make_ready(0);
    struct client *client = ask(1);
    worker_read(&f, worker);
    worker_lie(&f, worker);
    assert_true(worker->killed);
    assert_int_equal(client->finals, 0); /* until it is known to be dead: it may still write */
    worker_end(&f, worker, "killed by signal 9 (Killed)");
    assert_non_null(strstr(client->error.message, "broke the rules"));
    client_expect(client, ERROR_INTERRUPTED);
    fixture_fini(&f);
}

static void a_client_that_leaves_is_cancelled_in_the_worker(void **state)
{
    struct played_worker *worker = make_ready(0);
    struct client *running = ask(1), *waiting;
    worker_read(&f, worker);
    waiting = ask(1);
    client_leave(running);
    client_leave(waiting);
    worker_read(&f, worker);
    assert_true(worker->requests[0].cancelled);
    worker_answer(&f, worker, TENSORD_CANCELLED, true);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 0); /* the other one never came */
    assert_int_equal(f.serving.inferences, 0);
    fixture_fini(&f);
}

/* Once executions have been seen to be short, so that its slot need not wait for the next. */
static void one_goes_ahead_of_its_turn(void **state)
{
    struct played_worker *worker = make_ready(0);
    struct client *clients[5];
    clients[0] = ask(1);
    clients[1] = ask(1);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 1); /* nothing is known yet */
    for (size_t i = 2; i < 5; i++)
        clients[i] = ask(1);
    worker_answer(&f, worker, TENSORD_OK, true);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 2);
    assert_int_not_equal(worker->requests[0].execution, worker->requests[1].execution);
    assert_int_equal(schedule_waiting(&fixture_generation(&f, "m")->schedule), 3);
    client_expect(clients[0], ERROR_OK);
    for (size_t i = 1; i < 5; i++) {
        worker_read(&f, worker);
        worker_answer(&f, worker, TENSORD_OK, true);
        client_expect(clients[i], ERROR_OK);
    }
    fixture_fini(&f);
}

/* A request runs, and another one is ahead of its turn. */
static struct played_worker *run_with_one_ahead(struct client *clients[2])
{
    struct played_worker *worker = make_ready(0);
    struct client *before = ask(1);
    worker_read(&f, worker);
    clients[0] = ask(1);
    clients[1] = ask(1);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(before, ERROR_OK);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 2);
    return worker;
}

/* Whatever the model is: it has not been executed. */
static void what_is_ahead_survives_its_worker(bool replaced)
{
    struct client *clients[2];
    struct played_worker *worker = run_with_one_ahead(clients);
    struct generation *generation = fixture_generation(&f, "m");
    generation->repeatable = false;
    if (replaced) {
        generation->schedule.policy.grace_ns = CLOCK_NS_PER_MS;
        client_leave(clients[0]);
        while (!worker->killed)
            fixture_turn(&f);
    }
    worker_end(&f, worker, "killed by signal 9 (Killed)");
    if (!replaced)
        client_expect(clients[0], ERROR_INTERRUPTED);
    assert_int_equal(clients[1]->finals, 0);
    assert_int_equal(generation->schedule.running, 0);
    pass_time(&f, generation);
    worker = worker_of(&f, "m");
    worker_ready(&f, worker, 0);
    worker_read(&f, worker);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(clients[1], ERROR_OK);
    assert_int_equal(f.serving.inferences, 0);
    fixture_fini(&f);
}

static void what_is_ahead_survives_a_death(void **state)
{
    what_is_ahead_survives_its_worker(false);
}

static void what_is_ahead_survives_a_replacement(void **state)
{
    what_is_ahead_survives_its_worker(true);
}

/* It has begun by then. */
static void who_was_ahead_and_began_is_lost_with_its_worker(void **state)
{
    struct client *clients[2];
    struct played_worker *worker = run_with_one_ahead(clients);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(clients[0], ERROR_OK);
    worker_end(&f, worker, "killed by signal 9 (Killed)");
    client_expect(clients[1], ERROR_INTERRUPTED);
    fixture_fini(&f);
}

/* Its turn comes in the worker, which knows how long it takes and does not begin it. */
static void what_comes_to_its_turn_too_late_is_told_so(void **state)
{
    struct client *clients[2];
    struct played_worker *worker = run_with_one_ahead(clients);
    const struct learner *learner = &fixture_generation(&f, "m")->schedule.learner;
    uint64_t executions = learner->executions;
    clients[1]->inference.deadline_ns = clients[1]->inference.entry.deadline_ns =
        clock_now_ns() + 60 * CLOCK_NS_PER_S;
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(clients[0], ERROR_OK);
    worker_answer(&f, worker, TENSORD_CANCELLED, true);
    assert_non_null(strstr(clients[1]->error.message, "would be answered too late"));
    client_expect(clients[1], ERROR_UNAVAILABLE);
    assert_int_equal(learner->executions, executions + 1);
    fixture_fini(&f);
}

/* As if it were in the queue still: its client is invited to come again. */
static void what_expires_ahead_of_its_turn_has_not_run(void **state)
{
    struct client *clients[2];
    struct played_worker *worker = run_with_one_ahead(clients);
    struct played_request running = worker->requests[0];
    for (size_t i = 0; i < 2; i++) {
        clients[i]->inference.deadline_ns = 1; /* long ago */
        clients[i]->inference.times_out = true;
    }
    worker->requests[0] = worker->requests[1];
    worker->requests[1] = running;
    worker_answer(&f, worker, TENSORD_CANCELLED, true);
    client_expect(clients[1], ERROR_UNAVAILABLE);
    worker_answer(&f, worker, TENSORD_CANCELLED, true);
    client_expect(clients[0], ERROR_INTERRUPTED);
    fixture_fini(&f);
}

/* One that leaves does not end the execution of the others. */
static void what_is_cancelled_in_part_teaches(void **state)
{
    struct played_worker *worker = make_ready(8);
    const struct learner *learner = &fixture_generation(&f, "m")->schedule.learner;
    struct client *before = ask(1), *leaves, *stays;
    worker_read(&f, worker);
    leaves = ask(1);
    stays = ask(1);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(before, ERROR_OK);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 2);
    client_leave(leaves);
    worker_read(&f, worker);
    worker_answer(&f, worker, TENSORD_OK, true);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(stays, ERROR_OK);
    assert_int_equal(learner->executions, 2);
    fixture_fini(&f);
}

/* It sees that the deadline has passed before the front's timer does. */
static void what_the_worker_cancels_teaches_nothing(void **state)
{
    struct played_worker *worker = make_ready(0);
    struct client *client = ask(1);
    worker_read(&f, worker);
    worker_answer(&f, worker, TENSORD_CANCELLED, true);
    client_expect(client, ERROR_CANCELLED);
    assert_int_equal(fixture_generation(&f, "m")->schedule.learner.executions, 0);
    fixture_fini(&f);
}

/* How long they took says nothing of the model. */
static void what_was_cancelled_teaches_nothing(void **state)
{
    struct played_worker *worker = make_ready(0);
    struct client *client = ask(1);
    const struct learner *learner = &fixture_generation(&f, "m")->schedule.learner;
    worker_read(&f, worker);
    client_leave(client);
    worker_read(&f, worker);
    assert_true(worker->requests[0].cancelled);
    worker_answer(&f, worker, TENSORD_CANCELLED, true);
    assert_int_equal(learner->executions, 0);
    client = ask(1);
    worker_read(&f, worker);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(client, ERROR_OK);
    assert_int_equal(learner->executions, 1);
    fixture_fini(&f);
}

/* Runs two requests as one execution, of which the first is cancelled and does not end, until the
 * worker is gone. Returns the other one. */
static struct client *lose_worker_to_a_request(bool repeatable)
{
    struct played_worker *worker = make_ready(8);
    struct generation *generation = fixture_generation(&f, "m");
    struct client *before = ask(1), *endless, *other;
    generation->schedule.policy.grace_ns = CLOCK_NS_PER_MS;
    generation->repeatable = repeatable;
    worker_read(&f, worker);
    endless = ask(1);
    other = ask(1);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(before, ERROR_OK);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 2);
    client_leave(endless);
    while (!worker->killed)
        fixture_turn(&f);
    worker_end(&f, worker, "killed by signal 9 (Killed)");
    const struct model_metrics *counts = &generation->version->statistics.metrics;
    assert_int_equal(counts->worker_replacements, 1);
    assert_int_equal(counts->worker_crashes, 0);
    assert_int_equal(generation->state.failures, 0);
    return other;
}

static void a_request_that_does_not_end_costs_its_worker(void **state)
{
    struct client *other = lose_worker_to_a_request(false);
    assert_non_null(strstr(other->error.message, "did not end within 1 ms"));
    client_expect(other, ERROR_INTERRUPTED);
    fixture_fini(&f);
}

static void others_are_sent_again_once_where_that_is_safe(void **state)
{
    struct client *other = lose_worker_to_a_request(true), *joined;
    assert_int_equal(other->answers, 0);
    struct generation *generation = fixture_generation(&f, "m");
    pass_time(&f, generation);
    struct played_worker *worker = worker_of(&f, "m");
    joined = ask(1);
    worker_ready(&f, worker, 8);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 1); /* alone: it may be the one that does not end */
    client_leave(joined);
    inference_cancel(&other->inference);
    while (!worker->killed)
        fixture_turn(&f);
    worker_end(&f, worker, "killed by signal 9 (Killed)");
    client_expect(other, ERROR_INTERRUPTED);
    fixture_fini(&f);
}

static void what_was_sent_again_is_answered(void **state)
{
    struct client *other = lose_worker_to_a_request(true);
    pass_time(&f, fixture_generation(&f, "m"));
    struct played_worker *worker = worker_of(&f, "m");
    worker_ready(&f, worker, 8);
    worker_read(&f, worker);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(other, ERROR_OK);
    assert_int_equal(f.serving.inferences, 0);
    fixture_fini(&f);
}

static void a_worker_that_does_not_stop_is_killed(void **state)
{
    struct played_worker *worker = make_ready(0);
    f.serving.options.stop_grace_ms = 1;
    serving_stop(&f.serving);
    worker_read(&f, worker);
    assert_true(worker->stopped);
    while (!worker->killed)
        fixture_turn(&f);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered_once),
        cmocka_unit_test(a_slot_that_is_free_takes_what_waits),
        cmocka_unit_test(an_engine_that_fails_says_so),
        cmocka_unit_test(answers_before_the_last_are_passed_on),
        cmocka_unit_test(a_death_costs_what_was_with_the_worker),
        cmocka_unit_test(room_is_given_as_long_as_there_is_some),
        cmocka_unit_test(a_liar_is_killed),
        cmocka_unit_test(a_client_that_leaves_is_cancelled_in_the_worker),
        cmocka_unit_test(one_goes_ahead_of_its_turn),
        cmocka_unit_test(what_is_ahead_survives_a_death),
        cmocka_unit_test(what_is_ahead_survives_a_replacement),
        cmocka_unit_test(who_was_ahead_and_began_is_lost_with_its_worker),
        cmocka_unit_test(what_was_cancelled_teaches_nothing),
        cmocka_unit_test(what_comes_to_its_turn_too_late_is_told_so),
        cmocka_unit_test(what_expires_ahead_of_its_turn_has_not_run),
        cmocka_unit_test(what_is_cancelled_in_part_teaches),
        cmocka_unit_test(what_the_worker_cancels_teaches_nothing),
        cmocka_unit_test(a_request_that_does_not_end_costs_its_worker),
        cmocka_unit_test(others_are_sent_again_once_where_that_is_safe),
        cmocka_unit_test(what_was_sent_again_is_answered),
        cmocka_unit_test(a_worker_that_does_not_stop_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
