/* Unit tests of settings/config_file.h. */
#include "settings/config_file.h"
#include "settings/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
    static struct settings settings;
    struct error error;
    settings = (struct settings){0};
    arena_init(&settings.arena, 4096, 1 << 20);
    *state = &settings;
    return setting_defaults(&settings, &error) ? 0 : -1;
}

static int teardown(void **state)
{
    settings_fini(*state);
    return 0;
}

static void accepts(struct settings *settings, const char *text)
{
    struct error error;
    if (!config_text_read(settings, span_of(text), &error))
        fail_msg("%s", error.message);
}

/* Reads into settings that nothing has been read into before. */
static void refuses(const char *text, const char *sentence)
{
    void *state;
    struct error error;
    assert_int_equal(setup(&state), 0);
    assert_false(config_text_read(state, span_of(text), &error));
    assert_string_equal(error.message, sentence);
    teardown(&state);
}

static void every_type_is_read(void **state)
{
    struct settings *settings = *state;
    accepts(settings, "# ours\n"
                      "port: 9000\n"
                      "grpc-port: 0\n"
                      "server_id: \"the big one\"\n"
                      "load: lazy\n"
                      "listen: [127.0.0.1:9000, 'unix:/run/a']\n"
                      "load-model: iris, wine\n");
    assert_int_equal(settings->port, 9000);
    assert_int_equal(settings->grpc_port, 0);
    assert_string_equal(settings->server_id, "the big one");
    assert_string_equal(settings->load, "lazy");
    assert_int_equal(settings->listen.count, 2);
    assert_string_equal(settings->listen.items[1], "unix:/run/a");
    assert_int_equal(settings->load_model.count, 2);
    assert_string_equal(settings->load_model.items[1], "wine");
    assert_int_equal(settings->sources[SETTING_port], SETTING_FILE);
    assert_int_equal(settings->lines[SETTING_port], 2);
    assert_int_equal(settings->lines[SETTING_listen], 6);
    assert_int_equal(settings->sources[SETTING_host], SETTING_DEFAULT);
}

static void nothing_changes_nothing(void **state)
{
    struct settings *settings = *state;
    accepts(settings, "");
    accepts(settings, "---\n# nothing\n");
    accepts(settings, "{}\n");
    assert_int_equal(settings->sources[SETTING_port], SETTING_DEFAULT);
    accepts(settings, "listen: []\n");
    assert_int_equal(settings->listen.count, 0);
    assert_int_equal(settings->sources[SETTING_listen], SETTING_FILE);
}

static void unknown_keys_are_refused_with_a_suggestion(void **state)
{
    refuses("host: a\nprot: 1\n", "line 2: unknown key 'prot'; did you mean 'port'?");
    refuses("max-json-mb: 1\n", "line 1: unknown key 'max-json-mb'; did you mean 'max_json_mib'?");
    refuses("xyzzyx: 1\n", "line 1: unknown key 'xyzzyx'");
    refuses("listening: {port: 1}\n", "line 1: unknown key 'listening'; did you mean 'listen'?");
    refuses("config: x.yaml\n", "line 1: 'config' cannot stand in a config file");
}

static void keys_may_stand_once(void **state)
{
    refuses("grpc_port: 1\nport: 2\ngrpc-port: 1\n",
            "line 3: 'grpc_port' is given twice, first in line 1");
    refuses("listen: []\nlisten: []\n", "line 2: 'listen' is given twice, first in line 1");
}

static void wrong_values_are_refused(void **state)
{
    refuses("port: http\n", "line 1: port wants a number from 0 to 65535, not 'http'");
    refuses("port: 65536\n", "line 1: port wants a number from 0 to 65535, not '65536'");
    refuses("port: -1\n", "line 1: port wants a number from 0 to 65535, not '-1'");
    refuses("port: 8000.0\n", "line 1: port wants a number from 0 to 65535, not '8000.0'");
    refuses("port: [1]\n", "line 1: 'port' must be a single value");
    refuses("port: {a: 1}\n", "line 1: 'port' must be a single value");
    refuses("listen: {a: 1}\n", "line 1: 'listen' must be a single value");
    refuses("listen:\n- a\n- [b]\n", "line 3: 'listen' must be a list of single values");
    refuses("listen: [a, ~]\n", "line 1: 'listen' must be a list of single values");
    refuses("host:\nport: 1\n", "line 1: 'host' has no value");
    refuses("host: ~\n", "line 1: 'host' has no value");
    refuses("host: null\n", "line 1: 'host' has no value");
    refuses("host: \"a\\eb\"\n", "line 1: host holds a control character");
    refuses("host: \"a\\0b\"\n", "line 1: host holds a control character");
    refuses("load: always\n", "line 1: load wants one of all|explicit|lazy, not 'always'");
}

static void hostile_yaml_is_refused(void **state)
{
    refuses("host: &a b\nserver_id: *a\n", "line 1: anchors and aliases are not supported");
    refuses("host: !!str b\n", "line 1: tags are not supported");
    refuses("host: a\n---\nport: 1\n", "line 2: there is more than one document");
    refuses("listen: [[[[[[[[[[[[\n", "line 1: 'listen' must be a list of single values");
    refuses("- port\n", "line 1: the file must be a mapping of keys to values");
    refuses("? [port]\n: 1\n", "line 1: a key must be a single value");
    refuses("listen: [a\n", "line 2: did not find expected ',' or ']'");
}

static void lists_are_bounded(void **state)
{
    char text[64 + 4 * SETTING_LIST_ITEMS] = "listen: [";
    for (size_t i = 0; i <= SETTING_LIST_ITEMS; i++)
        memcpy(text + strlen(text), "a, ", 4);
    memcpy(text + strlen(text), "]\n", 3);
    refuses(text, "line 1: listen has more than 64 values");
}

static void the_file_must_be_readable_and_small(void **state)
{
    char folder[] = "/tmp/tensord-config-XXXXXX", path[64], sentence[128];
    struct error error;
    assert_non_null(mkdtemp(folder));
    assert_false(config_file_read(*state, folder, &error));
    snprintf(sentence, sizeof sentence, "%s: not a regular file", folder);
    assert_string_equal(error.message, sentence);

    snprintf(path, sizeof path, "%s/a.yaml", folder);
    assert_false(config_file_read(*state, path, &error));
    snprintf(sentence, sizeof sentence, "%s: No such file or directory", path);
    assert_string_equal(error.message, sentence);

    assert_int_equal(mkfifo(path, 0600), 0); /* does not block */
    assert_false(config_file_read(*state, path, &error));
    snprintf(sentence, sizeof sentence, "%s: not a regular file", path);
    assert_string_equal(error.message, sentence);
    assert_int_equal(unlink(path), 0);

    FILE *file = fopen(path, "w");
    if (!file)
        abort();
    for (size_t i = 0; i < CONFIG_FILE_MAX_BYTES; i++)
        fputc('#', file);
    assert_int_equal(fflush(file), 0);
    assert_true(config_file_read(*state, path, &error));
    fputc('#', file);
    assert_int_equal(fclose(file), 0);
    assert_false(config_file_read(*state, path, &error));
    snprintf(sentence, sizeof sentence, "%s: longer than 65536 bytes", path);
    assert_string_equal(error.message, sentence);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_changes_nothing, setup, teardown),
        cmocka_unit_test(unknown_keys_are_refused_with_a_suggestion),
        cmocka_unit_test(keys_may_stand_once),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(hostile_yaml_is_refused),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test_setup_teardown(the_file_must_be_readable_and_small, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
