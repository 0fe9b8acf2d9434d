/* What the files of HTTP/2 share. One connection is one nghttp2 session; one stream is one
 * http_exchange. Only http2*.c include this.
 *
 *     http2.c           a connection's life: opening, receiving, closing, draining
 *     http2_request.c   received frames become requests and bodies
 *     http2_response.c  the application's answers become what nghttp2 sends
 *     http2_flush.c     one write for all that a turn of the loop has produced
 *     http2_guard.c     clocks and counts against abuse */
#ifndef TENSORD_PROTOCOL_HTTP2_INTERNAL_H
#define TENSORD_PROTOCOL_HTTP2_INTERNAL_H

#include "base/buf.h"
#include "protocol/http2_memory.h"
#include "protocol/http_transport.h"

#include <nghttp2/nghttp2.h>

enum {
    HTTP2_STREAM_WINDOW_BYTES = 1 << 20, /* a stream's body that its handler has not taken */
    HTTP2_CONN_WINDOW_BYTES = 8 << 20,   /* of a connection that was not looked at yet */
    HTTP2_KEPT_BYTES = 64 << 20,         /* bodies of a server that their handlers have not taken */
    HTTP2_FRAME_BYTES = 64 * 1024,       /* the largest DATA frame, either way */
    HTTP2_HEAD_BYTES = 16 * 1024,        /* the largest head of a response */
    HTTP2_RECEIVE_BYTES = 128 * 1024,
    HTTP2_BLOCK_BYTES = 32 * 1024,
    HTTP2_MEMORY_BYTES = 2 << 20,  /* of one nghttp2 session */
    HTTP2_VECTORS = 256,           /* of one write */
    HTTP2_FRAME_VECTORS = 64,      /* of one DATA frame */
    HTTP2_WANTS_BYTES = 64 * 1024, /* unsent: above it a response is not asked for more */
    HTTP2_UNSENT_BYTES = 8 << 20,  /* of all answers: above it no body goes to a handler */
    HTTP2_OUTBOUND_FRAMES = 1000,  /* answers that a peer may leave unread */
    HTTP2_UNREAD_ACKS = 200,       /* of them, to PING and SETTINGS */
    HTTP2_CLOSED_IDS = 8,          /* closed streams that are remembered */
    HTTP2_HEAD_EXCESS = 16,        /* times the limit of a head: then the connection goes */
};

/* Memory for the bytes of one write that are not the application's: frame heads, control frames and
 * small payloads. */
struct http2_block {
    struct http2_block *next;
    size_t size;
    char data[HTTP2_BLOCK_BYTES];
};

/* What all connections of a server share, so that an idle one has no buffers. */
struct http2_shared {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct http2_block *spare; /* at most one waits */
    size_t kept_bytes;         /* in all streams' `pending` */
    struct iovec vectors[HTTP2_VECTORS];
    char receive[HTTP2_RECEIVE_BYTES];
};

struct http2_conn {
    struct http_session session; /* first; see http_transport.h */
    struct http2_shared *shared;
    nghttp2_session *nghttp2;
    struct http2_memory memory; /* all of nghttp2's */
    struct list streams;        /* all that are open or not yet sent to their end */
    struct list dirty;          /* streams with something to do at the turn's end */
    struct list in_flight;      /* streams with bytes in the running or the unsent write */
    struct loop_task flush;     /* at the turn's end */
    struct timer timer;         /* http2_guard.c */
    struct http2_block *block;  /* of the running or the unsent write */
    uint64_t expected_bytes;    /* of the body that came last, if its handler takes all */
    size_t vector_count;        /* of the running write */
    size_t unsent_bytes;        /* in all streams' queues */
    size_t withheld_bytes;      /* of the window, for what was kept meanwhile */
    uint64_t head_since_ns;     /* a head is arriving since then; 0: none */
    uint64_t idle_since_ns;     /* without a stream since then */
    uint64_t draining_since_ns; /* GOAWAY was announced then */
    uint64_t reset_refilled_ns;
    uint64_t reset_credit_us; /* a reset costs 1/resets_per_s */
    int32_t head_stream;      /* whose head that is */
    size_t head_fields;       /* of the head that is arriving */
    size_t head_bytes;
    int32_t highest_id;                   /* of the streams that the peer has opened */
    int32_t closed_ids[HTTP2_CLOSED_IDS]; /* those that ended last, in a ring */
    unsigned closed_count;
    bool reset_sent; /* frames on a closed stream may have been on their way */
    bool watching;   /* the timer ticks each second */
    bool collecting; /* a write is being put together */
    bool draining;   /* GOAWAY was announced */
    bool goaway;     /* the final GOAWAY was submitted */
    bool failed;     /* the session is broken: write what there is and close */
    bool finishing;  /* conn_finish or conn_abort was called */
    bool holds_back; /* bodies wait, because too much is unsent */
};

struct http2_stream {
    struct http_exchange exchange; /* first */
    struct http2_conn *conn;
    struct list_link link;      /* in conn->streams */
    struct list_link dirty;     /* in conn->dirty */
    struct list_link in_flight; /* in conn->in_flight */
    int32_t id;

    enum error_code
        refusal; /* the head was found wrong: answered so, the application sees nothing */
    const char *refusal_text;
    struct buf pending;   /* received body that the handler had no room for */
    size_t pending_taken; /* the handler has these bytes of it */
    uint64_t opened_ns;
    uint64_t body_since_ns; /* http2_guard.c: the running period of the body's clock */
    size_t body_bytes;      /* received in it */

