/* One write for all that a turn of the loop has produced.
 *
 * At the turn's end every stream that has something to do hands it to nghttp2; then nghttp2's
 * frames are put together: their own bytes are copied into a block, and bodies are vectors into the
 * application's memory. conn_send usually takes all at once, and the block goes back. If not, the
 * connection keeps the block, and frames nothing more until the kernel has taken the rest: what the
 * peer does not read does not pile up here. */
#include "protocol/http2_internal.h"

#include <assert.h>
#include <stdlib.h>

enum {
    PIECE_BYTES = HTTP2_HEAD_BYTES + 64, /* the most that nghttp2_session_mem_send returns */
    DATA_HEAD_BYTES = 9,
    COPIED_BYTES = 256, /* a payload up to this is copied: cheaper than a vector */
};

void http2_flush_soon(struct http2_conn *conn)
{
    if (!conn->finishing)
        loop_defer(conn_loop(conn->session.conn), &conn->flush);
}

void http2_stream_touch(struct http2_stream *stream)
{
    if (stream->gone || list_linked(&stream->dirty))
        return;
    list_add(&stream->conn->dirty, &stream->dirty);
    http2_flush_soon(stream->conn);
}

static bool take_block(struct http2_conn *conn)
{
    struct http2_shared *shared = conn->shared;
    conn->block = shared->spare ? shared->spare : malloc(sizeof *conn->block);
    shared->spare = NULL;
    if (!conn->block)
        return false;
    conn->block->size = 0;
    conn->vector_count = 0;
    return true;
}

static void return_block(struct http2_conn *conn)
{
    if (conn->shared->spare)
        free(conn->block);
    else
        conn->shared->spare = conn->block;
    conn->block = NULL;
}

static size_t block_left(const struct http2_conn *conn)
{
    return HTTP2_BLOCK_BYTES - conn->block->size;
}

static void add_vector(struct http2_conn *conn, char *data, size_t size)
{
    assert(conn->vector_count < HTTP2_VECTORS);
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a server has them */
    conn->shared->vectors[conn->vector_count++] = (struct iovec){data, size};
}

/* Copies into the block; bytes that follow each other there are one vector. */
static void add_copied(struct http2_conn *conn, const void *data, size_t size)
{
    struct http2_block *block = conn->block;
    assert(size <= block_left(conn));
    char *to = block->data + block->size;
    memcpy(to, data, size);
    block->size += size;
    struct iovec *last = conn->vector_count ? &conn->shared->vectors[conn->vector_count - 1] : NULL;
    if (last && (char *)last->iov_base + last->iov_len == to)
        last->iov_len += size;
    else
        add_vector(conn, to, size);
}

/* Moves `length` bytes from the stream's queue into the write. */
static void add_body(struct http2_stream *stream, size_t length)
{
    struct http2_conn *conn = stream->conn;
    stream->queue_bytes -= length;
    conn->unsent_bytes -= length;
    while (length) {
        struct iovec *first = &stream->queue[stream->queue_first];
        size_t size = first->iov_len < length ? first->iov_len : length;
        if (size <= COPIED_BYTES && size + PIECE_BYTES <= block_left(conn))
            add_copied(conn, first->iov_base, size);
        else
            add_vector(conn, first->iov_base, size);
        first->iov_base = (char *)first->iov_base + size;
        first->iov_len -= size;
        length -= size;
        if (!first->iov_len)
            stream->queue_first++;
    }
    if (!stream->queue_bytes)
        stream->queue_first = stream->queue_count = 0;
}

static bool has_room_for_frame(const struct http2_conn *conn)
{
    return conn->vector_count + HTTP2_FRAME_VECTORS + 2 <= HTTP2_VECTORS &&
           block_left(conn) >= PIECE_BYTES;
}

