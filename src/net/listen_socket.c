/* Opening listening sockets; see listen_socket.h. What systemd hands over is read in
 * listen_inherit.c.
 *
 * The queue of the kernel is long, because a front that is busy, being replaced, or short of
 * descriptors lets clients wait there instead of turning them away. */
#include "net/listen_socket.h"

#include "net/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

/* A peer whose machine is gone is given up after two minutes. */
enum { ALIVE_IDLE_S = 60, ALIVE_INTERVAL_S = 10, ALIVE_PROBES = 6 };

struct role_row {
    const char *name;
    int tls; /* -1: when there is a certificate */
};

static const struct role_row roles[] = {
#define ROLE_ROW(role, name, tls) {name, tls},
    LISTEN_ROLES(ROLE_ROW)
#undef ROLE_ROW
};

const char *listen_role_name(enum listen_role role)
{
    return roles[role].name;
}

bool listen_role_of_name(struct span name, enum listen_role *ret_role)
{
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (span_equal(name, span_of(roles[i].name))) {
            *ret_role = (enum listen_role)i;
            return true;
        }
    }
    return false;
}

static bool is_unix(const struct listen_socket *socket)
{
    return socket->address.ss_family == AF_UNIX;
}

static const char *unix_path(const struct listen_socket *socket)
{
    return ((const struct sockaddr_un *)&socket->address)->sun_path;
}

/* ---- opening ---- */

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

static bool bind_to_file(const struct listen_socket *to)
{
    const struct sockaddr *address = (const struct sockaddr *)&to->address;
    socklen_t size = sizeof(struct sockaddr_un);
    if (bind(to->fd, address, size) == 0)
        return true;
    if (errno != EADDRINUSE)
        return false;
    if (!is_stale((const struct sockaddr_un *)address)) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(unix_path(to)) == 0 && bind(to->fd, address, size) == 0;
}

void listen_socket_own_file(struct listen_socket *socket)
{
    struct stat file;
    if (!is_unix(socket) || lstat(unix_path(socket), &file) != 0)
        return;
    socket->has_file = true;
    socket->device = file.st_dev;
    socket->inode = file.st_ino;
    socket->changed = file.st_ctim;
}

/* The file gets the mode of the socket, less the umask, from its first moment: it is never open to
 * others by accident. What the umask took away is given afterwards. */
static bool bind_unix(struct listen_socket *to, mode_t mode)
{
    if (fchmod(to->fd, mode) != 0 || !bind_to_file(to) || chmod(unix_path(to), mode) != 0)
        return false;
    listen_socket_own_file(to);
    return true;
}

static bool set_number(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* Inherited by what is accepted: set once, not for each. */
static bool set_tcp_options(int fd)
{
    return set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
           set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
           set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, ALIVE_IDLE_S) &&
           set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL, ALIVE_INTERVAL_S) &&
           set_number(fd, IPPROTO_TCP, TCP_KEEPCNT, ALIVE_PROBES);
}

