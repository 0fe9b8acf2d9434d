/* A server's and a client's half of an HTTP/2 connection, for tests: nghttp2's client, or raw
 * frames, against an application whose behaviour the path chooses. The loop runs until what a test
 * expects has happened. */
#ifndef TENSORD_PROTOCOL_HTTP2_FIXTURE_H
#define TENSORD_PROTOCOL_HTTP2_FIXTURE_H

#include "base/buf.h"
#include "protocol/grpc.h"
#include "protocol/http_transport.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { STREAMS_MAX = 256, BODY_BYTES = 2 << 20, WINDOW_BYTES = 1 << 20 /* of a stream */ };

/* What the client saw of one stream. */
struct answer {
    int32_t id;
    unsigned status;
    size_t body_bytes;
    struct buf body;
    char grpc_status[8];
    bool trailers; /* grpc-status came behind the head */
    bool closed;
    uint32_t code;
    const char *send; /* the request's body */
    size_t send_bytes, sent_bytes;
};

/* What the application knows of one exchange. */
struct call {
    struct test *test;
    struct http_exchange *exchange;
    struct grpc_reader reader;
    struct buf body;
    char piece[4096];
    unsigned chunks_left;
    size_t sip_bytes; /* so much more is taken, then no more until it is asked again; 0: all */
    bool paused, ended, drained, closed, complete;
};

struct test {
    struct loop *loop;
    struct http_server server;
    struct conn *near, *far; /* the server's, the client's */
    bool far_closed;
    bool reads;              /* the client reads */
    nghttp2_session *client; /* NULL: raw */
    struct arena sent;
    struct buf raw; /* what a raw client received */
    char receive[65536];
    char chunk[65536];
    struct answer answers[STREAMS_MAX];
    size_t answer_count, closed_count;
    struct call calls[STREAMS_MAX];
    size_t call_count, calls_closed;
    uint32_t goaway_code;
    unsigned goaways;
    int32_t goaway_last;
    unsigned pongs;
    bool (*done)(struct test *test);
};

/* A test whose connection is not served yet, so that limits may be changed. A raw one has no client
 * session: it sends frames by test_send. */
struct test *test_new(bool raw);

/* Serves the connection. */
void test_start(struct test *test);

/* Closes the connection, checks that every exchange was closed, and frees all. */
void test_end(struct test *test);

/* Runs the loop until done() is true. */
void test_run_until(struct test *test, bool (*done)(struct test *));

/* Sends bytes, and what nghttp2's client has to send. */
void test_send(struct test *test, const void *data, size_t size);
void test_flush(struct test *test);

/* A field of a request; both strings live as long as it. */
static inline nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), 0};
}

enum { NO_BODY = 0, ENDLESS = 1 };

/* Sends a request: `size` bytes of body, or without one, or (body NULL) one of the above. */
struct answer *test_request(struct test *test, const char *path, const char *body, size_t size,
                            const nghttp2_nv *more, size_t more_count);

/* To wait for. */
bool test_is_far_closed(struct test *test);
bool test_all_closed(struct test *test);
bool test_answers_closed(struct test *test);
bool test_calls_came(struct test *test);
bool test_drained_away(struct test *test);
bool test_second_closed(struct test *test);

#endif
