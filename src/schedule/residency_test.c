/* Who is granted room, who leaves for it, and who is refused. */
#include "schedule/residency.h"

#include "schedule/residency_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MIB = 1 << 20, CLAIMS = 8 };

static const uint64_t MS = CLOCK_NS_PER_MS;

static struct residency residency;
static struct residency_claim claims[CLAIMS];
static uint64_t now_ns;

static int set_up(void **state)
{
    memset(claims, 0, sizeof claims);
    residency_init(&residency);
    residency_set_budget(&residency, 0, 100 * (uint64_t)MIB, 0);
    now_ns = CLOCK_NS_PER_S;
    return 0;
}

/* A model that was measured before: so much to load and later, and a load takes so long. */
static struct residency_claim *add(size_t i, uint64_t peak_mib, uint64_t mib, uint64_t load_ms)
{
    const struct residency_figures figures = {
        {peak_mib * MIB, 0}, {mib * MIB, 0}, load_ms * CLOCK_NS_PER_MS};
    claims[i].id = claims[i].model = i + 1;
    residency_add(&residency, &claims[i],
                  load_ms ? &figures : &(struct residency_figures){.load_ns = 0}, now_ns);
    return &claims[i];
}

static struct residency_decision next(void)
{
    struct residency_decision decision;
    residency_next(&residency, now_ns, &decision);
    return decision;
}

static void expect(enum residency_verdict verdict, const struct residency_claim *claim)
{
    struct residency_decision decision = next();
    assert_int_equal(decision.verdict, verdict);
    assert_ptr_equal(decision.claim, claim);
}

/* It is loaded, as its figures say, and was used so often, a minute apart. */
static void load(struct residency_claim *claim, unsigned uses)
{
    for (unsigned i = 0; i < uses; i++, now_ns += 60 * CLOCK_NS_PER_S)
        residency_use(&residency, claim, now_ns);
    residency_ask(&residency, claim, RESIDENCY_DEMAND, now_ns);
    expect(RESIDENCY_GRANT, claim);
    uint64_t load_ns = claim->figures.load_ns;
    now_ns += load_ns ? load_ns : MS;
    residency_loaded(&residency, claim, claim->figures.loaded, claim->figures.loading, now_ns);
    residency_rest(&residency, claim, now_ns);
}

static void what_loads_counts_as_the_most_it_takes(void **state)
{
    struct residency_claim *a = add(0, 80, 40, 500), *b = add(1, 50, 30, 500);
    residency_ask(&residency, a, RESIDENCY_DEMAND, now_ns);
    residency_ask(&residency, b, RESIDENCY_DEMAND, now_ns);
    expect(RESIDENCY_GRANT, a);
    assert_int_equal(residency.held_bytes[0], 80 * MIB);
    expect(RESIDENCY_NOTHING, NULL);
    residency_loaded(&residency, a, (struct residency_size){40 * MIB, 0},
                     (struct residency_size){80 * MIB, 0}, now_ns += 500 * MS);
    assert_int_equal(residency.held_bytes[0], 40 * MIB);
    expect(RESIDENCY_GRANT, b);
}

static void a_herd_is_granted_once(void **state)
{
    struct residency_claim *a = add(0, 50, 50, 500);
    for (int i = 0; i < 100; i++) {
        residency_use(&residency, a, now_ns);
        residency_ask(&residency, a, RESIDENCY_DEMAND, now_ns);
    }
    expect(RESIDENCY_GRANT, a);
    expect(RESIDENCY_NOTHING, NULL);
}

static void the_least_valuable_leaves(void **state)
{
    struct residency_claim *cheap = add(0, 30, 30, 100), *dear = add(1, 30, 30, 5000);
    struct residency_claim *loved = add(2, 30, 30, 100), *comes = add(3, 30, 30, 100);
    load(dear, 1);
    load(cheap, 1);
    load(loved, 9);
    residency_ask(&residency, comes, RESIDENCY_DEMAND, now_ns);
    assert_true(residency_value(dear, now_ns) > residency_value(loved, now_ns));
    expect(RESIDENCY_EVICT, cheap); /* not the one that was used longest ago, but costs more */
    expect(RESIDENCY_NOTHING, NULL);
    residency_ended(&residency, cheap, now_ns);
    expect(RESIDENCY_GRANT, comes);
}

static void no_more_leave_than_need_to(void **state)
{
    struct residency_claim *small = add(0, 10, 10, 100), *large = add(1, 80, 80, 100);
    struct residency_claim *comes = add(2, 70, 70, 100);
    load(large, 2);
    load(small, 0);
    residency_ask(&residency, comes, RESIDENCY_DEMAND, now_ns);
    expect(RESIDENCY_EVICT, large); /* without it the small one's room would be of no use */
    residency_ended(&residency, large, now_ns);
    expect(RESIDENCY_GRANT, comes);
    assert_int_equal(small->state, RESIDENCY_STAYS);
}

