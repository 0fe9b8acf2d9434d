/* Unit tests of settings_reload, and of printing a value with its source. */
#include "settings/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_CHANGES = 8 };

struct fixture {
    char path[64], flag[80];
    char *arguments[4];
    struct settings settings;
    size_t count; /* of changes */
    enum setting_index indexes[MAX_CHANGES];
    bool applied[MAX_CHANGES];
    char sentences[MAX_CHANGES][256];
};

static void write_config(struct fixture *fixture, const char *text)
{
    FILE *file = fopen(fixture->path, "w");
    if (!file)
        abort();
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    static struct fixture fixture;
    static char load[] = "--load=lazy";
    struct error error;
    const char *operand;
    fixture = (struct fixture){.path = "/tmp/tensord-reload-XXXXXX"};
    int fd = mkstemp(fixture.path);
    if (fd < 0)
        return -1;
    close(fd);
    snprintf(fixture.flag, sizeof fixture.flag, "--config=%s", fixture.path);
    fixture.arguments[0] = fixture.flag;
    fixture.arguments[1] = load;
    write_config(&fixture, "port: 9000\nqueue_limit: 7\nlisten: [a:1, b:2]\nserver_id: one\n");
    *state = &fixture;
    return settings_read(&fixture.settings, 2, fixture.arguments, &operand, &error) ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    settings_fini(&fixture->settings);
    return unlink(fixture->path);
}

static void note(void *context, const struct setting_changed *change)
{
    struct fixture *fixture = context;
    assert_true(fixture->count < MAX_CHANGES);
    fixture->indexes[fixture->count] = change->index;
    fixture->applied[fixture->count] = change->applied;
    snprintf(fixture->sentences[fixture->count], sizeof fixture->sentences[0], "%s",
             change->sentence);
    fixture->count++;
}

/* Reloads, and takes the new settings in the place of the old ones, which are freed. */
static void reload(struct fixture *fixture)
{
    struct settings new;
    struct error error;
    fixture->count = 0;
    if (!settings_reload(&fixture->settings, &new, note, fixture, &error))
        fail_msg("%s", error.message);
    settings_fini(&fixture->settings);
    fixture->settings = new;
}

static void says(const struct fixture *fixture, size_t i, const char *format)
{
    char sentence[256];
    const char *marker = strstr(format, "FILE");
    int before = marker ? (int)(marker - format) : (int)strlen(format);
    snprintf(sentence, sizeof sentence, "%.*s%s%s", before, format, marker ? fixture->path : "",
             marker ? marker + 4 : "");
    assert_string_equal(fixture->sentences[i], sentence);
}

static void no_change_is_no_change(void **state)
{
    struct fixture *fixture = *state;
    reload(fixture);
    assert_int_equal(fixture->count, 0);
    assert_int_equal(fixture->settings.port, 9000);
    assert_string_equal(fixture->settings.listen.items[1], "b:2");
}

static void reloadable_settings_change_and_others_stay(void **state)
{
    struct fixture *fixture = *state;
    write_config(fixture, "log_level: debug\nqueue_limit: 8\nport: 9001\n"
                          "listen: [a:1, c:3]\nserver_id: two\n");
    reload(fixture);
    assert_int_equal(fixture->count, 5);
    says(fixture, 0, "port stays 9000 until a restart, then it will be 9001 (FILE, line 3)");
    says(fixture, 1,
         "listen stays [\"a:1\", \"b:2\"] until a restart, then it will be [\"a:1\", \"c:3\"] "
         "(FILE, line 4)");
    says(fixture, 2, "server_id stays one until a restart, then it will be two (FILE, line 5)");
    says(fixture, 3, "queue_limit is now 8 (FILE, line 2)");
    says(fixture, 4, "log_level is now debug (FILE, line 1)");
    assert_int_equal(fixture->indexes[0], SETTING_port);
    assert_false(fixture->applied[0]);
    assert_true(fixture->applied[3]);
    assert_int_equal(fixture->settings.port, 9000);
    assert_int_equal(fixture->settings.queue_limit, 8);
    assert_string_equal(fixture->settings.log_level, "debug");
    assert_string_equal(fixture->settings.server_id, "one");
    assert_int_equal(fixture->settings.listen.count, 2);
    assert_string_equal(fixture->settings.listen.items[1], "b:2");
    assert_string_equal(fixture->settings.load, "lazy");
    reload(fixture); /* what stays is said each time, what has changed once */
    assert_int_equal(fixture->count, 3);
}

static void a_setting_that_is_no_longer_given_has_its_default(void **state)
{
    struct fixture *fixture = *state;
    write_config(fixture, "port: 9000\nlisten: [a:1, b:2]\nserver_id: one\n");
    reload(fixture);
    assert_int_equal(fixture->count, 1);
    says(fixture, 0, "queue_limit is now 4096 (default)");
    assert_int_equal(fixture->settings.queue_limit, 4096);
}

static void a_wrong_file_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct settings new = {.port = 7};
    struct error error;
    char sentence[128];
    write_config(fixture, "queue_limit: 8\nporrt: 1\n");
    assert_false(settings_reload(&fixture->settings, &new, note, fixture, &error));
    snprintf(sentence, sizeof sentence, "%s: line 2: unknown key 'porrt'; did you mean 'port'?",
             fixture->path);
    assert_string_equal(error.message, sentence);
    assert_int_equal(fixture->count, 0);
    assert_int_equal(new.port, 7);
    assert_int_equal(fixture->settings.queue_limit, 7);
}

static void the_environment_is_read_again(void **state)
{
    struct fixture *fixture = *state;
    setenv("TENSORD_QUEUE_LIMIT", "9", 1);
    reload(fixture);
    unsetenv("TENSORD_QUEUE_LIMIT");
    assert_int_equal(fixture->count, 1);
    says(fixture, 0, "queue_limit is now 9 (TENSORD_QUEUE_LIMIT)");
}

/* What is printed reads back as the same. */
static void values_print_as_the_config_file_has_them(void **state)
{
    static const char *const texts[] = {"plain",
                                        "/a/b.c",
                                        "",
                                        "null",
                                        "~",
                                        "a: b",
                                        "a #b",
                                        "- x",
                                        "\"\\",
                                        "é",
                                        "[a",
                                        "*x",
                                        "\xc2\x85",
                                        "a\xe2\x80\xa8",
                                        "\xef\xbb\xbf",
                                        "\xf0\x9f\xa6\x86"};
    struct fixture *fixture = *state;
    const struct setting *row = &setting_rows[SETTING_server_id];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf text;
        fixture->settings.server_id = texts[i];
        buf_init(&text, 1024);
        buf_append(&text, SPAN("port: 9000\nqueue_limit: 7\nlisten: [a:1, b:2]\nserver_id: "));
        assert_true(setting_print(&text, &fixture->settings, row));
        buf_append_char(&text, '\0');
        write_config(fixture, text.data);
        reload(fixture);
        assert_int_equal(fixture->count, 0);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_change_is_no_change, setup, teardown),
        cmocka_unit_test_setup_teardown(reloadable_settings_change_and_others_stay, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_setting_that_is_no_longer_given_has_its_default, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_wrong_file_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_environment_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(values_print_as_the_config_file_has_them, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
