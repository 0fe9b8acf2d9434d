/* Models and versions: loads and those who wait for them, files that change, memory that is waited
 * for, and then anything in any order. */
#include "serving/serving.h"

#include "serving/serving_fixture.h"

static struct fixture f;

struct waiter {
    struct model_waiter base; /* first */
    unsigned told;
    struct error error;
};

static void on_told(struct model_waiter *base, const struct error *error)
{
    struct waiter *waiter = (struct waiter *)(void *)base;
    waiter->told++;
    waiter->error = *error;
    assert_int_equal(waiter->told, 1);
}

static void load(const char *name, struct waiter *waiter)
{
    *waiter = (struct waiter){.base.settled = on_told};
    model_load(fixture_version(&f, name)->model, &waiter->base);
    assert_int_equal(waiter->told, 0);
    fixture_scan(&f);
}

static struct played_worker *make_ready(void)
{
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    worker_ready(&f, worker_of(&f, "m"), 0);
    return worker_of(&f, "m");
}

static enum version_state state_of(const char *name)
{
    return version_state(fixture_version(&f, name));
}

static void a_load_of_what_is_ready_is_told_at_once(void **state)
{
    struct waiter waiter;
    make_ready();
    load("m", &waiter);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(waiter.error.code, ERROR_OK);
    assert_int_equal(f.started, 1);
    fixture_fini(&f);
}

static void a_load_during_a_restart_waits_for_it(void **state)
{
    struct waiter waiter;
    worker_end(&f, make_ready(), "killed");
    assert_int_equal(state_of("m"), VERSION_READY);
    load("m", &waiter);
    assert_int_equal(waiter.told, 0);
    pass_time(&f, fixture_generation(&f, "m"));
    assert_int_equal(waiter.told, 0);
    worker_ready(&f, worker_of(&f, "m"), 0);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(waiter.error.code, ERROR_OK);
    fixture_fini(&f);
}

static void a_load_of_what_has_failed_tries_again(void **state)
{
    struct waiter waiter;
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    for (int i = 0; i < 2; i++) {
        struct played_worker *worker = worker_of(&f, "m");
        worker_fail(&f, worker, TENSORD_INVALID_ARGUMENT);
        worker_end(&f, worker, "exited with status 1");
        assert_int_equal(state_of("m"), VERSION_FAILED);
        load("m", &waiter);
        assert_int_equal(waiter.told, 0);
    }
    worker_ready(&f, worker_of(&f, "m"), 0);
    assert_int_equal(waiter.error.code, ERROR_OK);
    assert_int_equal(waiter.told, 1);
    fixture_fini(&f);
}

static void newer_files_take_over_when_they_are_ready(void **state)
{
    struct error error;
    struct played_worker *old = make_ready(), *new;
    struct client *before = client_ask(&f, "m", 1, &error), *between, *after;
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    new = worker_of(&f, "m");
    assert_ptr_not_equal(old, new);
    between = client_ask(&f, "m", 1, &error);
    worker_ready(&f, new, 0);
    after = client_ask(&f, "m", 1, &error);
    for (int i = 0; i < 2; i++) {
        worker_read(&f, old);
        assert_false(old->stopped);
        worker_answer(&f, old, TENSORD_OK, true);
    }
    client_expect(before, ERROR_OK);
    client_expect(between, ERROR_OK);
    worker_read(&f, old);
    assert_true(old->stopped);
    worker_read(&f, new);
    worker_answer(&f, new, TENSORD_OK, true);
    client_expect(after, ERROR_OK);
    fixture_fini(&f);
}

static void newer_files_that_fail_leave_the_older_ones_serving(void **state)
{
    struct waiter waiter;
    make_ready();
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    for (int i = 0; i < 2; i++) { /* a load tries them again */
        struct played_worker *new = worker_of(&f, "m");
        worker_fail(&f, new, TENSORD_INVALID_ARGUMENT);
        worker_end(&f, new, "exited with status 1");
        assert_int_equal(state_of("m"), VERSION_READY);
        assert_string_equal(version_reason(fixture_version(&f, "m")),
                            "its newer files failed: no good");
        load("m", &waiter);
        assert_int_equal(waiter.told, 0);
    }
    worker_ready(&f, worker_of(&f, "m"), 0);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(waiter.error.code, ERROR_OK);
    assert_string_equal(version_reason(fixture_version(&f, "m")), "");
    fixture_fini(&f);
}

