/* Environments of models: planned, built once, waited for, given up, collected. The test plays the
 * processes. */
#include "serving/serving_fixture.h"

#include "repository/repository.h"

#include <stdio.h>
#include <string.h>

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    fixture_init(f, LOAD_ALL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

static void put_python(struct fixture *f, const char *name)
{
    fixture_put(f, name, 1)->python = true;
}

/* The oldest process, which is such a task. */
static struct errand *running(struct fixture *f, unsigned task)
{
    struct errand *errand = fixture_errand(f);
    assert_non_null(errand);
    assert_int_equal(errand->task, task);
    return errand;
}

static void answer(struct fixture *f, struct errand *errand, const char *text)
{
    char line[512];
    snprintf(line, sizeof line, "=%s", text);
    errand_say(errand, line);
    errand_end(errand);
    fixture_turn(f);
}

static void plan(struct fixture *f, const char *hash, bool ready)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"interpreter\": \"/environments/%s/bin/python\", \"hash\": \"%s\", \"ready\": %s}",
             hash, hash, ready ? "true" : "false");
    answer(f, running(f, FOUND_PLAN_TASK), text);
}

static void assert_starts_on(struct fixture *f, const char *name, const char *interpreter)
{
    assert_non_null(worker_of(f, name));
    assert_true(span_equal(fixture_generation(f, name)->spec.interpreter, span_of(interpreter)));
}

static void a_model_without_needs_runs_on_the_base(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    assert_null(worker_of(f, "m"));
    assert_int_equal(version_state(fixture_version(f, "m")), VERSION_LOADING);
    answer(f, running(f, FOUND_PLAN_TASK), "{\"interpreter\": \"/base/bin/python\"}");
    assert_starts_on(f, "m", "/base/bin/python");
    assert_null(fixture_errand(f));
}

static void a_model_that_is_no_python_is_not_planned(void **state)
{
    struct fixture *f = *state;
    fixture_put(f, "m", 1);
    fixture_scan(f);
    assert_null(fixture_errand(f));
    assert_non_null(worker_of(f, "m"));
}

static void an_environment_that_is_there_is_used(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    plan(f, HASH_A, true);
    assert_starts_on(f, "m", "/environments/" HASH_A "/bin/python");
}

static void a_build_is_waited_for_and_told(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    plan(f, HASH_A, false);
    struct errand *build = running(f, FOUND_BUILD_TASK);
    assert_non_null(strstr(build->question, "\"timeout_s\":60"));
    assert_non_null(strstr(build->question, "\n{\"interpreter\"")); /* the plan's own answer */
    errand_say(build, "+Downloading numpy");
    assert_string_equal(version_reason(fixture_version(f, "m")),
                        "building its environment: Downloading numpy");
    assert_int_equal(version_state(fixture_version(f, "m")), VERSION_LOADING);
    assert_null(worker_of(f, "m"));
    answer(f, build, "{}");
    assert_starts_on(f, "m", "/environments/" HASH_A "/bin/python");
}

static void equal_hashes_are_built_once(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    put_python(f, "n");
    fixture_scan(f);
    plan(f, HASH_A, false);
    struct errand *build = list_entry(f->errands.head.previous, struct errand, link);
    assert_int_equal(build->task, FOUND_BUILD_TASK);
    plan(f, HASH_A, false);
    answer(f, running(f, FOUND_BUILD_TASK), "{}");
    assert_null(fixture_errand(f));
    assert_starts_on(f, "m", "/environments/" HASH_A "/bin/python");
    assert_starts_on(f, "n", "/environments/" HASH_A "/bin/python");
}

static void builds_are_bounded(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    put_python(f, "n");
    fixture_scan(f);
    plan(f, HASH_A, false);
    plan(f, HASH_B, false);
    struct errand *first = running(f, FOUND_BUILD_TASK);
    assert_ptr_equal(first->link.next, &f->errands.head); /* the only one */
    answer(f, first, "{}");
    assert_non_null(worker_of(f, "m"));
    assert_null(worker_of(f, "n"));
    answer(f, running(f, FOUND_BUILD_TASK), "{}");
    assert_starts_on(f, "n", "/environments/" HASH_B "/bin/python");
}

static void a_fault_fails_the_model_until_its_files_change(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    answer(f, running(f, FOUND_PLAN_TASK), "{\"error\": \"requirements.txt, line 1: no\"}");
    assert_int_equal(version_state(fixture_version(f, "m")), VERSION_FAILED);
    assert_string_equal(version_reason(fixture_version(f, "m")), "requirements.txt, line 1: no");
    assert_null(fixture_errand(f));
    fixture_scan(f);
    assert_null(fixture_errand(f));
    put_python(f, "m");
    fixture_scan(f);
    running(f, FOUND_PLAN_TASK);
}

static void a_failed_build_fails_all_that_wait_for_it(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    put_python(f, "n");
    fixture_scan(f);
    plan(f, HASH_A, false);
    plan(f, HASH_A, false);
    answer(f, running(f, FOUND_BUILD_TASK), "{\"error\": \"no such package\"}");
    for (size_t i = 0; i < 2; i++) {
        const struct version *version = fixture_version(f, i ? "n" : "m");
        assert_int_equal(version_state(version), VERSION_FAILED);
        assert_string_equal(version_reason(version),
                            "its environment could not be built: no such package");
    }
    assert_null(fixture_errand(f));
}

