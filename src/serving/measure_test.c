/* Unit tests of serving/measure.h: stages add up, whatever a worker says. */
#include "serving/measure.h"

#include "serving/generation.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct serving serving;
static struct model model;
static struct version version;
static struct generation generation;
static struct schema schema;
static struct inference inference;

static const struct error fine = {.code = ERROR_OK};

static struct model_metrics *counted(void)
{
    return &version.statistics.metrics;
}

static int setup(void **state)
{
    memset(&metrics, 0, sizeof metrics);
    serving = (struct serving){.tracer = NULL};
    model = (struct model){.serving = &serving};
    version = (struct version){.model = &model};
    schema = (struct schema){.max_batch_size = 0};
    generation = (struct generation){.version = &version, .schema = &schema};
    inference = (struct inference){.generation = &generation};
    measure_init(&version.statistics, true, 1);
    return 0;
}

static int teardown(void **state)
{
    measure_fini(&version.statistics);
    return 0;
}

static void run(struct inference *one, const struct channel_times *said)
{
    struct inference *batch[] = {one};
    measure_submit(one);
    generation.dispatched_ns = clock_now_ns();
    measure_execute(batch, 1);
    measure_answer(one, &fine, said);
}

static void assert_stages_add_up(const struct inference *one, uint64_t now_ns)
{
    uint64_t sum = 0;
    for (int stage = 0; stage < STAGE_total; stage++)
        sum += measure_stage_ns(one, (enum stage)stage, now_ns);
    assert_int_equal(sum, measure_stage_ns(one, STAGE_total, now_ns));
}

static void nothing_is_counted_when_nothing_is_to_be_measured(void **state)
{
    static const struct model_metrics none;
    static const struct server_metrics nothing;
    metrics_measure = false;
    run(&inference, &(struct channel_times){0, 0, 0});
    measure_response(&inference);
    measure_written(&inference, clock_now_ns());
    metrics_count_request(2, 200, 0);
    metrics_measure = true;
    assert_memory_equal(counted(), &none, sizeof none);
    assert_memory_equal(&metrics, &nothing, sizeof nothing);
    assert_stages_add_up(&inference, clock_now_ns());
}

static void a_worker_s_lies_are_cut_to_the_time_it_had(void **state)
{
    static const struct channel_times lies[] = {
        {0, 0, 0},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX},
        {0, UINT64_MAX, 1},
        {UINT64_MAX, 0, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        inference = (struct inference){.generation = &generation};
        run(&inference, &lies[i]);
        const struct inference_times *times = &inference.times;
        uint64_t had = times->answered_ns - times->executed_ns;
        assert_true(times->worker.input_ns + times->worker.compute_ns + times->worker.output_ns <=
                    had);
        assert_stages_add_up(&inference, clock_now_ns());
    }
    assert_int_equal(counted()->success.count, 4);
    assert_true(counted()->compute.ns <= counted()->success.ns);
}

static void a_success_is_counted_in_every_stage_once_it_is_written(void **state)
{
    inference.times.received_ns = clock_now_ns();
    run(&inference, &(struct channel_times){1, 2, 3});
    assert_int_equal(histogram_count(&counted()->stages[STAGE_execute]), 1);
    assert_int_equal(histogram_count(&counted()->stages[STAGE_total]), 0);
    measure_written(&inference, clock_now_ns());
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        assert_int_equal(histogram_count(&counted()->stages[stage]), 1);
    assert_int_equal(counted()->executions, 1);
    assert_int_equal(counted()->rows, 1);
    assert_true(summary_quantile(&version.statistics.summaries->success, 0.5) > 0);
}

