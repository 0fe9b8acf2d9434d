/* Visits to a managed server whose keeper the test plays: what is asked of it, who gets what it
 * makes, and what happens when it does not. */
#include "serving/server_pool.h"
#include "serving/visit.h"

#include "net/conn.h"
#include "serving/serving_fixture.h"
#include "worker/fd_pass.h"
#include "worker/keeper_line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A request to the server. */
struct visitor {
    struct visit visit; /* first */
    struct conn *conn;
    unsigned given, refused;
    bool used;
    struct error error;
};

static int setup(void **state)
{
    static struct fixture f;
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "app", 1)->server = true;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    return 0;
}

static void on_given(struct visit *visit, struct conn *conn, bool used)
{
    struct visitor *visitor = (struct visitor *)visit;
    visitor->given++;
    visitor->conn = conn;
    visitor->used = used;
}

static void on_refused(struct visit *visit, const struct error *error)
{
    struct visitor *visitor = (struct visitor *)visit;
    visitor->refused++;
    visitor->error = *error;
}

static void begin(struct fixture *f, struct visitor *visitor)
{
    struct error error;
    *visitor = (struct visitor){.given = 0};
    assert_true(visit_init(&visitor->visit, fixture_version(f, "app"), &error));
    visitor->visit.given = on_given;
    visitor->visit.refused = on_refused;
    visit_submit(&visitor->visit);
    assert_int_equal(visitor->given + visitor->refused, 0);
    fixture_turn(f);
}

static void give_back(struct fixture *f, struct visitor *visitor, bool reusable)
{
    if (visitor->conn)
        conn_disown(visitor->conn);
    visit_return(&visitor->visit, visitor->conn, reusable);
    visitor->conn = NULL;
    visit_fini(&visitor->visit, VISIT_ANSWERED);
    fixture_turn(f);
}

/* ---- the keeper ---- */

/* How many connections it is asked for, that it was not asked for before. */
static unsigned asked(struct played_worker *worker)
{
    char bytes[64];
    ssize_t size = recv(worker->line, bytes, sizeof bytes, MSG_DONTWAIT);
    for (ssize_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], KEEPER_CONNECT);
    return size > 0 ? (unsigned)size : 0;
}

/* Sends an answer with descriptors, which are closed here. */
static void send_descriptors(struct fixture *f, struct played_worker *worker, int failure,
                             const int *fds, size_t count)
{
    struct keeper_answer words = {.failure = failure};
    assert_int_equal(fd_pass_send(worker->line, &words, sizeof words, fds, count, 0), 0);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    fixture_turn(f);
}

/* With one; -1: with none. */
static void send_answer(struct fixture *f, struct played_worker *worker, int failure, int fd)
{
    send_descriptors(f, worker, failure, &fd, fd >= 0);
}

/* Makes a connection, whose other end is the server's. */
static int connect_one(struct fixture *f, struct played_worker *worker)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    send_answer(f, worker, 0, pair[0]);
    return pair[1];
}

static bool is_closed(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 0) == 1 && (one.revents & POLLHUP);
}

/* The server's newest worker becomes ready. */
static struct played_worker *next_ready(struct fixture *f)
{
    struct played_worker *worker = worker_of(f, "app");
    assert_non_null(worker);
    worker_ready(f, worker, 0);
    return worker;
}

static struct played_worker *make_ready(struct fixture *f)
{
    fixture_scan(f);
    return next_ready(f);
}

/* A visit to a server that is ready, for which a connection is made: the server's end. */
static int be_given(struct fixture *f, struct played_worker *worker, struct visitor *visitor)
{
    begin(f, visitor);
    assert_int_equal(asked(worker), 1);
    int server = connect_one(f, worker);
    assert_int_equal(visitor->given, 1);
    return server;
}

/* ---- the tests ---- */

static void who_comes_early_waits_for_the_server(void **state)
{
    struct fixture *f = *state;
    struct visitor visitor;
    fixture_scan(f);
    begin(f, &visitor);
    struct played_worker *worker = worker_of(f, "app");
    assert_int_equal(asked(worker), 0);
    worker_ready(f, worker, 0);
    assert_int_equal(asked(worker), 1);
    int server = connect_one(f, worker);
    assert_int_equal(visitor.given, 1);
    assert_false(visitor.used);
    give_back(f, &visitor, false);
    assert_true(is_closed(server));
    close(server);
}

static void connections_are_used_again(void **state)
{
    struct fixture *f = *state;
    struct visitor one, two;
    struct played_worker *worker = make_ready(f);
    int server = be_given(f, worker, &one);
    give_back(f, &one, true);
    assert_false(is_closed(server));
    begin(f, &two);
    assert_int_equal(asked(worker), 0);
    assert_int_equal(two.given, 1);
    assert_true(two.used);
    give_back(f, &two, false);
    close(server);
}

static void what_the_server_has_closed_is_not_used(void **state)
{
    struct fixture *f = *state;
    struct visitor one, two;
    struct played_worker *worker = make_ready(f);
    int server = be_given(f, worker, &one);
    give_back(f, &one, true);
    close(server);
    begin(f, &two);
    assert_int_equal(two.given, 0);
    assert_int_equal(asked(worker), 1);
    server = connect_one(f, worker);
    assert_int_equal(two.given, 1);
    give_back(f, &two, false);
    close(server);
}