/* nghttp2 sends a DATA frame, whose length read_body chose. */
static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                     size_t length, nghttp2_data_source *source, void *user_data)
{
    struct http2_stream *stream = source->ptr;
    struct http2_conn *conn = stream->conn;
    if (!has_room_for_frame(conn))
        return NGHTTP2_ERR_WOULDBLOCK;
    assert(frame->data.padlen == 0 && length <= stream->queue_bytes);
    add_copied(conn, head, DATA_HEAD_BYTES);
    add_body(stream, length);
    stream->unsent_since_ns = http2_now_ns(conn);
    if (!list_linked(&stream->in_flight))
        list_add(&conn->in_flight, &stream->in_flight);
    return 0;
}

/* A response that ended before its request: the client is told to send no more of it
 * (RFC 9113 §8.1). */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http2_conn *conn = user_data;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        conn->reset_sent = true;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
        (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    struct http2_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!stream)
        return 0;
    stream->end_sent = true;
    if (!stream->body_complete) {
        stream->reset_by_us = true;
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

/* Fills the block and the vectors with nghttp2's frames. False when nghttp2 failed. */
static bool collect(struct http2_conn *conn)
{
    ssize_t size = 0;
    conn->collecting = true;
    while (has_room_for_frame(conn)) {
        const uint8_t *data;
        size = nghttp2_session_mem_send(conn->nghttp2, &data);
        if (size <= 0)
            break;
        add_copied(conn, data, (size_t)size);
    }
    conn->collecting = false;
    return size >= 0 && !conn->memory.failed;
}

void http2_flush_taken(struct http2_conn *conn)
{
    if (conn->block)
        return_block(conn);
    if (list_empty(&conn->in_flight))
        return;
    conn->session.server->batch_ns = clock_now_ns();
    list_each(link, &conn->in_flight)
    {
        struct http2_stream *stream = list_entry(link, struct http2_stream, in_flight);
        list_remove(&stream->in_flight);
        if (stream->gone || conn->finishing) {
            http2_stream_finish(stream, stream->complete);
        } else if (stream->undrained && !stream->queue_bytes) {
            stream->undrained = false;
            if (!stream->finished && stream->exchange.transport)
                stream->exchange.handler->drained(&stream->exchange);
        }
    }
    conn->session.server->batch_ns = 0;
}

/* Writes until nghttp2 has no more frames or the kernel takes no more. False when nghttp2 failed.
 */
static bool write_frames(struct http2_conn *conn)
{
    for (;;) {
        if (!take_block(conn) || !collect(conn))
            return false;
        if (!conn->vector_count) {
            http2_flush_taken(conn);
            return true;
        }
        if (!conn_send(conn->session.conn, conn->shared->vectors, conn->vector_count))
            return true;
        http2_flush_taken(conn);
    }
}

static void submit_dirty(struct http2_conn *conn)
{
    list_each(link, &conn->dirty)
    {
        struct http2_stream *stream = list_entry(link, struct http2_stream, dirty);
        list_remove(&stream->dirty);
        http2_stream_deliver(stream);
        http2_stream_submit(stream);
        /* Nothing of what was written goes out (HEAD), but the handler waits to hear so. */
        if (stream->undrained && !stream->queue_bytes && !list_linked(&stream->in_flight))
            list_add(&conn->in_flight, &stream->in_flight);
    }
}

void http2_flush_run(struct loop_task *task)
{
    struct http2_conn *conn = list_entry(task, struct http2_conn, flush);
    if (conn->finishing)
        return;
    http2_conn_go_on(conn);
    submit_dirty(conn);
    if (http2_conn_lost(conn) || conn->block) /* the last write is not taken yet */
        return;
    if (!write_frames(conn)) {
        http2_conn_abort(conn);
        return;
    }
    if (conn->holds_back && !http2_is_congested(conn))
        http2_flush_soon(conn);
    if (conn->block || nghttp2_session_get_outbound_queue_size(conn->nghttp2))
        http2_guard_watch(conn);
    if (!nghttp2_session_want_read(conn->nghttp2) && !nghttp2_session_want_write(conn->nghttp2))
        http2_conn_finish(conn);
}

/* A head too large to send, or no memory for it. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int code,
                             void *user_data)
{
    struct http2_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream && frame->hd.type == NGHTTP2_HEADERS)
        http2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
    return 0;
}

void http2_flush_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
}
