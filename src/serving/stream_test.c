/* Requests that are answered several times, and calls that want one answer, with a worker that the
 * test plays. */
#include "serving/only_answer.h"
#include "serving/serving_fixture.h"

static struct fixture f;

/* A client that keeps what it was told. */
struct listener {
    struct client *client;
    struct only_answer only;
    unsigned answers, finals, outputs;
    enum only_answer_step step;
    struct error error;
};

static struct listener listener;

static void hear(struct inference *inference, const struct inference_answer *answer)
{
    listener.answers++;
    listener.finals += answer->final;
    listener.outputs += (unsigned)answer->outputs.count;
    listener.error = answer->error;
}

static void hear_one(struct inference *inference, const struct inference_answer *answer)
{
    struct inference_outputs outputs;
    hear(inference, answer);
    if (listener.step != ONLY_ANSWER_WAITS)
        return;
    listener.step = only_answer_take(&listener.only, inference, answer, &outputs, &listener.error);
    if (listener.step == ONLY_ANSWER_GIVEN)
        listener.outputs = (unsigned)outputs.count;
    if (listener.step == ONLY_ANSWER_FAILED && !answer->final)
        inference_cancel(inference);
}

/* A request of a model that streams, which is with its worker. */
static struct played_worker *start(void (*answered)(struct inference *,
                                                    const struct inference_answer *))
{
    struct error error;
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    struct played_worker *worker = worker_of(&f, "m");
    worker_ready_to_stream(&f, worker);
    listener = (struct listener){.client = client_new(&f, "m", 2, &error)};
    assert_non_null(listener.client);
    listener.client->inference.answered = answered;
    inference_submit(&listener.client->inference);
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 1);
    return worker;
}

static void end(void)
{
    assert_int_equal(listener.finals, 1);
    inference_fini(&listener.client->inference);
    arena_fini(&listener.client->arena);
    free(listener.client);
    fixture_fini(&f);
}

static void answers_are_pulled(void **state)
{
    struct played_worker *worker = start(hear);
    assert_int_equal(worker->requests[0].credits, INFERENCE_ANSWERS_AHEAD);
    for (unsigned i = 0; i < INFERENCE_ANSWERS_AHEAD; i++)
        worker_answer(&f, worker, TENSORD_OK, false);
    assert_int_equal(listener.answers, INFERENCE_ANSWERS_AHEAD);
    assert_int_equal(listener.outputs, INFERENCE_ANSWERS_AHEAD);
    assert_int_equal(worker->requests[0].credits, 0);
    inference_more(&listener.client->inference, 3);
    worker_read(&f, worker);
    assert_int_equal(worker->requests[0].credits, 3);
    worker_answer(&f, worker, TENSORD_OK, false);
    worker_end_answers(&f, worker);
    assert_int_equal(listener.answers, INFERENCE_ANSWERS_AHEAD + 2);
    inference_more(&listener.client->inference, 1); /* too late, and harmless */
    end();
}

static void more_than_was_asked_for_breaks_the_rules(void **state)
{
    struct played_worker *worker = start(hear);
    for (unsigned i = 0; i <= INFERENCE_ANSWERS_AHEAD; i++)
        worker_answer(&f, worker, TENSORD_OK, false);
    assert_true(worker->killed);
    worker_end(&f, worker, "killed");
    assert_int_equal(listener.answers, INFERENCE_ANSWERS_AHEAD + 1);
    assert_int_equal(listener.error.code, ERROR_INTERRUPTED);
    end();
}

/* A thousand answers cost the request no more memory than one. */
static void a_long_stream_needs_no_more_memory(void **state)
{
    struct played_worker *worker = start(hear);
    worker_answer(&f, worker, TENSORD_OK, false);
    size_t had = listener.client->arena.total_bytes, used = listener.client->arena.used_bytes;
    for (unsigned i = 0; i < 1000; i++) {
        inference_more(&listener.client->inference, 1);
        worker_read(&f, worker);
        worker_answer(&f, worker, TENSORD_OK, false);
    }
    assert_int_equal(listener.client->arena.total_bytes, had);
    assert_int_equal(listener.client->arena.used_bytes, used);
    worker_end_answers(&f, worker);
    end();
}