static void no_more_at_once_than_its_config_says(void **state)
{
    struct fixture *f = *state;
    struct visitor visitors[4];
    struct played_worker *worker = make_ready(f);
    for (size_t i = 0; i < 4; i++)
        begin(f, &visitors[i]);
    assert_int_equal(asked(worker), 2);
    int first = connect_one(f, worker), second = connect_one(f, worker);
    assert_int_equal(visitors[0].given + visitors[1].given, 2);
    assert_int_equal(asked(worker), 0);
    give_back(f, &visitors[1], true);
    assert_int_equal(visitors[2].given, 1); /* in the order in which they came */
    assert_true(visitors[2].used);
    give_back(f, &visitors[0], false);
    assert_int_equal(asked(worker), 1);
    int third = connect_one(f, worker);
    assert_int_equal(visitors[3].given, 1);
    give_back(f, &visitors[2], false);
    give_back(f, &visitors[3], false);
    close(first);
    close(second);
    close(third);
}

static void who_leaves_while_waiting_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct visitor visitor;
    struct played_worker *worker = make_ready(f);
    begin(f, &visitor);
    assert_int_equal(asked(worker), 1);
    visit_fini(&visitor.visit, VISIT_LEFT);
    int server = connect_one(f, worker); /* it lies idle */
    assert_int_equal(visitor.given, 0);
    assert_int_equal(fixture_generation(f, "app")->pool->open, 1);
    close(server);
}

static void a_refusal_is_asked_again(void **state)
{
    struct fixture *f = *state;
    struct visitor visitor;
    struct played_worker *worker = make_ready(f);
    struct server_pool *pool = fixture_generation(f, "app")->pool;
    begin(f, &visitor);
    assert_int_equal(asked(worker), 1);
    send_answer(f, worker, ECONNREFUSED, -1);
    assert_int_equal(visitor.given + visitor.refused, 0);
    assert_true(timer_running(&pool->again));
    timer_stop(&pool->again);
    pool->again.fire(&pool->again);
    fixture_turn(f);
    assert_int_equal(asked(worker), 1);
    int server = connect_one(f, worker);
    assert_int_equal(visitor.given, 1);
    give_back(f, &visitor, false);
    close(server);
}

static void a_server_that_accepts_nobody_fails_its_visits(void **state)
{
    struct fixture *f = *state;
    struct visitor visitor;
    struct played_worker *worker = make_ready(f);
    begin(f, &visitor);
    fixture_generation(f, "app")->pool->refused_since_ns = 1; /* long ago */
    send_answer(f, worker, ECONNREFUSED, -1);
    assert_int_equal(visitor.refused, 1);
    assert_int_equal(visitor.error.code, ERROR_BAD_GATEWAY);
    visit_fini(&visitor.visit, VISIT_FAILED);
}

static void a_dead_keeper_is_replaced_for_those_who_wait(void **state)
{
    struct fixture *f = *state;
    struct visitor running, waiting;
    struct played_worker *worker = make_ready(f);
    begin(f, &running);
    int server = connect_one(f, worker);
    assert_int_equal(running.given, 1);
    begin(f, &waiting);
    worker_end(f, worker, "exited with status 3");
    assert_int_equal(waiting.given + waiting.refused, 0);
    pass_time(f, fixture_generation(f, "app"));
    worker = next_ready(f);
    assert_int_equal(asked(worker), 1);
    int other = connect_one(f, worker);
    assert_int_equal(waiting.given, 1);
    give_back(f, &running, true); /* with the server that has gone it ends in any case */
    give_back(f, &waiting, false);
    close(server);
    close(other);
}

static void a_server_that_fails_refuses_who_waits(void **state)
{
    struct fixture *f = *state;
    struct visitor visitor;
    fixture_scan(f);
    begin(f, &visitor);
    struct played_worker *worker = worker_of(f, "app");
    worker_fail(f, worker, TENSORD_INVALID_ARGUMENT);
    worker_end(f, worker, "exited with status 1");
    assert_int_equal(visitor.refused, 1);
    assert_int_equal(visitor.error.code, ERROR_FAILED);
    visit_fini(&visitor.visit, VISIT_FAILED);
}

static void lies_are_answered_by_killing(void **state)
{
    struct fixture *f = *state;
    struct played_worker *worker = make_ready(f);
    send_answer(f, worker, 0, dup(worker->line)); /* nobody has asked */
    assert_true(worker->killed);
}

static void descriptors_beyond_the_one_are_a_lie_and_closed(void **state)
{
    static const int failures[] = {0, ECONNREFUSED};
    struct fixture *f = *state;
    for (size_t i = 0; i < 2; i++) {
        struct visitor visitor;
        struct played_worker *worker = i ? worker_of(f, "app") : make_ready(f);
        int one[2], other[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, one), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other), 0);
        begin(f, &visitor);
        send_descriptors(f, worker, failures[i], (const int[]){one[0], other[0]}, 2);
        assert_int_equal(visitor.given, 0);
        assert_true(worker->killed);
        assert_true(is_closed(one[1]) && is_closed(other[1]));
        close(one[1]);
        close(other[1]);
        visit_fini(&visitor.visit, VISIT_LEFT);
        worker_end(f, worker, "killed");
        pass_time(f, fixture_generation(f, "app"));
        if (i == 0)
            next_ready(f);
    }
}

