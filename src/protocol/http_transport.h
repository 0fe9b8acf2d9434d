/* What HTTP/1.1 and HTTP/2 share beneath http.h: how a connection reaches its transport, how an
 * exchange comes and goes, and the checks that hold for a head whatever carried it. Only
 * src/protocol includes this.
 *
 * A transport embeds struct http_session at the start of its connection and struct http_exchange at
 * the start of its stream. All calls are for the connection's loop. */
#ifndef TENSORD_PROTOCOL_HTTP_TRANSPORT_H
#define TENSORD_PROTOCOL_HTTP_TRANSPORT_H

#include "protocol/http.h"
#include "telemetry/metrics.h"

/* Takes over a connection, by conn_own, whose first bytes `received` were read already: all that
 * came of the preface (http2), or what showed that it is none (http1). `received` is valid only
 * during the call. */
void http1_serve(struct http_server *server, struct conn *conn, struct span received);
void http2_serve(struct http_server *server, struct conn *conn, struct span received);

/* Frees what the HTTP/2 connections of a server had in common. Accepts NULL. */
struct http2_shared;
void http2_shared_free(struct http2_shared *shared);

/* A connection as its server sees it; the first member of the transport's connection. */
struct http_session {
    struct list_link link; /* in server->conns */
    struct http_server *server;
    struct conn *conn;
    uint64_t held_bytes; /* the application's: http_held_bytes */
    /* Ends keep-alive, or sends GOAWAY; without a request, closes if close_idle says so. */
    void (*drain)(struct http_session *session, bool close_idle);
};

/* Enters the session into its server's list, and takes it out. */
void http_session_init(struct http_session *session, struct http_server *server, struct conn *conn,
                       void (*drain)(struct http_session *, bool close_idle));
void http_session_fini(struct http_session *session);

/* Room for received bytes that all sessions of a server share, so that an idle connection has none
 * of its own: what lies in it is valid only until the call that reported it returns. Small enough
 * that most of a large body does not pass through it. NULL when there is no memory. */
enum { HTTP_RECEIVE_BYTES = 8192 };
char *http_receive_room(struct http_server *server);

enum { HTTP_EXCHANGE_BYTES = 960 }; /* the most that a transport's stream may take */

/* A cleared stream of the transport, with one reference (the transport's), an empty arena, and
 * content_length -1. Recycled: an ordinary request costs no malloc. NULL when there is no memory.
 */
struct http_exchange *http_exchange_new(struct http_server *server,
                                        const struct http_transport *transport);

/* The head is complete: reads by what the request is known elsewhere and hands it to the server's
 * application. */
void http_exchange_begin(struct http_exchange *exchange);

/* The transport answers with the error itself: notes it and ends the exchange for the application.
 */
void http_exchange_refuse(struct http_exchange *exchange, const struct error *error);

/* Ends the exchange for the application: handler->closed, if a handler was set, and from then on
 * every http_ call does nothing. The transport keeps its reference and its members until it calls
 * http_unref. Does nothing the second time. */
void http_exchange_close(struct http_exchange *exchange, bool complete);

/* Appends a field to the request. The bytes are not copied: they must live as long as the exchange,
 * in its arena. False (HEADER_TOO_LARGE) when the head has too many fields or bytes. */
bool http_exchange_add_field(struct http_exchange *exchange, struct span name, struct span value,
                             struct error *ret_error);

/* Sets the request's method and its name. */
void http_request_set_method(struct http_request *request, struct span name);

/* Sets path and query from a target in origin-form ("/path?query") or, for OPTIONS, "*". `target`
 * must lie in the exchange's arena. The method must be set. False with URI_TOO_LONG or
 * INVALID_ARGUMENT. */
bool http_exchange_set_target(struct http_exchange *exchange, struct span target,
                              struct error *ret_error);

/* True for host or host:port of RFC 3986 §3.2, without user information and not empty. */
bool http_authority_valid(struct span authority);

/* Reads the value of Content-Length: digits only, no list. False with INVALID_ARGUMENT, or
 * TOO_LARGE when it does not fit. */
bool http_content_length(struct span value, int64_t *ret_length, struct error *ret_error);

/* The current time as a Date field has it (RFC 9110 §5.6.7), 29 bytes; made once a second. Valid
 * until the next call. */
struct span http_date(struct http_server *server);

#endif
