/* Unit tests of what TLS adds to connections, over pairs in memory: those who do not keep to it,
 * how it ends, what it costs, and certificates that change. conn_test.c has all the rest. */
#include "net/tls_private.h"

#include "base/buf.h"
#include "base/clock.h"
#include "tls/tls_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { GUARD_MS = 20000, LOOK_MS = 5, BIG_BYTES = 4 << 20 };

/* One end, and what its owner was told. */
struct side {
    struct conn *conn; /* NULL once closed */
    struct buf received;
    bool ended, failed;
    struct error failure;
};

static struct loop *loop;
static struct tls_server *server;
static struct side client, served;
static char folder[64];
static struct pki_identity first, second, alice;
static unsigned reloads;
static struct error reload_error; /* of the last one; empty when it was good */

/* ---- owners ---- */

static struct room give_room(void *owner)
{
    struct side *side = owner;
    return (struct room){buf_reserve(&side->received, 4096), 4096};
}

static void on_received(void *owner, size_t count)
{
    struct side *side = owner;
    side->received.size += count;
    loop_stop(loop);
}

static void on_end(void *owner)
{
    ((struct side *)owner)->ended = true;
    loop_stop(loop);
}

static void on_drained(void *owner)
{
    loop_stop(loop);
}

static void on_closed(void *owner)
{
    struct side *side = owner;
    side->failed = conn_failure(side->conn, &side->failure);
    side->conn = NULL;
    loop_stop(loop);
}

static const struct conn_owner calls = {give_room, on_received, on_end, on_drained, on_closed};

static void own(struct side *side, struct conn *conn)
{
    side->conn = conn;
    buf_init(&side->received, 2 * BIG_BYTES);
    conn_own(conn, &calls, side);
}

static void too_late(struct timer *guard)
{
    fail_msg("what was waited for did not happen");
}

#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        struct timer guard = {0};                                                                  \
        timer_start(&guard, loop, GUARD_MS, too_late);                                             \
        while (!(condition))                                                                       \
            loop_run(loop);                                                                        \
        timer_stop(&guard);                                                                        \
    } while (0)

static bool send_bytes(struct side *side, struct span bytes)
{
    struct iovec vector = {(void *)(uintptr_t)bytes.data, bytes.size};
    return conn_send(side->conn, &vector, 1);
}

/* ---- making ---- */

static void on_reloaded(void *context, const struct error *error)
{
    reloads++;
    reload_error = error ? *error : (struct error){.message = ""};
    loop_stop(loop);
}

static void serve(const struct pki_identity *identity, const struct pki_identity *client_ca)
{
    struct error error;
    const struct tls_server_options options = {
        .library = &tensord_tls_library,
        .files = {.certificate = identity->certificate_path,
                  .key = identity->key_path,
                  .client_ca = client_ca ? client_ca->certificate_path : NULL,
                  .client_auth = TLS_CLIENT_REQUIRE},
        .look_ms = LOOK_MS,
        .plain_answer = SPAN("speak TLS"),
        .reloaded = on_reloaded,
    };
    server = tls_server_new(loop, &options, &error);
    if (!server)
        fail_msg("%s", error.message);
}

static int start(void **state)
{
    client = served = (struct side){.conn = NULL};
    reloads = 0;
    loop = loop_new(NULL);
    return loop ? 0 : -1;
}

static int end(void **state)
{
    loop_free(loop);
    tls_server_free(server);
    server = NULL;
    buf_fini(&client.received);
    buf_fini(&served.received);
    return 0;
}

static int start_all(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/net_tls_test.%d", (int)getpid());
    if (mkdir(folder, 0700) != 0)
        return -1;
    first = pki_make(folder, "first", (struct pki_options){.subject = "first", .is_ca = true});
    second = pki_make(folder, "second", (struct pki_options){.subject = "second", .is_ca = true});
    alice = pki_make(folder, "alice", (struct pki_options){.subject = "alice", .issuer = &first});
    return 0;
}

static int end_all(void **state)
{
    pki_free(&first);
    pki_free(&second);
    pki_free(&alice);
    return rmdir(folder);
}

/* A client without TLS, in the client's place. */
static void join_plain(void)
{
    struct conn *a, *b;
    assert_true(conn_pair_new(loop, &a, &b, NULL));
    own(&client, a);
    own(&served, conn_tls_new(b, server));
}

static void join(const struct pki_identity *trusted, const struct pki_identity *identity)
{
    struct conn *a, *b;
    assert_true(conn_pair_new(loop, &a, &b, NULL));
    own(&client, conn_tls_with(a, server, pki_client(trusted, "\10http/1.1", identity, 0)));
    own(&served, conn_tls_new(b, server));
}

