/* The clocks of an HTTP/1.1 connection. One timer serves all: it is started when there is something
 * to wait for and looks, when it fires, at what that is by then. So an ordinary request never
 * touches it: a timer that runs for longer than is left is moved, one that fires early starts
 * again. */
#include "protocol/http1_conn.h"

#include "base/clock.h"

enum { LOOK_MS = 1000 }; /* how often to look whether the client of a paused body is still there */

/* Whether the handler has no room for the body; then a client that leaves is not noticed by
 * reading. */
static bool is_paused(const struct http1_conn *c)
{
    return c->phase == HTTP1_BODY && c->paused && !c->exchange->base.ended;
}

/* Whether the connection waits for bytes of a body: not while the handler has no room, nor when it
 * is no HTTP any more. */
static bool awaits_body(const struct http1_conn *c)
{
    return (c->phase == HTTP1_BODY && !c->paused && !c->waiting && !c->switched) ||
           c->phase == HTTP1_SKIP;
}

static uint64_t after(uint64_t since_ns, uint64_t timeout_ms)
{
    return since_ns + timeout_ms * CLOCK_NS_PER_MS;
}

/* When what the client owes is due. */
static uint64_t input_due_ns(const struct http1_conn *c)
{
    const struct http_limits *limits = &c->session.server->limits;
    if (c->phase == HTTP1_IDLE)
        return after(c->since_ns, limits->idle_timeout_ms);
    if (c->phase == HTTP1_HEAD)
        return after(c->since_ns, limits->header_timeout_ms);
    if (is_paused(c))
        return after(c->since_ns, LOOK_MS);
    return awaits_body(c) ? after(c->since_ns, limits->body_timeout_ms) : CLOCK_NEVER;
}

/* When unread output is given up. */
static uint64_t output_due_ns(const struct http1_conn *c)
{
    uint64_t since_ns = c->unsent ? conn_stalled_since_ns(c->session.conn) : 0;
    return since_ns ? after(since_ns, c->session.server->limits.unsent_timeout_ms) : CLOCK_NEVER;
}

static uint64_t due_ns(const struct http1_conn *c)
{
    uint64_t input_ns = input_due_ns(c), output_ns = output_due_ns(c);
    return input_ns < output_ns ? input_ns : output_ns;
}

static bool body_is_fast_enough(const struct http1_conn *c)
{
    const struct http_limits *limits = &c->session.server->limits;
    return c->window_bytes >= limits->body_bytes_per_s * limits->body_timeout_ms / 1000;
}

static void input_late(struct http1_conn *c)
{
    struct error error;
    if (c->phase == HTTP1_BODY && body_is_fast_enough(c)) {
        c->since_ns = loop_now_ns(conn_loop(c->session.conn));
        c->window_bytes = 0;
        http1_watch(c);
        return;
    }
    limit_hit(c->phase == HTTP1_IDLE   ? LIMIT_idle_timeout_ms
              : c->phase == HTTP1_HEAD ? LIMIT_header_timeout_ms
                                       : LIMIT_body_timeout_ms);
    if (!c->exchange) { /* idle, or a body that nobody waits for */
        http1_abort(c);
        return;
    }
    error_set(&error, ERROR_TIMEOUT, "%s",
              c->phase == HTTP1_HEAD ? "the head of the request took too long"
                                     : "the body of the request came too slowly");
    http1_refuse(c, &error);
}

static void look(struct http1_conn *c)
{
    if (conn_peer_left(c->session.conn)) {
        http1_abort(c);
        return;
    }
    c->since_ns = loop_now_ns(conn_loop(c->session.conn));
    http1_watch(c);
}

static void fire(struct timer *timer)
{
    struct http1_conn *c = list_entry(timer, struct http1_conn, timer);
    uint64_t now_ns = loop_now_ns(conn_loop(c->session.conn));
    if (now_ns >= output_due_ns(c)) {
        limit_hit(LIMIT_unsent_timeout_ms);
        http1_abort(c);
    } else if (now_ns < input_due_ns(c))
        http1_watch(c);
    else if (is_paused(c))
        look(c);
    else
        input_late(c);
}

void http1_watch(struct http1_conn *c)
{
    struct loop *loop = conn_loop(c->session.conn);
    uint64_t due = due_ns(c), now_ns = loop_now_ns(loop);
    if (due == CLOCK_NEVER)
        return; /* a timer that still runs starts again, or finds nothing, when it fires */
    uint64_t after_ms = due <= now_ns ? 0 : (due - now_ns + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS;
    if (!c->timer.loop || now_ns / CLOCK_NS_PER_MS + after_ms < c->timer.due_ms)
        timer_start(&c->timer, loop, after_ms, fire);
}
