/* Clocks and counts against abuse of HTTP/2.
 *
 * Clocks: one timer per connection. While something is under way that has a clock it ticks once a
 * second and looks at all of it, at most as many streams as the limit allows; else it waits for the
 * end of idleness. So a request moves no timer.
 *
 * Resets: each costs a token (rapid reset, CVE-2023-44487), also one that the peer makes us send
 * (CVE-2025-8671). A reset after our answer began, or after the stream's own deadline, is how a
 * good client cancels, and is free. */
#include "protocol/http2_internal.h"

#include "base/clock.h"
#include "protocol/grpc.h"

enum {
    TICK_MS = 1000,
    /* How long a peer that is told to open no more streams has to say that it knows; what it opens
     * later is lost, so a peer on a busy machine is given time. */
    PING_PATIENCE_MS = 10000,
};

static uint64_t ms_to_ns(uint64_t ms)
{
    return ms * CLOCK_NS_PER_MS;
}

/* What one reset costs, µs; 0 when resets are not limited. */
static uint64_t reset_cost_us(const struct http_limits *limits)
{
    return limits->resets_per_s ? 1000000 / limits->resets_per_s : 0;
}

/* The bucket counts time: a reset takes its cost, a second brings a second back. */
static bool take_reset(struct http2_conn *conn)
{
    const struct http_limits *limits = &conn->session.server->limits;
    uint64_t cost_us = reset_cost_us(limits), full_us = cost_us * limits->reset_burst;
    uint64_t now_ns = http2_now_ns(conn);
    conn->reset_credit_us += (now_ns - conn->reset_refilled_ns) / CLOCK_NS_PER_US;
    conn->reset_refilled_ns = now_ns;
    if (conn->reset_credit_us > full_us)
        conn->reset_credit_us = full_us;
    if (conn->reset_credit_us < cost_us)
        return false;
    conn->reset_credit_us -= cost_us;
    return true;
}

/* A deadline counts as at least a millisecond: else a flood would only need to name shorter ones.
 */
static bool deadline_passed(const struct http2_conn *conn, const struct http2_stream *stream)
{
    uint64_t deadline_ns;
    if (!grpc_deadline(&stream->exchange.request, stream->opened_ns, &deadline_ns, NULL))
        return false;
    uint64_t now_ns = http2_now_ns(conn);
    return now_ns >= deadline_ns && now_ns - stream->opened_ns >= CLOCK_NS_PER_MS;
}

void http2_guard_reset(struct http2_conn *conn, const struct http2_stream *stream)
{
    if (stream->reset_by_us)
        return;
    if (!stream->violated && (stream->submitted || deadline_passed(conn, stream)))
        return;
    if (take_reset(conn))
        return;
    limit_hit(LIMIT_resets_per_s);
    http2_conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM);
}

void http2_guard_closed(struct http2_conn *conn, int32_t id)
{
    conn->closed_ids[conn->closed_count++ % HTTP2_CLOSED_IDS] = id;
}

static bool has_closed(const struct http2_conn *conn, int32_t id)
{
    for (size_t i = 0; i < HTTP2_CLOSED_IDS; i++) {
        if (conn->closed_ids[i] == id)
            return true;
    }
    return false;
}

/* RFC 9113 §5.1.1: ids only grow. §5.1: no head comes on a closed stream, unless it was on its way
 * when we reset that. §6.3: PRIORITY names a stream. */
void http2_guard_frame(struct http2_conn *conn, const nghttp2_frame_hd *head)
{
    if (head->type == NGHTTP2_PRIORITY && head->stream_id == 0)
        http2_conn_fail(conn, NGHTTP2_PROTOCOL_ERROR);
    if (head->type != NGHTTP2_HEADERS)
        return;
    if (head->stream_id > conn->highest_id)
        conn->highest_id = head->stream_id;
    else if (!conn->reset_sent && !nghttp2_session_find_stream(conn->nghttp2, head->stream_id))
        http2_conn_fail(conn, has_closed(conn, head->stream_id) ? NGHTTP2_STREAM_CLOSED
                                                                : NGHTTP2_PROTOCOL_ERROR);
}

bool http2_guard_field(struct http2_conn *conn, size_t bytes)
{
    const struct http_limits *limits = &conn->session.server->limits;
    conn->head_fields++;
    conn->head_bytes += bytes;
    return conn->head_fields <= HTTP2_HEAD_EXCESS * limits->field_count &&
           conn->head_bytes <= HTTP2_HEAD_EXCESS * limits->header_bytes;
}