static void what_is_no_connection_is_a_lie(void **state)
{
    struct fixture *f = *state;
    struct visitor visitor;
    struct played_worker *worker = make_ready(f);
    begin(f, &visitor);
    send_answer(f, worker, 0, open("/dev/null", O_RDWR | O_CLOEXEC));
    assert_int_equal(visitor.given, 0);
    assert_true(worker->killed);
    visit_fini(&visitor.visit, VISIT_LEFT);
}

static void pass_quiet_time(struct fixture *f)
{
    struct server_pool *pool = fixture_generation(f, "app")->pool;
    assert_true(timer_running(&pool->quiet));
    timer_stop(&pool->quiet);
    pool->quiet.fire(&pool->quiet);
    fixture_turn(f);
}

static void an_idle_server_is_stopped_and_woken(void **state)
{
    struct fixture *f = *state;
    struct visitor visitor;
    struct played_worker *worker = make_ready(f);
    pass_quiet_time(f);
    worker_read(f, worker);
    assert_true(worker->stopped);
    assert_int_equal(version_state(fixture_version(f, "app")), VERSION_ASLEEP);
    worker_end(f, worker, "exited with status 0");
    assert_int_equal(version_state(fixture_version(f, "app")), VERSION_ASLEEP);
    assert_null(worker_of(f, "app"));
    begin(f, &visitor);
    worker = next_ready(f);
    int server = connect_one(f, worker);
    assert_int_equal(visitor.given, 1);
    assert_false(timer_running(&fixture_generation(f, "app")->pool->quiet));
    give_back(f, &visitor, false);
    assert_true(timer_running(&fixture_generation(f, "app")->pool->quiet));
    close(server);
}

static void who_comes_while_it_stops_waits_for_the_next(void **state)
{
    struct fixture *f = *state;
    struct visitor visitor;
    struct played_worker *worker = make_ready(f);
    pass_quiet_time(f);
    begin(f, &visitor);
    assert_int_equal(asked(worker), 0);
    worker_end(f, worker, "exited with status 0");
    worker = next_ready(f);
    int server = connect_one(f, worker);
    assert_int_equal(visitor.given, 1);
    give_back(f, &visitor, false);
    close(server);
}

static void a_replaced_server_serves_what_it_has(void **state)
{
    struct fixture *f = *state;
    struct visitor old, new;
    struct played_worker *first = make_ready(f);
    begin(f, &old);
    int server = connect_one(f, first);
    fixture_put(f, "app", 1);
    fixture_scan(f);
    struct played_worker *second = worker_of(f, "app");
    assert_ptr_not_equal(first, second);
    worker_ready(f, second, 0);
    begin(f, &new);
    int other = connect_one(f, second);
    assert_int_equal(new.given, 1);
    worker_read(f, first);
    assert_false(first->stopped);
    give_back(f, &old, true);
    worker_read(f, first);
    assert_true(first->stopped);
    give_back(f, &new, false);
    close(server);
    close(other);
}

static void other_models_have_no_visits(void **state)
{
    struct fixture *f = *state;
    struct visit visit;
    struct error error;
    fixture_put(f, "iris", 1);
    fixture_scan(f);
    assert_false(visit_init(&visit, fixture_version(f, "iris"), &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    visit_fini(&visit, VISIT_FAILED);
}

static void servers_take_no_inferences(void **state)
{
    struct fixture *f = *state;
    struct error error;
    make_ready(f);
    assert_null(client_ask(f, "app", 1, &error));
    assert_int_equal(error.code, ERROR_UNIMPLEMENTED);
    assert_non_null(strstr(error.message, "/tensord/v1/servers/app/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_comes_early_waits_for_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(connections_are_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_server_has_closed_is_not_used, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_at_once_than_its_config_says, setup, teardown),
        cmocka_unit_test_setup_teardown(who_leaves_while_waiting_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_is_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_accepts_nobody_fails_its_visits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_dead_keeper_is_replaced_for_those_who_wait, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_server_that_fails_refuses_who_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(lies_are_answered_by_killing, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_beyond_the_one_are_a_lie_and_closed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_no_connection_is_a_lie, setup, teardown),
        cmocka_unit_test_setup_teardown(an_idle_server_is_stopped_and_woken, setup, teardown),
        cmocka_unit_test_setup_teardown(who_comes_while_it_stops_waits_for_the_next, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_replaced_server_serves_what_it_has, setup, teardown),
        cmocka_unit_test_setup_teardown(other_models_have_no_visits, setup, teardown),
        cmocka_unit_test_setup_teardown(servers_take_no_inferences, setup, teardown),
    };
    return cmocka_run_group_tests_name("visit", tests, NULL, NULL);
}
