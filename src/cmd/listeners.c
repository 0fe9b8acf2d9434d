/* Serving the listening sockets; see listeners.h. */
#include "cmd/listeners.h"

#include <stdio.h>
#include <string.h>

enum { ADDRESS_BYTES = 160 };

static void on_connection(void *context, struct conn *conn)
{
    http_serve(context, conn);
}

/* What a person puts behind "curl" to get there. */
static void make_url(struct listeners *listeners, const struct listen_socket *socket,
                     const char *address)
{
    if (socket->address.ss_family == AF_UNIX)
        snprintf(listeners->url, sizeof listeners->url, "--unix-socket %s http://localhost",
                 address + strlen("unix:"));
    else
        snprintf(listeners->url, sizeof listeners->url, "%s", address);
}

/* The second ports serve the same and are not worth a line. */
static void say(struct listeners *listeners, const struct listen_socket *socket)
{
    char address[ADDRESS_BYTES];
    listen_socket_format(socket, false, address, sizeof address);
    if (!listeners->url[0])
        make_url(listeners, socket, address);
    if (socket->role != LISTEN_GRPC && socket->role != LISTEN_METRICS)
        printf("tensord listening on %s\n", address);
}

bool listeners_open(struct listeners *listeners, struct loop *loop, const struct settings *settings,
                    struct http_server *http, struct error *ret_error)
{
    *listeners = (struct listeners){.url = ""};
    if (!listening_inherit(&listeners->sockets, ret_error))
        return false;
    for (size_t i = 0; i < listeners->sockets.count; i++) {
        const struct listen_socket *socket = &listeners->sockets.sockets[i];
        listeners->items[i] = listener_new(loop, socket, NULL, (size_t)settings->max_connections,
                                           on_connection, http, ret_error);
        if (!listeners->items[i])
            return false;
        say(listeners, socket);
    }
    fflush(stdout);
    return true;
}

void listeners_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->sockets.count; i++)
        listener_close(listeners->items[i]);
    listeners->sockets.count = 0;
}