void http2_guard_output(struct http2_conn *conn)
{
    if (conn_unsent_bytes(conn->session.conn) &&
        nghttp2_session_get_outbound_queue_size(conn->nghttp2) > HTTP2_OUTBOUND_FRAMES)
        http2_conn_abort(conn);
}

/* True while the peer is to send body: inside a started message, and there is room for it. */
static bool body_clock_runs(const struct http2_stream *stream)
{
    return stream->exchange.handler && !stream->body_complete && !stream->finished &&
           !stream->pending.size && !stream->exchange.body_idle;
}

/* The body's clock: in each period of body_timeout_ms, body_bytes_per_s must have come. */
static void check_body(struct http2_stream *stream, uint64_t now_ns)
{
    const struct http_limits *limits = &stream->exchange.server->limits;
    uint64_t period_ns = now_ns - stream->body_since_ns;
    if (body_clock_runs(stream) && period_ns < ms_to_ns(limits->body_timeout_ms))
        return;
    if (body_clock_runs(stream) &&
        stream->body_bytes < period_ns / CLOCK_NS_PER_S * limits->body_bytes_per_s) {
        limit_hit(LIMIT_body_timeout_ms);
        http2_stream_refuse(stream, ERROR_TIMEOUT, "the body came too slowly");
        return;
    }
    stream->body_since_ns = now_ns;
    stream->body_bytes = 0;
}

/* Output that the peer's window does not let out. */
static void check_unsent(struct http2_stream *stream, uint64_t now_ns)
{
    uint64_t limit_ms = stream->exchange.server->limits.unsent_timeout_ms;
    if (!stream->queue_bytes || now_ns - stream->unsent_since_ns <= ms_to_ns(limit_ms))
        return;
    limit_hit(LIMIT_unsent_timeout_ms);
    http2_stream_reset(stream, NGHTTP2_CANCEL);
}

static void check_streams(struct http2_conn *conn, uint64_t now_ns)
{
    list_each(link, &conn->streams)
    {
        struct http2_stream *stream = list_entry(link, struct http2_stream, link);
        if (stream->gone)
            continue;
        check_body(stream, now_ns);
        check_unsent(stream, now_ns);
    }
}

static bool output_stalled(const struct http2_conn *conn, uint64_t now_ns)
{
    uint64_t since_ns = conn_stalled_since_ns(conn->session.conn);
    return since_ns && now_ns - since_ns > ms_to_ns(conn->session.server->limits.unsent_timeout_ms);
}

static void tick(struct timer *timer)
{
    struct http2_conn *conn = list_entry(timer, struct http2_conn, timer);
    const struct http_limits *limits = &conn->session.server->limits;
    uint64_t now_ns = http2_now_ns(conn);
    conn->watching = false;
    if (output_stalled(conn, now_ns)) {
        limit_hit(LIMIT_unsent_timeout_ms);
        http2_conn_abort(conn);
        return;
    }
    if (conn->head_since_ns && now_ns - conn->head_since_ns > ms_to_ns(limits->header_timeout_ms)) {
        limit_hit(LIMIT_header_timeout_ms);
        http2_conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    check_streams(conn, now_ns);
    if (conn->draining && now_ns - conn->draining_since_ns > ms_to_ns(PING_PATIENCE_MS))
        http2_conn_goaway(conn);
    if (!list_empty(&conn->streams) || conn->head_since_ns || conn->draining || conn->finishing ||
        conn_unsent_bytes(conn->session.conn)) {
        http2_guard_watch(conn);
        return;
    }
    uint64_t idle_ms = (now_ns - conn->idle_since_ns) / CLOCK_NS_PER_MS;
    if (idle_ms >= limits->idle_timeout_ms) {
        limit_hit(LIMIT_idle_timeout_ms);
        http2_conn_drain(conn);
        return;
    }
    timer_start(&conn->timer, conn_loop(conn->session.conn), limits->idle_timeout_ms - idle_ms,
                tick);
}

void http2_guard_watch(struct http2_conn *conn)
{
    if (conn->watching)
        return;
    conn->watching = true;
    timer_start(&conn->timer, conn_loop(conn->session.conn), TICK_MS, tick);
}

void http2_guard_init(struct http2_conn *conn)
{
    const struct http_limits *limits = &conn->session.server->limits;
    conn->reset_refilled_ns = conn->idle_since_ns = http2_now_ns(conn);
    conn->reset_credit_us = reset_cost_us(limits) * limits->reset_burst;
    http2_guard_watch(conn);
}
