/* Unit tests of auth/quota.h. */
#include "auth/quota.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint64_t start_ns = 1000 * CLOCK_NS_PER_S;

/* How many of `tries` requests at now_ns are given; each ends at once. */
static unsigned given(struct quota *quota, const struct quota_limits *limits, uint64_t now_ns,
                      unsigned tries)
{
    unsigned count = 0;
    uint64_t wait_ns;
    for (unsigned i = 0; i < tries; i++) {
        if (quota_take(quota, limits, now_ns, &wait_ns) == QUOTA_GIVEN) {
            count++;
            quota_release(quota);
        }
    }
    return count;
}

static void without_limits_all_is_given(void **state)
{
    struct quota quota = {0};
    struct quota_limits none = {0};
    assert_int_equal(given(&quota, &none, start_ns, 10000), 10000);
}

static void a_burst_is_given_and_then_the_rate(void **state)
{
    struct quota quota = {0};
    struct quota_limits limits = {.rate_count = 10, .rate_period_ns = CLOCK_NS_PER_S, .burst = 5};
    assert_int_equal(given(&quota, &limits, start_ns, 100), 5);
    assert_int_equal(given(&quota, &limits, start_ns + CLOCK_NS_PER_S / 10, 100), 1);
    assert_int_equal(given(&quota, &limits, start_ns + CLOCK_NS_PER_S / 2, 100), 4);
    assert_int_equal(given(&quota, &limits, start_ns + 3600 * CLOCK_NS_PER_S, 100), 5);
}

static void over_ten_seconds_the_rate_holds(void **state)
{
    struct quota quota = {0};
    struct quota_limits limits = {.rate_count = 10, .rate_period_ns = CLOCK_NS_PER_S, .burst = 1};
    unsigned count = 0;
    for (unsigned ms = 0; ms < 10000; ms++)
        count += given(&quota, &limits, start_ns + ms * CLOCK_NS_PER_MS, 3);
    assert_int_equal(count, 100);
}

static void the_wait_is_told_and_is_enough(void **state)
{
    struct quota quota = {0};
    struct quota_limits limits = {
        .rate_count = 30, .rate_period_ns = 60 * CLOCK_NS_PER_S, .burst = 2};
    uint64_t wait_ns = 0;
    assert_int_equal(given(&quota, &limits, start_ns, 2), 2);
    assert_int_equal(quota_take(&quota, &limits, start_ns, &wait_ns), QUOTA_RATE);
    assert_int_equal(wait_ns, 2 * CLOCK_NS_PER_S);
    assert_int_equal(given(&quota, &limits, start_ns + wait_ns - 1, 1), 0);
    assert_int_equal(given(&quota, &limits, start_ns + wait_ns, 1), 1);
}

static void running_requests_are_counted(void **state)
{
    struct quota quota = {0};
    struct quota_limits limits = {.concurrency = 2};
    uint64_t wait_ns = 7;
    assert_int_equal(quota_take(&quota, &limits, start_ns, &wait_ns), QUOTA_GIVEN);
    assert_int_equal(quota_take(&quota, &limits, start_ns, &wait_ns), QUOTA_GIVEN);
    assert_int_equal(quota_take(&quota, &limits, start_ns, &wait_ns), QUOTA_CONCURRENCY);
    assert_int_equal(wait_ns, 7);
    quota_release(&quota);
    assert_int_equal(quota_take(&quota, &limits, start_ns, &wait_ns), QUOTA_GIVEN);
}

/* One that is refused for its concurrency has used nothing of the rate. */
static void a_refused_request_costs_nothing(void **state)
{
    struct quota quota = {0};
    struct quota_limits limits = {
        .rate_count = 1, .rate_period_ns = CLOCK_NS_PER_S, .burst = 2, .concurrency = 1};
    uint64_t wait_ns;
    assert_int_equal(quota_take(&quota, &limits, start_ns, &wait_ns), QUOTA_GIVEN);
    for (int i = 0; i < 10; i++)
        assert_int_equal(quota_take(&quota, &limits, start_ns, &wait_ns), QUOTA_CONCURRENCY);
    quota_release(&quota);
    assert_int_equal(given(&quota, &limits, start_ns, 1), 1);
}

/* Who has used up a slow rate waits no longer for it once there is a faster one. */
static void new_limits_hold_at_once(void **state)
{
    struct quota quota = {0};
    struct quota_limits slow = {
        .rate_count = 100, .rate_period_ns = 3600 * CLOCK_NS_PER_S, .burst = 100};
    struct quota_limits fast = {.rate_count = 10, .rate_period_ns = CLOCK_NS_PER_S, .burst = 1};
    uint64_t wait_ns = 0;
    assert_int_equal(given(&quota, &slow, start_ns, 200), 100);
    assert_int_equal(quota_take(&quota, &fast, start_ns, &wait_ns), QUOTA_RATE);
    assert_int_equal(wait_ns, CLOCK_NS_PER_S / 10);
    assert_int_equal(given(&quota, &fast, start_ns + wait_ns, 5), 1);
}

static void the_largest_limits_do_not_overflow(void **state)
{
    struct quota quota = {0};
    struct quota_limits limits = {
        .rate_count = 1, .rate_period_ns = 3600 * CLOCK_NS_PER_S, .burst = QUOTA_MAX_COUNT};
    assert_int_equal(given(&quota, &limits, start_ns, QUOTA_MAX_COUNT + 5), QUOTA_MAX_COUNT);
}

static void rates_are_read_and_written(void **state)
{
    static const struct {
        const char *text, *written;
        uint64_t count, period_s;
    } rows[] = {{"20", "20/s", 20, 1},
                {"20/s", "20/s", 20, 1},
                {"30/m", "30/m", 30, 60},
                {"1000000/h", "1000000/h", 1000000, 3600}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct quota_limits limits = {0};
        char text[QUOTA_RATE_TEXT_BYTES];
        assert_true(quota_rate_parse(span_of(rows[i].text), &limits, NULL));
        assert_int_equal(limits.rate_count, rows[i].count);
        assert_int_equal(limits.rate_period_ns, rows[i].period_s * CLOCK_NS_PER_S);
        assert_string_equal(quota_rate_format(&limits, text), rows[i].written);
    }
    static const char *const bad[] = {"", "0", "-1", "1/", "1/d", "/s", "1/ss", "1.5", "1000001"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct quota_limits limits = {0};
        struct error error = {0};
        assert_false(quota_rate_parse(span_of(bad[i]), &limits, &error));
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        assert_int_equal(limits.rate_count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_all_is_given),
        cmocka_unit_test(a_burst_is_given_and_then_the_rate),
        cmocka_unit_test(over_ten_seconds_the_rate_holds),
        cmocka_unit_test(the_wait_is_told_and_is_enough),
        cmocka_unit_test(running_requests_are_counted),
        cmocka_unit_test(a_refused_request_costs_nothing),
        cmocka_unit_test(new_limits_hold_at_once),
        cmocka_unit_test(the_largest_limits_do_not_overflow),
        cmocka_unit_test(rates_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
