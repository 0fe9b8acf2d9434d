/* Unit tests of net/conn.h: each over every kind of connection. */
#include "net/conn_fixture.h"

#include "base/clock.h"

#include <unistd.h>

static bool never(struct test *test)
{
    return false;
}

static bool both_closed(struct test *test)
{
    return !test->a.conn && !test->b.conn;
}

static bool a_closed(struct test *test)
{
    return !test->a.conn;
}

static bool b_ended(struct test *test)
{
    return test->b.ended;
}

static bool b_has_5(struct test *test)
{
    return test->b.received.size >= 5;
}

static bool a_has_5(struct test *test)
{
    return test->a.received.size >= 5;
}

static bool b_has_big_and_a_drained(struct test *test)
{
    return test->b.received.size >= BIG_BYTES && test->a.drained > 0;
}

static bool send_text(struct side *side, const char *text)
{
    struct iovec vector = {(void *)(uintptr_t)text, strlen(text)};
    return conn_send(side->conn, &vector, 1);
}

static void assert_received(const struct side *side, const char *text)
{
    assert_int_equal(side->received.size, strlen(text));
    assert_memory_equal(side->received.data, text, strlen(text));
}

/* 8 MiB that no kernel buffer takes at once; every byte depends on its place. */
static char *big_new(void)
{
    char *big = malloc(BIG_BYTES);
    assert_non_null(big);
    for (size_t i = 0; i < BIG_BYTES; i++)
        big[i] = (char)(i * 31 + (i >> 12));
    return big;
}

/* Tests */

static void what_is_sent_is_received_in_order(void **state)
{
    struct test *test = *state;
    struct iovec vectors[] = {{"he", 2}, {"", 0}, {"ll", 2}};
    assert_true(conn_send(test->a.conn, vectors, 3));
    assert_true(send_text(&test->a, "o"));
    assert_int_equal(test->b.received.size, 0);
    run_until(test, b_has_5);
    assert_received(&test->b, "hello");
    assert_int_equal(test->a.drained, 0);
    assert_int_equal(conn_unsent_bytes(test->a.conn), 0);
    assert_int_equal(conn_stalled_since_ns(test->a.conn), 0);
}

static void bytes_go_where_the_owner_says(void **state)
{
    struct test *test = *state;
    test->b.room_bytes = 1;
    send_text(&test->a, "hello");
    run_until(test, b_has_5);
    assert_received(&test->b, "hello");
}

static void a_slow_reader_gets_everything_later(void **state)
{
    struct test *test = *state;
    char *big = big_new();
    struct iovec vectors[3] = {{big, 1000}, {big + 1000, 5000000}, {big + 5001000, 0}};
    conn_pause(test->b.conn);
    assert_false(conn_send(test->a.conn, vectors, 3));
    size_t unsent = conn_unsent_bytes(test->a.conn);
    assert_true(unsent > 0 && unsent < 5001000);
    assert_true(conn_stalled_since_ns(test->a.conn) > 0);
    for (size_t at = 5001000; at < BIG_BYTES; at += 4096) { /* many more, behind the first */
        struct iovec more = {big + at, BIG_BYTES - at < 4096 ? BIG_BYTES - at : 4096};
        assert_false(conn_send(test->a.conn, &more, 1));
    }
    vectors[0] = vectors[1] = vectors[2] = (struct iovec){0}; /* the array need not stay */
    conn_resume(test->b.conn);
    run_until(test, b_has_big_and_a_drained);
    assert_int_equal(test->b.received.size, BIG_BYTES);
    assert_memory_equal(test->b.received.data, big, BIG_BYTES);
    assert_int_equal(test->a.drained, 1);
    assert_int_equal(conn_unsent_bytes(test->a.conn), 0);
    assert_int_equal(conn_stalled_since_ns(test->a.conn), 0);
    free(big);
}

static bool a_got_on(struct test *test)
{
    return conn_unsent_bytes(test->a.conn) < test->unsent_bytes;
}

static void time_over(struct timer *timer)
{
    loop_stop(list_entry(timer, struct test, guard)->loop);
}

static void run_for_ms(struct test *test, uint64_t after_ms)
{
    test->done = never;
    timer_start(&test->guard, test->loop, after_ms, time_over);
    loop_run(test->loop);
}

