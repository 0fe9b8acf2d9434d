/* Unit tests of auth/token_text.h and auth/token_record.h. */
#include "auth/token_text.h"

#include "auth/date.h"
#include "auth/scope.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIGITS_15 "aaaaaaaaaaaaaaa"
#define HASH(digit) DIGITS_15 DIGITS_15 DIGITS_15 DIGITS_15 "aaa" digit

static struct error error;

static bool parse_line(const char *line, struct token_record *record)
{
    error = (struct error){0};
    return token_record_parse(span_of(line), record, &error);
}

static void a_line_says_all_of_a_token(void **state)
{
    struct token_record record;
    assert_true(parse_line("3f9c2a71 name=laptop scopes=infer,deploy models=iris*,bert "
                           "created=2026-01-01T10:00:00Z expires=2030-01-31T00:00:00Z rate=20/m "
                           "burst=40 concurrency=4 weight=3 sha256=" HASH("1"),
                           &record));
    assert_int_equal(record.id, 0x3f9c2a71);
    assert_true(span_equal(record.name, SPAN("laptop")));
    assert_true(span_equal(record.models, SPAN("iris*,bert")));
    assert_int_equal(record.scopes, scope_bit(SCOPE_INFER) | scope_bit(SCOPE_DEPLOY));
    assert_int_equal(record.expires_s, 1896048000);
    assert_int_equal(record.limits.rate_count, 20);
    assert_int_equal(record.limits.rate_period_ns, 60 * CLOCK_NS_PER_S);
    assert_int_equal(record.limits.burst, 40);
    assert_int_equal(record.limits.concurrency, 4);
    assert_int_equal(record.weight, 3);
    assert_int_equal(record.hash[31], 0xa1);
    assert_true(token_record_current(&record, 1896047999));
    assert_false(token_record_current(&record, 1896048000));
}

static void what_is_not_said_does_not_limit(void **state)
{
    struct token_record record;
    assert_true(parse_line("00000000  sha256=" HASH("1") "  scopes=infer", &record));
    assert_true(span_equal(record.models, SPAN("*")));
    assert_int_equal(record.name.size, 0);
    assert_int_equal(record.limits.rate_count, 0);
    assert_int_equal(record.limits.concurrency, 0);
    assert_true(token_record_current(&record, INT64_MAX - 1));
    assert_true(parse_line("00000000 rate=7/s scopes=infer sha256=" HASH("1"), &record));
    assert_int_equal(record.limits.burst, 7);
}

static void bad_lines_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "3f9c2a71",
        "3f9c2a7 scopes=infer sha256=" HASH("1"),
        "3F9C2A71 scopes=infer sha256=" HASH("1"),
        "3f9c2a711 scopes=infer sha256=" HASH("1"),
        "scopes=infer sha256=" HASH("1"),
        "3f9c2a71 sha256=" HASH("1"),
        "3f9c2a71 scopes=infer",
        "3f9c2a71 scopes=infer sha256=" HASH(""),
        "3f9c2a71 scopes=infer sha256=" HASH("g"),
        "3f9c2a71 scopes=infer sha256=" HASH("1") "0",
        "3f9c2a71 scopes=root sha256=" HASH("1"),
        "3f9c2a71 scopes= sha256=" HASH("1"),
        "3f9c2a71 scopes=infer scopes=admin sha256=" HASH("1"),
        "3f9c2a71 scopes=infer address=10.0.0.1 sha256=" HASH("1"),
        "3f9c2a71 scopes=infer word sha256=" HASH("1"),
        "3f9c2a71 scopes=infer models= sha256=" HASH("1"),
        "3f9c2a71 scopes=infer models=a\x01"
        "b sha256=" HASH("1"),
        "3f9c2a71 scopes=infer name=a/b sha256=" HASH("1"),
        "3f9c2a71 scopes=infer expires=never sha256=" HASH("1"),
        "3f9c2a71 scopes=infer rate=0 sha256=" HASH("1"),
        "3f9c2a71 scopes=infer burst=5 sha256=" HASH("1"),
        "3f9c2a71 scopes=infer concurrency=0 sha256=" HASH("1"),
        "3f9c2a71 scopes=infer weight=0 sha256=" HASH("1"),
        "3f9c2a71 scopes=infer weight=1001 sha256=" HASH("1"),
        "3f9c2a71 scopes=infer concurrency=99999999999999999999 sha256=" HASH("1"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct token_record record = {.id = 7};
        if (parse_line(bad[i], &record))
            fail_msg("%s", bad[i]);
        assert_int_equal(record.id, 7);
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        assert_true(error.message[0]);
    }
}

