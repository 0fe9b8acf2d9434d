/* One request over HTTP/1.1 to a server that we are the client of, on a connection that is lent for
 * it. The answer is pushed piece by piece, each of which stays in place until it was taken: so
 * whoever passes it on reads no faster than the other side.
 *
 * All calls are for the connection's loop. Events come from the loop, never from within a call
 * here, but for http1_client_resume, which goes on with what has come. */
#ifndef TENSORD_PROTOCOL_HTTP1_CLIENT_H
#define TENSORD_PROTOCOL_HTTP1_CLIENT_H

#include "protocol/http.h"

struct http1_client;

/* The head of an answer. What it points to lies in the client's arena. */
struct http1_client_head {
    unsigned status; /* 200 to 599 */
    const struct http_field *fields;
    size_t field_count;
};

struct http1_client_events {
    void (*head)(void *owner, const struct http1_client_head *head);
    /* A piece of the body, which stays in place until http1_client_resume. */
    void (*body)(void *owner, struct span piece);
    /* All that was sent has been taken by the kernel. */
    void (*sent)(void *owner);
    /* Something has come, or was taken: the server lives. */
    void (*alive)(void *owner);
    /* The last one: the answer is complete (error NULL), or never will be. The client has let go of
     * the connection, which is `conn`, NULL when it is gone; with `reusable`, it is as it was. A
     * last piece of the body stays in place. */
    void (*done)(void *owner, struct conn *conn, bool reusable, const struct error *error);
};

/* A client without a connection. `limits` are for heads; the arena outlives it; to_head: its
 * request is a HEAD. NULL when there is no memory. */
struct http1_client *http1_client_new(const struct http_limits *limits, struct arena *arena,
                                      bool to_head, const struct http1_client_events *events,
                                      void *owner);

/* Frees a client that has no connection. Accepts NULL. */
void http1_client_free(struct http1_client *client);

/* Takes a connection over, for a request; again after `done`. */
void http1_client_begin(struct http1_client *client, struct conn *conn);

/* Its request asks for another protocol: an answer with 101 is a head, and what follows a body that
 * ends with the connection, while http1_client_send goes on. Before http1_client_begin. */
void http1_client_may_switch(struct http1_client *client);

/* Lets go of the connection, whatever it has come to; `done` does not follow. NULL when there is
 * none. */
struct conn *http1_client_abandon(struct http1_client *client);

/* Sends bytes of the request, which stay in place until `sent`; with `last`, there are no more.
 * True: they were taken at once, and `sent` does not follow. */
bool http1_client_send(struct http1_client *client, const struct iovec *vectors, size_t count,
                       bool last);

/* The piece was taken: the next one may come. Does nothing when none was given. */
void http1_client_resume(struct http1_client *client);

/* Whether a piece is with the owner. */
bool http1_client_is_paused(const struct http1_client *client);

/* Whether a byte of the answer has come. */
bool http1_client_has_answer(const struct http1_client *client);

/* Whether what failed is that the server closed the connection, and no answer that is none. */
bool http1_client_was_cut(const struct http1_client *client);

#endif
