/* Where workers run, on a pretended machine. */
#include "serving/placement.h"

#include "serving/serving.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct serving_options options;
    struct placement placement;
    struct error error;
};

static struct cpu_list read_list(const char *text)
{
    struct cpu_list list;
    assert_true(cpu_list_read(span_of(text), &list));
    return list;
}

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){.options = {.cpus = read_list("0-7"), .cpu_share = 8}};
    arena_init(&f.arena, 1024, 1 << 20);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_fini(&f->arena);
    return 0;
}

static bool make(struct fixture *f, const struct model_placement *config, uint32_t workers)
{
    return placement_make(&f->placement, &f->arena, config, workers, &f->options, &f->error);
}

static void expect_cpus(const struct fixture *f, size_t place, const char *expected)
{
    char text[CPU_LIST_TEXT_BYTES];
    struct process_limits limits = {0};
    placement_limit(&f->placement, place, &limits);
    assert_string_equal(cpu_list_text(&limits.cpus, text), expected);
}

static void expect_refused(struct fixture *f, const char *sentence)
{
    assert_int_equal(f->error.code, ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, sentence));
}

static void nothing_said_is_nothing_limited(void **state)
{
    struct fixture *f = *state;
    struct process_limits limits = {.gpus = 2};
    assert_true(make(f, &(struct model_placement){0}, 4));
    expect_cpus(f, 3, "");
    placement_limit(&f->placement, 0, &limits);
    assert_true(limits.gpus == 2 && limits.only_gpu == 0);
}

static void processors_are_shared_out(void **state)
{
    struct fixture *f = *state;
    struct cpu_list list = read_list("0-2,6-7");
    const struct model_placement one = {.cpus = &list, .cpus_count = 1};
    assert_true(make(f, &one, 2));
    expect_cpus(f, 0, "0-1");
    expect_cpus(f, 1, "2,6-7");
    assert_true(make(f, &one, 1));
    expect_cpus(f, 0, "0-2,6-7");
    assert_true(make(f, &(struct model_placement){.all_cpus = true}, 4));
    expect_cpus(f, 0, "0-1");
    expect_cpus(f, 3, "6-7");
    assert_false(make(f, &one, 6));
    expect_refused(f, "5 processors for 6 workers");
    assert_false(make(f, &(struct model_placement){.all_cpus = true}, 9));
    expect_refused(f, "8 processors for 9 workers");
}

static void each_worker_may_have_its_own(void **state)
{
    struct fixture *f = *state;
    struct cpu_list lists[] = {read_list("0-3"), read_list("0-3"), read_list("7")};
    const struct model_placement config = {.cpus = lists, .cpus_count = 3};
    assert_true(make(f, &config, 3));
    expect_cpus(f, 1, "0-3");
    expect_cpus(f, 2, "7");
    assert_false(make(f, &config, 2));
    expect_refused(f, "3 sets for 2 workers");
}

static void processors_that_are_not_there_are_refused(void **state)
{
    struct fixture *f = *state;
    struct cpu_list lists[] = {read_list("0-3"), read_list("4-9")};
    assert_false(make(f, &(struct model_placement){.cpus = lists, .cpus_count = 2}, 2));
    expect_refused(f, "names processor 8, but the server has 0-7: name some of these, or 'all'");
}

static void gpus_go_round(void **state)
{
    struct fixture *f = *state;
    uint32_t gpus[] = {3, 31};
    assert_true(make(f, &(struct model_placement){.gpus = gpus, .gpu_count = 2}, 3));
    for (size_t place = 0; place < 3; place++) {
        struct process_limits limits = {.gpus = 1};
        placement_limit(&f->placement, place, &limits);
        assert_int_equal(limits.only_gpu, 1 + gpus[place % 2]);
        assert_int_equal(limits.gpus, UINT32_C(1) << gpus[place % 2]);
    }
}

static void workers_on_the_same_processors_share_them(void **state)
{
    struct fixture *f = *state;
    assert_true(make(f, &(struct model_placement){0}, 4));
    assert_int_equal(placement_threads(&f->placement, 1, 0, &f->options), 0);
    assert_int_equal(placement_threads(&f->placement, 4, 0, &f->options), 2);
    assert_int_equal(placement_threads(&f->placement, 3, 0, &f->options), 2);
    assert_int_equal(placement_threads(&f->placement, 16, 0, &f->options), 1);
    assert_int_equal(placement_threads(&f->placement, 2, 250, &f->options), 3);
    f->options.threads = 5;
    assert_int_equal(placement_threads(&f->placement, 4, 0, &f->options), 5);
    f->options.threads = 0;
    assert_true(make(f, &(struct model_placement){.all_cpus = true}, 4));
    assert_int_equal(placement_threads(&f->placement, 4, 0, &f->options), 0);
}

static void places_are_given_back(void **state)
{
    struct fixture *f = *state;
    assert_true(make(f, &(struct model_placement){0}, 3));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(placement_take(&f->placement), i);
    placement_leave(&f->placement, 1);
    assert_int_equal(placement_take(&f->placement), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_said_is_nothing_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(processors_are_shared_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_worker_may_have_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(processors_that_are_not_there_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(gpus_go_round, set_up, tear_down),
        cmocka_unit_test_setup_teardown(workers_on_the_same_processors_share_them, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(places_are_given_back, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