static void too_long_a_line_is_refused(void **state)
{
    char line[TOKEN_LINE_BYTES + 2];
    struct token_record record;
    memset(line, ' ', sizeof line);
    int length = snprintf(line, sizeof line, "3f9c2a71 scopes=infer sha256=%s", HASH("1"));
    line[length] = ' ';
    assert_true(token_record_parse((struct span){line, TOKEN_LINE_BYTES}, &record, &error));
    assert_false(token_record_parse((struct span){line, TOKEN_LINE_BYTES + 1}, &record, &error));
}

static void what_is_written_reads_back(void **state)
{
    struct token_record record, again;
    struct buf line;
    buf_init(&line, 4096);
    assert_true(
        parse_line("3f9c2a71 name=a scopes=admin models=x* created=2026-01-01T10:00:00Z "
                   "expires=2030-01-31 rate=5/h burst=9 concurrency=1 weight=2 sha256=" HASH("1"),
                   &record));
    token_record_format(&record, &line);
    assert_true(buf_ok(&line) && line.data[line.size - 1] == '\n');
    assert_true(token_record_parse((struct span){line.data, line.size - 1}, &again, &error));
    assert_int_equal(again.id, record.id);
    assert_true(span_equal(again.name, record.name) && span_equal(again.models, record.models));
    assert_int_equal(again.scopes, record.scopes);
    assert_int_equal(again.created_s, record.created_s);
    assert_int_equal(again.expires_s, record.expires_s);
    assert_memory_equal(&again.limits, &record.limits, sizeof again.limits);
    assert_memory_equal(again.hash, record.hash, sizeof again.hash);
    buf_fini(&line);
}

/* ---- the file ---- */

static const char two[] = "# a comment\n"
                          "bbbbbbbb name=two scopes=infer sha256=" HASH(
                              "2") "\n"
                                   "\n"
                                   "  # another\n"
                                   "aaaaaaaa name=one scopes=admin sha256=" HASH("1") "\n";

static size_t count_of(const char *text)
{
    struct token_record *records = NULL;
    size_t count = SIZE_MAX;
    error = (struct error){0};
    if (token_text_parse(span_of(text), &records, &count, &error))
        free(records);
    return count;
}

static void files_hold_tokens_and_comments(void **state)
{
    struct token_record *records;
    size_t count;
    assert_int_equal(count_of(""), 0);
    assert_int_equal(count_of("\n\n# x\n"), 0);
    assert_true(token_text_parse(span_of(two), &records, &count, &error));
    assert_int_equal(count, 2);
    assert_int_equal(records[0].id, 0xaaaaaaaa); /* in order of id */
    assert_int_equal(records[1].id, 0xbbbbbbbb);
    free(records);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    assert_int_equal(count_of("# x\n\naaaaaaaa scopes=infer\n"), SIZE_MAX);
    assert_non_null(strstr(error.message, "line 3"));
    assert_int_equal(count_of("aaaaaaaa scopes=infer sha256=" HASH(
                         "1") "\n"
                              "aaaaaaaa scopes=infer sha256=" HASH("2") "\n"),
                     SIZE_MAX);
    assert_non_null(strstr(error.message, "aaaaaaaa"));
    assert_int_equal(count_of("aaaaaaaa scopes=infer sha256=" HASH(
                         "1") "\n"
                              "bbbbbbbb scopes=infer sha256=" HASH("1") "\n"),
                     SIZE_MAX);
    assert_non_null(strstr(error.message, "same secret"));
    struct token_record *records;
    size_t count;
    assert_false(token_text_parse((struct span){"#\0", 2}, &records, &count, &error));
}

