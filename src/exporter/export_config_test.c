/* Unit tests of exporter/export_config.h. */
#include "exporter/export_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct settings settings;
static struct arena arena;
static struct export_config config;
static struct error error;

static const char *const variables[] = {
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",  "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_RESOURCE_ATTRIBUTES",    "OTEL_SERVICE_NAME",
    "OTEL_SDK_DISABLED",           "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",         "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_BSP_SCHEDULE_DELAY",
};

static int setup(void **state)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    arena_init(&arena, 4096, 1 << 20);
    settings = (struct settings){
        .trace_endpoint = "", .trace_sample_permille = 1000, .server_id = "tensord"};
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&arena);
    return 0;
}

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static void read_config(void)
{
    assert_true(export_config_read(&settings, &arena, &config, &error));
}

static struct span attribute(const char *key)
{
    for (size_t i = 0; i < config.attribute_count; i++) {
        if (span_equal(config.attributes[i].key, span_of(key)))
            return config.attributes[i].value;
    }
    return (struct span){NULL, 0};
}

static void nothing_is_wanted_until_a_collector_is_named(void **state)
{
    assert_false(export_wanted(&settings));
    set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
    assert_true(export_wanted(&settings));
    set("OTEL_TRACES_EXPORTER", "none");
    assert_false(export_wanted(&settings));
    unsetenv("OTEL_TRACES_EXPORTER");
    set("OTEL_SDK_DISABLED", "TRUE");
    assert_false(export_wanted(&settings));
    settings.trace_endpoint = "http://d:4318"; /* a flag wins */
    assert_true(export_wanted(&settings));
}

static void the_path_follows_the_base_and_not_the_endpoint_of_traces(void **state)
{
    set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
    read_config();
    assert_string_equal(config.url, "http://c:4318/v1/traces");
    set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/in");
    read_config();
    assert_string_equal(config.url, "https://t/in");
    settings.trace_endpoint = "http://flag:1";
    read_config();
    assert_string_equal(config.url, "http://flag:1/v1/traces");
}

static void lists_are_decoded(void **state)
{
    settings.trace_endpoint = "http://c";
    set("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b%3D, x = y ,,broken%zz=%4");
    set("OTEL_RESOURCE_ATTRIBUTES", "team=vision,service.name=inner");
    set("OTEL_BSP_SCHEDULE_DELAY", "77");
    read_config();
    assert_int_equal(config.header_count, 3);
    assert_true(span_equal(config.headers[0].key, SPAN("api-key")));
    assert_true(span_equal(config.headers[0].value, SPAN("a b=")));
    assert_true(span_equal(config.headers[1].value, SPAN("y")));
    assert_true(span_equal(config.headers[2].value, SPAN("%4")));
    assert_true(span_equal(attribute("team"), SPAN("vision")));
    assert_true(span_equal(attribute("service.name"), SPAN("inner")));
    assert_int_equal(config.delay_ms, 77);
    set("OTEL_SERVICE_NAME", "outer");
    read_config();
    assert_true(span_equal(attribute("service.name"), SPAN("outer")));
}

static void what_the_server_knows_is_added(void **state)
{
    settings.trace_endpoint = "http://c";
    read_config();
    assert_true(span_equal(attribute("service.name"), SPAN("tensord")));
    assert_true(span_equal(attribute("service.version"), SPAN(TENSORD_VERSION)));
    assert_true(attribute("host.name").size > 0);
}

static void refuse(const char *name, const char *value)
{
    set(name, value);
    assert_false(export_config_read(&settings, &arena, &config, &error));
    unsetenv(name);
}

static void nonsense_is_refused(void **state)
{
    refuse("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317");
    settings.trace_endpoint = "http://c";
    refuse("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    refuse("OTEL_EXPORTER_OTLP_HEADERS", "a=%0d%0aX-Evil: 1");
    char many[1024] = "";
    for (size_t i = 0; i < 65; i++)
        memcpy(many + 4 * i, "k=v,", 5);
    refuse("OTEL_RESOURCE_ATTRIBUTES", many);
}

static void expect_sampling(const char *name, const char *argument, double ratio, bool follow)
{
    struct trace_setting setting;
    bool follows;
    set("OTEL_TRACES_SAMPLER", name);
    set("OTEL_TRACES_SAMPLER_ARG", argument);
    assert_true(export_sampling(&settings, &setting, &follows, &error));
    assert_true(setting.on && setting.ratio > ratio - 1e-9 && setting.ratio < ratio + 1e-9);
    assert_int_equal(follows, follow);
}

static void samplers_are_opentelemetry_s(void **state)
{
    expect_sampling("", "", 1, true);
    expect_sampling("always_on", "", 1, false);
    expect_sampling("always_off", "", 0, false);
    expect_sampling("traceidratio", "0.25", 0.25, false);
    expect_sampling("parentbased_traceidratio", "0.01", 0.01, true);
    expect_sampling("parentbased_traceidratio", "7", 1, true);
    expect_sampling("parentbased_always_off", "", 0, true);
    settings.trace_sample_permille = 10;
    settings.sources[SETTING_trace_sample_permille] = SETTING_FLAG;
    expect_sampling("always_off", "", 0.01, false);
    settings.sources[SETTING_trace_sample_permille] = SETTING_DEFAULT;
    set("OTEL_TRACES_SAMPLER", "sometimes");
    assert_false(export_sampling(&settings, &(struct trace_setting){0}, &(bool){0}, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_wanted_until_a_collector_is_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_path_follows_the_base_and_not_the_endpoint_of_traces,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(lists_are_decoded, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_server_knows_is_added, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(samplers_are_opentelemetry_s, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
