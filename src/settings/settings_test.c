/* Unit tests of settings/settings.h. */
#include "settings/row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool read_them(struct settings *settings, const char **operand, struct error *error,
                      int count, const char *const *arguments)
{
    return settings_read(settings, count, (char *const *)(uintptr_t)arguments, operand, error);
}

static void defaults_environment_and_flags_in_order(void **state)
{
    struct settings settings;
    struct error error;
    const char *operand;
    assert_true(read_them(&settings, &operand, &error, 0, NULL));
    assert_int_equal(settings.port, 8000);
    assert_string_equal(settings.load, "all");
    assert_int_equal(settings.listen.count, 0);
    assert_int_equal(settings.sources[SETTING_port], SETTING_DEFAULT);
    assert_null(operand);
    settings_fini(&settings);
    setenv("TENSORD_PORT", "9000", 1);
    setenv("TENSORD_LOAD", "lazy", 1);
    const char *const arguments[] = {"--load=explicit", "models", "--grpc-port", "0"};
    assert_true(read_them(&settings, &operand, &error, 4, arguments));
    unsetenv("TENSORD_PORT");
    unsetenv("TENSORD_LOAD");
    assert_int_equal(settings.port, 9000);
    assert_int_equal(settings.grpc_port, 0);
    assert_string_equal(settings.load, "explicit");
    assert_string_equal(operand, "models");
    assert_int_equal(settings.sources[SETTING_port], SETTING_ENVIRONMENT);
    assert_int_equal(settings.sources[SETTING_grpc_port], SETTING_FLAG);
    assert_int_equal(settings.sources[SETTING_load], SETTING_FLAG);
    assert_int_equal(settings.sources[SETTING_host], SETTING_DEFAULT);
    settings_fini(&settings);
}

static void lists_gather_from_one_source(void **state)
{
    struct settings settings;
    struct error error;
    const char *operand;
    setenv("TENSORD_LISTEN", "unix:/a, unix:/b,", 1);
    assert_true(read_them(&settings, &operand, &error, 0, NULL));
    assert_int_equal(settings.listen.count, 2);
    assert_string_equal(settings.listen.items[0], "unix:/a");
    assert_string_equal(settings.listen.items[1], "unix:/b");
    settings_fini(&settings);
    const char *const arguments[] = {"--listen=c:1,d:2", "--listen", "e:3"};
    assert_true(read_them(&settings, &operand, &error, 3, arguments));
    unsetenv("TENSORD_LISTEN");
    assert_int_equal(settings.listen.count, 3);
    assert_string_equal(settings.listen.items[0], "c:1");
    assert_string_equal(settings.listen.items[2], "e:3");
    settings_fini(&settings);
}

static void the_file_stands_between_default_and_environment(void **state)
{
    struct settings settings;
    struct error error;
    const char *operand;
    char path[] = "/tmp/tensord-settings-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "port: 1\ngrpc-port: 2\nmetrics_port: 3\n") > 0);
    close(fd);
    setenv("TENSORD_CONFIG", path, 1);
    setenv("TENSORD_GRPC_PORT", "20", 1);
    setenv("TENSORD_METRICS_PORT", "30", 1);
    assert_true(
        read_them(&settings, &operand, &error, 2, (const char *const[]){"--metrics-port", "300"}));
    unsetenv("TENSORD_CONFIG");
    unsetenv("TENSORD_GRPC_PORT");
    unsetenv("TENSORD_METRICS_PORT");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(settings.port, 1);
    assert_int_equal(settings.grpc_port, 20);
    assert_int_equal(settings.metrics_port, 300);
    assert_int_equal(settings.sources[SETTING_port], SETTING_FILE);
    settings_fini(&settings);
}

static void what_kubernetes_sets_is_no_setting(void **state)
{
    struct settings settings;
    struct error error;
    const char *operand;
    setenv("TENSORD_PORT", "tcp://10.0.0.1:8000", 1);
    assert_true(read_them(&settings, &operand, &error, 0, NULL));
    assert_int_equal(settings.port, 8000);
    settings_fini(&settings);
    unsetenv("TENSORD_PORT");
}

static void add_sentence(void *context, const char *sentence)
{
    char *all = context;
    snprintf(all + strlen(all), 1024 - strlen(all), "%s\n", sentence);
}