static bool bind_ip(struct listen_socket *to, socklen_t size)
{
    return set_number(to->fd, SOL_SOCKET, SO_REUSEADDR, 1) && set_tcp_options(to->fd) &&
           (to->address.ss_family != AF_INET6 ||
            set_number(to->fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
           bind(to->fd, (const struct sockaddr *)&to->address, size) == 0;
}

static bool bind_and_listen(struct listen_socket *to, socklen_t size, mode_t unix_mode)
{
    to->fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (to->fd < 0)
        return false;
    if (!(is_unix(to) ? bind_unix(to, unix_mode) : bind_ip(to, size)) ||
        listen(to->fd, BACKLOG) != 0)
        return false;
    socklen_t bound_size = sizeof to->address;
    return is_unix(to) || getsockname(to->fd, (struct sockaddr *)&to->address, &bound_size) == 0;
}

/* What to do about the usual reasons. */
static const char *advice(const struct listen_socket *socket, int reason)
{
    if (reason == EADDRINUSE && is_unix(socket))
        return ": a server listens there, or the path is no socket";
    if (reason == EADDRINUSE)
        return ": does another server run there? Choose another port with --port or --listen";
    if (reason == EACCES && !is_unix(socket))
        return ": ports below 1024 take root, CAP_NET_BIND_SERVICE or socket activation";
    if (reason == EADDRNOTAVAIL)
        return ": this machine has no such address";
    return "";
}

bool listen_socket_open(const char *address, enum listen_role role, mode_t unix_mode,
                        struct listen_socket *ret_socket, struct error *ret_error)
{
    struct listen_socket opened = {.fd = -1, .role = role};
    socklen_t size;
    if (!address_parse(address, &opened.address, &size, ret_error))
        return false;
    if (!bind_and_listen(&opened, size, unix_mode)) {
        int reason = errno;
        listen_socket_remove_file(&opened);
        listen_socket_close(&opened);
        return error_set(ret_error, ERROR_UNAVAILABLE, "cannot listen on %s: %s%s", address,
                         strerrordesc_np(reason), advice(&opened, reason));
    }
    *ret_socket = opened;
    return true;
}

/* ---- taking over ---- */

static bool has_option(int fd, int name, int wanted)
{
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 && value == wanted;
}

static bool set_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

bool listen_socket_adopt(int fd, enum listen_role role, struct listen_socket *ret_socket,
                         struct error *ret_error)
{
    struct listen_socket adopted = {.fd = fd, .role = role};
    socklen_t size = sizeof adopted.address;
    if (getsockname(fd, (struct sockaddr *)&adopted.address, &size) != 0)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "descriptor %d is no socket: %s", fd,
                         strerrordesc_np(errno));
    int family = adopted.address.ss_family;
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "descriptor %d is neither a TCP nor a unix socket", fd);
    if (!has_option(fd, SO_TYPE, SOCK_STREAM) || !has_option(fd, SO_ACCEPTCONN, 1))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "descriptor %d is no listening stream socket (systemd: ListenStream= "
                         "with Accept=no)",
                         fd);
    if (!set_flags(fd) || (family != AF_UNIX && !set_tcp_options(fd)))
        return error_set(ret_error, ERROR_INTERNAL, "descriptor %d: %s", fd,
                         strerrordesc_np(errno));
    *ret_socket = adopted;
    return true;
}

/* ---- facts ---- */

bool listen_socket_is_at(const struct listen_socket *socket, const char *address)
{
    struct sockaddr_storage wanted;
    socklen_t size;
    if (!address_parse(address, &wanted, &size, NULL))
        return false;
    if (address_port(&wanted) == 0)
        address_set_port(&wanted, address_port(&socket->address));
    return address_equal(&socket->address, &wanted);
}

bool listen_socket_is_local(const struct listen_socket *socket)
{
    return is_unix(socket) || address_is_loopback(&socket->address);
}

bool listen_socket_is_tls(const struct listen_socket *socket, bool has_certificate)
{
    int tls = roles[socket->role].tls;
    return !is_unix(socket) && (tls < 0 ? has_certificate : tls > 0);
}

char *listen_socket_format(const struct listen_socket *socket, bool is_tls, char *text, size_t size)
{
    char host[64];
    address_format(&socket->address, host, sizeof host);
    if (is_unix(socket))
        snprintf(text, size, "unix:%s", unix_path(socket));
    else
        snprintf(text, size, "%s://%s", is_tls ? "https" : "http", host);
    return text;
}

/* ---- the end ---- */

void listen_socket_close(struct listen_socket *socket)
{
    if (socket->fd >= 0)
        close(socket->fd);
    socket->fd = -1;
}

static bool is_own_file(const struct listen_socket *socket, const struct stat *file)
{
    return file->st_dev == socket->device && file->st_ino == socket->inode &&
           file->st_ctim.tv_sec == socket->changed.tv_sec &&
           file->st_ctim.tv_nsec == socket->changed.tv_nsec;
}

void listen_socket_remove_file(struct listen_socket *socket)
{
    struct stat file;
    if (socket->has_file && lstat(unix_path(socket), &file) == 0 && is_own_file(socket, &file))
        unlink(unix_path(socket)); /* a file that stays is replaced by the next to listen there */
    socket->has_file = false;
}