/* Both have heard from each other. */
static void talk(void)
{
    send_bytes(&client, SPAN("hello"));
    RUN_UNTIL(served.received.size == 5);
    send_bytes(&served, SPAN("hello"));
    RUN_UNTIL(client.received.size == 5);
    buf_clear(&served.received);
    buf_clear(&client.received);
}

/* ---- those who do not keep to TLS ---- */

static void http_without_tls_is_told_so(void **state)
{
    serve(&first, NULL);
    join_plain();
    send_bytes(&client, SPAN("GET / HTTP/1.1\r\n\r\n"));
    RUN_UNTIL(client.ended);
    assert_true(span_equal(buf_span(&client.received), SPAN("speak TLS")));
    conn_finish(client.conn);
    RUN_UNTIL(!served.conn);
    assert_true(served.failed);
    assert_non_null(strstr(served.failure.message, "HTTP without TLS"));
    assert_int_equal(served.received.size, 0);
}

static void garbage_is_not_answered(void **state)
{
    serve(&first, NULL);
    join_plain();
    send_bytes(&client, SPAN("\x80garbage"));
    RUN_UNTIL(client.ended);
    assert_int_equal(client.received.size, 0);
    conn_finish(client.conn);
    RUN_UNTIL(!served.conn);
    assert_non_null(strstr(served.failure.message, "does not speak TLS"));
}

static void a_broken_handshake_is_answered_by_an_alert(void **state)
{
    enum { RECORD_ALERT = 21, FATAL = 2 };
    serve(&first, NULL);
    join_plain();
    send_bytes(&client, SPAN("\x16\x03\x01\x00\x05nonsense"));
    RUN_UNTIL(client.ended);
    assert_int_equal(client.received.size, 7);
    assert_int_equal(client.received.data[0], RECORD_ALERT);
    assert_int_equal(client.received.data[5], FATAL);
    conn_finish(client.conn);
    RUN_UNTIL(!served.conn);
    assert_true(served.failed && served.failure.message[0]);
}

static void a_client_without_a_certificate_learns_why(void **state)
{
    serve(&first, &first);
    join(&first, NULL);
    send_bytes(&client, SPAN("hello"));
    RUN_UNTIL(!client.conn);
    assert_true(client.failed);
    assert_non_null(strstr(client.failure.message, "certificate required"));
    RUN_UNTIL(!served.conn);
    assert_non_null(strstr(served.failure.message, "the client showed no certificate"));
    assert_int_equal(served.received.size, 0);
}

static void a_client_is_known(void **state)
{
    struct arena arena;
    struct tls_client known;
    arena_init(&arena, 1024, 1 << 16);
    serve(&first, &first);
    join(&first, &alice);
    talk();
    assert_true(conn_is_tls(served.conn));
    assert_true(span_equal(conn_protocol(served.conn), SPAN("http/1.1")));
    assert_true(conn_client(served.conn, &arena, &known, NULL));
    assert_true(span_equal(known.common_name, SPAN("alice")));
    arena_fini(&arena);
}

static void without_tls_nothing_is_known(void **state)
{
    struct error error;
    struct tls_client known;
    struct arena arena;
    struct conn *a, *b;
    arena_init(&arena, 1024, 1 << 16);
    assert_true(conn_pair_new(loop, &a, &b, NULL));
    assert_false(conn_is_tls(a));
    assert_int_equal(conn_protocol(a).size, 0);
    assert_false(conn_client(a, &arena, &known, &error));
    assert_int_equal(error.code, ERROR_UNAUTHENTICATED);
    assert_false(conn_failure(a, &error));
    arena_fini(&arena);
}

/* ---- the end ---- */

static void a_client_that_leaves_in_the_handshake_is_gone(void **state)
{
    serve(&first, NULL);
    join_plain();
    send_bytes(&client, SPAN("\x16\x03\x01\x00\x05"));
    conn_finish(client.conn);
    RUN_UNTIL(!served.conn);
    assert_false(served.failed); /* that happens */
    assert_false(served.ended);
}

static void silence_is_closed_without_a_word(void **state)
{
    serve(&first, NULL);
    join_plain();
    conn_finish(served.conn);
    RUN_UNTIL(client.ended);
    conn_finish(client.conn);
    RUN_UNTIL(!served.conn);
    assert_int_equal(client.received.size, 0);
    assert_false(served.failed);
}

/* RFC 9112 §9.8: what HTTP has said to be complete is, with or without close_notify. */
static void the_end_of_the_stream_below_is_an_end(void **state)
{
    serve(&first, NULL);
    join(&first, NULL);
    talk();
    send_bytes(&client, SPAN("last"));
    conn_abort(client.conn);
    RUN_UNTIL(served.ended || !served.conn);
    assert_true(span_equal(buf_span(&served.received), SPAN("last")));
}