static void a_stall_is_timed_from_the_last_progress(void **state)
{
    struct test *test = *state;
    test->big = big_new();
    test->b.forget = true;
    conn_pause(test->b.conn);
    for (int i = 0; i < 8; i++) /* more than is ever taken in one turn */
        assert_false(conn_send(test->a.conn, &(struct iovec){test->big, BIG_BYTES}, 1));
    run_for_ms(test, 30); /* the kernel may take a little more at first */
    uint64_t stalled_ns = conn_stalled_since_ns(test->a.conn);
    run_for_ms(test, 30);
    assert_true(conn_stalled_since_ns(test->a.conn) == stalled_ns);
    assert_true(stalled_ns > 0 && stalled_ns < loop_now_ns(test->loop));
    test->unsent_bytes = conn_unsent_bytes(test->a.conn);
    conn_resume(test->b.conn);
    run_until(test, a_got_on);
    assert_true(conn_stalled_since_ns(test->a.conn) > stalled_ns);
}

static void send_five_times(struct side *side)
{
    if (side->drained < 5)
        assert_false(conn_send(side->conn, &(struct iovec){side->test->big, BIG_BYTES}, 1));
}

static bool drained_5_times(struct test *test)
{
    return test->a.drained == 5;
}

static void drained_may_send_again(void **state)
{
    struct test *test = *state;
    test->big = big_new(); /* freed by `part` */
    test->b.forget = true;
    test->a.on_drained = send_five_times;
    assert_false(conn_send(test->a.conn, &(struct iovec){test->big, BIG_BYTES}, 1));
    run_until(test, drained_5_times);
}

static void nothing_is_received_while_paused(void **state)
{
    struct test *test = *state;
    conn_pause(test->b.conn);
    send_text(&test->a, "hello");
    send_text(&test->b, "hello"); /* comes after the other, so b would have received */
    run_until(test, a_has_5);
    assert_int_equal(test->b.received.size, 0);
    conn_resume(test->b.conn);
    run_until(test, b_has_5);
    assert_received(&test->b, "hello");
}

static void no_room_pauses(void **state)
{
    struct test *test = *state;
    test->b.room_bytes = 0;
    send_text(&test->a, "hello");
    send_text(&test->b, "hello");
    run_until(test, a_has_5);
    assert_int_equal(test->b.received.size, 0);
    test->b.room_bytes = 100;
    conn_resume(test->b.conn);
    run_until(test, b_has_5);
}

static void pause_it(struct side *side)
{
    conn_pause(side->conn);
}

static void pause_within_received_holds(void **state)
{
    struct test *test = *state;
    test->b.room_bytes = 2;
    test->b.on_received = pause_it;
    send_text(&test->a, "hello");
    send_text(&test->b, "hello");
    run_until(test, a_has_5);
    assert_received(&test->b, "he");
    test->b.on_received = NULL;
    conn_resume(test->b.conn);
    run_until(test, b_has_5);
    assert_received(&test->b, "hello");
}

static void abort_it(struct side *side)
{
    conn_abort(side->conn);
    assert_non_null(side->conn); /* `closed` comes later */
    assert_false(send_text(side, "x"));
    conn_pause(side->conn);
    conn_resume(side->conn);
    conn_finish(side->conn);
    conn_abort(side->conn);
}

static void abort_within_received_ends_it(void **state)
{
    struct test *test = *state;
    test->b.room_bytes = 2;
    test->b.on_received = abort_it;
    send_text(&test->a, "hello");
    test->a.on_end = abort_it;
    run_until(test, both_closed);
    assert_received(&test->b, "he");
}

static void abort_cancels_what_is_unsent(void **state)
{
    struct test *test = *state;
    char *big = big_new();
    conn_pause(test->b.conn);
    assert_false(conn_send(test->a.conn, &(struct iovec){big, BIG_BYTES}, 1));
    conn_abort(test->a.conn);
    run_until(test, a_closed);
    assert_int_equal(test->a.drained, 0);
    free(big);
}

static void finish_it(struct side *side)
{
    conn_finish(side->conn);
}

/* The owner that sniffs hands over within `received`. */
struct sniffer {
    struct side *heir;
    char byte;
    unsigned received;
};

static struct room sniffer_room(void *owner)
{
    struct sniffer *sniffer = owner;
    return (struct room){&sniffer->byte, 1};
}

static void sniffer_received(void *owner, size_t count)
{
    struct sniffer *sniffer = owner;
    sniffer->received++;
    conn_own(sniffer->heir->conn, &side_calls, sniffer->heir);
}

