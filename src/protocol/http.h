/* An HTTP exchange: one request and its response, the same over HTTP/1.1 and HTTP/2.
 *
 * The transport (http1.c, http2.c) reads the head of a request, makes an exchange and hands it to
 * the server's application; the application sets exchange->handler and from then on the two talk
 * through the calls below. Bodies are pushed in, into memory that the handler names; responses are
 * pulled out: a handler writes while http_wants() and goes on when told `drained`.
 *
 * An exchange is counted: the transport holds it until it is closed, the application may hold it
 * longer (while a worker still runs the request). After `closed` the http_ calls do nothing.
 *
 * All calls are for the connection's loop. */
#ifndef TENSORD_PROTOCOL_HTTP_H
#define TENSORD_PROTOCOL_HTTP_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/conn.h"
#include "telemetry/trace_context.h"

enum http_method {
    HTTP_OTHER, /* look at method_name */
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
};

struct http_field {
    struct span name; /* lower case */
    struct span value;
};

/* The head of a request. Everything lies in the exchange's arena. */
struct http_request {
    enum http_method method;
    struct span method_name;
    struct span path;  /* percent-decoded once; no "." or ".." segment, no NUL; starts with "/", or
                        * is the "*" of OPTIONS */
    struct span query; /* as sent, without "?" */
    struct span authority; /* Host or :authority */
    struct http_field *fields;
    size_t field_count;
    int64_t content_length; /* bytes; -1: not said */
    unsigned version;       /* 1 or 2 */
};

struct http_exchange;
struct http_session;

/* What the application does with an exchange. No member may be NULL. */
struct http_handler {
    /* Where the next bytes of the body go. No room pauses the body, until http_resume. May be asked
     * again without body_received in between. */
    struct room (*body_room)(struct http_exchange *exchange);
    /* `count` bytes, ≥ 1, of the body are in the room asked for last. */
    void (*body_received)(struct http_exchange *exchange, size_t count);
    /* The body is complete (also called when there is none). */
    void (*body_end)(struct http_exchange *exchange);
    /* Everything written so far has been taken by the kernel: its memory may be reused, and more
     * may be written if the response has not ended. */
    void (*drained)(struct http_exchange *exchange);
    /* The last call: the response is complete and sent, or the client has gone. */
    void (*closed)(struct http_exchange *exchange, bool complete);
};

struct http_exchange {
    struct http_request request;
    struct arena arena;
    const struct http_handler *handler;     /* set by the application */
    void *state;                            /* the application's */
    const struct http_transport *transport; /* NULL once closed */
    struct http_server *server;             /* outlives the exchange */
    size_t field_capacity;                  /* of request.fields */
    size_t field_bytes;                     /* of names and values so far */
    uint64_t body_expected_bytes;           /* of the body over HTTP/2, sure to come: what
                                             * Content-Length says, or the application knows; the
                                             * transport counts it down */
    uint64_t started_ns;                    /* when its first byte came, monotonic */
    struct span request_id;                 /* the client's, else as http_request_id has made it */
    struct trace_context trace;             /* as the client gives it */
    struct span server_timing; /* if not empty, answered as server-timing; set before */
    struct span failure;       /* the error that it was answered with, for the log */
    unsigned status;           /* of the response; 0: none yet */
    int grpc_status;           /* of the call; -1: none yet, or it is no call */
    unsigned references;
    const struct http_field *reply_fields; /* the application's: go out with every response */
    size_t reply_field_count;
    bool wants_timing; /* the client asks for Server-Timing */
    bool omits_id;     /* the head of the response is without x-request-id */
    bool body_idle;    /* the application's: between two messages of a stream over HTTP/2, where the
                        * clock of the body stands still */
    bool responded;    /* http_reply was called */
    bool ended;        /* http_end was called */
};

/* How the response travels; http1.c and http2.c each have one. The application uses the http_ calls
 * below. */
struct http_transport {
    void (*reply)(struct http_exchange *exchange, unsigned status, const struct http_field *fields,
                  size_t count);
    void (*body)(struct http_exchange *exchange, const struct iovec *vectors, size_t count);
    void (*end)(struct http_exchange *exchange, const struct http_field *trailers, size_t count);
    void (*resume)(struct http_exchange *exchange);
    void (*reset)(struct http_exchange *exchange);
    bool (*wants)(const struct http_exchange *exchange);
    bool (*may_switch)(const struct http_exchange *exchange); /* NULL: never */
    struct http_session *(*session)(const struct http_exchange *exchange);
};

/* Limits of the transports; TRUST.md's defaults are in http_limits_default. */
struct http_limits {
    size_t header_bytes;        /* of one head: 32 KiB */
    size_t field_count;         /* 100 */
    size_t target_bytes;        /* 8 KiB */
    uint32_t chunk_count;       /* of one chunked body: 65,536 */
    uint32_t streams;           /* at once, of one HTTP/2 connection: 100 */
    uint32_t reset_burst;       /* HTTP/2 resets at once */
    uint32_t resets_per_s;      /* and on the long run */
    uint64_t header_timeout_ms; /* a started head: 10 s */
    uint64_t body_timeout_ms;   /* without body_bytes_per_s: 10 s */
    uint64_t body_bytes_per_s;  /* inside a started body: 1 KiB/s */
    uint64_t unsent_timeout_ms; /* unread output: 30 s */
    uint64_t idle_timeout_ms;   /* between requests */
    size_t arena_bytes;         /* of one exchange */
};

extern const struct http_limits http_limits_default;