static void a_finished_side_says_so(void **state)
{
    serve(&first, NULL);
    join(&first, NULL);
    talk();
    send_bytes(&served, SPAN("bye"));
    conn_finish(served.conn);
    RUN_UNTIL(client.ended);
    assert_true(span_equal(buf_span(&client.received), SPAN("bye")));
    conn_finish(client.conn);
    RUN_UNTIL(!client.conn);
    RUN_UNTIL(!served.conn);
    assert_false(served.failed || client.failed);
}

/* ---- what it costs ---- */

/* Small vectors travel together: a head and a body are one record, and so one write. */
static void a_small_answer_is_one_record(void **state)
{
    enum { OVERHEAD = 5 + 1 + 16 }; /* head, type and tag of a record of TLS 1.3 */
    struct iovec vectors[] = {{"head", 4}, {"", 0}, {"body", 4}};
    serve(&first, NULL);
    join(&first, NULL);
    talk();
    /* The client stands still; what is sent stays with it as it came. */
    conn_pause(client.conn);
    size_t before = conn_unsent_bytes(served.conn);
    assert_true(conn_send(served.conn, vectors, 3));
    assert_int_equal(before, 0);
    assert_non_null(server->spare); /* the output is free again, and has what it had */
    assert_int_equal(server->spare->size, 8 + OVERHEAD);
    conn_resume(client.conn);
    RUN_UNTIL(client.received.size == 8);
    assert_true(span_equal(buf_span(&client.received), SPAN("headbody")));
}

static void a_slow_reader_holds_one_output(void **state)
{
    char *big = calloc(1, BIG_BYTES);
    serve(&first, NULL);
    join(&first, NULL);
    talk();
    conn_pause(client.conn);
    assert_false(send_bytes(&served, (struct span){big, BIG_BYTES}));
    assert_true(conn_unsent_bytes(served.conn) > BIG_BYTES / 2);
    assert_true(conn_stalled_since_ns(served.conn) > 0);
    conn_resume(client.conn);
    RUN_UNTIL(client.received.size == BIG_BYTES && conn_unsent_bytes(served.conn) == 0);
    assert_int_equal(conn_stalled_since_ns(served.conn), 0);
    assert_memory_equal(client.received.data, big, BIG_BYTES);
    free(big);
}

/* A client that asks for new keys again and again and reads nothing of the answers is made to wait,
 * and costs no more than its output. */
static void key_updates_do_not_pile_up(void **state)
{
    enum { UPDATES = 20000 };
    serve(&first, NULL);
    struct conn *a, *b;
    struct tls_session *session = pki_client(&first, NULL, NULL, 0);
    SSL *ssl = (SSL *)(uintptr_t)session_ssl(session);
    assert_true(conn_pair_new(loop, &a, &b, NULL));
    own(&client, conn_tls_with(a, server, session));
    own(&served, conn_tls_new(b, server));
    talk();
    conn_pause(client.conn);
    unsigned sent = 0;
    /* Fails while the last one has not been sent. */
    while (sent < UPDATES && SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1) {
        sent++;
        send_bytes(&client, SPAN("x"));
        uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    }
    assert_true(sent > 100);
    assert_true(sent < UPDATES); /* it was made to wait */
}

/* ---- certificates that change ---- */

static void copy_file(const char *from, const char *to)
{
    char text[8192], part[128];
    snprintf(part, sizeof part, "%s.part", to);
    FILE *in = fopen(from, "re"), *out = fopen(part, "we");
    if (!in || !out)
        abort();
    size_t size = fread(text, 1, sizeof text, in);
    assert_int_equal(fwrite(text, 1, size, out), size);
    fclose(in);
    fclose(out);
    assert_int_equal(rename(part, to), 0);
}

static struct pki_identity used; /* the files that are served, and that change */

static void use(const struct pki_identity *identity)
{
    snprintf(used.certificate_path, sizeof used.certificate_path, "%s/used.crt", folder);
    snprintf(used.key_path, sizeof used.key_path, "%s/used.key", folder);
    copy_file(identity->certificate_path, used.certificate_path);
    mode_t mask = umask(077);
    copy_file(identity->key_path, used.key_path);
    umask(mask);
}

static void drop_used(void)
{
    unlink(used.certificate_path);
    unlink(used.key_path);
}

static void assert_gets(const struct pki_identity *trusted)
{
    struct side saved_client = client, saved_served = served;
    client = served = (struct side){.conn = NULL};
    join(trusted, NULL);
    talk();
    conn_abort(client.conn);
    RUN_UNTIL(!client.conn);
    conn_abort(served.conn);
    RUN_UNTIL(!served.conn);
    buf_fini(&client.received);
    buf_fini(&served.received);
    client = saved_client;
    served = saved_served;
}

