/* A generation of three workers, which the test plays. */
#include "serving/generation_workers.h"

#include "serving/serving_fixture.h"

enum { WORKERS = 3 };

static struct fixture f;
static struct played_worker *workers[WORKERS];

static struct client *ask(void)
{
    struct error error;
    struct client *client = client_ask(&f, "m", 1, &error);
    assert_non_null(client);
    return client;
}

static struct generation *generation(void)
{
    return fixture_generation(&f, "m");
}

static size_t live(void)
{
    size_t count = 0;
    list_each(link, &f.workers)
    {
        count++;
    }
    return count;
}

/* The workers that live, oldest first. */
static void look(void)
{
    size_t count = 0;
    list_each(link, &f.workers)
    {
        if (count < WORKERS)
            workers[count++] = list_entry(link, struct played_worker, link);
    }
    while (count < WORKERS)
        workers[count++] = NULL;
}

static void put(void)
{
    fixture_put(&f, "m", 1)->three = true;
    fixture_scan(&f);
    look();
}

/* All three serve. */
static void make(void)
{
    fixture_init(&f, LOAD_ALL);
    put();
    worker_ready(&f, workers[0], 0);
    look();
    worker_ready(&f, workers[1], 0);
    worker_ready(&f, workers[2], 0);
    assert_int_equal(generation_workers_ready(generation()), WORKERS);
}

/* Nobody waits for the others: a listing says nothing of their start. */
static void what_starts_beside_others_is_not_told(void **state)
{
    make();
    assert_string_equal(version_reason(fixture_version(&f, "m")), "");
    fixture_fini(&f);
}

static void read_all(void)
{
    for (size_t i = 0; i < WORKERS; i++) {
        if (workers[i])
            worker_read(&f, workers[i]);
    }
}

static void answer_all(void)
{
    for (bool more = true; more;) {
        more = false;
        read_all();
        for (size_t i = 0; i < WORKERS; i++) {
            if (!workers[i] || !workers[i]->request_count)
                continue;
            worker_answer(&f, workers[i], TENSORD_OK, true);
            more = true;
        }
    }
}

static void the_others_start_when_the_first_serves(void **state)
{
    fixture_init(&f, LOAD_ALL);
    put();
    assert_int_equal(live(), 1);
    struct client *client = ask();
    worker_ready(&f, workers[0], 0);
    look();
    assert_int_equal(live(), WORKERS);
    assert_int_equal(version_state(fixture_version(&f, "m")), VERSION_READY);
    answer_all(); /* by the first */
    client_expect(client, ERROR_OK);
    assert_int_equal(version_metrics(fixture_version(&f, "m")).workers_ready, 1);
    assert_int_equal(version_metrics(fixture_version(&f, "m")).workers_wanted, WORKERS);
    fixture_fini(&f);
}

static void a_probe_is_made_by_one(void **state)
{
    fixture_init(&f, LOAD_LAZY);
    put();
    worker_ready(&f, workers[0], 0);
    worker_end(&f, workers[0], "exited with status 0");
    assert_int_equal(live(), 0);
    assert_int_equal(version_state(fixture_version(&f, "m")), VERSION_ASLEEP);
    fixture_fini(&f);
}

/* As many requests as there are workers, which have read them. */
static void ask_all(struct client *clients[WORKERS])
{
    for (size_t i = 0; i < WORKERS; i++)
        clients[i] = ask();
    fixture_turn(&f);
    read_all();
}

static void each_gets_its_part(void **state)
{
    make();
    struct client *clients[WORKERS];
    ask_all(clients);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(workers[i]->request_count, 1);
    assert_int_equal(generation()->schedule.max_slots, WORKERS);
    answer_all();
    for (size_t i = 0; i < WORKERS; i++)
        client_expect(clients[i], ERROR_OK);
    fixture_fini(&f);
}

static void a_cancelled_request_is_cancelled_where_it_runs(void **state)
{
    make();
    struct client *clients[WORKERS];
    ask_all(clients);
    inference_cancel(&clients[1]->inference);
    fixture_turn(&f);
    read_all();
    size_t cancelled = 0;
    for (size_t i = 0; i < WORKERS; i++)
        cancelled += workers[i]->requests[0].cancelled;
    assert_int_equal(cancelled, 1);
    answer_all();
    for (size_t i = 0; i < WORKERS; i++)
        client_expect(clients[i], clients[i]->error.code);
    fixture_fini(&f);
}

