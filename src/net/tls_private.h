/* What tls_server.c and conn_tls.c share. */
#ifndef TENSORD_NET_TLS_PRIVATE_H
#define TENSORD_NET_TLS_PRIVATE_H

#include "net/conn_private.h"
#include "net/tls_server.h"

enum {
    /* Ciphertext received at once. What a paused owner does not take of it is kept, so it counts
     * towards the memory of a slow connection, as the next one does. */
    TLS_RECEIVE_BYTES = 2 * TLS_RECORD_ROOM,
    TLS_SEND_BYTES = 2 * TLS_RECORD_ROOM,
};

/* Ciphertext on its way to the connection below, which has it by reference. */
struct tls_output {
    size_t size;
    char data[TLS_SEND_BYTES];
};

struct tls_server {
    struct tls_server_options options;
    struct loop *loop;
    struct tls_context *tls;         /* for new connections */
    struct tls_output *spare;        /* an output that nobody uses now, or NULL */
    char receive[TLS_RECEIVE_BYTES]; /* of whichever connection receives now */
    char gather[TLS_RECORD_BYTES];   /* small vectors that become one record */
    struct tls_watch *watch;
};

/* An empty output; NULL when there is no memory. */
struct tls_output *tls_output_take(struct tls_server *server);

/* Gives it back. Accepts NULL. */
void tls_output_give(struct tls_server *server, struct tls_output *output);

/* TLS over a connection that was accepted, which it owns from then on. NULL when there is no
 * memory; then the connection below is aborted. */
struct conn *conn_tls_new(struct conn *below, struct tls_server *server);

/* The same with a session that exists already: tests have clients, too. */
struct conn *conn_tls_with(struct conn *below, struct tls_server *server,
                           struct tls_session *session);

#endif
