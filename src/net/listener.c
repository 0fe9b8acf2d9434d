/* Listening sockets.
 *
 * The socket is ours and only watched by libuv, so that we decide when to accept. At max_conns, and
 * when there is no descriptor or memory left, we stop watching it: new clients wait in the kernel's
 * queue, and the loop does not spin on a socket that stays readable. It is watched again as soon as
 * one of its connections is gone; after an error also when REST_MS have passed, since what was
 * lacking may have been freed elsewhere. */
#include "net/address.h"
#include "net/conn_private.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    REST_MS = 100,
    ACCEPTS_PER_TURN = 16, /* then those that are connected get their turn */
};

struct listener {
    struct loop *loop;
    struct loop_resource resource;
    uv_poll_t poll;
    int fd; /* -1: closed */
    struct sockaddr_storage address;
    dev_t device; /* of a unix socket's file, to remove no other */
    ino_t inode;
    size_t open_conns;
    size_t max_conns;
    bool watching;
    bool poll_closed;
    struct timer rest; /* runs: something was lacking */
    listener_accept *accept;
    void *context;
};

static bool is_unix(const struct listener *listener)
{
    return listener->address.ss_family == AF_UNIX;
}

static const char *unix_path(const struct listener *listener)
{
    return ((const struct sockaddr_un *)&listener->address)->sun_path;
}

/* Accepting */

static void on_readable(uv_poll_t *poll, int status, int events);

/* Watches the socket, or not, as the present state wants. */
static void update(struct listener *listener)
{
    bool wanted =
        listener->fd >= 0 && listener->open_conns < listener->max_conns && !listener->rest.loop;
    if (wanted == listener->watching || listener->fd < 0)
        return;
    listener->watching = wanted;
    if (wanted)
        uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    else
        uv_poll_stop(&listener->poll);
}

static void rest_over(struct timer *rest)
{
    update(list_entry(rest, struct listener, rest));
}

static void take_rest(struct listener *listener)
{
    timer_start(&listener->rest, listener->loop, REST_MS, rest_over);
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
    struct conn *conn = conn_socket_new(listener->loop, fd, is_unix(listener));
    if (!conn) {
        take_rest(listener);
        return false;
    }
    conn->listener = listener;
    listener->open_conns++;
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

void listener_release(struct listener *listener)
{
    listener->open_conns--;
    timer_stop(&listener->rest);
    update(listener);
    free_when_unused(listener);
}

/* Opening */

/* Whether the path is a socket that nobody listens on, as a server that was killed leaves it. */
static bool is_stale(const struct sockaddr_un *address)
{
    struct stat found;
    if (lstat(address->sun_path, &found) != 0 || !S_ISSOCK(found.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static bool bind_unix(struct listener *listener, int fd, const struct sockaddr *address,
                      socklen_t size)
{
    /* The file gets the mode of the socket: it is never open to others, not even for a moment. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0)
        return false;
    if (bind(fd, address, size) != 0) {
        if (errno != EADDRINUSE)
            return false;
        if (!is_stale((const struct sockaddr_un *)address)) {
            errno = EADDRINUSE;
            return false;
        }
        if (unlink(unix_path(listener)) != 0 || bind(fd, address, size) != 0)
            return false;
    }
    struct stat file;
    if (lstat(unix_path(listener), &file) != 0)
        return false;
    listener->device = file.st_dev;
    listener->inode = file.st_ino;
    return true;
}

static bool bind_ip(struct listener *listener, int fd, const struct sockaddr *address,
                    socklen_t size)
{
    int on = 1, off = 0;
    socklen_t bound_size = sizeof listener->address;
    /* TCP_NODELAY is inherited by what is accepted: set once, not for each. */
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
           (address->sa_family != AF_INET6 ||
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0) &&
           bind(fd, address, size) == 0 &&
           getsockname(fd, (struct sockaddr *)&listener->address, &bound_size) == 0;
}

/* The listening socket, or -1 and errno. */
static int open_socket(struct listener *listener, socklen_t size)
{
    const struct sockaddr_storage address = listener->address;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    bool bound = is_unix(listener)
                     ? bind_unix(listener, fd, (const struct sockaddr *)&address, size)
                     : bind_ip(listener, fd, (const struct sockaddr *)&address, size);
    if (bound && listen(fd, BACKLOG) == 0)
        return fd;
    int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

static void close_resource(struct loop_resource *resource)
{
    listener_close(list_entry(resource, struct listener, resource));
}

struct listener *listener_open(struct loop *loop, const char *address, size_t max_conns,
                               listener_accept *accept, void *context, struct error *ret_error)
{
    socklen_t size;
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        error_no_memory(ret_error);
        return NULL;
    }
    listener->loop = loop;
    listener->max_conns = max_conns;
    listener->accept = accept;
    listener->context = context;
    listener->poll.data = listener;
    if (!address_parse(address, &listener->address, &size, ret_error)) {
        free(listener);
        return NULL;
    }
    listener->fd = open_socket(listener, size);
    int status = listener->fd < 0 ? uv_translate_sys_error(errno)
                                  : uv_poll_init(&loop->uv, &listener->poll, listener->fd);
    if (status != 0) {
        error_set(ret_error, ERROR_UNAVAILABLE, "cannot listen on %s: %s", address,
                  uv_strerror(status));
        if (listener->fd >= 0)
            close(listener->fd);
        free(listener);
        return NULL;
    }
    loop_enter(loop, &listener->resource, close_resource);
    update(listener);
    return listener;
}

unsigned listener_port(const struct listener *listener)
{
    return address_port(&listener->address);
}

/* Closing */

static void on_close(uv_handle_t *poll)
{
    struct listener *listener = poll->data;
    listener->poll_closed = true;
    free_when_unused(listener);
}

static void remove_file(const struct listener *listener)
{
    struct stat file;
    if (lstat(unix_path(listener), &file) == 0 && file.st_dev == listener->device &&
        file.st_ino == listener->inode)
        unlink(unix_path(listener)); /* a file that stays is removed by the next to listen there */
}

void listener_close(struct listener *listener)
{
    if (!listener || listener->fd < 0)
        return;
    timer_stop(&listener->rest);
    uv_close((uv_handle_t *)&listener->poll, on_close);
    close(listener->fd);
    listener->fd = -1;
    if (is_unix(listener))
        remove_file(listener);
}
