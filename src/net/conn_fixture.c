/* Connecting two sides in each way that there is; see conn_fixture.h. */
#include "net/conn_fixture.h"

#include "net/address.h"
#include "net/listener.h"
#include "tls/tls_fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* Owner calls */

void happened(struct side *side)
{
    loop_defer(side->test->loop, &side->test->check);
}

static struct room give_room(void *owner)
{
    struct side *side = owner;
    if (side->room_bytes == 0)
        return (struct room){0};
    return (struct room){buf_reserve(&side->received, side->room_bytes), side->room_bytes};
}

static void on_received(void *owner, size_t count)
{
    struct side *side = owner;
    assert_true(count >= 1 && count <= side->room_bytes);
    side->received.size += count;
    if (side->forget)
        buf_clear(&side->received);
    if (side->on_received)
        side->on_received(side);
    happened(side);
}

static void on_end(void *owner)
{
    struct side *side = owner;
    assert_false(side->ended);
    side->ended = true;
    if (side->on_end)
        side->on_end(side);
    happened(side);
}

static void on_drained(void *owner)
{
    struct side *side = owner;
    side->drained++;
    if (side->on_drained)
        side->on_drained(side);
    happened(side);
}

static void on_closed(void *owner)
{
    struct side *side = owner;
    assert_non_null(side->conn);
    side->conn = NULL;
    happened(side);
}

const struct conn_owner side_calls = {give_room, on_received, on_end, on_drained, on_closed};

/* Running */

static void check(struct loop_task *task)
{
    struct test *test = list_entry(task, struct test, check);
    if (test->done(test))
        loop_stop(test->loop);
}

static void too_late(struct timer *guard)
{
    fail_msg("what was waited for did not happen");
}

/* Runs the loop until `done` holds after something has happened. */
void run_until(struct test *test, bool (*done)(struct test *test))
{
    test->done = done;
    test->check.run = check;
    timer_start(&test->guard, test->loop, GUARD_MS, too_late);
    loop_defer(test->loop, &test->check);
    loop_run(test->loop);
    timer_stop(&test->guard);
}

/* Making and freeing */

static void own(struct test *test, struct side *side, struct conn *conn)
{
    side->test = test;
    side->conn = conn;
    side->room_bytes = 4096;
    buf_init(&side->received, 2 * BIG_BYTES);
    conn_own(conn, &side_calls, side);
}

static void accept_b(void *context, struct conn *conn)
{
    struct test *test = context;
    own(test, &test->b, conn);
    happened(&test->b);
}

static bool b_is_there(struct test *test)
{
    return test->b.conn != NULL;
}

/* a connects, b is accepted. */
static void join_by(struct test *test, const char *listen_on)
{
    struct error error;
    struct sockaddr_storage to;
    socklen_t to_size;
    char address[64];
    struct listen_socket socket_there;
    assert_true(listen_socket_open(listen_on, LISTEN_MAIN, 0600, &socket_there, &error));
    struct listener *listener =
        listener_new(test->loop, &socket_there, NULL, 10, accept_b, test, &error);
    assert_non_null(listener);
    unsigned port = listener_port(listener);
    if (port)
        snprintf(address, sizeof address, "127.0.0.1:%u", port);
    else
        snprintf(address, sizeof address, "%s", listen_on);
    assert_true(address_parse(address, &to, &to_size, &error));
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(fd, errno);
    assert_return_code(connect(fd, (struct sockaddr *)&to, to_size), errno);
    struct conn *conn = conn_adopt(test->loop, fd, to.ss_family == AF_UNIX);
    assert_non_null(conn);
    own(test, &test->a, conn);
    run_until(test, b_is_there);
    listener_close(listener);
    listen_socket_remove_file(&socket_there);
}

static struct test *test_new(void)
{
    struct error error;
    struct test *test = calloc(1, sizeof *test);
    assert_non_null(test);
    test->loop = loop_new(&error);
    assert_non_null(test->loop);
    return test;
}

int join_tcp(void **state)
{
    *state = test_new();
    join_by(*state, "127.0.0.1:0");
    return 0;
}

int join_unix(void **state)
{
    char address[64];
    snprintf(address, sizeof address, "unix:/tmp/conn_test.%d", getpid());
    *state = test_new();
    join_by(*state, address);
    return 0;
}

int join_pair(void **state)
{
    struct error error;
    struct conn *a, *b;
    struct test *test = *state = test_new();
    assert_true(conn_pair_new(test->loop, &a, &b, &error));
    own(test, &test->a, a);
    own(test, &test->b, b);
    return 0;
}

/* TLS: a is the client. */

static struct pki_identity certificate;
static char certificate_folder[64];

int make_certificate(void **state)
{
    snprintf(certificate_folder, sizeof certificate_folder, "/tmp/conn_test_tls.%d", (int)getpid());
    if (mkdir(certificate_folder, 0700) != 0)
        return -1;
    certificate =
        pki_make(certificate_folder, "own", (struct pki_options){.subject = "own", .is_ca = true});
    return 0;
}

int drop_certificate(void **state)
{
    pki_free(&certificate);
    return rmdir(certificate_folder);
}

static void reloaded(void *context, const struct error *error)
{
}

static struct tls_server *server_new(struct loop *loop)
{
    struct error error;
    const struct tls_server_options options = {
        .library = &tensord_tls_library,
        .files = {.certificate = certificate.certificate_path, .key = certificate.key_path},
        .look_ms = 3600000,
        .plain_answer = SPAN("speak TLS"),
        .reloaded = reloaded,
    };
    struct tls_server *server = tls_server_new(loop, &options, &error);
    if (!server)
        fail_msg("%s", error.message);
    return server;
}

static bool both_have_5(struct test *test)
{
    return test->a.received.size >= 5 && test->b.received.size >= 5;
}

static void send_hello(struct side *side)
{
    struct iovec vector = {"hello", 5};
    conn_send(side->conn, &vector, 1);
}

/* Shakes hands, and forgets that. */
static void wrap(struct test *test, struct conn *a, struct conn *b)
{
    test->server = server_new(test->loop);
    own(test, &test->a, conn_tls_with(a, test->server, pki_client(&certificate, "\2h2", NULL, 0)));
    own(test, &test->b, conn_tls_new(b, test->server));
    send_hello(&test->a); /* before the handshake: it waits */
    send_hello(&test->b);
    assert_int_equal(conn_unsent_bytes(test->b.conn), 5);
    run_until(test, both_have_5);
    struct side *const sides[] = {&test->a, &test->b};
    for (size_t i = 0; i < 2; i++) {
        buf_clear(&sides[i]->received);
        sides[i]->drained = 0;
    }
}

int join_tls(void **state)
{
    struct error error;
    struct conn *a, *b;
    struct test *test = *state = test_new();
    assert_true(conn_pair_new(test->loop, &a, &b, &error));
    wrap(test, a, b);
    return 0;
}

int join_tls_tcp(void **state)
{
    struct test *test = *state = test_new();
    join_by(test, "127.0.0.1:0");
    struct conn *a = test->a.conn, *b = test->b.conn;
    buf_fini(&test->a.received);
    buf_fini(&test->b.received);
    wrap(test, a, b);
    return 0;
}

int part(void **state)
{
    struct test *test = *state;
    loop_free(test->loop);
    tls_server_free(test->server);
    assert_null(test->a.conn);
    assert_null(test->b.conn);
    buf_fini(&test->a.received);
    buf_fini(&test->b.received);
    free(test->big);
    free(test);
    return 0;
}