/* One execution of several requests: rows are each one's own, the execution is counted once. */
static void a_batch_is_one_execution(void **state)
{
    struct channel_tensor inputs[3] = {{.shape = {.ndim = 1, .dims = {2}}},
                                       {.shape = {.ndim = 1, .dims = {3}}},
                                       {.shape = {.ndim = 1, .dims = {4}}}};
    struct inference joined[3];
    struct inference *batch[3];
    schema.max_batch_size = 16;
    for (size_t i = 0; i < 3; i++) {
        joined[i] =
            (struct inference){.generation = &generation, .inputs = &inputs[i], .input_count = 1};
        batch[i] = &joined[i];
        measure_submit(batch[i]);
    }
    generation.dispatched_ns = clock_now_ns();
    measure_execute(batch, 3);
    for (size_t i = 0; i < 3; i++)
        measure_answer(batch[i], &fine, &(struct channel_times){0, 0, 0});
    assert_int_equal(counted()->rows, 9);
    assert_int_equal(counted()->executions, 1);
    assert_int_equal(version.statistics.batch_count, 1);
    assert_int_equal(version.statistics.batches[0].rows, 9);
}

static void batch_sizes_are_kept_in_order_and_bounded(void **state)
{
    struct channel_tensor input = {.shape = {.ndim = 1}};
    schema.max_batch_size = 1000;
    for (int64_t rows = 200; rows > 0; rows--) {
        input.shape.dims[0] = rows % 100 + 1;
        inference =
            (struct inference){.generation = &generation, .inputs = &input, .input_count = 1};
        run(&inference, &(struct channel_times){0, 0, 0});
    }
    uint64_t executions = 0;
    assert_int_equal(version.statistics.batch_count, MEASURE_BATCH_SIZES);
    for (size_t i = 0; i < MEASURE_BATCH_SIZES; i++) {
        executions += version.statistics.batches[i].compute.count;
        assert_true(i == 0 ||
                    version.statistics.batches[i].rows > version.statistics.batches[i - 1].rows);
    }
    assert_int_equal(executions, 200);
}

static void failed(enum error_code code, bool executed, bool cancelled)
{
    struct inference *batch[] = {&inference};
    const struct error error = {.code = code};
    inference = (struct inference){.generation = &generation, .cancelled = cancelled};
    measure_submit(&inference);
    generation.dispatched_ns = clock_now_ns();
    if (executed)
        measure_execute(batch, 1);
    measure_answer(&inference, &error, NULL);
    measure_written(&inference, clock_now_ns());
}

static void failures_have_reasons(void **state)
{
    failed(ERROR_UNAVAILABLE, false, false); /* a full queue */
    failed(ERROR_DEADLINE_EXCEEDED, false, true);
    assert_int_equal(counted()->failures[FAILURE_REJECTED], 2);
    failed(ERROR_CANCELLED, false, true);
    failed(ERROR_OK, true, true); /* it answered although nobody waited */
    failed(ERROR_INTERNAL, true, true);
    assert_int_equal(counted()->failures[FAILURE_CANCELED], 3);
    failed(ERROR_INTERNAL, true, false);
    failed(ERROR_UNAVAILABLE, true, false); /* its worker died */
    assert_int_equal(counted()->failures[FAILURE_BACKEND], 2);
    failed(ERROR_INVALID_ARGUMENT, false, false);
    assert_int_equal(counted()->failures[FAILURE_OTHER], 1);
    assert_int_equal(counted()->fail.count, 8);
    assert_int_equal(counted()->success.count, 0);
    assert_int_equal(histogram_count(&counted()->stages[STAGE_total]), 0);
}

static void versions_beyond_the_limit_share_series(void **state)
{
    struct version_statistics second, third;
    measure_init(&second, false, 1);
    assert_true(version.statistics.has_series);
    assert_false(second.has_series);
    assert_int_equal(metrics.limit_hits[LIMIT_metrics_models], 1);
    measure_fini(&version.statistics);
    measure_init(&third, false, 1); /* there is room again */
    assert_true(third.has_series);
    measure_fini(&third);
    measure_fini(&second);
    measure_init(&version.statistics, false, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_counted_when_nothing_is_to_be_measured, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_worker_s_lies_are_cut_to_the_time_it_had, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_success_is_counted_in_every_stage_once_it_is_written,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_is_one_execution, setup, teardown),
        cmocka_unit_test_setup_teardown(batch_sizes_are_kept_in_order_and_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_have_reasons, setup, teardown),
        cmocka_unit_test_setup_teardown(versions_beyond_the_limit_share_series, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
