/* A listener: accepts the connections of a listening socket on a loop. */
#ifndef TENSORD_NET_LISTENER_H
#define TENSORD_NET_LISTENER_H

#include "net/conn.h"
#include "net/listen_socket.h"
#include "net/tls_server.h"

struct listener;

/* Called for each accepted connection, which the callee owns: it calls conn_own or conn_abort, and
 * may call listener_close. */
typedef void listener_accept(void *context, struct conn *conn);

/* Serves a socket that listens already. Takes its descriptor in any case; its file, if it has one,
 * stays the opener's. Its connections speak TLS when there is a tls server, which outlives them. At
 * most max_conns of them are open at once; more wait in the kernel, as they do while there is no
 * descriptor or memory for one. */
struct listener *listener_new(struct loop *loop, const struct listen_socket *socket,
                              struct tls_server *tls, size_t max_conns, listener_accept *accept,
                              void *context, struct error *ret_error);

/* The port that it listens on; 0 for a unix socket. */
unsigned listener_port(const struct listener *listener);

/* Stops accepting and closes the descriptor; connections live on. Clients are refused once no other
 * process holds the socket. Accepts NULL; the listener is invalid afterwards. */
void listener_close(struct listener *listener);

#endif
