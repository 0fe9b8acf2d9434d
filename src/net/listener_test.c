/* Unit tests of listeners: accepting, and what happens when something is full. */
#include "net/listener.h"

#include "base/clock.h"
#include "net/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_CLIENTS = 1000, GUARD_MS = 20000 };

struct test {
    struct loop *loop;
    struct listener *listener;
    struct listen_socket socket;
    char address[64];
    int clients[MAX_CLIENTS];
    int client_count;
    unsigned accepted, closed;
    unsigned accepted_goal, closed_goal; /* the loop stops when both are met */
    struct conn *last;
    char byte;
    struct timer guard;
};

static struct test test;

static void stop_when_done(void)
{
    if (test.accepted >= test.accepted_goal && test.closed >= test.closed_goal)
        loop_stop(test.loop);
}

static struct room give_byte(void *owner)
{
    return (struct room){&test.byte, 1};
}

static void on_received(void *owner, size_t count)
{
}

static void on_end(void *owner)
{
    conn_abort(*(struct conn **)owner);
}

static void on_closed(void *owner)
{
    free(owner);
    test.closed++;
    stop_when_done();
}

static void accept_conn(void *context, struct conn *conn)
{
    static const struct conn_owner calls = {
        .room = give_byte, .received = on_received, .received_end = on_end, .closed = on_closed};
    struct conn **owner = malloc(sizeof *owner);
    assert_non_null(owner);
    assert_ptr_equal(context, &test);
    *owner = test.last = conn;
    conn_own(conn, &calls, owner);
    test.accepted++;
    stop_when_done();
}

static void too_late(struct timer *guard)
{
    fail_msg("%u accepted, %u closed", test.accepted, test.closed);
}

static void run_until(unsigned accepted, unsigned closed)
{
    test.accepted_goal = accepted;
    test.closed_goal = closed;
    timer_start(&test.guard, test.loop, GUARD_MS, too_late);
    stop_when_done();
    loop_run(test.loop);
    timer_stop(&test.guard);
}

static void stop(struct timer *timer)
{
    loop_stop(timer->loop ? timer->loop : test.loop);
}

/* Long enough for what should not happen to happen. */
static void run_for_ms(uint64_t after_ms)
{
    struct timer timer = {0};
    test.accepted_goal = test.closed_goal = UINT32_MAX;
    timer_start(&timer, test.loop, after_ms, stop);
    loop_run(test.loop);
}

static int start(void **state)
{
    test = (struct test){0};
    test.loop = loop_new(NULL);
    return test.loop ? 0 : -1;
}

static int end(void **state)
{
    for (int i = 0; i < test.client_count; i++)
        close(test.clients[i]);
    loop_free(test.loop);
    assert_int_equal(test.closed, test.accepted);
    return 0;
}

static void listen_on(const char *address, size_t max_conns)
{
    struct error error;
    if (!listen_socket_open(address, LISTEN_MAIN, 0600, &test.socket, &error))
        fail_msg("%s", error.message);
    test.listener =
        listener_new(test.loop, &test.socket, NULL, max_conns, accept_conn, &test, &error);
    assert_non_null(test.listener);
    unsigned port = listener_port(test.listener);
    const char *colon = strrchr(address, ':');
    if (port)
        snprintf(test.address, sizeof test.address, "%.*s:%u", (int)(colon - address), address,
                 port);
    else
        snprintf(test.address, sizeof test.address, "%s", address);
}

/* A connected client; the kernel connects it before anybody accepts. */
static int client_new(const char *address)
{
    struct sockaddr_storage to;
    socklen_t to_size;
    assert_true(address_parse(address, &to, &to_size, NULL));
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, to_size), 0);
    return test.clients[test.client_count++] = fd;
}

/* Some containers have no IPv6. */
static void need_ipv6(void)
{
    struct listen_socket socket;
    if (!listen_socket_open("[::1]:0", LISTEN_MAIN, 0600, &socket, NULL))
        skip();
    listen_socket_close(&socket);
}

static void both_families_are_accepted(void **state)
{
    static const char *const addresses[] = {"127.0.0.1:0", "localhost:0", "[::1]:0"};
    need_ipv6();
    for (unsigned i = 0; i < 3; i++) {
        listen_on(addresses[i], 10);
        client_new(test.address);
        run_until(i + 1, 0);
        listener_close(test.listener);
    }
}

static void ipv6_any_is_ipv4_any_too(void **state)
{
    char address[64], peer[64];
    need_ipv6();
    listen_on("[::]:0", 10);
    snprintf(address, sizeof address, "127.0.0.1:%u", listener_port(test.listener));
    client_new(address);
    run_until(1, 0);
    conn_peer(test.last, peer, sizeof peer);
    assert_memory_equal(peer, "127.0.0.1:", 10);
}