static void unknown_variables_are_told(void **state)
{
    static const char *const variables[][2] = {
        {"TENSORD_PORT", "1"},
        {"TENSORD_GRPC_PORT", "tcp://10.0.0.1:8001"},
        {"TENSORD_SERVICE_HOST", "10.0.0.1"},
        {"TENSORD_BIG_SERVICE_PORT_HTTP", "80"},
        {"TENSORD_PORT_8000_TCP_ADDR", "10.0.0.1"},
        {"TENSORDD", "1"},
        {"TENSORD_URL", "http://gpu-box:8000"},
        {"TENSORD_TOKEN", "1"},
        {"TENSORD_CA", "1"},
        {"TENSORD_GRPC_PROT", "1"},
        {"TENSORD_grpc_port", "1"},
        {"TENSORD_XYZZYX", "1"},
    };
    char all[1024] = "";
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        setenv(variables[i][0], variables[i][1], 1);
    settings_check_environment(add_sentence, all);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i][0]);
    assert_non_null(
        strstr(all, "no setting is called TENSORD_GRPC_PROT; did you mean TENSORD_GRPC_PORT?\n"));
    assert_non_null(
        strstr(all, "no setting is called TENSORD_grpc_port; did you mean TENSORD_GRPC_PORT?\n"));
    assert_non_null(strstr(all, "no setting is called TENSORD_XYZZYX\n"));
    size_t lines = 0;
    for (const char *c = all; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 3);
}

/* A row that is on or off; whichever there is. */
static const struct setting *switch_row(void)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_rows[i].type == SETTING_SWITCH)
            return &setting_rows[i];
    }
    return NULL;
}

static bool switched(const char *format)
{
    char argument[2 * SETTING_NAME_BYTES], flag[SETTING_NAME_BYTES];
    struct settings settings;
    struct error error;
    const char *operand;
    snprintf(argument, sizeof argument, "%s%s", setting_flag(switch_row(), flag), format);
    if (!read_them(&settings, &operand, &error, 2, (const char *const[]){argument, "models"}))
        fail_msg("%s", error.message);
    assert_string_equal(operand, "models"); /* is not the switch's value */
    bool on = *(const bool *)setting_value(&settings, switch_row());
    settings_fini(&settings);
    return on;
}

static void switches_are_on_off_or_alone(void **state)
{
    if (!switch_row())
        skip();
    assert_true(switched(""));
    assert_true(switched("=true") && switched("=on") && switched("=yes") && switched("=1"));
    assert_false(switched("=false") || switched("=off") || switched("=no") || switched("=0"));
    struct settings settings;
    struct error error;
    const char *operand;
    char name[SETTING_NAME_BYTES];
    setenv(setting_variable(switch_row(), name), "maybe", 1);
    assert_false(read_them(&settings, &operand, &error, 0, NULL));
    unsetenv(name);
    assert_non_null(strstr(error.message, "wants true or false, not 'maybe'"));
}

static void refused(const char *expected, int count, const char *const *arguments)
{
    struct settings settings = {.port = 7};
    struct error error;
    const char *operand;
    assert_false(read_them(&settings, &operand, &error, count, arguments));
    assert_string_equal(error.message, expected);
    assert_int_equal(settings.port, 7);
}

static void mistakes_are_explained(void **state)
{
    refused("unknown option '--prot'; did you mean '--port'?", 1, (const char *const[]){"--prot"});
    refused("unknown option '--xyzzyx'; see --help", 1, (const char *const[]){"--xyzzyx"});
    refused("unknown option '-port'; did you mean '--port'?", 1, (const char *const[]){"-port"});
    refused("--port wants a number from 0 to 65535, not '70000'", 1,
            (const char *const[]){"--port=70000"});
    refused("--port wants a number from 0 to 65535, not '-1'", 2,
            (const char *const[]){"--port", "-1"});
    refused("--rescan-ms wants a number from 100 to 86400000 ms, not 'x'", 1,
            (const char *const[]){"--rescan-ms=x"});
    refused("/nowhere/a.yaml: No such file or directory", 1,
            (const char *const[]){"--config=/nowhere/a.yaml"});
    refused("--port wants a value", 1, (const char *const[]){"--port"});
    refused("--load wants one of all|explicit|lazy, not 'al'", 1,
            (const char *const[]){"--load=al"});
    refused("--server-id holds a control character", 1, (const char *const[]){"--server-id=a\nb"});
    refused("one path is served, but 'a' and 'b' are given", 2, (const char *const[]){"a", "b"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_environment_and_flags_in_order),
        cmocka_unit_test(the_file_stands_between_default_and_environment),
        cmocka_unit_test(what_kubernetes_sets_is_no_setting),
        cmocka_unit_test(unknown_variables_are_told),
        cmocka_unit_test(switches_are_on_off_or_alone),
        cmocka_unit_test(lists_gather_from_one_source),
        cmocka_unit_test(mistakes_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
