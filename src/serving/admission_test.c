/* Who gets memory and who waits: the rules one by one, then a random walk. */
#include "serving/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LIMIT = 8192, MOST = LIMIT / 4 * 3, SMALL = LIMIT / 1024, SMALL_PART = LIMIT / 8 };

static struct admission admission;
static struct admission_share shares[8];

static int set_up(void **state)
{
    admission_init(&admission, LIMIT);
    for (size_t i = 0; i < 8; i++)
        shares[i] = (struct admission_share){0};
    return 0;
}

static void assert_given(size_t i, uint64_t bytes)
{
    assert_true(admission_ask(&admission, &shares[i], bytes, NULL));
    assert_int_equal(shares[i].held_bytes, bytes);
}

static void assert_waits(size_t i, uint64_t bytes)
{
    assert_false(admission_ask(&admission, &shares[i], bytes, NULL));
    assert_int_equal(shares[i].held_bytes, 0);
}

static void assert_next(size_t i)
{
    assert_ptr_equal(admission_next(&admission), &shares[i]);
}

static void assert_nobody(void)
{
    assert_null(admission_next(&admission));
}

static void what_fits_is_given_at_once(void **state)
{
    assert_int_equal(admission_most_bytes(&admission), MOST);
    assert_given(0, MOST);
    admission_leave(&admission, &shares[0]);
    assert_given(0, MOST / 2);
    assert_given(1, MOST / 2);
    assert_waits(2, MOST / 2);
    assert_nobody();
    admission_leave(&admission, &shares[1]);
    assert_next(2);
    assert_nobody();
}

static void who_came_first_goes_first(void **state)
{
    assert_given(0, MOST);
    assert_waits(1, MOST);
    assert_waits(2, 100);
    assert_nobody();
    admission_leave(&admission, &shares[0]);
    assert_next(1);
    assert_nobody();
    admission_leave(&admission, &shares[1]);
    assert_next(2);
}

static void who_leaves_the_queue_lets_others_by(void **state)
{
    assert_given(0, MOST - 200);
    assert_waits(1, 1000);
    assert_waits(2, 100);
    assert_nobody();
    admission_leave(&admission, &shares[1]);
    assert_next(2);
    assert_int_equal(admission.waiting_count, 0);
}

static void small_ones_have_a_part_of_their_own(void **state)
{
    static struct admission_share small[SMALL_PART / SMALL + 1];
    assert_given(0, MOST);
    assert_waits(1, MOST);
    for (size_t i = 0; i < SMALL_PART / SMALL; i++)
        assert_true(admission_ask(&admission, &small[i], SMALL, NULL));
    assert_false(admission_ask(&admission, &small[SMALL_PART / SMALL], SMALL, NULL));
    assert_waits(2, SMALL + 1);
    admission_leave(&admission, &shares[0]);
    assert_next(1);
    assert_nobody();
}

static void nothing_never_waits(void **state)
{
    assert_given(0, MOST);
    assert_waits(1, MOST);
    assert_given(2, 0);
    admission_leave(&admission, &shares[2]);
    assert_int_equal(admission.waiting_count, 1);
}

static void growing_takes_what_is_free_and_never_waits(void **state)
{
    assert_given(0, 100);
    assert_true(admission_grow(&admission, &shares[0], LIMIT - 100));
    assert_false(admission_grow(&admission, &shares[0], 1));
    assert_waits(1, 50);
    assert_nobody();
    admission_leave(&admission, &shares[0]);
    assert_next(1);
    admission_leave(&admission, &shares[1]);
    assert_int_equal(admission.held_bytes, 0);
    assert_true(admission_grow(&admission, &shares[2], LIMIT)); /* without having asked */
    admission_leave(&admission, &shares[2]);
    assert_int_equal(admission.held_bytes, 0);
}

static void a_connection_gets_half_and_others_overtake(void **state)
{
    uint64_t one = 0, other = 0;
    assert_true(admission_ask(&admission, &shares[0], MOST / 2 - 100, &one));
    assert_false(admission_ask(&admission, &shares[1], 200, &one));
    assert_false(admission_ask(&admission, &shares[2], 200, &other)); /* asks in the next turn */
    assert_next(2);
    assert_nobody();
    assert_int_equal(other, 200);
    admission_leave(&admission, &shares[0]);
    assert_next(1);
    assert_int_equal(one, 200);
    admission_leave(&admission, &shares[1]);
    assert_int_equal(one, 0);
}

static void one_request_may_have_more_than_half(void **state)
{
    uint64_t one = 0;
    assert_true(admission_ask(&admission, &shares[0], MOST, &one));
    assert_false(admission_ask(&admission, &shares[1], 100, &one));
    admission_leave(&admission, &shares[0]);
    assert_next(1);
}

static void a_connection_that_goes_is_not_counted_for(void **state)
{
    uint64_t one = 0;
    assert_true(admission_ask(&admission, &shares[0], 1000, &one));
    admission_disconnect(&shares[0]);
    assert_int_equal(one, 0);
    admission_leave(&admission, &shares[0]);
    assert_int_equal(admission.common_bytes, 0);
}

/* ---- a random walk ---- */

