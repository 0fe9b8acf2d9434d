/* A connection that speaks HTTP/1.1, and the exchange that runs on it. For http1*.c only.
 *
 * One exchange at a time: what a client sends behind a complete request waits, at most
 * HTTP1_WAITING_BYTES of it, until the response has been sent. The calls of the application
 * (http1_transport) only note what is to be done; http1_run does it, so that a handler is never
 * called from within a call of its own. */
#ifndef TENSORD_PROTOCOL_HTTP1_CONN_H
#define TENSORD_PROTOCOL_HTTP1_CONN_H

#include "protocol/http1_parser.h"
#include "protocol/http1_write.h"

enum {
    HTTP1_WAITING_BYTES = 16 * 1024,
    HTTP1_SKIP_BYTES = 64 * 1024,  /* the most of an unwanted body that is read to keep the
                                    * connection */
    HTTP1_WANTS_BYTES = 64 * 1024, /* http_wants while less is unsent */
    HTTP1_VECTORS = 12,
    HTTP1_TURN_REQUESTS = 16, /* answered in one turn of the loop; then others have theirs */
};

/* What the next received byte is. */
enum http1_phase {
    HTTP1_IDLE,    /* the first of a request */
    HTTP1_HEAD,    /* of a head that has begun */
    HTTP1_BODY,    /* of the body */
    HTTP1_ANSWER,  /* of the next request, which waits for the response to this one */
    HTTP1_SKIP,    /* of a body whose response was sent already */
    HTTP1_CLOSING, /* nobody's: the connection finishes */
};

struct http1_conn {
    struct http_session session;     /* first */
    struct http1_exchange *exchange; /* NULL between requests */
    struct loop_task turn;           /* runs http1_run when the application has called */
    struct timer timer;
    enum http1_phase phase;
    bool running;          /* in http1_run, or in a callback that ends in it */
    bool starved;          /* room() gave none */
    bool paused;           /* because the handler had none for the body */
    bool direct;           /* the room asked for last is the handler's */
    bool keep_alive;       /* after this exchange */
    bool yields;           /* complete requests wait for the next turn */
    bool switched;         /* it speaks another protocol: the rest is a body without an end */
    bool unsent;           /* conn_send has not sent all yet; `drained` will come */
    uint64_t body_left;    /* bytes of a body with Content-Length, or of one without an end */
    uint64_t since_ns;     /* start of the phase, or of the body's window */
    uint64_t window_bytes; /* of the body, received since then */
    char *waiting;         /* received, not parsed yet; heap */
    size_t waiting_size;
};

struct http1_exchange {
    struct http_exchange base; /* first */
    struct http1_conn *conn;   /* valid while base.transport is set */
    struct http1_parser parser;
    enum http1_framing framing; /* of the response */
    bool broken;                /* the application, or a lack of memory, broke it off */
    bool wrote;                 /* `drained` is owed */
    uint64_t response_left;     /* bytes still to come, HTTP1_LENGTH */
    size_t queued_bytes;        /* in vectors */
    size_t vector_count;
    struct iovec vectors[HTTP1_VECTORS]; /* not given to conn_send yet */
    struct arena lines;                  /* chunk lines, until drained */
};
_Static_assert(sizeof(struct http1_exchange) <= HTTP_EXCHANGE_BYTES, "raise HTTP_EXCHANGE_BYTES");

/* How the application writes; in http1_output.c. */
extern const struct http_transport http1_transport;

/* Gives what was written to the connection. */
void http1_flush(struct http1_exchange *exchange);

/* Does all that can be done now: parses what waits and `received`, sends, ends exchanges, starts
 * the next. In http1.c. */
void http1_run(struct http1_conn *c, struct span received);

/* Schedules http1_run at the end of the turn, unless it runs. */
void http1_wake(struct http1_conn *c);

/* Answers a malformed or late request with its error, and finishes the connection. */
void http1_refuse(struct http1_conn *c, const struct error *error);

/* Ends the exchange for the application, and the connection at once. */
void http1_abort(struct http1_conn *c);

/* Sets the timer for what the connection waits for now; in http1_timer.c. */
void http1_watch(struct http1_conn *c);

#endif