static void a_wrong_config_is_told_to_who_loads(void **state)
{
    struct waiter waiter;
    make_ready();
    fixture_put(&f, "m", 1)->wrong = true;
    fixture_scan(&f);
    load("m", &waiter);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(waiter.error.code, ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(waiter.error.message, "unknown key"));
    assert_int_equal(state_of("m"), VERSION_READY); /* as it was */
    fixture_fini(&f);
}

static void files_that_go_take_the_model_along(void **state)
{
    struct error error;
    struct played_worker *worker = make_ready();
    struct client *client = client_ask(&f, "m", 1, &error);
    f.found_count = 0;
    fixture_scan(&f);
    assert_int_equal(state_of("m"), VERSION_DRAINING);
    worker_read(&f, worker);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(client, ERROR_OK);
    worker_end(&f, worker, "exited with status 0");
    assert_null(serving_model(&f.serving, SPAN("m"), &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    fixture_fini(&f);
}

/* The model that goes has nothing left that would keep it; all others stay as they are. */
static void files_that_go_touch_no_other_model(void **state)
{
    static const char *const models[] = {"a", "b", "c", "d", "e", "f"};
    for (size_t gone = 0; gone < 6; gone++) {
        fixture_init(&f, LOAD_ALL);
        for (size_t i = 0; i < 6; i++)
            fixture_put(&f, models[i], 1);
        fixture_scan(&f);
        for (size_t i = 0; i < 6; i++)
            worker_ready(&f, worker_of(&f, models[i]), 0);
        model_unload(fixture_version(&f, models[gone])->model);
        worker_end(&f, worker_of(&f, models[gone]), "exited with status 0");
        f.found[gone] = f.found[--f.found_count];
        fixture_scan(&f);
        for (size_t i = 0; i < 6; i++)
            assert_true(i == gone || state_of(models[i]) == VERSION_READY);
        assert_null(serving_model(&f.serving, span_of(models[gone]), NULL));
        fixture_fini(&f);
    }
}

/* A load may bring other versions. Those that it leaves out serve until it has gone well. */
static void what_a_load_leaves_out_serves_until_it_has_ended(void **state)
{
    for (int good = 0; good < 2; good++) {
        struct waiter waiter = {.base.settled = on_told};
        struct played_worker *old = make_ready(), *new;
        struct model *model = fixture_version(&f, "m")->model;
        const struct found before = f.found[0];
        model_load(model, &waiter.base);
        f.found_count = 0;
        fixture_put(&f, "m", 2);
        fixture_scan(&f);
        new = worker_of(&f, "m");
        assert_ptr_not_equal(old, new);
        assert_int_equal(waiter.told, 0);
        assert_int_equal(model->version_count, 2);
        assert_true(version_ready(model->versions[0]));
        if (good) {
            worker_ready(&f, new, 0);
        } else {
            worker_fail(&f, new, TENSORD_INVALID_ARGUMENT);
            worker_end(&f, new, "exited with status 1");
        }
        assert_int_equal(waiter.told, 1);
        assert_int_equal(waiter.error.code, good ? ERROR_OK : ERROR_INVALID_ARGUMENT);
        assert_int_equal(version_ready(model->versions[0]), !good);
        if (!good) {
            f.found[0] = before; /* as the load is taken back */
            fixture_scan(&f);
            assert_int_equal(model->version_count, 1);
            assert_true(version_ready(model->versions[0]));
        }
        fixture_fini(&f);
    }
}

static void a_load_that_finds_nothing_takes_nothing_away(void **state)
{
    struct waiter waiter;
    struct error error;
    make_ready();
    f.found_count = 0;
    load("m", &waiter);
    assert_int_equal(waiter.told, 1);
    assert_string_equal(waiter.error.message,
                        "failed to load 'm', failed to poll from model repository");
    assert_int_equal(state_of("m"), VERSION_READY);
    fixture_scan(&f); /* and nothing has come back */
    worker_end(&f, worker_of(&f, "m"), "exited with status 0");
    assert_null(serving_model(&f.serving, SPAN("m"), &error));
    fixture_fini(&f);
}

static void an_unload_ends_a_load_that_is_waited_for(void **state)
{
    struct waiter waiter;
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    load("m", &waiter);
    assert_int_equal(waiter.told, 0);
    model_unload(fixture_version(&f, "m")->model);
    assert_int_equal(waiter.told, 1);
    assert_string_equal(waiter.error.message, "failed to load 'm', version 1: unloaded");
    fixture_fini(&f);
}

static void a_load_of_what_has_gone_fails(void **state)
{
    struct waiter waiter;
    struct error error;
    make_ready();
    struct model *model = fixture_version(&f, "m")->model;
    model_unload(model);
    worker_end(&f, worker_of(&f, "m"), "exited with status 0");
    waiter = (struct waiter){.base.settled = on_told};
    model_load(model, &waiter.base);
    f.found_count = 0;
    fixture_scan(&f);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(waiter.error.code, ERROR_INVALID_ARGUMENT);
    assert_null(serving_model(&f.serving, SPAN("m"), &error));
    fixture_fini(&f);
}

/* Its worker, which ends, is nobody's business any more. */
static void a_load_does_not_wait_for_a_version_that_has_gone(void **state)
{
    struct waiter waiter;
    make_ready();
    fixture_put(&f, "m", 2);
    fixture_scan(&f);
    struct played_worker *second = worker_of(&f, "m");
    f.found_count--;
    fixture_scan(&f);
    assert_int_equal(fixture_version(&f, "m")->model->version_count, 2); /* while it ends */
    load("m", &waiter);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(waiter.error.code, ERROR_OK);
    worker_end(&f, second, "exited with status 0");
    fixture_fini(&f);
}

/* Whoever asks for a load may have put the files there just before. */
static void a_load_waits_for_the_scan_that_has_seen_the_files(void **state)
{
    struct waiter waiter = {.base.settled = on_told};
    struct error error;
    fixture_init(&f, LOAD_EXPLICIT);
    assert_true(serving_load(&f.serving, SPAN("m"), &waiter.base, &error));
    assert_null(serving_model(&f.serving, SPAN("m"), &error)); /* nothing is known of it yet */
    serving_apply(&f.serving, &(struct repository_scan){.number = f.rescans - 1});
    assert_int_equal(waiter.told, 0);
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    assert_int_equal(waiter.told, 0);
    worker_ready(&f, worker_of(&f, "m"), 0);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(waiter.error.code, ERROR_OK);
    fixture_fini(&f);
}

/* What lies there may not be what the load gives. */
static void a_load_takes_nothing_from_an_older_scan(void **state)
{
    struct error error;
    fixture_init(&f, LOAD_EXPLICIT);
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    assert_true(serving_load(&f.serving, SPAN("m"), NULL, &error));
    f.rescans--;
    fixture_scan(&f);
    assert_int_equal(f.started, 0);
    f.rescans++;
    fixture_scan(&f);
    assert_int_equal(f.started, 1);
    fixture_fini(&f);
}

static void a_load_that_fails_of_what_was_unloaded(void **state)
{
    struct waiter waiter;
    make_ready();
    struct model *model = fixture_version(&f, "m")->model;
    model_unwant(model);
    assert_int_equal(state_of("m"), VERSION_READY); /* it runs: wanted by others */
    model_unload(model);
    worker_end(&f, worker_of(&f, "m"), "exited with status 0");
    fixture_put(&f, "m", 1)->wrong = true; /* what it gave */
    load("m", &waiter);
    assert_int_equal(waiter.error.code, ERROR_INVALID_ARGUMENT);
    model_unwant(model);
    fixture_put(&f, "m", 1)->wrong = false;
    for (int i = 0; i < 2; i++) {
        fixture_scan(&f);
        assert_int_equal(state_of("m"), VERSION_FAILED);
        assert_int_equal(f.started, 1);
    }
    fixture_put(&f, "m", 1); /* newer files */
    fixture_scan(&f);
    assert_int_equal(f.started, 2);
    fixture_fini(&f);
}

static void a_load_of_what_is_not_there_fails(void **state)
{
    struct waiter waiter = {.base.settled = on_told}, gone = {.base.settled = on_told};
    struct error error;
    fixture_init(&f, LOAD_EXPLICIT);
    assert_true(serving_load(&f.serving, SPAN("m"), &waiter.base, &error));
    assert_true(serving_load(&f.serving, SPAN("n"), &gone.base, &error));
    list_remove(&gone.base.link);
    fixture_scan(&f);
    assert_int_equal(waiter.told, 1);
    assert_string_equal(waiter.error.message,
                        "failed to load 'm', failed to poll from model repository");
    assert_int_equal(f.serving.models.count, 0);
    fixture_fini(&f);
}

static void an_unload_sticks_until_the_files_change(void **state)
{
    make_ready();
    model_unload(fixture_version(&f, "m")->model);
    fixture_scan(&f);
    worker_end(&f, worker_of(&f, "m"), "exited with status 0");
    fixture_scan(&f);
    assert_int_equal(state_of("m"), VERSION_UNLOADED);
    fixture_put(&f, "m", 1);
    fixture_scan(&f);
    assert_int_equal(state_of("m"), VERSION_LOADING);
    fixture_fini(&f);
}

static void what_cannot_be_read_fails_loads_that_wait_for_it(void **state)
{
    struct waiter waiter = {.base.settled = on_told};
    make_ready();
    model_load(fixture_version(&f, "m")->model, &waiter.base);
    serving_unreadable(&f.serving);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(waiter.error.code, ERROR_UNAVAILABLE);
    fixture_fini(&f);
}

/* What is known of a version that cannot be looked into stays; who asks for a load is told. */
static void what_cannot_be_looked_into_stays_as_it_was(void **state)
{
    struct waiter waiter;
    make_ready();
    fixture_put(&f, "m", 2);
    fixture_scan(&f);
    worker_ready(&f, worker_of(&f, "m"), 0);
    struct found *found = fixture_put(&f, "m", 2);
    found->unreadable = true;
    load("m", &waiter);
    assert_int_equal(waiter.told, 1);
    assert_non_null(strstr(waiter.error.message, "version 2: its folder cannot be read"));
    assert_int_equal(state_of("m"), VERSION_READY);
    assert_int_equal(f.started, 2);
    f.found[0] = *found; /* of all versions */
    f.found[0].version = 0;
    f.found_count = 1;
    fixture_scan(&f);
    assert_int_equal(fixture_version(&f, "m")->model->version_count, 2);
    f.found_count = 0;
    fixture_put(&f, "m", 1)->fingerprint = 1;
    fixture_put(&f, "m", 2)->fingerprint = 2;
    fixture_scan(&f);
    assert_int_equal(f.started, 3); /* version 2 has newer files */
    assert_string_equal(version_reason(fixture_version(&f, "m")), "");
    fixture_fini(&f);
}

/* One that was never readable is loaded when it is. */
static void what_becomes_readable_is_loaded(void **state)
{
    struct waiter waiter;
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "m", 1)->unreadable = true;
    fixture_scan(&f);
    assert_string_equal(version_reason(fixture_version(&f, "m")), "too many open files");
    load("m", &waiter);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(waiter.error.code, ERROR_INVALID_ARGUMENT);
    f.found[0].unreadable = false;
    fixture_scan(&f);
    worker_ready(&f, worker_of(&f, "m"), 0);
    assert_int_equal(state_of("m"), VERSION_READY);
    fixture_fini(&f);
}

/* ---- memory ---- */

enum { MOST_ROWS = MEMORY_LIMIT_BYTES / 4 * 3 / 4 };

static struct client *reserve(int64_t rows)
{
    struct error error;
    struct client *client = client_reserve(&f, "m", rows, &error);
    assert_non_null(client);
    return client;
}

static void answer_one(struct played_worker *worker)
{
    worker_read(&f, worker);
    assert_int_equal(worker->request_count, 1);
    worker_answer(&f, worker, TENSORD_OK, true);
}

static void who_does_not_fit_waits_for_who_is_done(void **state)
{
    struct played_worker *worker = make_ready();
    struct client *first = reserve(MOST_ROWS), *second = reserve(MOST_ROWS), *third = reserve(9999);
    assert_true(client_waits(second) && client_waits(third));
    answer_one(worker);
    assert_true(client_waits(second)); /* the answer has yet to be sent */
    client_expect(first, ERROR_OK);
    fixture_turn(&f);
    assert_false(client_waits(second));
    assert_true(client_waits(third));
    answer_one(worker);
    client_expect(second, ERROR_OK);
    fixture_turn(&f);
    answer_one(worker);
    client_expect(third, ERROR_OK);
    fixture_fini(&f);
}

static void what_never_fits_is_too_large(void **state)
{
    make_ready();
    client_expect(reserve(MOST_ROWS + 16), ERROR_TOO_LARGE);
    fixture_fini(&f);
}

static void those_who_wait_for_memory_count_for_the_queue(void **state)
{
    struct client *clients[64], *first;
    struct played_worker *worker = make_ready();
    first = reserve(MOST_ROWS);
    worker_read(&f, worker);
    for (size_t i = 0; i < 64; i++) {
        clients[i] = reserve(9999);
        assert_true(client_waits(clients[i]));
    }
    client_expect(reserve(9999), ERROR_UNAVAILABLE);
    for (size_t i = 0; i < 64; i++)
        client_leave(clients[i]);
    worker_answer(&f, worker, TENSORD_OK, true);
    client_expect(first, ERROR_OK);
    fixture_fini(&f);
}

static void waiting_has_an_end(void **state)
{
    struct played_worker *worker = make_ready();
    struct client *first = reserve(MOST_ROWS), *second;
    f.serving.options.memory_wait_ms = 1;
    second = reserve(9999);
    while (!second->finals)
        fixture_turn(&f);
    client_expect(second, ERROR_UNAVAILABLE);
    answer_one(worker);
    client_expect(first, ERROR_OK);
    fixture_fini(&f);
}

/* ---- a random walk ---- */

enum { WALKS = 60, STEPS = 250, CLIENTS = 24, WAITERS = 4 };

static const char *const names[] = {"a", "b"};

struct walk {
    uint32_t seed;
    struct client *clients[CLIENTS]; /* that are to be answered, or hold a filled request */
    bool submitted[CLIENTS];
    struct waiter waiters[WAITERS];
    bool waiting[WAITERS];
};

static uint32_t draw(struct walk *walk, uint32_t below)
{
    walk->seed = walk->seed * 1664525 + 1013904223;
    return (walk->seed >> 8) % below;
}

static void change_files(struct walk *walk)
{
    struct found *found = fixture_put(&f, names[draw(walk, 2)], 1 + draw(walk, 2));
    found->wrong = draw(walk, 6) == 0;
    found->complete = draw(walk, 6) != 0;
    found->three = draw(walk, 2);
    if (draw(walk, 8) == 0) /* all is gone for a while */
        f.found_count = 0;
    fixture_scan(&f);
}

static void load_or_unload(struct walk *walk)
{
    struct error error;
    uint32_t i = draw(walk, WAITERS);
    struct model *model = serving_model(&f.serving, span_of(names[draw(walk, 2)]), &error);
    if (!model)
        return;
    if (draw(walk, 2)) {
        model_unload(model);
    } else if (!walk->waiting[i]) {
        walk->waiters[i] = (struct waiter){.base.settled = on_told};
        walk->waiting[i] = true;
        model_load(model, &walk->waiters[i].base);
    }
    fixture_turn(&f);
}

static void client_acts(struct walk *walk)
{
    struct error error;
    uint32_t i = draw(walk, CLIENTS);
    const char *name = names[draw(walk, 2)];
    struct client *client = walk->clients[i];
    if (!client) {
        bool fills = draw(walk, 3) == 0;
        walk->submitted[i] = !fills;
        walk->clients[i] = fills ? client_new(&f, name, 1 + draw(walk, 100), &error)
                                 : client_reserve(&f, name, 1 + draw(walk, MOST_ROWS), &error);
    } else if (!walk->submitted[i]) {
        walk->submitted[i] = true;
        client_submit(client);
    } else if (client->finals) {
        client_expect(client, client->error.code);
        walk->clients[i] = NULL;
    } else if (draw(walk, 4) == 0) {
        client_leave(client);
        walk->clients[i] = NULL;
    }
    fixture_turn(&f);
}

static struct played_worker *some_worker(struct walk *walk)
{
    size_t count = 0;
    list_each(link, &f.workers)
    {
        count++;
    }
    size_t which = count ? draw(walk, (uint32_t)count) : 0;
    list_each(chosen, &f.workers)
    {
        if (which-- == 0)
            return list_entry(chosen, struct played_worker, link);
    }
    return NULL;
}

static void worker_speaks(struct walk *walk, struct played_worker *worker)
{
    static uint64_t calls;
    if (!worker->ready) {
        uint32_t which = draw(walk, 12);
        if (which == 0)
            worker_fail(&f, worker, TENSORD_INVALID_ARGUMENT);
        else if (which == 1)
            worker_fail(&f, worker, TENSORD_UNAVAILABLE);
        else if (which == 2)
            worker_ready_otherwise(&f, worker);
        else
            worker_ready(&f, worker, draw(walk, 2) * 8);
        worker->ready = true;
    } else if (worker->request_count && draw(walk, 4) == 0) {
        worker_need_room(&f, worker, 1 + draw(walk, 1 << 17));
    } else if (worker->request_count && draw(walk, 4) == 0) {
        worker_call(&f, worker, ++calls, names[draw(walk, 2)]);
    } else if (worker->request_count) {
        worker_answer(&f, worker, draw(walk, 5) ? TENSORD_OK : TENSORD_INTERNAL,
                      draw(walk, 6) != 0);
    }
}

static void worker_acts(struct walk *walk)
{
    struct played_worker *worker = some_worker(walk);
    if (!worker)
        return;
    worker_read(&f, worker);
    bool leaves =
        (worker->stopped || worker->killed || (worker->probe && worker->ready)) && draw(walk, 2);
    if (leaves || draw(walk, 25) == 0)
        worker_end(&f, worker, "ended, as workers do");
    else if (draw(walk, 40) == 0)
        worker_lie(&f, worker);
    else if (!worker->killed)
        worker_speaks(walk, worker);
}

static void fire(struct generation *generation)
{
    if (generation)
        pass_time(&f, generation);
}

/* Those that are retired and retry have requests, which know them. */
static void time_passes(struct walk *walk)
{
    struct map_slot slot;
    size_t position = 0;
    while (map_next(&f.serving.models, &position, &slot)) {
        const struct model *model = slot.value;
        for (size_t i = 0; i < model->version_count; i++) {
            fire(model->versions[i]->next);
            fire(model->versions[i]->current);
        }
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (walk->clients[i])
            fire(walk->clients[i]->inference.generation);
    }
}

static void step(struct walk *walk)
{
    uint32_t which = draw(walk, 20);
    if (which == 0)
        change_files(walk);
    else if (which == 1)
        load_or_unload(walk);
    else if (which == 2)
        time_passes(walk);
    else if (which == 3)
        fixture_scan(&f);
    else if (which < 10)
        client_acts(walk);
    else
        worker_acts(walk);
}

/* Every worker does now what it should. */
static void workers_behave(void)
{
    list_each(link, &f.workers)
    {
        struct played_worker *worker = list_entry(link, struct played_worker, link);
        worker_read(&f, worker);
        if (!worker->ready && !worker->killed && !worker->stopped)
            worker_ready(&f, worker, 0);
        while (worker->request_count && !worker->killed)
            worker_answer(&f, worker, TENSORD_OK, true);
        if (worker->stopped || worker->killed || worker->probe)
            worker_end(&f, worker, "ended, as it should");
    }
}

static bool all_answered(const struct walk *walk)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (walk->clients[i] && !walk->clients[i]->finals)
            return false;
    }
    return true;
}