static void uses_that_one_load_would_serve_count_once(void **state)
{
    struct residency_claim *burst = add(0, 50, 50, 1000), *steady = add(1, 50, 50, 1000);
    for (int i = 0; i < 1000; i++)
        residency_use(&residency, burst, now_ns += MS / 2);
    for (int i = 0; i < 3; i++)
        residency_use(&residency, steady, now_ns += 2000 * MS);
    assert_true(residency_value(steady, now_ns) > residency_value(burst, now_ns));
    double before = residency_value(steady, now_ns);
    double later = residency_value(steady, now_ns + RESIDENCY_HALF_LIFE_NS);
    assert_true(later > before * 0.49 && later < before * 0.51);
}

static void what_is_busy_stays_and_is_drained_in_the_end(void **state)
{
    struct residency_claim *a = add(0, 60, 60, 100), *b = add(1, 60, 60, 100);
    load(a, 1);
    residency_use(&residency, a, now_ns);
    residency_ask(&residency, b, RESIDENCY_DEMAND, now_ns);
    struct residency_decision decision = next();
    assert_int_equal(decision.verdict, RESIDENCY_NOTHING);
    now_ns = decision.wake_ns;
    decision = next();
    assert_int_equal(decision.verdict, RESIDENCY_NOTHING);
    now_ns = decision.wake_ns;
    expect(RESIDENCY_DRAIN, a);
    expect(RESIDENCY_NOTHING, NULL);
    residency_rest(&residency, a, now_ns += 5 * MS);
    expect(RESIDENCY_EVICT, a);
    residency_ended(&residency, a, now_ns);
    expect(RESIDENCY_GRANT, b);
}

static void a_drain_ends_when_nobody_waits_any_more(void **state)
{
    struct residency_claim *a = add(0, 60, 60, 100), *b = add(1, 60, 60, 100);
    load(a, 1);
    residency_use(&residency, a, now_ns);
    residency_ask(&residency, b, RESIDENCY_DEMAND, now_ns);
    next();
    now_ns += RESIDENCY_PATIENCE_NS;
    expect(RESIDENCY_DRAIN, a);
    residency_ended(&residency, b, now_ns);
    expect(RESIDENCY_KEEP, a);
    expect(RESIDENCY_NOTHING, NULL);
}

static void a_more_valuable_one_goes_only_if_the_least_stays_busy(void **state)
{
    struct residency_claim *rare = add(0, 40, 40, 100), *often = add(1, 40, 40, 100);
    struct residency_claim *comes = add(2, 40, 40, 100);
    load(rare, 1);
    load(often, 9);
    residency_use(&residency, rare, now_ns);
    residency_ask(&residency, comes, RESIDENCY_DEMAND, now_ns);
    struct residency_decision decision = next();
    assert_int_equal(decision.verdict, RESIDENCY_NOTHING);
    assert_int_equal(decision.wake_ns, now_ns + RESIDENCY_SPARE_NS);
    now_ns = decision.wake_ns;
    expect(RESIDENCY_EVICT, often);
}

static void what_is_pinned_stays(void **state)
{
    struct residency_claim *pinned = add(0, 60, 60, 100), *comes = add(1, 50, 50, 100);
    struct residency_claim *fits = add(2, 40, 40, 100);
    pinned->pinned = true;
    load(pinned, 0);
    now_ns += 3600 * CLOCK_NS_PER_S;
    residency_ask(&residency, comes, RESIDENCY_DEMAND, now_ns);
    residency_ask(&residency, fits, RESIDENCY_DEMAND, now_ns);
    assert_int_equal(residency_most_bytes(&residency, comes, 0), 40 * MIB);
    struct residency_decision decision = next();
    assert_int_equal(decision.verdict, RESIDENCY_REFUSE);
    assert_int_equal(decision.reason, RESIDENCY_TOO_LARGE);
    assert_ptr_equal(decision.claim, comes);
    expect(RESIDENCY_GRANT, fits);
}

static void newer_files_oust_older_ones_even_if_pinned(void **state)
{
    struct residency_claim *old = add(0, 60, 60, 100), *newer = add(1, 60, 60, 100);
    old->pinned = newer->pinned = true;
    newer->model = old->model;
    load(old, 1);
    residency_ask(&residency, newer, RESIDENCY_DEMAND, now_ns);
    expect(RESIDENCY_EVICT, old);
}

