/* Accepting connections.
 *
 * The socket is ours and only watched by libuv, so that we decide when to accept. At max_conns, and
 * when there is no descriptor or memory left, we stop watching it: new clients wait in the kernel's
 * queue, and the loop does not spin on a socket that stays readable. It is watched again as soon as
 * one of its connections is gone; after an error also when REST_MS have passed, since what was
 * lacking may have been freed elsewhere. */
#include "net/listener.h"

#include "base/clock.h"
#include "net/address.h"
#include "net/tls_private.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    REST_MS = 100,
    SAY_AGAIN_MS = 60000,
    ACCEPTS_PER_TURN = 16, /* then those that are connected get their turn */
    FLOOD_CONNS = 256,
    TIDY_MS = 500,
};

struct listener {
    struct loop *loop;
    struct loop_resource resource;
    uv_poll_t poll;
    int fd; /* -1: closed */
    struct sockaddr_storage address;
    struct tls_server *tls; /* or NULL */
    size_t open_conns;
    size_t peak_conns; /* since the last tidying */
    struct timer tidy;
    size_t max_conns;
    bool watching;
    bool poll_closed;
    struct timer rest; /* runs: something was lacking */
    uint64_t said_ns;  /* when that was last said; 0: never */
    listener_accept *accept;
    void *context;
};

static bool is_unix(const struct listener *listener)
{
    return listener->address.ss_family == AF_UNIX;
}

/* Accepting */

static void on_readable(uv_poll_t *poll, int status, int events);
static bool start_watching(struct listener *listener);

/* Watches the socket, or not, as the present state wants. */
static void update(struct listener *listener)
{
    bool wanted =
        listener->fd >= 0 && listener->open_conns < listener->max_conns && !listener->rest.loop;
    if (wanted == listener->watching || listener->fd < 0)
        return;
    listener->watching = wanted && start_watching(listener);
    if (listener->open_conns >= listener->max_conns)
        limit_hit(LIMIT_max_connections);
    if (!listener->watching)
        uv_poll_stop(&listener->poll);
}

static void rest_over(struct timer *rest)
{
    update(list_entry(rest, struct listener, rest));
}

/* errno says what is lacking. */
static void take_rest(struct listener *listener)
{
    limit_hit(LIMIT_descriptors);
    uint64_t now_ns = loop_now_ns(listener->loop);
    if (!listener->said_ns || now_ns - listener->said_ns > SAY_AGAIN_MS * CLOCK_NS_PER_MS) {
        log_warning("listener", "new connections wait: %s", strerrordesc_np(errno));
        listener->said_ns = now_ns;
    }
    timer_start(&listener->rest, listener->loop, REST_MS, rest_over);
}

/* False when the kernel cannot watch one more: later. */
static bool start_watching(struct listener *listener)
{
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    if (loop_register(listener->loop, listener->fd))
        return true;
    take_rest(listener);
    return false;
}

/* Accepts one; false when there is none, or no means for one, now. */
static bool accept_one(struct listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED)
            return true;
        if (errno != EAGAIN)
            take_rest(listener);
        return false;
    }
    struct conn *conn = conn_adopt(listener->loop, fd, is_unix(listener));
    if (!conn) {
        errno = ENOMEM;
        take_rest(listener);
        return false;
    }
    conn->listener = listener;
    metrics.connections++;
    metrics.connections_accepted++;
    if (++listener->open_conns > listener->peak_conns)
        listener->peak_conns = listener->open_conns;
    if (listener->tls)
        conn = conn_tls_new(conn, listener->tls);
    if (!conn) {
        errno = ENOMEM;
        take_rest(listener);
        return false;
    }
    listener->accept(listener->context, conn);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++)
        if (listener->fd < 0 || listener->open_conns >= listener->max_conns ||
            !accept_one(listener))
            break;
    update(listener);
}

static void free_when_unused(struct listener *listener)
{
    if (!listener->poll_closed || listener->open_conns > 0)
        return;
    loop_leave(&listener->resource);
    free(listener);
}

/* What many connections had lies in small pieces between what others still have: without being
 * asked, the C library keeps it for ever. Asking takes half a millisecond for each MiB. */
static void tidy_up(struct timer *tidy)
{
    malloc_trim(0);
}

static void tidy_after_flood(struct listener *listener)
{
    if (listener->peak_conns < FLOOD_CONNS || listener->open_conns > listener->peak_conns / 4 ||
        listener->fd < 0)
        return;
    listener->peak_conns = listener->open_conns;
    timer_start(&listener->tidy, listener->loop, TIDY_MS, tidy_up);
}

void listener_release(struct listener *listener)
{
    listener->open_conns--;
    tidy_after_flood(listener);
    metrics.connections--;
    timer_stop(&listener->rest);
    update(listener);
    free_when_unused(listener);
}

/* Beginning and end */

static void close_resource(struct loop_resource *resource)
{
    listener_close(list_entry(resource, struct listener, resource));
}

static struct listener *fail(int fd, struct listener *listener)
{
    close(fd);
    free(listener);
    return NULL;
}

struct listener *listener_new(struct loop *loop, const struct listen_socket *socket,
                              struct tls_server *tls, size_t max_conns, listener_accept *accept,
                              void *context, struct error *ret_error)
{
    struct listener *listener = malloc(sizeof *listener);
    if (!listener) {
        error_no_memory(ret_error);
        return fail(socket->fd, NULL);
    }
    *listener = (struct listener){
        .loop = loop,
        .fd = socket->fd,
        .address = socket->address,
        .tls = tls,
        .max_conns = max_conns,
        .accept = accept,
        .context = context,
        .poll.data = listener,
    };
    int status = uv_poll_init(&loop->uv, &listener->poll, listener->fd);
    if (status != 0) {
        error_set(ret_error, ERROR_UNAVAILABLE, "cannot watch a socket: %s", uv_strerror(status));
        return fail(listener->fd, listener);
    }
    loop_enter(loop, &listener->resource, close_resource);
    update(listener);
    return listener;
}

unsigned listener_port(const struct listener *listener)
{
    return address_port(&listener->address);
}

static void on_close(uv_handle_t *poll)
{
    struct listener *listener = poll->data;
    listener->poll_closed = true;
    free_when_unused(listener);
}

void listener_close(struct listener *listener)
{
    if (!listener || listener->fd < 0)
        return;
    timer_stop(&listener->rest);
    timer_stop(&listener->tidy);
    uv_close((uv_handle_t *)&listener->poll, on_close);
    close(listener->fd);
    listener->fd = -1;
}