static int option_of(int fd, int level, int option)
{
    int value = 0;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &size), 0);
    return value;
}

static void accepted_sockets_have_their_options(void **state)
{
    listen_on("127.0.0.1:0", 10);
    int client = client_new(test.address), before = dup(client);
    assert_true(before >= 0);
    close(before);
    run_until(1, 0);
    /* The accepted socket has taken the lowest free descriptor. */
    assert_int_equal(option_of(before, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(option_of(before, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option_of(before, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    assert_int_equal(option_of(before, IPPROTO_TCP, TCP_KEEPINTVL), 10);
    assert_int_equal(option_of(before, IPPROTO_TCP, TCP_KEEPCNT), 6);
}

/* When something is full */

static double cpu_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6;
}

static void no_more_than_max_conns_are_open(void **state)
{
    listen_on("127.0.0.1:0", 3);
    for (int i = 0; i < 8; i++)
        client_new(test.address);
    run_until(3, 0);
    double before = cpu_ms();
    run_for_ms(150);
    assert_int_equal(test.accepted, 3);
    assert_true(cpu_ms() - before < 75); /* does not spin */
    close(test.clients[0]);
    test.clients[0] = dup(test.clients[1]);
    run_until(4, 1); /* one is gone: one more */
    run_for_ms(20);
    assert_int_equal(test.accepted, 4);
    for (int i = 0; i < test.client_count; i++)
        close(test.clients[i]);
    test.client_count = 0;
    run_until(8, 8);
}

/* Leaves `count` descriptors free. */
static void limit_descriptors(rlim_t count)
{
    int lowest = dup(0);
    assert_true(lowest >= 0);
    close(lowest);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)lowest + count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void lift_limit(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void without_descriptors_clients_wait(void **state)
{
    listen_on("127.0.0.1:0", 100);
    for (int i = 0; i < 6; i++)
        client_new(test.address);
    limit_descriptors(2);
    run_until(2, 0);
    double before = cpu_ms();
    run_for_ms(250);
    assert_int_equal(test.accepted, 2);
    assert_true(cpu_ms() - before < 75); /* does not spin */
    shutdown(test.clients[0], SHUT_WR);
    run_until(3, 1); /* at once, for one of its own is gone */
    lift_limit();
    run_until(6, 1); /* by the timer */
}

static void a_thousand_come_and_go(void **state)
{
    listen_on("127.0.0.1:0", MAX_CLIENTS);
    lift_limit();
    for (unsigned round = 1; round <= 2; round++) {
        while (test.client_count < MAX_CLIENTS)
            client_new(test.address);
        run_until(round * MAX_CLIENTS, (round - 1) * MAX_CLIENTS);
        for (int i = 0; i < test.client_count; i++)
            close(test.clients[i]);
        test.client_count = 0;
        run_until(round * MAX_CLIENTS, round * MAX_CLIENTS);
    }
}

static void conns_outlive_their_listener(void **state)
{
    listen_on("127.0.0.1:0", 10);
    client_new(test.address);
    run_until(1, 0);
    listener_close(test.listener);
    run_for_ms(5);
    assert_int_equal(test.closed, 0);
    conn_abort(test.last);
    run_until(1, 1);
}

static void accept_and_close(void *context, struct conn *conn)
{
    listener_close(test.listener);
    conn_abort(conn);
    loop_stop(test.loop);
}

static void accept_may_close_the_listener(void **state)
{
    struct listen_socket socket;
    assert_true(listen_socket_open("127.0.0.1:0", LISTEN_MAIN, 0600, &socket, NULL));
    test.listener = listener_new(test.loop, &socket, NULL, 10, accept_and_close, &test, NULL);
    assert_non_null(test.listener);
    snprintf(test.address, sizeof test.address, "127.0.0.1:%u", listener_port(test.listener));
    client_new(test.address);
    client_new(test.address);
    loop_run(test.loop);
    run_for_ms(5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_families_are_accepted),          TEST(ipv6_any_is_ipv4_any_too),
        TEST(accepted_sockets_have_their_options), TEST(no_more_than_max_conns_are_open),
        TEST(without_descriptors_clients_wait),    TEST(a_thousand_come_and_go),
        TEST(conns_outlive_their_listener),        TEST(accept_may_close_the_listener),
    };
    return cmocka_run_group_tests_name("net/listener", tests, NULL, NULL);
}
