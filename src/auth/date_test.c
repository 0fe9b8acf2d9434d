/* Unit tests of auth/date.h. */
#include "auth/date.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void dates_are_read_and_written(void **state)
{
    static const struct {
        const char *text, *written;
        int64_t date_s;
    } rows[] = {
        {"1970-01-01", "1970-01-01T00:00:00Z", 0},
        {"2000-02-29T23:59:59Z", "2000-02-29T23:59:59Z", 951868799},
        {"2030-01-31", "2030-01-31T00:00:00Z", 1896048000},
        {"9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", 253402300799},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t date_s = -1;
        char text[DATE_TEXT_BYTES];
        assert_true(date_parse(span_of(rows[i].text), &date_s, NULL));
        assert_int_equal(date_s, rows[i].date_s);
        assert_string_equal(date_format(date_s, text), rows[i].written);
    }
}

static void what_is_no_date_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "2030",
                                      "2030-1-1",
                                      "1969-12-31",
                                      "2030-13-01",
                                      "2030-00-01",
                                      "2030-02-30",
                                      "2030-01-00",
                                      "2030-01-32",
                                      "2030-01-31 12:00:00Z",
                                      "2030-01-31T24:00:00Z",
                                      "2030-01-31T12:60:00Z",
                                      "2030-01-31T12:00:60Z",
                                      "2030-01-31T12:00:00",
                                      "2030-01-31T12:00:00+01:00",
                                      "2o30-01-31"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t date_s = 7;
        struct error error = {0};
        assert_false(date_parse(span_of(bad[i]), &date_s, &error));
        assert_int_equal(date_s, 7);
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    }
}

static void an_end_is_a_time_from_now_or_a_date(void **state)
{
    int64_t end_s;
    assert_true(date_parse_end(SPAN("12h"), 1000, &end_s, NULL));
    assert_int_equal(end_s, 1000 + 12 * 3600);
    assert_true(date_parse_end(SPAN("30d"), 1000, &end_s, NULL));
    assert_int_equal(end_s, 1000 + 30 * 86400);
    assert_true(date_parse_end(SPAN("8w"), 1000, &end_s, NULL));
    assert_int_equal(end_s, 1000 + 56 * 86400);
    assert_true(date_parse_end(SPAN("2030-01-31"), 1000, &end_s, NULL));
    assert_int_equal(end_s, 1896048000);
    assert_true(date_parse_end(SPAN("never"), 1000, &end_s, NULL));
    assert_int_equal(end_s, DATE_NEVER);
    static const char *const bad[] = {
        "", "d", "0d", "-1d", "1.5d", "5", "5m", "99999999999999999d", "9000000d", "tomorrow"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(date_parse_end(span_of(bad[i]), 1000, &end_s, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_read_and_written),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(an_end_is_a_time_from_now_or_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