static void who_has_left_hears_only_the_end(void **state)
{
    struct played_worker *worker = start(hear);
    worker_answer(&f, worker, TENSORD_OK, false);
    inference_cancel(&listener.client->inference);
    worker_read(&f, worker);
    assert_true(worker->requests[0].cancelled);
    worker_answer(&f, worker, TENSORD_OK, false);
    assert_int_equal(listener.answers, 1);
    worker_answer(&f, worker, TENSORD_CANCELLED, true);
    assert_int_equal(listener.answers, 2);
    assert_int_equal(listener.error.code, ERROR_CANCELLED);
    end();
}

static void a_worker_may_die_between_two_answers(void **state)
{
    struct played_worker *worker = start(hear);
    worker_answer(&f, worker, TENSORD_OK, false);
    worker_end(&f, worker, "killed by signal 9");
    assert_int_equal(listener.answers, 2);
    assert_int_equal(listener.error.code, ERROR_INTERRUPTED);
    end();
}

/* ---- exactly one ---- */

static void one_answer_and_the_end_is_one_answer(void **state)
{
    struct played_worker *worker = start(hear_one);
    worker_answer(&f, worker, TENSORD_OK, false);
    assert_int_equal(listener.step, ONLY_ANSWER_WAITS);
    worker_end_answers(&f, worker);
    assert_int_equal(listener.step, ONLY_ANSWER_GIVEN);
    assert_int_equal(listener.outputs, 1);
    end();
}

static void a_final_answer_alone_is_one(void **state)
{
    struct played_worker *worker = start(hear_one);
    worker_answer(&f, worker, TENSORD_OK, true);
    assert_int_equal(listener.step, ONLY_ANSWER_GIVEN);
    assert_int_equal(listener.outputs, 1);
    end();
}

static void two_are_refused(void **state)
{
    struct played_worker *worker = start(hear_one);
    worker_answer(&f, worker, TENSORD_OK, false);
    worker_answer(&f, worker, TENSORD_OK, false);
    assert_int_equal(listener.step, ONLY_ANSWER_FAILED);
    assert_int_equal(listener.error.code, ERROR_UNIMPLEMENTED);
    worker_read(&f, worker);
    assert_true(worker->requests[0].cancelled); /* the rest is not made */
    worker_end_answers(&f, worker);
    end();
}

static void one_and_a_final_one_are_two(void **state)
{
    struct played_worker *worker = start(hear_one);
    worker_answer(&f, worker, TENSORD_OK, false);
    worker_answer(&f, worker, TENSORD_OK, true);
    assert_int_equal(listener.step, ONLY_ANSWER_FAILED);
    assert_int_equal(listener.error.code, ERROR_UNIMPLEMENTED);
    end();
}

static void none_is_an_error(void **state)
{
    struct played_worker *worker = start(hear_one);
    worker_end_answers(&f, worker);
    assert_int_equal(listener.step, ONLY_ANSWER_FAILED);
    assert_int_equal(listener.error.code, ERROR_INTERNAL);
    end();
}

static void an_error_stays_what_it_is(void **state)
{
    struct played_worker *worker = start(hear_one);
    worker_answer(&f, worker, TENSORD_OK, false);
    worker_answer(&f, worker, TENSORD_INVALID_ARGUMENT, true);
    assert_int_equal(listener.step, ONLY_ANSWER_FAILED);
    assert_int_equal(listener.error.code, ERROR_INVALID_ARGUMENT);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_pulled),
        cmocka_unit_test(more_than_was_asked_for_breaks_the_rules),
        cmocka_unit_test(a_long_stream_needs_no_more_memory),
        cmocka_unit_test(who_has_left_hears_only_the_end),
        cmocka_unit_test(a_worker_may_die_between_two_answers),
        cmocka_unit_test(one_answer_and_the_end_is_one_answer),
        cmocka_unit_test(a_final_answer_alone_is_one),
        cmocka_unit_test(two_are_refused),
        cmocka_unit_test(one_and_a_final_one_are_two),
        cmocka_unit_test(none_is_an_error),
        cmocka_unit_test(an_error_stays_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