/* Where requests go. One per loop and kind of listening port; not for several threads. */
struct http_server {
    /* A request's head is complete. Must set exchange->handler; may answer at once. */
    void (*on_request)(struct http_server *server, struct http_exchange *exchange);
    /* An exchange is over, just before its handler's `closed`; also one that on_request never saw,
     * because it was refused. NULL: nobody wants to know. */
    void (*on_closed)(struct http_server *server, struct http_exchange *exchange, bool complete);
    struct http_limits limits;
    void *context;
    struct budget *messages; /* what an exchange needs beyond the usual is held of this, which
                              * outlives the server; NULL: of none */
    struct list conns;       /* all open connections */
    size_t conn_count;
    bool draining; /* http_server_retire or http_server_drain was called */
    /* While it drains: the last connection has gone. NULL: nobody wants to know. */
    void (*emptied)(struct http_server *server);
    uint64_t batch_ns; /* what http_server_now_ns gives while several exchanges begin or end with
                        * one call of the system; 0: it asks the clock */
    /* The transports' own. */
    char *receive_room;          /* shared by all connections; made when first needed */
    struct http2_shared *http2;  /* of all HTTP/2 connections; made when first needed */
    struct http_exchange *spare; /* exchanges to use again */
    size_t spare_count;
    uint64_t told_ns; /* when the log was last told of a client that did not keep to TLS */
    size_t untold;    /* of them since then */
    int64_t date_s;   /* the second that `date` names */
    char date[32];
};

/* Starts a server without connections; limits are http_limits_default. */
void http_server_init(struct http_server *server,
                      void (*on_request)(struct http_server *, struct http_exchange *),
                      void *context);

/* clock_now_ns; the same for all exchanges that one read or one write has begun or ended. */
static inline uint64_t http_server_now_ns(const struct http_server *server)
{
    return server->batch_ns ? server->batch_ns : clock_now_ns();
}

/* Frees what the server keeps for later use. No connection and no exchange may be left. */
void http_server_fini(struct http_server *server);

/* Serves a new connection: HTTP/2 when TLS has agreed on it, or, where TLS has agreed on nothing,
 * when it starts with the preface; else HTTP/1.1. */
void http_serve(struct http_server *server, struct conn *conn);

/* What a client gets that speaks HTTP to a port that speaks TLS (tls_server_options). */
extern const struct span http_answer_without_tls;

/* Ends keep-alive everywhere, for connections to come too: HTTP/1.1 closes after the running
 * response, HTTP/2 sends GOAWAY. An HTTP/1.1 connection without a request stays until its next one
 * has been answered: its client may be sending it just now. */
void http_server_retire(struct http_server *server);

/* The same, but connections without a request are closed. May follow http_server_retire. */
void http_server_drain(struct http_server *server);

/* The id of the request, made if it has none: "none" when there is no memory. */
struct span http_request_id(struct http_exchange *exchange);

/* Keeps an error's sentence, the first one, in exchange->failure. */
void http_note_failure(struct http_exchange *exchange, struct span sentence);

/* Whether the response may be 101: the connection can speak another protocol from here on. Over
 * HTTP/1.1, when the request is complete. After http_reply with 101, whose fields name the protocol
 * (upgrade), what the client sends is a body again, and what is written goes as it is; both have no
 * end but the connection's, and no clock but the application's. */
bool http_may_switch(const struct http_exchange *exchange);

/* Starts the response. Field names are lower case; "connection", "date", "x-request-id" and
 * framing are the transport's; a content-length among the fields is used. Memory of names and
 * values must stay until `closed`. */
void http_reply(struct http_exchange *exchange, unsigned status, const struct http_field *fields,
                size_t count);

/* Writes body bytes; the memory must stay until `drained` or `closed`. The vector array is copied.
 */
void http_body(struct http_exchange *exchange, const struct iovec *vectors, size_t count);

/* Ends the response. Trailers go out over HTTP/2 only. A body that is still coming is read and
 * dropped for a while, or the connection is closed after the response. */
void http_end(struct http_exchange *exchange, const struct http_field *trailers, size_t count);

/* A whole response at once, with its content-length. */
void http_send(struct http_exchange *exchange, unsigned status, const struct http_field *fields,
               size_t count, const struct iovec *vectors, size_t vector_count);

/* True while little enough is unsent that a stream may write its next part. */
bool http_wants(const struct http_exchange *exchange);

/* There is room for the body again. */
void http_resume(struct http_exchange *exchange);

/* Breaks the exchange off: RST_STREAM, or the connection closes. `closed` follows. */
void http_reset(struct http_exchange *exchange);

/* The connection that it came on, for facts about the peer; NULL after `closed`. */
struct conn *http_conn(const struct http_exchange *exchange);

/* Writes the client's address, for logs; nothing after `closed`. Costs a call of the system. */
void http_peer(const struct http_exchange *exchange, char *text, size_t size);

/* What the application says that requests of the exchange's connection hold, bytes: its to count, 0
 * at first. NULL after `closed`. */
uint64_t *http_held_bytes(const struct http_exchange *exchange);

/* The exchange's loop; NULL after `closed`. */
struct loop *http_loop(const struct http_exchange *exchange);

/* Takes and drops a reference. http_unref accepts NULL. */
struct http_exchange *http_ref(struct http_exchange *exchange);
void http_unref(struct http_exchange *exchange);

/* The value of the first field of that (lower-case) name; data NULL when there is none. */
struct span http_field(const struct http_request *request, struct span name);

/* Whether there is at most one field of that (lower-case) name. */
bool http_field_is_single(const struct http_request *request, struct span name);

/* Decodes %XX once and refuses what could mean two things: a bad escape, a NUL, control bytes, "."
 * and ".." segments, an encoded "/" or "\". False with a sentence otherwise. */
bool http_path_decode(struct arena *arena, struct span target_path, struct span *ret_path,
                      struct error *ret_error);

#endif