static void changed_files_are_read_again(void **state)
{
    use(&first);
    serve(&used, NULL);
    assert_non_null(strstr(tls_server_describe(server), "CN=first"));
    assert_gets(&first);
    use(&second);
    RUN_UNTIL(reloads > 0);
    assert_string_equal(reload_error.message, "");
    assert_non_null(strstr(tls_server_describe(server), "CN=second"));
    assert_string_equal(tls_server_warning(server), "");
    assert_gets(&second);
    drop_used();
}

static void a_reload_keeps_connections(void **state)
{
    use(&first);
    serve(&used, NULL);
    join(&first, NULL);
    talk();
    use(&second);
    tls_server_reload(server);
    tls_server_reload(
        server); /* while the first one runs, or both while a look by the clock does */
    RUN_UNTIL(reloads > 0 && strstr(tls_server_describe(server), "CN=second"));
    assert_gets(&second);
    talk(); /* the old connection, still */
    drop_used();
}

/* Whoever began to connect before a reload goes on with the certificate of then. */
static void a_reload_keeps_handshakes(void **state)
{
    use(&first);
    serve(&used, NULL);
    join_plain();
    struct tls_session *session = pki_client(&first, NULL, NULL, 0);
    static char hello[4096];
    struct tls_io io = {.out = {hello, sizeof hello}};
    assert_int_equal(tensord_tls_library.session_handshake(session, &io), TLS_WANT_INPUT);
    size_t size = (size_t)(io.out.data - hello);
    send_bytes(&client, (struct span){hello, size / 2});
    RUN_UNTIL(uv_run(loop_uv(loop), UV_RUN_NOWAIT) != 0);
    use(&second);
    tls_server_reload(server);
    RUN_UNTIL(reloads > 0);
    send_bytes(&client, (struct span){hello + size / 2, size - size / 2});
    RUN_UNTIL(client.received.size > 0);
    io.in = buf_span(&client.received);
    io.out = (struct room){hello, sizeof hello};
    assert_int_equal(tensord_tls_library.session_handshake(session, &io), TLS_OK);
    tensord_tls_library.session_free(session);
    drop_used();
}

static void a_bad_new_certificate_keeps_the_old_one(void **state)
{
    use(&first);
    serve(&used, NULL);
    copy_file(second.certificate_path, used.certificate_path); /* and the key of the first */
    RUN_UNTIL(reloads > 0);
    assert_non_null(strstr(reload_error.message, "does not belong"));
    assert_gets(&first);
    unlink(used.certificate_path);
    unsigned before = reloads;
    RUN_UNTIL(reloads > before);
    assert_non_null(strstr(reload_error.message, "No such file"));
    assert_gets(&first);
    before = reloads;
    use(&second);
    RUN_UNTIL(reloads > before);
    assert_string_equal(reload_error.message, "");
    assert_gets(&second);
    drop_used();
}

static void a_server_may_go_while_files_are_read(void **state)
{
    serve(&first, NULL);
    tls_server_reload(server);
    loop_free(loop);
    tls_server_free(server);
    loop = loop_new(NULL);
    serve(&first, NULL);
}

static void the_library_is_loaded_by_its_path(void **state)
{
    struct error error = {.message = ""};
    const char *path = getenv("TENSORD_TLS_MODULE");
    assert_null(tls_library_load("/no/such/library.so", &error));
    assert_non_null(strstr(error.message, "/no/such/library.so"));
    assert_null(tls_library_load("libm.so.6", &error));
    if (!path)
        skip();
    const struct tls_library *library = tls_library_load(path, &error);
    if (!library) {
        fail_msg("%s", error.message);
        return;
    }
    assert_string_equal(library->version, TENSORD_VERSION);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(http_without_tls_is_told_so),
        TEST(garbage_is_not_answered),
        TEST(a_broken_handshake_is_answered_by_an_alert),
        TEST(a_client_without_a_certificate_learns_why),
        TEST(a_client_is_known),
        TEST(without_tls_nothing_is_known),
        TEST(a_client_that_leaves_in_the_handshake_is_gone),
        TEST(silence_is_closed_without_a_word),
        TEST(the_end_of_the_stream_below_is_an_end),
        TEST(a_finished_side_says_so),
        TEST(a_small_answer_is_one_record),
        TEST(a_slow_reader_holds_one_output),
        TEST(key_updates_do_not_pile_up),
        TEST(changed_files_are_read_again),
        TEST(a_reload_keeps_connections),
        TEST(a_reload_keeps_handshakes),
        TEST(a_bad_new_certificate_keeps_the_old_one),
        TEST(a_server_may_go_while_files_are_read),
        TEST(the_library_is_loaded_by_its_path),
    };
    return cmocka_run_group_tests_name("net/tls", tests, start_all, end_all);
}