    nghttp2_nv *head, *trailers; /* in the exchange's arena */
    size_t head_count, trailer_count;
    struct iovec *queue; /* written and not yet framed: [queue_first, queue_count) */
    size_t queue_first, queue_count, queue_capacity;
    size_t queue_bytes;
    uint64_t unsent_since_ns; /* no byte of the queue was framed since then */

    bool body_complete; /* END_STREAM was received */
    bool body_end_told; /* and the handler knows */
    bool delivering;    /* the handler is being given the body */
    bool submitted;     /* nghttp2 has the head of the response */
    bool trailers_submitted;
    bool deferred;    /* nghttp2 waits for resume_data */
    bool finished;    /* the application has written all */
    bool undrained;   /* written since the handler was last told `drained` */
    bool end_sent;    /* END_STREAM was framed */
    bool reset_by_us; /* RST_STREAM was our decision, not the peer's doing */
    bool violated;    /* the peer broke the stream's rules */
    bool gone;        /* nghttp2 has closed it; waits for the write to be taken */
    bool complete;    /* it was sent to its end */
};

_Static_assert(sizeof(struct http2_stream) <= HTTP_EXCHANGE_BYTES, "a stream must fit");

static inline struct http2_stream *http2_stream_of(const struct http_exchange *exchange)
{
    return (struct http2_stream *)(void *)exchange;
}

/* The client does not read its answers: what it asks for further has to wait. */
static inline bool http2_is_congested(const struct http2_conn *conn)
{
    return conn->unsent_bytes >= HTTP2_UNSENT_BYTES;
}

static inline uint64_t http2_now_ns(const struct http2_conn *conn)
{
    return loop_now_ns(conn_loop(conn->session.conn));
}

extern const struct http_transport http2_transport;

/* http2.c */

/* The connection cannot go on: GOAWAY with an NGHTTP2_ error code, then the end. */
void http2_conn_fail(struct http2_conn *conn, uint32_t code);

/* nghttp2 has found no memory and must not be called any more: closes at once. False if it has not.
 */
bool http2_conn_lost(struct http2_conn *conn);

/* Closes once all is written, or at once. The application's exchanges end now, but for those whose
 * memory is still being written. */
void http2_conn_finish(struct http2_conn *conn);
void http2_conn_abort(struct http2_conn *conn);

/* Announces the end: the peer may finish its streams but is asked to open no more. */
void http2_conn_drain(struct http2_conn *conn);

/* The second step of draining: streams opened from now on are not served. */
void http2_conn_goaway(struct http2_conn *conn);

/* http2_request.c */

/* Registers what is called for received frames. */
void http2_request_callbacks(nghttp2_session_callbacks *callbacks);

/* Once few enough answers are unsent again: opens the window, and has kept bodies given to their
 * handlers. In the turn's end. */
void http2_conn_go_on(struct http2_conn *conn);

/* Gives the handler what of the body it has room for now, and the body's end. */
void http2_stream_deliver(struct http2_stream *stream);

/* Ends the stream for the application and frees what is the transport's. The last call. */
void http2_stream_finish(struct http2_stream *stream, bool complete);

/* http2_response.c */

/* Registers what is called for a response's bytes. */
void http2_response_callbacks(nghttp2_session_callbacks *callbacks);

/* Answers for the application, which sees nothing of it: an error of the protocol's, over gRPC as a
 * status. `text` is a literal. */
void http2_stream_refuse(struct http2_stream *stream, enum error_code code, const char *text);

/* Hands to nghttp2 what the application has written in this turn. */
void http2_stream_submit(struct http2_stream *stream);

/* RST_STREAM with an NGHTTP2_ error code, as our own decision. */
void http2_stream_reset(struct http2_stream *stream, uint32_t code);

/* http2_flush.c */

/* Registers what is called to frame and write. */
void http2_flush_callbacks(nghttp2_session_callbacks *callbacks);

/* Sees to it that the connection is flushed at this turn's end. */
void http2_flush_soon(struct http2_conn *conn);

/* The stream has something to do at this turn's end. */
void http2_stream_touch(struct http2_stream *stream);

/* The task itself. */
void http2_flush_run(struct loop_task *task);

/* The kernel has taken the whole write. */
void http2_flush_taken(struct http2_conn *conn);

/* http2_guard.c */

/* Starts the clocks of a new connection. */
void http2_guard_init(struct http2_conn *conn);

/* Something is under way that has a clock: makes the timer tick. */
void http2_guard_watch(struct http2_conn *conn);

/* A stream was closed by a reset, the peer's or one that the peer caused. Cuts the connection when
 * there were too many. */
void http2_guard_reset(struct http2_conn *conn, const struct http2_stream *stream);

/* A frame begins: its place in the life of its stream, where nghttp2 is more tolerant than RFC
 * 9113.
 */
void http2_guard_frame(struct http2_conn *conn, const nghttp2_frame_hd *head);

/* The stream has ended. */
void http2_guard_closed(struct http2_conn *conn, int32_t id);

/* One field of a head arrived. False when the head is absurd and the connection must go. */
bool http2_guard_field(struct http2_conn *conn, size_t bytes);

/* Cuts a connection that makes us answer and does not read. After each received piece. */
void http2_guard_output(struct http2_conn *conn);

#endif