enum { WALKS = 300, STEPS = 400, REQUESTS = 24, CONNECTIONS = 3 };

struct walk {
    uint32_t seed;
    struct admission admission;
    struct admission_share shares[REQUESTS];
    bool live[REQUESTS]; /* waits or holds */
    uint64_t connections[CONNECTIONS];
    unsigned given, came;
};

static uint32_t draw(struct walk *walk, uint32_t below)
{
    walk->seed = walk->seed * 1664525 + 1013904223;
    return (walk->seed >> 8) % below;
}

static bool waits(const struct walk *walk, size_t i)
{
    return list_linked(&walk->shares[i].link);
}

static void come(struct walk *walk, size_t i)
{
    static const uint32_t sizes[] = {SMALL, 200, 1000, MOST / 2, MOST};
    uint32_t which = draw(walk, CONNECTIONS + 1);
    uint64_t *connection = which < CONNECTIONS ? &walk->connections[which] : NULL;
    walk->live[i] = true;
    walk->came++;
    walk->given += admission_ask(&walk->admission, &walk->shares[i],
                                 1 + draw(walk, sizes[draw(walk, 5)]), connection);
}

static void let_in(struct walk *walk)
{
    while (admission_next(&walk->admission))
        walk->given++;
}

static void go(struct walk *walk, size_t i)
{
    walk->given += waits(walk, i); /* as far as the walk is concerned, it is dealt with */
    walk->live[i] = false;
    admission_leave(&walk->admission, &walk->shares[i]);
    let_in(walk);
}

static void assert_sound(const struct walk *walk)
{
    uint64_t held = 0, counted = 0, waiting = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        held += walk->shares[i].held_bytes;
        waiting += waits(walk, i);
        assert_true(!waits(walk, i) || walk->shares[i].held_bytes == 0); /* all or nothing */
    }
    for (size_t i = 0; i < CONNECTIONS; i++)
        counted += walk->connections[i];
    assert_int_equal(held, walk->admission.held_bytes);
    assert_int_equal(waiting, walk->admission.waiting_count);
    assert_true(held <= LIMIT && counted <= walk->admission.common_bytes);
    assert_true(walk->admission.common_bytes <= MOST && walk->admission.small_bytes <= SMALL_PART);
}

static void step(struct walk *walk)
{
    size_t i = draw(walk, REQUESTS);
    if (!walk->live[i])
        come(walk, i);
    else if (draw(walk, 4) == 0 && !waits(walk, i))
        admission_grow(&walk->admission, &walk->shares[i], draw(walk, 500));
    else if (draw(walk, 3) == 0 && !waits(walk, i))
        admission_disconnect(&walk->shares[i]);
    else
        go(walk, i);
    assert_sound(walk);
}

/* When those who hold memory end, one by one, everybody gets what it asked for. */
static void assert_all_served(struct walk *walk)
{
    while (walk->admission.waiting_count) {
        size_t i = 0;
        while (i < REQUESTS && (!walk->live[i] || waits(walk, i)))
            i++;
        assert_true(i < REQUESTS); /* somebody holds what is waited for */
        go(walk, i);
        assert_sound(walk);
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        if (walk->live[i])
            go(walk, i);
    }
    assert_int_equal(walk->given, walk->came);
    assert_int_equal(walk->admission.held_bytes, 0);
    assert_int_equal(walk->admission.common_bytes + walk->admission.small_bytes, 0);
}

static uint32_t seed; /* of the walk that runs; 0: none */

static int tell_seed(void **state)
{
    if (seed)
        print_error("that was seed %u\n", seed);
    return 0;
}

static void whatever_happens_all_are_served(void **state)
{
    static struct walk walk;
    for (seed = 1; seed <= WALKS; seed++) {
        walk = (struct walk){.seed = seed};
        admission_init(&walk.admission, LIMIT);
        for (unsigned i = 0; i < STEPS; i++)
            step(&walk);
        assert_all_served(&walk);
    }
    seed = 0;
}

static void what_is_passed_on_counts_as_unforeseen(void **state)
{
    struct admission_share share = {0}, kept = {0}, whole = {0};
    uint64_t connection = 0;
    admission_init(&admission, 1600);
    assert_true(admission_ask(&admission, &share, 300, &connection));
    admission_pass(&admission, &share, 100, &kept);
    assert_int_equal(admission.held_bytes, 100);
    assert_int_equal(connection, 0);
    assert_true(admission_ask(&admission, &whole, admission_most_bytes(&admission), NULL));
    admission_leave(&admission, &whole);
    admission_leave(&admission, &kept);
    assert_int_equal(admission.held_bytes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_passed_on_counts_as_unforeseen),
        TEST(what_fits_is_given_at_once),
        TEST(who_came_first_goes_first),
        TEST(who_leaves_the_queue_lets_others_by),
        TEST(small_ones_have_a_part_of_their_own),
        TEST(nothing_never_waits),
        TEST(growing_takes_what_is_free_and_never_waits),
        TEST(a_connection_gets_half_and_others_overtake),
        TEST(one_request_may_have_more_than_half),
        TEST(a_connection_that_goes_is_not_counted_for),
        cmocka_unit_test_setup_teardown(whatever_happens_all_are_served, set_up, tell_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
