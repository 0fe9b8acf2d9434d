/* HTTP/2 connections over nghttp2.
 *
 * nghttp2 knows frames, HPACK, flow control and the rules of RFC 9113; it does no I/O. What is
 * ours: received bytes pass through one buffer per server, so an idle connection has none; a body
 * goes from there into its handler's memory, and the window is opened only for what the handler
 * took; responses are framed around the application's own memory and written once per turn of the
 * loop.
 *
 * nghttp2 may be called again from its callbacks only to submit, never to receive or send. So
 * callbacks and the application's calls note what is to be done, and http2_flush_run does it. */
#include "protocol/http2_internal.h"

#include <stdlib.h>

void http2_shared_free(struct http2_shared *shared)
{
    if (!shared)
        return;
    nghttp2_session_callbacks_del(shared->callbacks);
    nghttp2_option_del(shared->option);
    free(shared->spare);
    free(shared);
}

static struct http2_shared *shared_new(void)
{
    struct http2_shared *shared = calloc(1, sizeof *shared);
    if (!shared)
        return NULL;
    if (nghttp2_session_callbacks_new(&shared->callbacks) != 0 ||
        nghttp2_option_new(&shared->option) != 0) {
        http2_shared_free(shared);
        return NULL;
    }
    http2_request_callbacks(shared->callbacks);
    http2_response_callbacks(shared->callbacks);
    http2_flush_callbacks(shared->callbacks);
    nghttp2_option_set_no_auto_window_update(shared->option, 1);
    nghttp2_option_set_no_closed_streams(shared->option, 1);
    nghttp2_option_set_max_outbound_ack(shared->option, HTTP2_UNREAD_ACKS);
    nghttp2_option_set_max_send_header_block_length(shared->option, HTTP2_HEAD_BYTES);
    /* nghttp2's own limit also cuts clients whose deadlines expire; http2_guard.c has ours. */
    nghttp2_option_set_stream_reset_rate_limit(shared->option, UINT32_MAX, UINT32_MAX);
    return shared;
}

static struct http2_shared *shared_of(struct http_server *server)
{
    if (!server->http2)
        server->http2 = shared_new();
    return server->http2;
}

void http2_conn_finish(struct http2_conn *conn)
{
    if (conn->finishing)
        return;
    conn->finishing = true;
    list_each(link, &conn->streams)
    {
        struct http2_stream *stream = list_entry(link, struct http2_stream, link);
        if (!list_linked(&stream->in_flight))
            http2_stream_finish(stream, false);
    }
    conn_finish(conn->session.conn);
}

void http2_conn_abort(struct http2_conn *conn)
{
    conn->finishing = true;
    conn_abort(conn->session.conn);
}

bool http2_conn_lost(struct http2_conn *conn)
{
    if (conn->memory.failed && !conn->finishing)
        http2_conn_abort(conn);
    return conn->memory.failed;
}

void http2_conn_fail(struct http2_conn *conn, uint32_t code)
{
    if (conn->failed || conn->memory.failed)
        return;
    conn->failed = true;
    nghttp2_session_terminate_session(conn->nghttp2, code);
    http2_flush_soon(conn);
}

void http2_conn_goaway(struct http2_conn *conn)
{
    if (conn->goaway)
        return;
    conn->goaway = true;
    nghttp2_submit_goaway(conn->nghttp2, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(conn->nghttp2), NGHTTP2_NO_ERROR,
                          NULL, 0);
    http2_flush_soon(conn);
}

/* RFC 9113 §6.8: the notice names the highest stream id, so that no request on its way is lost; the
 * PING behind it comes back when the peer has read it, and then the last id is final. */
void http2_conn_drain(struct http2_conn *conn)
{
    if (conn->draining || conn->finishing)
        return;
    conn->draining = true;
    conn->draining_since_ns = http2_now_ns(conn);
    nghttp2_submit_shutdown_notice(conn->nghttp2);
    nghttp2_submit_ping(conn->nghttp2, NGHTTP2_FLAG_NONE, NULL);
    http2_guard_watch(conn);
    http2_flush_soon(conn);
}

static void session_drain(struct http_session *session, bool close_idle)
{
    http2_conn_drain((struct http2_conn *)(void *)session);
}

/* Feeds nghttp2. What it answers with an error ends the connection: with GOAWAY, unless the error
 * is that the peer reads no answers. */