static void finish(struct walk *walk)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (walk->clients[i] && !walk->submitted[i])
            client_submit(walk->clients[i]);
        walk->submitted[i] = true;
    }
    for (int i = 0; i < 200; i++) {
        for (size_t j = 0; j < CLIENTS; j++) {
            if (walk->clients[j] && walk->clients[j]->finals) {
                client_expect(walk->clients[j], walk->clients[j]->error.code);
                walk->clients[j] = NULL;
            }
        }
        fixture_turn(&f);
        for (size_t j = 0; j < f.found_count; j++)
            f.found[j].complete = true;
        fixture_scan(&f);
        time_passes(walk);
        workers_behave();
    }
    assert_true(all_answered(walk));
    for (size_t i = 0; i < WAITERS; i++)
        assert_true(!walk->waiting[i] || walk->waiters[i].told == 1);
}

static uint32_t seed; /* of the walk that runs; 0: none */

static int tell_seed(void **state)
{
    if (seed)
        print_error("that was seed %u\n", seed);
    return 0;
}

static void anything_may_happen_in_any_order(void **state)
{
    for (seed = 1; seed <= WALKS; seed++) {
        struct walk walk = {.seed = seed};
        fixture_init(&f, seed % 3 ? LOAD_ALL : LOAD_LAZY);
        for (int i = 0; i < STEPS; i++) {
            step(&walk);
            for (size_t j = 0; j < WAITERS; j++)
                walk.waiting[j] = walk.waiting[j] && !walk.waiters[j].told;
        }
        finish(&walk);
        fixture_fini(&f);
    }
    seed = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_of_what_is_ready_is_told_at_once),
        cmocka_unit_test(a_load_during_a_restart_waits_for_it),
        cmocka_unit_test(a_load_of_what_has_failed_tries_again),
        cmocka_unit_test(newer_files_take_over_when_they_are_ready),
        cmocka_unit_test(newer_files_that_fail_leave_the_older_ones_serving),
        cmocka_unit_test(a_wrong_config_is_told_to_who_loads),
        cmocka_unit_test(files_that_go_take_the_model_along),
        cmocka_unit_test(files_that_go_touch_no_other_model),
        cmocka_unit_test(what_a_load_leaves_out_serves_until_it_has_ended),
        cmocka_unit_test(a_load_that_finds_nothing_takes_nothing_away),
        cmocka_unit_test(an_unload_ends_a_load_that_is_waited_for),
        cmocka_unit_test(a_load_of_what_has_gone_fails),
        cmocka_unit_test(a_load_does_not_wait_for_a_version_that_has_gone),
        cmocka_unit_test(a_load_waits_for_the_scan_that_has_seen_the_files),
        cmocka_unit_test(a_load_takes_nothing_from_an_older_scan),
        cmocka_unit_test(a_load_that_fails_of_what_was_unloaded),
        cmocka_unit_test(a_load_of_what_is_not_there_fails),
        cmocka_unit_test(an_unload_sticks_until_the_files_change),
        cmocka_unit_test(what_cannot_be_read_fails_loads_that_wait_for_it),
        cmocka_unit_test(what_cannot_be_looked_into_stays_as_it_was),
        cmocka_unit_test(what_becomes_readable_is_loaded),
        cmocka_unit_test(who_does_not_fit_waits_for_who_is_done),
        cmocka_unit_test(what_never_fits_is_too_large),
        cmocka_unit_test(those_who_wait_for_memory_count_for_the_queue),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test_teardown(anything_may_happen_in_any_order, tell_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