static void a_plan_that_dies_is_tried_again(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    errand_end(running(f, FOUND_PLAN_TASK));
    fixture_turn(f);
    assert_int_equal(version_state(fixture_version(f, "m")), VERSION_LOADING);
    pass_time(f, fixture_generation(f, "m"));
    plan(f, HASH_A, true);
    assert_non_null(worker_of(f, "m"));
}

static void the_old_files_serve_while_the_new_environment_is_built(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    plan(f, HASH_A, true);
    worker_ready(f, worker_of(f, "m"), 0);
    fixture_turn(f);
    put_python(f, "m");
    fixture_scan(f);
    plan(f, HASH_B, false);
    assert_int_equal(version_state(fixture_version(f, "m")), VERSION_READY);
    answer(f, running(f, FOUND_BUILD_TASK), "{\"error\": \"no\"}");
    assert_int_equal(version_state(fixture_version(f, "m")), VERSION_READY);
    assert_non_null(strstr(version_reason(fixture_version(f, "m")), "its newer files failed"));
}

static void an_unload_ends_what_nobody_waits_for(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    plan(f, HASH_A, false);
    struct errand *build = running(f, FOUND_BUILD_TASK);
    model_unload(fixture_version(f, "m")->model);
    fixture_turn(f);
    assert_true(build->killed);
    assert_int_equal(f->serving.live_workers, 0);
    errand_end(build);
    fixture_turn(f);
    assert_null(fixture_errand(f));
    assert_int_equal(f->serving.environments.by_hash.count, 0);
}

static void who_comes_while_a_build_is_ended_gets_another(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    plan(f, HASH_A, false);
    struct errand *build = running(f, FOUND_BUILD_TASK);
    model_unload(fixture_version(f, "m")->model);
    fixture_turn(f);
    put_python(f, "n");
    fixture_scan(f);
    list_remove(&build->link); /* it takes its time */
    list_add(&f->errands, &build->link);
    plan(f, HASH_A, false);
    errand_end(running(f, FOUND_BUILD_TASK));
    fixture_turn(f);
    answer(f, running(f, FOUND_BUILD_TASK), "{}");
    assert_starts_on(f, "n", "/environments/" HASH_A "/bin/python");
}

static void an_unload_while_it_is_planned(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    struct errand *asked = running(f, FOUND_PLAN_TASK);
    model_unload(fixture_version(f, "m")->model);
    fixture_turn(f);
    assert_true(asked->killed);
    errand_end(asked);
    fixture_turn(f);
    assert_int_equal(version_state(fixture_version(f, "m")), VERSION_UNLOADED);
}

static void a_restart_asks_nothing(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    plan(f, HASH_A, true);
    worker_ready(f, worker_of(f, "m"), 0);
    worker_end(f, worker_of(f, "m"), "killed by signal 11 (Segmentation fault)");
    pass_time(f, fixture_generation(f, "m"));
    assert_null(fixture_errand(f));
    assert_non_null(worker_of(f, "m"));
}

static void what_is_used_is_kept(void **state)
{
    struct fixture *f = *state;
    struct timer *collect = &f->serving.environments.collect;
    put_python(f, "m");
    fixture_scan(f);
    collect->fire(collect); /* a plan runs: not now */
    assert_ptr_equal(fixture_errand(f)->link.next, &f->errands.head);
    plan(f, HASH_A, true);
    timer_stop(collect);
    collect->fire(collect);
    struct errand *errand = running(f, FOUND_BUILD_TASK);
    assert_non_null(strstr(errand->question, "\"unused_s\":3600"));
    assert_non_null(strstr(errand->question, "\"collect\":{\"" HASH_A "\":[\"m\"]}"));
    put_python(f, "n");
    fixture_scan(f);
    assert_ptr_equal(errand->link.next, &f->errands.head); /* no plan meanwhile */
    answer(f, errand, "{}");
    plan(f, HASH_B, true);
    assert_non_null(worker_of(f, "n"));
    assert_true(timer_running(collect));
}

static void the_end_waits_for_every_process(void **state)
{
    struct fixture *f = *state;
    put_python(f, "m");
    fixture_scan(f);
    plan(f, HASH_A, false);
    serving_stop(&f->serving);
    fixture_turn(f);
    assert_int_equal(f->serving.live_workers, 0);
    assert_false(serving_is_stopped(&f->serving));
    assert_true(running(f, FOUND_BUILD_TASK)->killed);
    errand_end(fixture_errand(f));
    assert_true(serving_is_stopped(&f->serving));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_model_without_needs_runs_on_the_base),
        TEST(a_model_that_is_no_python_is_not_planned),
        TEST(an_environment_that_is_there_is_used),
        TEST(a_build_is_waited_for_and_told),
        TEST(equal_hashes_are_built_once),
        TEST(builds_are_bounded),
        TEST(a_fault_fails_the_model_until_its_files_change),
        TEST(a_failed_build_fails_all_that_wait_for_it),
        TEST(a_plan_that_dies_is_tried_again),
        TEST(the_old_files_serve_while_the_new_environment_is_built),
        TEST(an_unload_ends_what_nobody_waits_for),
        TEST(who_comes_while_a_build_is_ended_gets_another),
        TEST(an_unload_while_it_is_planned),
        TEST(a_restart_asks_nothing),
        TEST(what_is_used_is_kept),
        TEST(the_end_waits_for_every_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
