/* Requests over a loopback connection, whose other end plays the server. */
#include "protocol/http1_client.h"

#include "base/buf.h"
#include "net/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct loop *loop;
    struct conn *ours, *theirs;
    struct arena arena;
    struct http1_client *client;
    struct buf body;    /* that the client was given */
    struct buf request; /* that the server has received */
    char received[4096];
    bool holds; /* pieces are not taken at once */
    unsigned heads, done, pieces, status;
    bool reusable, failed, has_conn;
    struct error error;
    struct timer end;
};

/* ---- the server's end ---- */

static struct room server_room(void *owner)
{
    struct fixture *f = owner;
    return (struct room){f->received, sizeof f->received};
}

static void server_received(void *owner, size_t count)
{
    struct fixture *f = owner;
    buf_append(&f->request, (struct span){f->received, count});
}

static void server_event(void *owner)
{
}

static void server_closed(void *owner)
{
    ((struct fixture *)owner)->theirs = NULL;
}

static const struct conn_owner server_calls = {server_room, server_received, server_event,
                                               server_event, server_closed};

/* ---- the client's ---- */

static void on_head(void *owner, const struct http1_client_head *head)
{
    struct fixture *f = owner;
    f->status = head->status;
    f->heads++;
}

static void on_body(void *owner, struct span piece)
{
    struct fixture *f = owner;
    f->pieces++;
    buf_append(&f->body, piece);
}

static void on_nothing(void *owner)
{
}

static void on_done(void *owner, struct conn *conn, bool reusable, const struct error *error)
{
    struct fixture *f = owner;
    f->done++;
    f->reusable = reusable;
    f->failed = error != NULL;
    f->has_conn = conn != NULL;
    if (error)
        f->error = *error;
    f->ours = conn;
}

static const struct http1_client_events events = {on_head, on_body, on_nothing, on_nothing,
                                                  on_done};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error error;
    assert_non_null(f);
    f->loop = loop_new(&error);
    arena_init(&f->arena, 4096, 1 << 20);
    buf_init(&f->body, 1 << 24);
    buf_init(&f->request, 1 << 24);
    assert_true(conn_pair_new(f->loop, &f->ours, &f->theirs, &error));
    conn_own(f->theirs, &server_calls, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    loop_free(f->loop);
    buf_fini(&f->body);
    buf_fini(&f->request);
    arena_fini(&f->arena);
    if (f->client)
        http1_client_abandon(f->client);
    http1_client_free(f->client);
    free(f);
    return 0;
}

static void stop(struct timer *timer)
{
    loop_stop(list_entry(timer, struct fixture, end)->loop);
}

/* Lets what can happen happen, taking pieces unless they are held. */
static void run(struct fixture *f)
{
    for (int turn = 0; turn < 20; turn++) {
        timer_start(&f->end, f->loop, 0, stop);
        loop_run(f->loop);
        if (!f->holds && !f->done && f->client)
            http1_client_resume(f->client);
    }
}

static void begin(struct fixture *f, bool to_head)
{
    static const char head[] = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    struct iovec vector = {(void *)(uintptr_t)head, sizeof head - 1};
    f->client = http1_client_new(&http_limits_default, &f->arena, to_head, &events, f);
    http1_client_begin(f->client, f->ours);
    http1_client_send(f->client, &vector, 1, true);
    run(f);
    assert_true(span_equal(buf_span(&f->request), (struct span){head, sizeof head - 1}));
}

static void say(struct fixture *f, const char *text, size_t size)
{
    struct iovec vector = {(void *)(uintptr_t)text, size};
    conn_send(f->theirs, &vector, 1);
    run(f);
}

#define SAY(f, text) say(f, text, sizeof text - 1)

static void assert_answer(const struct fixture *f, unsigned status, const char *body, bool reusable)
{
    if (f->failed)
        fail_msg("%s", f->error.message);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->heads, 1);
    assert_int_equal(f->status, status);
    assert_true(span_equal(buf_span(&f->body), span_of(body)));
    assert_int_equal(f->reusable, reusable);
}

