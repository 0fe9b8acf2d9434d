/* What the tests of HTTP/1.1 share: a server and a client that are joined in memory. */
#ifndef TENSORD_PROTOCOL_HTTP1_TEST_H
#define TENSORD_PROTOCOL_HTTP1_TEST_H

#include "protocol/http_transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A request as the application of the tests holds it. */
struct test_request {
    struct fixture *fixture;
    struct http_exchange *exchange; /* NULL once closed */
    char *body;
    size_t size;
    size_t capacity;
};

struct fixture {
    struct loop *loop;
    struct http_server server;
    struct conn *client; /* NULL once closed */
    bool server_gone;    /* the client was told of the end */
    bool client_paused;
    size_t open; /* exchanges that the application was not told to be closed */
    bool stop_at_request, stop_at_close; /* of an exchange */
    bool completed;                      /* how the last exchange closed */
    size_t drained_count;
    size_t stream_parts; /* /stream: still to be written */
    size_t received_parts;
    size_t turns_left;
    struct loop_message next_turn;
    struct timer pause;
    size_t body_room; /* bytes that /echo takes at once; 0: pauses */
    struct test_request *last;
    char *seen; /* what the application was asked, a line each */
    size_t seen_size;
    char *received; /* by the client */
    size_t received_size;
    const char *awaited; /* stop the loop when this was received */
    struct span to_send; /* byte by byte */
    struct loop_message next_byte;
    struct timer guard;
    char statuses[64];
};

/* A server with the tests' application, and a client that has connected to it. */
void fixture_init(struct fixture *f);
void fixture_init_serving(struct fixture *f, void (*serve)(struct http_server *, struct conn *));
void fixture_fini(struct fixture *f);

/* Sends from the client; byte by byte means a turn of the loop for each. */
void fixture_send(struct fixture *f, struct span bytes, bool byte_by_byte);

/* Runs until the server has closed the connection, the client has received the text, an exchange
 * has begun, or has closed. */
void fixture_run_until_closed(struct fixture *f);
void fixture_run_until_received(struct fixture *f, const char *text);
void fixture_run_until_request(struct fixture *f);
void fixture_run_until_exchange_closed(struct fixture *f);

/* Runs for so many turns, or for a time. */
void fixture_run_turns(struct fixture *f, size_t count);
void fixture_run_ms(struct fixture *f, uint64_t ms);

/* The statuses of the responses received so far, "200 404 ". */
const char *fixture_statuses(struct fixture *f);

#endif