static void receive(struct http2_conn *conn, const char *data, size_t size)
{
    if (conn->finishing || conn->failed)
        return;
    ssize_t taken = nghttp2_session_mem_recv(conn->nghttp2, (const uint8_t *)data, size);
    if (http2_conn_lost(conn))
        return;
    if (taken == NGHTTP2_ERR_FLOODED)
        http2_conn_abort(conn);
    else if (taken == NGHTTP2_ERR_CALLBACK_FAILURE)
        http2_conn_fail(conn, NGHTTP2_ENHANCE_YOUR_CALM);
    else if (taken < 0)
        http2_conn_fail(conn, NGHTTP2_PROTOCOL_ERROR);
    http2_guard_output(conn);
    http2_flush_soon(conn);
}

static struct room conn_room(void *owner)
{
    struct http2_conn *conn = owner;
    return (struct room){conn->shared->receive, HTTP2_RECEIVE_BYTES};
}

static void conn_received(void *owner, size_t count)
{
    struct http2_conn *conn = owner;
    conn->expected_bytes = 0;
    conn->session.server->batch_ns = clock_now_ns();
    receive(conn, conn->shared->receive, count);
    conn->session.server->batch_ns = 0;
    /* The peer may send half a window before it must be told of what was taken. */
    conn_expect(conn->session.conn, conn->expected_bytes < HTTP2_STREAM_WINDOW_BYTES / 2
                                        ? conn->expected_bytes
                                        : HTTP2_STREAM_WINDOW_BYTES / 2);
}

/* A peer that sends nothing more cannot open windows or acknowledge: it has gone. */
static void conn_received_end(void *owner)
{
    http2_conn_abort(owner);
}

static void conn_drained(void *owner)
{
    struct http2_conn *conn = owner;
    http2_flush_taken(conn);
    http2_flush_soon(conn);
}

static void conn_free(struct http2_conn *conn)
{
    list_each(link, &conn->streams)
        http2_stream_finish(list_entry(link, struct http2_stream, link), false);
    loop_undefer(&conn->flush);
    timer_stop(&conn->timer);
    if (!conn->memory.failed)
        nghttp2_session_del(conn->nghttp2);
    http2_memory_fini(&conn->memory);
    http_session_fini(&conn->session);
    free(conn->block);
    free(conn);
}

static void conn_closed(void *owner)
{
    struct http2_conn *conn = owner;
    conn->finishing = true;
    conn_free(conn);
}

static const struct conn_owner owner_calls = {
    .room = conn_room,
    .received = conn_received,
    .received_end = conn_received_end,
    .drained = conn_drained,
    .closed = conn_closed,
};

static bool submit_settings(struct http2_conn *conn)
{
    const struct http_limits *limits = &conn->session.server->limits;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, HTTP2_FRAME_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    return nghttp2_submit_settings(conn->nghttp2, NGHTTP2_FLAG_NONE, settings,
                                   sizeof settings / sizeof *settings) == 0 &&
           nghttp2_session_set_local_window_size(conn->nghttp2, NGHTTP2_FLAG_NONE, 0,
                                                 HTTP2_CONN_WINDOW_BYTES) == 0;
}

static struct http2_conn *conn_new(struct http_server *server, struct conn *transport)
{
    struct http2_shared *shared = shared_of(server);
    struct http2_conn *conn = shared ? calloc(1, sizeof *conn) : NULL;
    if (!conn)
        return NULL;
    conn->shared = shared;
    conn->flush.run = http2_flush_run;
    list_init(&conn->streams);
    list_init(&conn->dirty);
    list_init(&conn->in_flight);
    http_session_init(&conn->session, server, transport, session_drain);
    http2_memory_init(&conn->memory, HTTP2_MEMORY_BYTES);
    nghttp2_mem calls = http2_memory_calls(&conn->memory);
    if (nghttp2_session_server_new3(&conn->nghttp2, shared->callbacks, conn, shared->option,
                                    &calls) != 0 ||
        !submit_settings(conn)) {
        conn_free(conn);
        return NULL;
    }
    http2_guard_init(conn);
    return conn;
}

void http2_serve(struct http_server *server, struct conn *transport, struct span received)
{
    struct http2_conn *conn = conn_new(server, transport);
    if (!conn) {
        conn_abort(transport);
        return;
    }
    conn_own(transport, &owner_calls, conn);
    http2_flush_soon(conn);
    if (server->draining)
        http2_conn_drain(conn);
    if (received.size)
        receive(conn, received.data, received.size);
}