static void an_estimate_is_cut_to_what_there_is(void **state)
{
    struct residency_claim *large = add(0, 0, 0, 0), *too_large = add(1, 0, 0, 0);
    large->files_bytes = 90 * (uint64_t)MIB;
    too_large->files_bytes = 101 * (uint64_t)MIB;
    residency_ask(&residency, too_large, RESIDENCY_DEMAND, now_ns);
    residency_ask(&residency, large, RESIDENCY_DEMAND, now_ns);
    expect(RESIDENCY_REFUSE, too_large);
    expect(RESIDENCY_GRANT, large);
    assert_int_equal(residency.held_bytes[0], 100 * MIB);
    residency_loaded(&residency, large, (struct residency_size){95 * MIB, 0},
                     (struct residency_size){120 * MIB, 0}, now_ns += MS);
    residency_rest(&residency, large, now_ns);
    residency_leave(&residency, large, now_ns);
    residency_ended(&residency, large, now_ns);
    residency_ask(&residency, large, RESIDENCY_DEMAND, now_ns);
    expect(RESIDENCY_REFUSE, large); /* now it is known */
}

static void a_config_may_say_what_it_takes(void **state)
{
    struct residency_claim *a = add(0, 0, 0, 0);
    a->files_bytes = 10;
    a->declared_bytes = 70 * (uint64_t)MIB;
    assert_int_equal(residency_need(a).bytes, 70 * MIB);
    load(a, 1);
    assert_int_equal(residency.held_bytes[0], 70 * MIB); /* nobody has measured it */
}

static void wishes_take_what_is_free_and_leave_room_to_probe_the_rest(void **state)
{
    struct residency_claim *first = add(0, 0, 0, 0), *second = add(1, 0, 0, 0);
    struct residency_claim *third = add(2, 0, 0, 0), *known = add(3, 30, 30, 100);
    for (size_t i = 0; i < 3; i++) {
        claims[i].declared_bytes = 40 * (uint64_t)MIB;
        residency_ask(&residency, &claims[i], RESIDENCY_FIRST_WISH, now_ns);
    }
    residency_ask(&residency, known, RESIDENCY_WISH, now_ns);
    expect(RESIDENCY_GRANT, first);
    expect(RESIDENCY_NOTHING, NULL); /* it may turn out to be smaller */
    residency_loaded(&residency, first, (struct residency_size){40 * MIB, 0},
                     (struct residency_size){40 * MIB, 0}, now_ns);
    residency_rest(&residency, first, now_ns);
    expect(RESIDENCY_GRANT_PROBE, second);
    residency_ended(&residency, second, now_ns);
    expect(RESIDENCY_GRANT, third); /* nobody is left to be probed */
    residency_loaded(&residency, third, (struct residency_size){40 * MIB, 0},
                     (struct residency_size){40 * MIB, 0}, now_ns);
    residency_rest(&residency, third, now_ns);
    expect(RESIDENCY_SLEEP, known);
    expect(RESIDENCY_NOTHING, NULL);
}

static void a_demand_comes_before_wishes(void **state)
{
    struct residency_claim *wish = add(0, 60, 60, 100), *demand = add(1, 60, 60, 100);
    residency_ask(&residency, wish, RESIDENCY_WISH, now_ns);
    residency_ask(&residency, demand, RESIDENCY_DEMAND, now_ns);
    expect(RESIDENCY_GRANT, demand);
    expect(RESIDENCY_NOTHING, NULL);
    residency_ask(&residency, wish, RESIDENCY_DEMAND, now_ns); /* somebody comes for it */
    residency_loaded(&residency, demand, demand->figures.loaded, demand->figures.loading, now_ns);
    residency_rest(&residency, demand, now_ns);
    expect(RESIDENCY_EVICT, demand);
}

static void what_is_idle_for_long_leaves(void **state)
{
    struct residency_claim *a = add(0, 60, 60, 100);
    a->idle_after_ns = 5 * CLOCK_NS_PER_S;
    load(a, 1);
    struct residency_decision decision = next();
    assert_int_equal(decision.wake_ns, now_ns + 5 * CLOCK_NS_PER_S);
    now_ns += 4 * CLOCK_NS_PER_S;
    residency_use(&residency, a, now_ns);
    now_ns += 4 * CLOCK_NS_PER_S;
    expect(RESIDENCY_NOTHING, NULL);
    residency_rest(&residency, a, now_ns);
    now_ns += 5 * CLOCK_NS_PER_S;
    decision = next();
    assert_int_equal(decision.verdict, RESIDENCY_EVICT);
    assert_int_equal(decision.reason, RESIDENCY_IDLE);
}

