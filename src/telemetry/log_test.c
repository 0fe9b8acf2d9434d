/* Unit tests of the log: log_line.h, log_guard.h, log_sink.h. */
#include "telemetry/log_guard.h"
#include "telemetry/log_line.h"
#include "telemetry/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char text[LOG_LINE_BYTES + 1];

static const char *format(const struct log_line *line, bool json, bool colour)
{
    size_t size = log_line_write(line, json, colour, text);
    assert_true(size <= LOG_LINE_BYTES);
    text[size] = '\0';
    return text;
}

static struct log_line line_of(const char *message)
{
    return (struct log_line){.level = LOG_WARNING,
                             .time = {1700000000, 123000000},
                             .part = "http",
                             .message = span_of(message)};
}

static const struct log_field fields[] = {
    {"id", {"a\"b", 3}, false},
    {"status", {"503", 3}, true},
};

static void a_line_has_a_date_a_level_a_part_and_fields(void **state)
{
    struct log_line line = line_of("no room");
    line.fields = fields;
    line.field_count = 2;
    assert_string_equal(format(&line, false, false),
                        "2023-11-14T22:13:20.123Z warning http: no room id=a\"b status=503\n");
    assert_string_equal(
        format(&line, true, false),
        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warning\",\"part\":\"http\","
        "\"message\":\"no room\",\"id\":\"a\\\"b\",\"status\":503}\n");
}

static void colour_is_for_the_level(void **state)
{
    struct log_line line = line_of("x");
    assert_non_null(strstr(format(&line, false, true), "\x1b[33mwarning\x1b[0m http: x\n"));
}

/* What a terminal or a reader of JSON would obey or trip over. */
static void control_characters_are_escaped(void **state)
{
    struct log_line line =
        line_of("a\x1b[2J\nb\x7f \xc2\x9b \xff \xed\xa0\x80 \xc3\xa9 \xf0\x9f\x99\x82");
    assert_non_null(strstr(format(&line, false, false),
                           "a\\x1b[2J\\x0ab\\x7f \\xc2\\x9b \\xff \\xed\\xa0\\x80 \xc3\xa9 "
                           "\xf0\x9f\x99\x82\n"));
    assert_non_null(strstr(format(&line, true, false),
                           "a\\u001b[2J\\u000ab\\u007f \\u00c2\\u009b \\u00ff "
                           "\\u00ed\\u00a0\\u0080 \xc3\xa9 \xf0\x9f\x99\x82\""));
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    char *message = malloc(10000);
    assert_non_null(message);
    memset(message, '\n', 9999);
    message[9999] = '\0';
    struct log_line line = line_of(message);
    line.fields = fields;
    line.field_count = 2;
    format(&line, true, false);
    assert_non_null(strstr(text, ",\"status\":503}\n"));
    const struct log_field big = {"big", {message, 9999}, false};
    line.message = SPAN("x");
    line.fields = &big;
    line.field_count = 1;
    format(&line, true, false);
    assert_string_equal(text + strlen(text) - 2, "}\n");
    free(message);
}

static void repetitions_are_left_out_and_told(void **state)
{
    static struct log_guard guard;
    uint32_t omitted;
    for (int i = 0; i < LOG_REPEATS; i++)
        assert_true(log_guard_admit(&guard, 7, 5, &omitted));
    for (int i = 0; i < 30; i++)
        assert_false(log_guard_admit(&guard, 7, 5 + LOG_PERIOD_S - 1, &omitted));
    assert_true(log_guard_admit(&guard, 8, 6, &omitted)); /* another line */
    assert_true(log_guard_admit(&guard, 7, 5 + LOG_PERIOD_S, &omitted));
    assert_int_equal(omitted, 30);
    assert_true(log_guard_admit(&guard, 7, 5 + LOG_PERIOD_S, &omitted));
    assert_int_equal(omitted, 0);
}

/* With more keys than slots the quiet ones are forgotten, not the busy one. */
static void many_keys_find_a_place(void **state)
{
    static struct log_guard guard;
    uint32_t omitted;
    for (uint64_t key = 1; key <= LOG_GUARD_SLOTS; key++)
        assert_true(log_guard_admit(&guard, key, 0, &omitted));
    for (int i = 0; i < LOG_REPEATS; i++)
        assert_true(log_guard_admit(&guard, 1000, 5, &omitted));
    for (uint64_t key = 1001; key < 1100; key++)
        assert_true(log_guard_admit(&guard, key, 5, &omitted));
    assert_false(log_guard_admit(&guard, 1000, 6, &omitted));
}

/* Writes until there is no room; then reads all and sees that whole lines came. */
static void fill_and_drain(int reader, int writer)
{
    struct log_sink sink;
    char line[100], got[4096];
    size_t taken = 0, read_bytes = 0;
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    log_sink_open(&sink, writer);
    while (taken < 1000000 && log_sink_write(&sink, line, sizeof line))
        taken++;
    assert_in_range(taken, 1, 999999); /* it said no instead of waiting */
    assert_int_equal(fcntl(writer, F_GETFL) & O_NONBLOCK, 0);
    assert_true(fcntl(reader, F_SETFL, O_NONBLOCK) == 0);
    for (ssize_t count; (count = read(reader, got, sizeof got)) > 0;)
        read_bytes += (size_t)count;
    assert_int_equal(read_bytes, taken * sizeof line);
    assert_true(log_sink_write(&sink, line, sizeof line));
    if (sink.fd != writer)
        close(sink.fd);
}

static void a_full_pipe_is_not_waited_for(void **state)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fill_and_drain(fds[0], fds[1]);
    close(fds[0]);
    close(fds[1]);
}

static void a_full_socket_is_not_waited_for(void **state)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    fill_and_drain(fds[0], fds[1]);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_a_date_a_level_a_part_and_fields),
        cmocka_unit_test(colour_is_for_the_level),
        cmocka_unit_test(control_characters_are_escaped),
        cmocka_unit_test(a_long_line_is_cut_and_still_ends),
        cmocka_unit_test(repetitions_are_left_out_and_told),
        cmocka_unit_test(many_keys_find_a_place),
        cmocka_unit_test(a_full_pipe_is_not_waited_for),
        cmocka_unit_test(a_full_socket_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