static void the_next_owner_receives_the_rest(void **state)
{
    struct test *test = *state;
    struct sniffer sniffer = {.heir = &test->b};
    static const struct conn_owner sniffer_calls = {.room = sniffer_room,
                                                    .received = sniffer_received};
    conn_own(test->b.conn, &sniffer_calls, &sniffer);
    send_text(&test->a, ">hello");
    run_until(test, b_has_5);
    assert_int_equal(sniffer.byte, '>');
    assert_int_equal(sniffer.received, 1);
    assert_received(&test->b, "hello");
}

static void finish_sends_everything_then_closes(void **state)
{
    struct test *test = *state;
    char *big = big_new();
    assert_false(conn_send(test->a.conn, &(struct iovec){big, BIG_BYTES}, 1));
    conn_finish(test->a.conn);
    test->b.on_end = abort_it;
    run_until(test, both_closed);
    assert_int_equal(test->b.received.size, BIG_BYTES);
    assert_memory_equal(test->b.received.data, big, BIG_BYTES);
    assert_true(test->b.ended);
    assert_int_equal(test->a.drained, 1);
    free(big);
}

static void drained_may_finish(void **state)
{
    struct test *test = *state;
    char *big = big_new();
    assert_false(conn_send(test->a.conn, &(struct iovec){big, BIG_BYTES}, 1));
    test->a.on_drained = finish_it;
    test->b.on_end = abort_it;
    run_until(test, both_closed);
    assert_int_equal(test->b.received.size, BIG_BYTES);
    free(big);
}

/* A client that goes on sending must still get to read the answer that refuses it. */
static void a_last_answer_survives_what_is_unread(void **state)
{
    struct test *test = *state;
    char *big = big_new();
    assert_false(conn_send(test->b.conn, &(struct iovec){big, BIG_BYTES}, 1));
    send_text(&test->a, "refused");
    conn_finish(test->a.conn);
    test->b.on_end = finish_it;
    run_until(test, both_closed);
    assert_received(&test->b, "refused");
    assert_int_equal(test->b.drained, 1); /* all was read, and dropped */
    assert_int_equal(test->a.received.size, 0);
    free(big);
}

static void lingering_ends(void **state)
{
    struct test *test = *state;
    uint64_t before_ns = loop_now_ns(test->loop); /* which timers begin at */
    conn_finish(test->a.conn);
    run_until(test, b_ended);
    assert_non_null(test->a.conn);
    run_until(test, a_closed);
    assert_non_null(test->b.conn);
    assert_true(clock_now_ns() - before_ns >= 2000 * CLOCK_NS_PER_MS);
}

static void a_half_closed_peer_still_reads(void **state)
{
    struct test *test = *state;
    send_text(&test->a, "hello");
    conn_finish(test->a.conn);
    run_until(test, b_ended);
    assert_received(&test->b, "hello");
    assert_true(send_text(&test->b, "answer"));
    conn_finish(test->b.conn);
    run_until(test, both_closed);
}

static void a_peer_that_is_gone_is_noticed(void **state)
{
    struct test *test = *state;
    char *big = big_new();
    conn_pause(test->b.conn);
    assert_false(conn_send(test->a.conn, &(struct iovec){big, BIG_BYTES}, 1));
    conn_abort(test->b.conn); /* with unread bytes: a reset */
    run_until(test, both_closed);
    assert_int_equal(test->a.drained, 0);
    free(big);
}

static void less_than_expected_is_received_too(void **state)
{
    struct test *test = *state;
    conn_expect(test->b.conn, 1 << 20);
    send_text(&test->a, "hello");
    run_until(test, b_has_5);
    assert_received(&test->b, "hello");
}

static bool b_has_big(struct test *test)
{
    return test->b.received.size >= BIG_BYTES;
}

static void expect_the_rest(struct side *side)
{
    conn_expect(side->conn, BIG_BYTES - side->received.size);
}

static void what_was_expected_is_received(void **state)
{
    struct test *test = *state;
    char *big = big_new();
    test->b.room_bytes = 100000;
    test->b.on_received = expect_the_rest;
    conn_send(test->a.conn, &(struct iovec){big, BIG_BYTES}, 1);
    run_until(test, b_has_big);
    assert_memory_equal(test->b.received.data, big, BIG_BYTES);
    free(big);
}

/* A kind of connection that only notes what it is told to wait for. */
struct patient {
    struct conn conn;
    size_t expected_bytes;
    unsigned told;
};

static void note_expected(struct conn *conn, size_t bytes)
{
    struct patient *patient = list_entry(conn, struct patient, conn);
    patient->expected_bytes = bytes;
    patient->told++;
    loop_stop(conn->loop);
}