static void who_waits_for_too_long_is_refused(void **state)
{
    struct residency_claim *a = add(0, 60, 60, 100), *b = add(1, 60, 60, 100);
    residency_set_limit(&residency, 30 * CLOCK_NS_PER_S, now_ns);
    load(a, 1);
    residency_use(&residency, a, now_ns);
    residency_ask(&residency, b, RESIDENCY_DEMAND, now_ns);
    for (struct residency_decision decision;;) {
        decision = next();
        if (decision.verdict == RESIDENCY_REFUSE) {
            assert_int_equal(decision.reason, RESIDENCY_ALL_BUSY);
            break;
        }
        if (decision.verdict == RESIDENCY_NOTHING)
            now_ns = decision.wake_ns;
    }
    assert_int_equal(b->state, RESIDENCY_OUT);
    expect(RESIDENCY_KEEP, a);
}

static void what_grows_makes_others_leave(void **state)
{
    struct residency_claim *a = add(0, 40, 40, 100), *b = add(1, 40, 40, 100);
    load(a, 1);
    load(b, 9);
    assert_false(residency_matters(&residency));
    residency_measured(&residency, b, (struct residency_size){70 * MIB, 0}, now_ns);
    assert_true(residency_matters(&residency));
    expect(RESIDENCY_EVICT, a);
    residency_ended(&residency, a, now_ns);
    expect(RESIDENCY_NOTHING, NULL);
    residency_measured(&residency, b, (struct residency_size){50 * MIB, 0}, now_ns);
    assert_int_equal(residency.held_bytes[0], 70 * MIB); /* it may do so again */
}

/* There is no GPU here: that each has a budget of its own is the same arithmetic. */
static void a_gpu_has_a_budget_of_its_own(void **state)
{
    static const struct residency_figures figures = {
        {10 * MIB, 60 * MIB}, {10 * MIB, 60 * MIB}, 1000000000};
    residency_set_budget(&residency, 1, 100 * (uint64_t)MIB, now_ns);
    residency_set_budget(&residency, 2, 100 * (uint64_t)MIB, now_ns);
    for (size_t i = 0; i < 3; i++) {
        claims[i].id = claims[i].model = i + 1;
        claims[i].device = i == 1 ? 2 : 1;
        residency_add(&residency, &claims[i], &figures, now_ns);
    }
    struct residency_claim *host = add(3, 30, 30, 100);
    load(host, 0);
    load(&claims[0], 5);
    load(&claims[1], 1);
    residency_ask(&residency, &claims[2], RESIDENCY_DEMAND, now_ns);
    expect(RESIDENCY_EVICT, &claims[0]); /* those elsewhere would make no room on that GPU */
}

static void events_are_lines(void **state)
{
    struct residency_event event = {77, RESIDENCY_ON_LOADED, 3, {1, 2, UINT64_MAX, 4}}, read;
    char line[RESIDENCY_LINE_BYTES];
    size_t size = residency_event_write(&event, line);
    assert_true(
        span_equal((struct span){line, size}, SPAN("77 loaded 3 1 2 18446744073709551615 4")));
    assert_true(residency_event_read((struct span){line, size}, &read));
    assert_memory_equal(&read, &event, sizeof event);
    static const char *const wrong[] = {"",          "1",       "1 use",    "1 use x",  "1 fly 2",
                                        "1 use 2 3", "1 ask 2", "-1 use 2", "1 use 2 ", " 1 use 2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(residency_event_read(span_of(wrong[i]), &read));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(what_loads_counts_as_the_most_it_takes),
        TEST(a_herd_is_granted_once),
        TEST(the_least_valuable_leaves),
        TEST(no_more_leave_than_need_to),
        TEST(uses_that_one_load_would_serve_count_once),
        TEST(what_is_busy_stays_and_is_drained_in_the_end),
        TEST(a_drain_ends_when_nobody_waits_any_more),
        TEST(a_more_valuable_one_goes_only_if_the_least_stays_busy),
        TEST(what_is_pinned_stays),
        TEST(newer_files_oust_older_ones_even_if_pinned),
        TEST(an_estimate_is_cut_to_what_there_is),
        TEST(a_config_may_say_what_it_takes),
        TEST(wishes_take_what_is_free_and_leave_room_to_probe_the_rest),
        TEST(a_demand_comes_before_wishes),
        TEST(what_is_idle_for_long_leaves),
        TEST(who_waits_for_too_long_is_refused),
        TEST(what_grows_makes_others_leave),
        TEST(a_gpu_has_a_budget_of_its_own),
        TEST(events_are_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