static void a_length(void **state)
{
    struct fixture *f = *state;
    begin(f, false);
    SAY(f, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    assert_int_equal(f->done, 0);
    SAY(f, "lo");
    assert_answer(f, 200, "hello", true);
}

static void chunks(void **state)
{
    struct fixture *f = *state;
    begin(f, false);
    SAY(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=");
    SAY(f, "y\r\nlo\r\n0\r\nX-Trailer: z\r\n\r\n");
    assert_answer(f, 200, "hello", true);
}

static void each_byte_alone(void **state)
{
    static const char text[] = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\n"
                               "transfer-encoding: CHUNKED\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    struct fixture *f = *state;
    begin(f, false);
    for (size_t i = 0; i < sizeof text - 1; i++)
        say(f, text + i, 1);
    assert_answer(f, 201, "hello", true);
}

static void until_the_end(void **state)
{
    struct fixture *f = *state;
    begin(f, false);
    SAY(f, "HTTP/1.1 200 OK\r\n\r\nhello");
    assert_int_equal(f->done, 0);
    conn_finish(f->theirs);
    run(f);
    assert_answer(f, 200, "hello", false);
}

static void another_protocol(void **state)
{
    static const char head[] = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    struct iovec vectors[] = {{(void *)(uintptr_t)head, sizeof head - 1},
                              {(void *)(uintptr_t)"ping", 4}};
    struct fixture *f = *state;
    f->client = http1_client_new(&http_limits_default, &f->arena, false, &events, f);
    http1_client_may_switch(f->client);
    http1_client_begin(f->client, f->ours);
    http1_client_send(f->client, vectors, 1, true);
    SAY(f, "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nHTTP/1.1 ");
    http1_client_send(f->client, vectors + 1, 1, false);
    SAY(f, "is over");
    assert_int_equal(f->done, 0);
    assert_true(span_equal(span_after(buf_span(&f->request), sizeof head - 1), SPAN("ping")));
    conn_finish(f->theirs);
    run(f);
    assert_answer(f, 101, "HTTP/1.1 is over", false);
}

static void no_body_to_a_head(void **state)
{
    struct fixture *f = *state;
    begin(f, true);
    SAY(f, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_answer(f, 200, "", true);
}

static void what_follows_an_answer_spoils_the_connection(void **state)
{
    struct fixture *f = *state;
    begin(f, false);
    SAY(f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n");
    assert_answer(f, 200, "ok", false);
}

static void a_connection_that_is_to_close_is_not_used_again(void **state)
{
    struct fixture *f = *state;
    begin(f, false);
    SAY(f, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_answer(f, 204, "", false);
}

/* What is not taken keeps the rest from coming. */
static void no_faster_than_it_is_taken(void **state)
{
    enum { SIZE = 1 << 20 };
    struct fixture *f = *state;
    char *large = malloc(SIZE);
    memset(large, 'x', SIZE);
    f->holds = true;
    begin(f, false);
    SAY(f, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    say(f, large, SIZE);
    assert_int_equal(f->pieces, 1);
    assert_true(f->body.size <= 64 << 10);
    f->holds = false;
    while (!f->done)
        run(f);
    assert_int_equal(f->body.size, SIZE);
    assert_true(f->reusable);
    free(large);
}

static void assert_failure(const struct fixture *f, const char *sentence)
{
    assert_int_equal(f->done, 1);
    assert_true(f->failed);
    assert_false(f->reusable);
    assert_int_equal(f->error.code, ERROR_BAD_GATEWAY);
    if (!strstr(f->error.message, sentence))
        fail_msg("%s", f->error.message);
}

static void hostile_answers_are_refused(void **state)
{
    static const struct {
        const char *answer, *sentence;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "malformed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "malformed"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "other than chunked"},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "other than chunked"},
        {"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
         "changed the protocol"},
        {"HTTP/2.0 200 OK\r\n\r\n", "no HTTP/1.1"},
        {"SSH-2.0-OpenSSH\r\n", "malformed"},
        {"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", "malformed"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "malformed"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "malformed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *one;
        setup(&one);
        struct fixture *f = one;
        begin(f, false);
        say(f, cases[i].answer, strlen(cases[i].answer));
        if (!f->done || !f->failed)
            fail_msg("taken: %s", cases[i].answer);
        if (!strstr(f->error.message, cases[i].sentence) &&
            !strstr(f->error.message, "Content-Length"))
            fail_msg("%s: %s", cases[i].answer, f->error.message);
        teardown(&one);
    }
}

static void endless_heads_are_cut(void **state)
{
    struct fixture *f = *state;
    begin(f, false);
    SAY(f, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 10000 && !f->done; i++)
        SAY(f, "x-a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
    assert_failure(f, "more than 100 fields");
}

static void one_endless_field_is_cut(void **state)
{
    static char text[4096];
    struct fixture *f = *state;
    memset(text, 'a', sizeof text);
    begin(f, false);
    SAY(f, "HTTP/1.1 200 OK\r\nx: ");
    for (int i = 0; i < 100 && !f->done; i++)
        say(f, text, sizeof text);
    assert_failure(f, "larger than");
}

static void endless_interim_answers_are_cut(void **state)
{
    struct fixture *f = *state;
    begin(f, false);
    for (int i = 0; i < 100 && !f->done; i++)
        SAY(f, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_failure(f, "interim");
}

static void endless_framing_is_cut(void **state)
{
    static char text[4096];
    struct fixture *f = *state;
    memset(text, 'a', sizeof text);
    begin(f, false);
    SAY(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;");
    for (int i = 0; i < 100 && !f->done; i++)
        say(f, text, sizeof text);
    assert_failure(f, "framing");
}

static void early_ends_are_failures(void **state)
{
    static const struct {
        const char *answer, *sentence;
    } cases[] = {
        {"", "before it answered; the request may be sent again"},
        {"HTTP/1.1 200 OK\r\nConte", "in the middle of an answer"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "before it was complete"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
         "before it was complete"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *one;
        setup(&one);
        struct fixture *f = one;
        begin(f, false);
        if (cases[i].answer[0])
            say(f, cases[i].answer, strlen(cases[i].answer));
        conn_finish(f->theirs);
        run(f);
        assert_failure(f, cases[i].sentence);
        teardown(&one);
    }
}

static void an_abandoned_client_says_nothing(void **state)
{
    struct fixture *f = *state;
    begin(f, false);
    struct conn *conn = http1_client_abandon(f->client);
    assert_ptr_equal(conn, f->ours);
    SAY(f, "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(f->heads + f->done, 0);
    conn_abort(conn);
    run(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_length, setup, teardown),
        cmocka_unit_test_setup_teardown(chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(each_byte_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(until_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(another_protocol, setup, teardown),
        cmocka_unit_test_setup_teardown(no_body_to_a_head, setup, teardown),
        cmocka_unit_test_setup_teardown(what_follows_an_answer_spoils_the_connection, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_connection_that_is_to_close_is_not_used_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_faster_than_it_is_taken, setup, teardown),
        cmocka_unit_test(hostile_answers_are_refused),
        cmocka_unit_test_setup_teardown(endless_heads_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(one_endless_field_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(endless_interim_answers_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(endless_framing_is_cut, setup, teardown),
        cmocka_unit_test(early_ends_are_failures),
        cmocka_unit_test_setup_teardown(an_abandoned_client_says_nothing, setup, teardown),
    };
    return cmocka_run_group_tests_name("http1_client", tests, NULL, NULL);
}