/* Another worker may be free before the one that it would wait in. */
static void none_goes_ahead_of_its_turn(void **state)
{
    make();
    struct client *clients[WORKERS], *waits;
    for (int round = 0; round < 2; round++) {
        ask_all(clients);
        waits = round ? ask() : NULL;
        fixture_turn(&f);
        read_all();
        for (size_t i = 0; i < WORKERS; i++)
            assert_int_equal(workers[i]->request_count, 1);
        answer_all();
        for (size_t i = 0; i < WORKERS; i++)
            client_expect(clients[i], ERROR_OK);
    }
    answer_all();
    client_expect(waits, ERROR_OK);
    fixture_fini(&f);
}

/* Whichever it is: what was with it fails, the rest goes on, and it is started again. */
static void one_dies(size_t which)
{
    make();
    struct client *clients[WORKERS + 1];
    unsigned failed = 0;
    for (size_t i = 0; i < WORKERS; i++)
        clients[i] = ask();
    fixture_turn(&f);
    read_all();
    clients[WORKERS] = ask(); /* waits, or is the dead one's next */
    fixture_turn(&f);
    worker_end(&f, workers[which], "killed by signal 9 (Killed)");
    assert_int_equal(version_state(fixture_version(&f, "m")), VERSION_READY);
    assert_int_equal(generation()->state.phase, GENERATION_READY);
    assert_non_null(strstr(version_reason(fixture_version(&f, "m")),
                           "2 of 3 workers serve: another one ended: killed by signal 9"));
    pass_time(&f, generation());
    look();
    assert_int_equal(live(), WORKERS);
    answer_all();
    for (size_t i = 0; i <= WORKERS; i++) {
        failed += clients[i]->error.code == ERROR_INTERRUPTED;
        client_expect(clients[i], clients[i]->error.code);
    }
    assert_in_range(failed, 1, 2);
    worker_ready(&f, workers[WORKERS - 1], 0);
    assert_int_equal(generation_workers_ready(generation()), WORKERS);
    assert_string_equal(version_reason(fixture_version(&f, "m")), "");
    fixture_fini(&f);
}

static void one_that_dies_is_replaced(void **state)
{
    for (size_t i = 0; i < WORKERS; i++)
        one_dies(i);
}

static void when_all_die_the_first_that_comes_back_serves(void **state)
{
    make();
    for (size_t i = 0; i < WORKERS; i++)
        worker_end(&f, workers[i], "killed");
    struct client *client = ask();
    pass_time(&f, generation());
    look();
    assert_int_equal(live(), WORKERS);
    worker_ready(&f, workers[2], 0);
    assert_int_equal(generation()->state.phase, GENERATION_READY);
    answer_all();
    client_expect(client, ERROR_OK);
    fixture_fini(&f);
}

static void one_that_never_loads_is_tried_seldom_and_told(void **state)
{
    fixture_init(&f, LOAD_ALL);
    put();
    worker_ready(&f, workers[0], 0);
    look();
    worker_ready(&f, workers[1], 0);
    worker_fail(&f, workers[2], TENSORD_INVALID_ARGUMENT);
    worker_end(&f, workers[2], "exited with status 1");
    struct generation_worker *worker = &generation()->further[1];
    assert_int_equal(worker->state.phase, GENERATION_RETRYING);
    fixture_turn(&f);
    assert_int_equal(live(), 2);
    assert_string_equal(version_reason(fixture_version(&f, "m")),
                        "2 of 3 workers serve: another one ended: no good");
    pass_time(&f, generation());
    assert_int_equal(live(), 3);
    fixture_fini(&f);
}

static void one_that_is_of_another_model_is_not_used(void **state)
{
    make();
    worker_end(&f, workers[1], "killed");
    pass_time(&f, generation());
    look();
    worker_ready_otherwise(&f, workers[2]);
    worker_read(&f, workers[2]);
    assert_true(workers[2]->stopped);
    assert_non_null(strstr(version_reason(fixture_version(&f, "m")), "the files have changed"));
    worker_end(&f, workers[2], "exited with status 0");
    assert_int_equal(live(), 2);
    assert_non_null(strstr(version_reason(fixture_version(&f, "m")), "the files have changed"));
    fixture_fini(&f);
}