static void too_many_tokens_are_refused(void **state)
{
    struct buf text;
    buf_init(&text, TOKEN_TEXT_BYTES);
    for (unsigned i = 0; i < TOKEN_LIMIT + 1; i++) {
        size_t before = text.size;
        buf_printf(&text, "%08x scopes=infer sha256=%064x\n", i, i);
        assert_true(buf_ok(&text));
        struct token_record *records;
        size_t count;
        if (i + 1 < TOKEN_LIMIT)
            continue;
        bool good = token_text_parse(buf_span(&text), &records, &count, &error);
        assert_int_equal(good, i + 1 == TOKEN_LIMIT);
        assert_true(text.size > before);
        if (good)
            free(records);
    }
    buf_fini(&text);
}

static void changes_leave_the_rest_as_it_is(void **state)
{
    struct token_record record;
    struct buf added, removed;
    buf_init(&added, 1 << 16);
    buf_init(&removed, 1 << 16);
    assert_true(parse_line("cccccccc scopes=infer sha256=" HASH("3"), &record));
    token_text_add(span_of(two), &record, &added);
    assert_true(span_starts_with(buf_span(&added), span_of(two)));
    token_text_remove(buf_span(&added), 0xcccccccc, &removed);
    assert_true(span_equal(buf_span(&removed), span_of(two)));
    buf_clear(&removed);
    token_text_remove(span_of(two), 0xbbbbbbbb, &removed);
    assert_non_null(memmem(removed.data, removed.size, "# a comment\n\n  # another\naaaaaaaa", 33));
    assert_null(memmem(removed.data, removed.size, "bbbbbbbb", 8));
    buf_clear(&added);
    token_text_add((struct span){two, sizeof two - 2}, &record, &added); /* no newline at the end */
    buf_append_char(&added, '\0');
    assert_int_equal(count_of(added.data), 3);
    buf_clear(&added);
    token_text_add(SPAN(""), &record, &added);
    assert_int_equal(added.data[0], '#');
    buf_append_char(&added, '\0');
    assert_int_equal(count_of(added.data), 1);
    buf_fini(&added);
    buf_fini(&removed);
}

static void tokens_are_found_by_id_or_name(void **state)
{
    const struct token_record records[] = {{.id = 1, .name = SPAN("a")},
                                           {.id = 2, .name = SPAN("b")},
                                           {.id = 3, .name = SPAN("b")},
                                           {.id = 4, .name = SPAN("00000001")}};
    assert_ptr_equal(token_find(records, 4, SPAN("00000002"), &error), &records[1]);
    assert_ptr_equal(token_find(records, 4, SPAN("00000001"), &error), &records[0]);
    assert_ptr_equal(token_find(records, 4, SPAN("a"), &error), &records[0]);
    assert_null(token_find(records, 4, SPAN("b"), &error));
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    assert_null(token_find(records, 4, SPAN("c"), &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_null(token_find(records, 4, SPAN("00000009"), &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_all_of_a_token),
        cmocka_unit_test(what_is_not_said_does_not_limit),
        cmocka_unit_test(bad_lines_are_refused),
        cmocka_unit_test(too_long_a_line_is_refused),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(files_hold_tokens_and_comments),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(too_many_tokens_are_refused),
        cmocka_unit_test(changes_leave_the_rest_as_it_is),
        cmocka_unit_test(tokens_are_found_by_id_or_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
