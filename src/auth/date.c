/* Dates; see date.h. */
#include "auth/date.h"

#include <stdio.h>
#include <time.h>

enum { DAY_BYTES = 10, LONG_BYTES = 20 };

/* The pattern's digits are its fields: "0000-11-22T33:44:55Z". */
static bool read_fields(struct span text, const char *pattern, int fields[6])
{
    for (size_t i = 0; i < text.size; i++) {
        bool is_field = pattern[i] >= '0' && pattern[i] <= '5';
        if (is_field ? text.data[i] < '0' || text.data[i] > '9' : text.data[i] != pattern[i])
            return false;
        if (is_field)
            fields[pattern[i] - '0'] = fields[pattern[i] - '0'] * 10 + (text.data[i] - '0');
    }
    return true;
}

bool date_parse(struct span text, int64_t *ret_date_s, struct error *ret_error)
{
    int f[6] = {0};
    if ((text.size != DAY_BYTES && text.size != LONG_BYTES) ||
        !read_fields(text, "0000-11-22T33:44:55Z", f) || f[0] < 1970 || f[3] > 23 || f[4] > 59 ||
        f[5] > 59)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a date is 2030-01-31 or 2030-01-31T12:00:00Z");
    struct tm t = {.tm_year = f[0] - 1900,
                   .tm_mon = f[1] - 1,
                   .tm_mday = f[2],
                   .tm_hour = f[3],
                   .tm_min = f[4],
                   .tm_sec = f[5]};
    time_t date = timegm(&t);
    /* timegm makes 3 March of 31 February: a day that exists stays as it is. */
    if (t.tm_mon != f[1] - 1 || t.tm_mday != f[2])
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the date has no such day or month");
    *ret_date_s = date;
    return true;
}

const char *date_format(int64_t date_s, char text[DATE_TEXT_BYTES])
{
    struct tm t;
    time_t date = date_s;
    if (!gmtime_r(&date, &t) || !strftime(text, DATE_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &t))
        snprintf(text, DATE_TEXT_BYTES, "?");
    return text;
}

static int64_t unit_s(char unit)
{
    switch (unit) {
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 7 * 86400;
    default:
        return 0;
    }
}

bool date_parse_end(struct span text, int64_t now_s, int64_t *ret_date_s, struct error *ret_error)
{
    uint64_t count;
    int64_t after_s, end_s, longest_s = 0;
    if (span_equal(text, SPAN("never"))) {
        *ret_date_s = DATE_NEVER;
        return true;
    }
    int64_t unit = text.size ? unit_s(text.data[text.size - 1]) : 0;
    if (!unit && !(text.size && memchr(text.data, '-', text.size)))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a date is 2030-01-31 or 2030-01-31T12:00:00Z, a time from now 12h, 30d "
                         "or 8w, and never is none");
    if (!unit)
        return date_parse(text, ret_date_s, ret_error);
    if (!date_parse(SPAN("9999-12-31"), &longest_s, ret_error))
        return false;
    if (!span_to_u64((struct span){text.data, text.size - 1}, &count) || count == 0 ||
        __builtin_mul_overflow(count, unit, &after_s) ||
        __builtin_add_overflow(now_s, after_s, &end_s) || end_s > longest_s)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a time is a number of hours, days or weeks: 12h, 30d, 8w");
    *ret_date_s = end_s;
    return true;
}