static void newer_files_take_over_when_as_many_serve(void **state)
{
    make();
    struct generation *old = generation();
    put();
    look();
    assert_int_equal(live(), WORKERS + 1);
    struct played_worker *next[WORKERS];
    next[0] = worker_of(&f, "m");
    worker_ready(&f, next[0], 0);
    assert_ptr_equal(generation(), old);
    assert_int_equal(live(), 2 * WORKERS);
    next[2] = worker_of(&f, "m");
    next[1] = list_entry(next[2]->link.previous, struct played_worker, link);
    worker_ready(&f, next[1], 0);
    assert_ptr_equal(generation(), old);
    struct client *client = ask();
    fixture_turn(&f);
    worker_ready(&f, next[2], 0);
    assert_ptr_not_equal(generation(), old);
    read_all();
    for (size_t i = 0; i < WORKERS; i++)
        assert_false(workers[i]->stopped); /* it serves what it has */
    answer_all();
    client_expect(client, ERROR_OK);
    read_all();
    for (size_t i = 0; i < WORKERS; i++)
        assert_true(workers[i]->stopped);
    fixture_fini(&f);
}

/* A worker more is no reason to wait for ever. */
static void newer_files_take_over_though_one_fails(void **state)
{
    make();
    struct generation *old = generation();
    put();
    worker_ready(&f, worker_of(&f, "m"), 0);
    struct played_worker *last = worker_of(&f, "m");
    struct played_worker *second = list_entry(last->link.previous, struct played_worker, link);
    worker_ready(&f, second, 0);
    assert_ptr_equal(generation(), old);
    worker_end(&f, last, "killed");
    assert_ptr_not_equal(generation(), old);
    assert_non_null(strstr(version_reason(fixture_version(&f, "m")), "2 of 3 workers serve"));
    fixture_fini(&f);
}

static void an_unloaded_one_ends_all_when_it_has_served(void **state)
{
    make();
    struct client *clients[WORKERS];
    ask_all(clients);
    model_unload(fixture_version(&f, "m")->model);
    worker_end(&f, workers[0], "killed"); /* nobody needs another */
    client_expect(clients[0], ERROR_INTERRUPTED);
    fixture_turn(&f);
    assert_int_equal(live(), 2);
    look();
    answer_all();
    client_expect(clients[1], ERROR_OK);
    client_expect(clients[2], ERROR_OK);
    read_all();
    assert_true(workers[0]->stopped && workers[1]->stopped);
    fixture_fini(&f);
}

static void one_that_takes_memory_costs_all(void **state)
{
    make();
    generation_workers_kill(generation(), "it or another worker took memory");
    for (size_t i = 0; i < WORKERS; i++)
        assert_true(workers[i]->killed);
    fixture_fini(&f);
}

static void one_that_is_not_wanted_ends_when_it_is_done(void **state)
{
    make();
    struct client *clients[WORKERS];
    ask_all(clients);
    generation()->scale.wanted = 1;
    generation_staff(generation());
    fixture_turn(&f);
    read_all();
    assert_false(workers[1]->stopped || workers[2]->stopped);
    struct client *last = ask();
    fixture_turn(&f);
    answer_all();
    for (size_t i = 0; i < WORKERS; i++)
        client_expect(clients[i], ERROR_OK);
    client_expect(last, ERROR_OK);
    read_all();
    assert_true(workers[1]->stopped && workers[2]->stopped && !workers[0]->stopped);
    worker_end(&f, workers[1], "exited with status 0");
    worker_end(&f, workers[2], "exited with status 0");
    assert_int_equal(live(), 1);
    generation()->scale.wanted = WORKERS;
    generation_staff(generation());
    fixture_turn(&f);
    assert_int_equal(live(), WORKERS);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_starts_beside_others_is_not_told),
        cmocka_unit_test(the_others_start_when_the_first_serves),
        cmocka_unit_test(a_probe_is_made_by_one),
        cmocka_unit_test(each_gets_its_part),
        cmocka_unit_test(a_cancelled_request_is_cancelled_where_it_runs),
        cmocka_unit_test(none_goes_ahead_of_its_turn),
        cmocka_unit_test(one_that_dies_is_replaced),
        cmocka_unit_test(when_all_die_the_first_that_comes_back_serves),
        cmocka_unit_test(one_that_never_loads_is_tried_seldom_and_told),
        cmocka_unit_test(one_that_is_of_another_model_is_not_used),
        cmocka_unit_test(newer_files_take_over_when_as_many_serve),
        cmocka_unit_test(newer_files_take_over_though_one_fails),
        cmocka_unit_test(an_unloaded_one_ends_all_when_it_has_served),
        cmocka_unit_test(one_that_takes_memory_costs_all),
        cmocka_unit_test(one_that_is_not_wanted_ends_when_it_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
