/* Requests that call other models and wait for each other. */
#include "serving/deadlock.h"

#include "serving/serving_fixture.h"

static struct fixture f;

struct side {
    struct played_worker *worker;
    struct client *client;
};

static struct side sides[2];

static struct client *ask(const char *model)
{
    struct error error;
    struct client *client = client_ask(&f, model, 1, &error);
    assert_non_null(client);
    return client;
}

/* Two models of one slot each, with a request that runs. */
static int set_up(void **state)
{
    static const char *const names[] = {"a", "b"};
    fixture_init(&f, LOAD_ALL);
    for (size_t i = 0; i < 2; i++)
        fixture_put(&f, names[i], 1);
    fixture_scan(&f);
    for (size_t i = 0; i < 2; i++) {
        sides[i].worker = worker_of(&f, names[i]);
        worker_ready(&f, sides[i].worker, 0);
        sides[i].client = ask(names[i]);
        worker_read(&f, sides[i].worker);
        assert_int_equal(sides[i].worker->request_count, 1);
    }
    return 0;
}

static void read_both(void)
{
    fixture_turn(&f);
    for (size_t i = 0; i < 2; i++)
        worker_read(&f, sides[i].worker);
}

/* As after some time. */
static void look(void)
{
    struct timer *timer = &f.serving.deadlock.look;
    assert_true(timer_running(timer));
    timer_stop(timer);
    timer->fire(timer);
    read_both();
}

static void answer(struct side *side)
{
    worker_answer(&f, side->worker, TENSORD_OK, true);
    read_both();
}

static void finish(struct side *side)
{
    answer(side);
    client_expect(side->client, ERROR_OK);
}

static void of_those_that_wait_for_each_other_the_last_call_fails(void **state)
{
    worker_call(&f, sides[0].worker, 7, "b");
    worker_call(&f, sides[1].worker, 8, "a");
    look();
    look();
    assert_int_equal(sides[1].worker->failed_call_answers, 0); /* it may have been about to go */
    look();
    assert_int_equal(sides[0].worker->call_answers, 0);
    assert_int_equal(sides[1].worker->failed_call_answers, 1);
    finish(&sides[1]);
    answer(&sides[1]); /* the call of the other one */
    assert_int_equal(sides[0].worker->call_answers, 1);
    assert_int_equal(sides[0].worker->failed_call_answers, 0);
    finish(&sides[0]);
    fixture_fini(&f);
}

static void what_waits_for_one_that_goes_on_is_left_alone(void **state)
{
    worker_call(&f, sides[0].worker, 7, "b"); /* which is busy, and calls nobody */
    for (int i = 0; i < 5; i++)
        look();
    finish(&sides[1]);
    answer(&sides[1]);
    assert_int_equal(sides[0].worker->call_answers, 1);
    assert_int_equal(sides[0].worker->failed_call_answers, 0);
    finish(&sides[0]);
    fixture_fini(&f);
}

static void a_worker_that_ends_opens_the_circle(void **state)
{
    worker_call(&f, sides[0].worker, 7, "b");
    worker_call(&f, sides[1].worker, 8, "a");
    look();
    look();
    worker_end(&f, sides[1].worker, "killed");
    client_expect(sides[1].client, ERROR_INTERRUPTED);
    sides[1].worker = NULL;
    pass_time(&f, fixture_generation(&f, "b"));
    sides[1].worker = worker_of(&f, "b");
    look();
    look();
    look();
    worker_ready(&f, sides[1].worker, 0);
    read_both();
    answer(&sides[1]);
    assert_int_equal(sides[0].worker->failed_call_answers, 0);
    assert_int_equal(sides[0].worker->call_answers, 1);
    finish(&sides[0]);
    fixture_fini(&f);
}

static void who_leaves_meanwhile_opens_it_too(void **state)
{
    worker_call(&f, sides[0].worker, 7, "b");
    worker_call(&f, sides[1].worker, 8, "a");
    look();
    look();
    client_leave(sides[1].client);
    read_both();
    assert_int_equal(sides[1].worker->failed_call_answers, 1); /* its call was cancelled */
    worker_answer(&f, sides[1].worker, TENSORD_CANCELLED, true);
    read_both();
    answer(&sides[1]);
    finish(&sides[0]);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(of_those_that_wait_for_each_other_the_last_call_fails, set_up),
        cmocka_unit_test_setup(what_waits_for_one_that_goes_on_is_left_alone, set_up),
        cmocka_unit_test_setup(a_worker_that_ends_opens_the_circle, set_up),
        cmocka_unit_test_setup(who_leaves_meanwhile_opens_it_too, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
