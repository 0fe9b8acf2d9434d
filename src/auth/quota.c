/* Quotas; see quota.h. The rate is kept by one number, the time at which the allowance would be
 * whole again (ITU-T I.371 calls it the theoretical arrival time, of the generic cell rate
 * algorithm): each request moves it by one interval, and it may lie a burst ahead at most. */
#include "auth/quota.h"

#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static bool rate_take(struct quota *quota, const struct quota_limits *limits, uint64_t now_ns,
                      uint64_t *ret_wait_ns)
{
    uint64_t interval_ns = limits->rate_period_ns / limits->rate_count;
    uint64_t ahead_ns = (limits->burst - 1) * interval_ns;
    uint64_t most_ns = now_ns + ahead_ns + interval_ns;
    if (quota->full_ns > most_ns) /* it was used at a slower rate, which has been changed */
        quota->full_ns = most_ns;
    uint64_t full_ns = quota->full_ns > now_ns ? quota->full_ns : now_ns;
    if (full_ns - now_ns > ahead_ns) {
        *ret_wait_ns = full_ns - now_ns - ahead_ns;
        return false;
    }
    quota->full_ns = full_ns + interval_ns;
    return true;
}

enum quota_answer quota_take(struct quota *quota, const struct quota_limits *limits,
                             uint64_t now_ns, uint64_t *ret_wait_ns)
{
    if (limits->concurrency && quota->running >= limits->concurrency)
        return QUOTA_CONCURRENCY;
    if (limits->rate_count && !rate_take(quota, limits, now_ns, ret_wait_ns))
        return QUOTA_RATE;
    quota->running++;
    return QUOTA_GIVEN;
}

void quota_release(struct quota *quota)
{
    assert(quota->running > 0);
    quota->running--;
}

static const struct {
    char name;
    uint64_t ns;
} periods[] = {{'s', CLOCK_NS_PER_S}, {'m', 60 * CLOCK_NS_PER_S}, {'h', 3600 * CLOCK_NS_PER_S}};

enum { PERIODS = sizeof periods / sizeof *periods };

bool quota_rate_parse(struct span text, struct quota_limits *limits, struct error *ret_error)
{
    uint64_t count;
    struct span unit = text, number = span_split(&unit, '/');
    size_t period = 0;
    while (unit.data && period < PERIODS &&
           !span_equal(unit, (struct span){&periods[period].name, 1}))
        period++;
    if (period == PERIODS || !span_to_u64(number, &count) || count == 0 || count > QUOTA_MAX_COUNT)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a rate is 1 to %d requests per second, minute or hour: 20, 20/s, 30/m, "
                         "1000/h",
                         QUOTA_MAX_COUNT);
    limits->rate_count = count;
    limits->rate_period_ns = periods[period].ns;
    return true;
}

const char *quota_rate_format(const struct quota_limits *limits, char text[QUOTA_RATE_TEXT_BYTES])
{
    size_t period = 0;
    while (period < PERIODS - 1 && periods[period].ns != limits->rate_period_ns)
        period++;
    snprintf(text, QUOTA_RATE_TEXT_BYTES, "%" PRIu64 "/%c", limits->rate_count,
             periods[period].name);
    return text;
}
