/* The front's listening sockets while it serves. */
#ifndef TENSORD_CMD_LISTENERS_H
#define TENSORD_CMD_LISTENERS_H

#include "cmd/listening.h"
#include "net/listener.h"
#include "protocol/http.h"

struct listeners {
    struct listening sockets;
    struct listener *items[LISTEN_SOCKETS]; /* of the same places */
    struct tls_server *tls;                 /* or NULL */
    char url[400]; /* for a line to paste after "curl ": "http://127.0.0.1:8000" */
};

/* Takes over the sockets from the spawner. */
bool listeners_inherit(struct listeners *listeners, struct error *ret_error);

/* Serves them from now on, and says on standard output where it listens. */
bool listeners_open(struct listeners *listeners, struct loop *loop, const struct settings *settings,
                    struct http_server *http, struct error *ret_error);

/* Reads the certificate again, if there is one. */
void listeners_reload(struct listeners *listeners);

/* Stops accepting. Does nothing the second time. */
void listeners_close(struct listeners *listeners);

#endif