static void close_nothing(struct conn *conn)
{
}

static void expectations_are_bounded_in_size_and_time(void **state)
{
    static const struct conn_kind kind = {.expect = note_expected, .close = close_nothing};
    struct error error;
    struct loop *loop = loop_new(&error);
    struct patient patient = {.told = 0};
    conn_init(&patient.conn, &kind, loop);
    conn_expect(&patient.conn, 0);
    conn_expect(&patient.conn, 1000);
    assert_int_equal(patient.told, 0);
    conn_expect(&patient.conn, 100000);
    assert_int_equal(patient.expected_bytes, 100000);
    conn_expect(&patient.conn, 1 << 20);
    conn_expect(&patient.conn, UINT64_MAX);
    assert_int_equal(patient.expected_bytes, 1 << 19);
    conn_expect(&patient.conn, 1000);
    assert_int_equal(patient.expected_bytes, 1);
    conn_expect(&patient.conn, 50000);
    assert_int_equal(patient.told, 4);
    patient.told = 0;
    while (!patient.told)
        loop_run(loop);
    assert_int_equal(patient.expected_bytes, 1);
    conn_abort(&patient.conn);
    conn_gone(&patient.conn);
    loop_free(loop);
}

static void the_end_is_told_once(void **state)
{
    struct test *test = *state;
    conn_abort(test->a.conn);
    run_until(test, b_ended);
    conn_resume(test->b.conn);
    conn_pause(test->b.conn);
    conn_resume(test->b.conn);
    conn_finish(test->b.conn);
    run_until(test, both_closed);
}

static void the_loop_closes_what_is_open(void **state)
{
    struct test *test = *state;
    test->big = big_new(); /* must stay until `closed` */
    conn_pause(test->b.conn);
    assert_false(conn_send(test->a.conn, &(struct iovec){test->big, BIG_BYTES}, 1));
    conn_finish(test->b.conn); /* and `part` does the rest */
}

static void a_peer_has_an_address(void **state)
{
    struct test *test = *state;
    char text[64];
    conn_peer(test->b.conn, text, sizeof text);
    assert_true(strncmp(text, "127.0.0.1:", 10) == 0 || strcmp(text, "unix") == 0 ||
                strcmp(text, "pair") == 0);
    assert_ptr_equal(conn_loop(test->b.conn), test->loop);
}

static void the_kernel_says_where_the_other_end_is(void **state)
{
    struct test *test = *state;
    const struct conn_origin *origin = conn_origin(test->b.conn);
    char peer[64];
    conn_peer(test->b.conn, peer, sizeof peer);
    if (strcmp(peer, "unix") == 0) {
        assert_int_equal(origin->place, CONN_UNIX);
        assert_int_equal(origin->uid, getuid());
    } else {
        bool loopback = strncmp(peer, "127.0.0.1:", 10) == 0;
        assert_int_equal(origin->place, loopback ? CONN_LOOPBACK : CONN_ELSEWHERE);
    }
}

#define OVER(kind, name) {#kind ": " #name, name, join_##kind, part, NULL}
#define TEST(name)                                                                                 \
    OVER(tcp, name), OVER(unix, name), OVER(pair, name), OVER(tls, name), OVER(tls_tcp, name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_sent_is_received_in_order),
        TEST(bytes_go_where_the_owner_says),
        TEST(a_slow_reader_gets_everything_later),
        TEST(a_stall_is_timed_from_the_last_progress),
        TEST(drained_may_send_again),
        TEST(nothing_is_received_while_paused),
        TEST(no_room_pauses),
        TEST(pause_within_received_holds),
        TEST(abort_within_received_ends_it),
        TEST(abort_cancels_what_is_unsent),
        TEST(the_next_owner_receives_the_rest),
        TEST(finish_sends_everything_then_closes),
        TEST(drained_may_finish),
        TEST(a_last_answer_survives_what_is_unread),
        TEST(lingering_ends),
        TEST(a_half_closed_peer_still_reads),
        TEST(a_peer_that_is_gone_is_noticed),
        TEST(less_than_expected_is_received_too),
        TEST(what_was_expected_is_received),
        cmocka_unit_test(expectations_are_bounded_in_size_and_time),
        TEST(the_end_is_told_once),
        TEST(the_loop_closes_what_is_open),
        TEST(a_peer_has_an_address),
        TEST(the_kernel_says_where_the_other_end_is),
    };
    return cmocka_run_group_tests_name("net/conn", tests, make_certificate, drop_certificate);
}
