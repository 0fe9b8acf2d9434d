/* The first bytes of a connection: HTTP/2 when they are its preface, else HTTP/1.1.
 *
 * Both are on one port. The preface (RFC 9113 §3.4) is not a request that HTTP/1.1 would answer, so
 * the first byte that differs decides. */
#include "protocol/http_transport.h"

#include <stdlib.h>

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { PREFACE_BYTES = sizeof preface - 1 };

struct greeting {
    struct http_session session; /* first */
    struct timer timer;
    size_t matched; /* bytes of the preface received so far */
};

static struct room room(void *owner)
{
    struct greeting *greeting = owner;
    char *data = http_receive_room(greeting->session.server);
    return (struct room){data, data ? HTTP_RECEIVE_BYTES : 0};
}

static void release(struct greeting *greeting)
{
    timer_stop(&greeting->timer);
    http_session_fini(&greeting->session);
    free(greeting);
}

/* Between two owners: a transport that has no memory aborts a connection that it never owned. */
static struct room no_room(void *nobody)
{
    return (struct room){NULL, 0};
}

static void nothing_received(void *nobody, size_t count)
{
}

static void nothing(void *nobody)
{
}

static const struct conn_owner no_owner = {
    .room = no_room,
    .received = nothing_received,
    .received_end = nothing,
    .drained = nothing,
    .closed = nothing,
};

typedef void serve_call(struct http_server *, struct conn *, struct span);

/* Hands over the `count` bytes just received, behind those of the preface that came before. */
static void hand_over(struct greeting *greeting, size_t count, serve_call *serve)
{
    struct http_server *server = greeting->session.server;
    struct conn *conn = greeting->session.conn;
    struct span all = {server->receive_room, count};
    char *joined = NULL;
    if (greeting->matched) {
        all.size += greeting->matched;
        joined = malloc(all.size);
        if (!joined) {
            conn_abort(conn);
            return;
        }
        memcpy(joined, preface, greeting->matched);
        memcpy(joined + greeting->matched, server->receive_room, count);
        all.data = joined;
    }
    conn_own(conn, &no_owner, NULL);
    release(greeting);
    serve(server, conn, all);
    free(joined);
}

static void received(void *owner, size_t count)
{
    struct greeting *greeting = owner;
    const char *bytes = greeting->session.server->receive_room;
    size_t left = PREFACE_BYTES - greeting->matched;
    size_t compared = count < left ? count : left;
    if (memcmp(bytes, preface + greeting->matched, compared) != 0)
        hand_over(greeting, count, http1_serve);
    else if (compared == left)
        hand_over(greeting, count, http2_serve);
    else
        greeting->matched += count;
}

static void received_end(void *owner)
{
    struct greeting *greeting = owner;
    conn_finish(greeting->session.conn);
}

static void drained(void *owner)
{
    (void)owner; /* nothing is ever sent here */
}

static void closed(void *owner)
{
    release(owner);
}

static const struct conn_owner calls = {
    .room = room,
    .received = received,
    .received_end = received_end,
    .drained = drained,
    .closed = closed,
};

static void drain(struct http_session *session, bool close_idle)
{
    if (close_idle)
        conn_finish(session->conn);
}

static void late(struct timer *timer)
{
    struct greeting *greeting = list_entry(timer, struct greeting, timer);
    conn_abort(greeting->session.conn);
}

void http_serve(struct http_server *server, struct conn *conn)
{
    struct greeting *greeting = calloc(1, sizeof *greeting);
    if (!greeting) {
        conn_abort(conn);
        return;
    }
    http_session_init(&greeting->session, server, conn, drain);
    timer_start(&greeting->timer, conn_loop(conn), server->limits.header_timeout_ms, late);
    conn_own(conn, &calls, greeting);
}
