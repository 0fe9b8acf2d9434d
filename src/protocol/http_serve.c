/* The first bytes of a connection: HTTP/2 when they are its preface, else HTTP/1.1.
 *
 * Both are on one port. The preface (RFC 9113 §3.4) is not a request that HTTP/1.1 would answer, so
 * the first byte that differs decides. What TLS has agreed on (ALPN) holds: then the other protocol
 * is not spoken. A client that speaks TLS to a port without it gets an alert, which it understands,
 * instead of a status, which it would call a wrong version. */
#include "protocol/http_transport.h"

#include "base/clock.h"
#include "telemetry/log.h"

#include <stdlib.h>

#define WITHOUT_TLS_BODY "{\"error\":\"this port speaks TLS: use https\"}"
_Static_assert(sizeof WITHOUT_TLS_BODY - 1 == 43, "Content-Length says so");

const struct span http_answer_without_tls =
    SPAN("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 43\r\n"
         "Connection: close\r\n\r\n" WITHOUT_TLS_BODY);

/* A fatal alert, handshake_failure (RFC 8446 §6). */
static const char tls_alert[] = {21, 3, 3, 0, 2, 2, 40};
enum { TLS_HANDSHAKE = 22 }; /* a record of TLS that a client begins with */

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

/* Whoever is at the other end cannot fill the log: one line a second. */
static void tell(struct greeting *greeting, const char *what)
{
    char peer[64];
    struct http_server *server = greeting->session.server;
    uint64_t now_ns = loop_now_ns(conn_loop(greeting->session.conn));
    if (server->told_ns && now_ns - server->told_ns < CLOCK_NS_PER_S) {
        server->untold++;
        return;
    }
    conn_peer(greeting->session.conn, peer, sizeof peer);
    if (server->untold)
        log_info("tls", "%s: %s (and %zu more since the line before)", peer, what, server->untold);
    else
        log_info("tls", "%s: %s", peer, what);
    server->told_ns = now_ns;
    server->untold = 0;
}

static void refuse_tls(struct greeting *greeting)
{
    struct iovec alert = {(void *)(uintptr_t)tls_alert, sizeof tls_alert};
    tell(greeting, "the client speaks TLS to a port without it");
    conn_send(greeting->session.conn, &alert, 1);
    conn_finish(greeting->session.conn);
}

static void received(void *owner, size_t count)
{
    struct greeting *greeting = owner;
    const struct conn *conn = greeting->session.conn;
    const char *bytes = greeting->session.server->receive_room;
    struct span agreed = conn_protocol(conn);
    size_t left = PREFACE_BYTES - greeting->matched;
    size_t compared = count < left ? count : left;
    bool differs = memcmp(bytes, preface + greeting->matched, compared) != 0;
    if (greeting->matched == 0 && bytes[0] == TLS_HANDSHAKE && !conn_is_tls(conn))
        refuse_tls(greeting);
    else if (span_equal(agreed, SPAN("http/1.1")))
        hand_over(greeting, count, http1_serve);
    else if (differs && span_equal(agreed, SPAN("h2")))
        conn_abort(greeting->session.conn);
    else if (differs)
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
    struct greeting *greeting = owner;
    struct error error;
    if (conn_failure(greeting->session.conn, &error))
        tell(greeting, error.message);
    release(greeting);
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
    limit_hit(LIMIT_header_timeout_ms);
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
