/* Serving the listening sockets; see listeners.h. */
#include "cmd/listeners.h"

#include "cmd/tls_setup.h"

#include <stdio.h>
#include <string.h>

enum { ADDRESS_BYTES = 160 };

static void on_connection(void *context, struct conn *conn)
{
    http_serve(context, conn);
}

/* What a person puts behind "curl" to get there. */
static void make_url(struct listeners *listeners, const struct listen_socket *socket,
                     const char *address, const char *certificate)
{
    if (socket->address.ss_family == AF_UNIX)
        snprintf(listeners->url, sizeof listeners->url, "--unix-socket %s http://localhost",
                 address + strlen("unix:"));
    else if (certificate) /* it may be signed by nobody whom curl knows */
        snprintf(listeners->url, sizeof listeners->url, "--cacert '%.200s' %s", certificate,
                 address);
    else
        snprintf(listeners->url, sizeof listeners->url, "%s", address);
}

/* The second ports serve the same and are not worth a line. */
static void say(struct listeners *listeners, const struct listen_socket *socket,
                const char *certificate)
{
    char address[ADDRESS_BYTES];
    listen_socket_format(socket, certificate != NULL, address, sizeof address);
    if (!listeners->url[0])
        make_url(listeners, socket, address, certificate);
    if (socket->role != LISTEN_GRPC && socket->role != LISTEN_METRICS)
        printf("tensord listening on %s\n", address);
}

static bool serve(struct listeners *listeners, size_t i, struct loop *loop,
                  const struct settings *settings, struct http_server *http,
                  struct error *ret_error)
{
    const struct listen_socket *socket = &listeners->sockets.sockets[i];
    bool is_tls = listen_socket_is_tls(socket, listeners->tls != NULL);
    if (is_tls && !listeners->tls)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a socket that was handed over as https takes --tls-cert");
    listeners->items[i] =
        listener_new(loop, socket, is_tls ? listeners->tls : NULL,
                     (size_t)settings->max_connections, on_connection, http, ret_error);
    if (listeners->items[i])
        say(listeners, socket, is_tls ? settings->tls_cert : NULL);
    return listeners->items[i] != NULL;
}

bool listeners_inherit(struct listeners *listeners, struct error *ret_error)
{
    *listeners = (struct listeners){.url = ""};
    return listening_inherit(&listeners->sockets, ret_error);
}

bool listeners_open(struct listeners *listeners, struct loop *loop, const struct settings *settings,
                    struct http_server *http, struct error *ret_error)
{
    if (tls_is_wanted(settings) && !(listeners->tls = tls_setup(loop, settings, ret_error)))
        return false;
    for (size_t i = 0; i < listeners->sockets.count; i++)
        if (!serve(listeners, i, loop, settings, http, ret_error))
            return false;
    fflush(stdout);
    return true;
}

void listeners_reload(struct listeners *listeners)
{
    if (listeners->tls)
        tls_server_reload(listeners->tls);
}

void listeners_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->sockets.count; i++)
        listener_close(listeners->items[i]);
    listeners->sockets.count = 0;
}
