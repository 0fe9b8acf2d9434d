/* Unit tests of telemetry/exposition.h. */
#include "telemetry/exposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TEXT_BYTES = 1 << 20 };

static struct model_metrics one, two;
static struct server_metrics server;
static struct model_summaries summaries;
static struct buf text;

static int setup(void **state)
{
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    memset(&server, 0, sizeof server);
    memset(&summaries, 0, sizeof summaries);
    buf_init(&text, TEXT_BYTES);
    return 0;
}

static int teardown(void **state)
{
    buf_fini(&text);
    return 0;
}

static void render(enum exposition_format format, const struct model_summaries *kept)
{
    const struct exposition_model models[] = {
        {SPAN("a"), SPAN("1"), &one, kept},
        {SPAN("b\"\\\n"), SPAN("2"), &two, NULL},
    };
    assert_true(exposition_write(&text, format, &server, models, 2));
    buf_append_char(&text, '\0');
}

static size_t count(const char *needle)
{
    size_t found = 0;
    for (const char *at = text.data; (at = strstr(at, needle)); at++)
        found++;
    return found;
}

static void each_family_is_named_once_and_holds_all_its_series(void **state)
{
    one.success.count = 7;
    one.success.ns = 1234567;
    render(EXPOSITION_PROMETHEUS, NULL);
    assert_int_equal(count("# TYPE nv_inference_request_success counter\n"), 1);
    assert_int_equal(
        count("nv_inference_request_success{model=\"a\",version=\"1\"} 7\n"
              "nv_inference_request_success{model=\"b\\\"\\\\\\n\",version=\"2\"} 0\n"),
        1);
    assert_int_equal(count("nv_inference_request_duration_us{model=\"a\",version=\"1\"} 1234\n"),
                     1);
    assert_int_equal(count("# EOF"), 0);
}

static void histograms_add_up(void **state)
{
    histogram_observe(&one.stages[STAGE_queue], &histogram_durations, 20000);
    histogram_observe(&one.stages[STAGE_queue], &histogram_durations, 300000000);
    histogram_observe(&one.stages[STAGE_queue], &histogram_durations, UINT64_C(200000000000));
    render(EXPOSITION_PROMETHEUS, NULL);
#define QUEUE(rest) "{model=\"a\",version=\"1\",stage=\"queue\"" rest "\n"
#define NAME "tensord_request_stage_seconds"
    assert_int_equal(count(NAME "_bucket" QUEUE(",le=\"1e-05\"} 0")), 1);
    assert_int_equal(count(NAME "_bucket" QUEUE(",le=\"2.5e-05\"} 1")), 1);
    assert_int_equal(count(NAME "_bucket" QUEUE(",le=\"0.5\"} 2")), 1);
    assert_int_equal(count(NAME "_bucket" QUEUE(",le=\"100.0\"} 2")), 1);
    assert_int_equal(count(NAME "_bucket" QUEUE(",le=\"+Inf\"} 3")), 1);
    assert_int_equal(count(NAME "_count" QUEUE("} 3")), 1);
    assert_int_equal(count(NAME "_sum" QUEUE("} 200.30002")), 1);
    assert_int_equal(count("stage=\"parse\""), 0); /* nothing to show */
}

/* What a busy server has added up in weeks: the next request still shows. */
static void long_sums_lose_nothing(void **state)
{
    one.stages[STAGE_queue].sum = UINT64_C(1234567000000000);
    histogram_observe(&one.stages[STAGE_queue], &histogram_durations, 20000);
    render(EXPOSITION_PROMETHEUS, NULL);
    assert_int_equal(count(NAME "_sum" QUEUE("} 1234567.00002")), 1);
}

static void units_are_converted(void **state)
{
    server.process_cpu_ns = 1500000000;
    server.process_start_ms = 1700000000123;
    server.machine_busy_permille = 250;
    render(EXPOSITION_PROMETHEUS, NULL);
    assert_int_equal(count("\nprocess_cpu_seconds_total 1.500000000\n"), 1);
    assert_int_equal(count("\nprocess_start_time_seconds 1700000000.123\n"), 1);
    assert_int_equal(count("\nnv_cpu_utilization 0.250\n"), 1);
}

/* Dashboards ask for Triton's names, which OpenMetrics would want to end with _total. */
static void openmetrics_keeps_the_names(void **state)
{
    render(EXPOSITION_OPENMETRICS, NULL);
    assert_int_equal(count("# TYPE nv_inference_count unknown\nnv_inference_count{"), 1);
    assert_int_equal(count("# TYPE tensord_connections_accepted counter\n"
                           "tensord_connections_accepted_total 0\n"),
                     1);
    assert_string_equal(text.data + text.size - 7, "# EOF\n");
}

static void summaries_stand_where_they_are_kept(void **state)
{
    render(EXPOSITION_PROMETHEUS, NULL);
    assert_int_equal(count("summary_us"), 0);
    buf_clear(&text);
    one.queue = (struct duration){3, 4000};
    summary_observe(&summaries.queue, 1, 1000);
    render(EXPOSITION_PROMETHEUS, &summaries);
    assert_int_equal(count("# TYPE nv_inference_queue_summary_us summary\n"), 1);
    assert_int_equal(count("nv_inference_queue_summary_us{model=\"a\",version=\"1\","
                           "quantile=\"0.99\"} 1\n"),
                     1);
    assert_int_equal(count("nv_inference_queue_summary_us_sum{model=\"a\",version=\"1\"} 4\n"), 1);
    assert_int_equal(count("nv_inference_queue_summary_us_count{model=\"a\",version=\"1\"} 3\n"),
                     1);
}

static void a_full_buffer_is_said(void **state)
{
    buf_init(&text, 100);
    assert_false(exposition_write(&text, EXPOSITION_PROMETHEUS, &server, NULL, 0));
}

static void the_format_follows_accept(void **state)
{
    assert_int_equal(exposition_accepted(SPAN("")), EXPOSITION_PROMETHEUS);
    assert_int_equal(exposition_accepted((struct span){0}), EXPOSITION_PROMETHEUS);
    assert_int_equal(exposition_accepted(SPAN("text/plain;version=0.0.4")), EXPOSITION_PROMETHEUS);
    assert_int_equal(
        exposition_accepted(SPAN("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")),
        EXPOSITION_OPENMETRICS);
}

static void models_add_up(void **state)
{
    one.rows = 1;
    two.rows = 2;
    two.running = 5;
    histogram_observe(&two.stages[STAGE_total], &histogram_durations, 1);
    model_metrics_add(&one, &two);
    assert_int_equal(one.rows, 3);
    assert_int_equal(one.running, 5);
    assert_int_equal(histogram_count(&one.stages[STAGE_total]), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_family_is_named_once_and_holds_all_its_series, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(histograms_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(long_sums_lose_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(units_are_converted, setup, teardown),
        cmocka_unit_test_setup_teardown(openmetrics_keeps_the_names, setup, teardown),
        cmocka_unit_test_setup_teardown(summaries_stand_where_they_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_buffer_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(the_format_follows_accept, setup, teardown),
        cmocka_unit_test_setup_teardown(models_add_up, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
