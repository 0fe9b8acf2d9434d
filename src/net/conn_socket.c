/* Connections over sockets, by libuv's streams.
 *
 * An answer costs one writev(2): uv_try_write, and nothing is allocated when the kernel takes it
 * all. What it does not take waits for the socket by a uv_write of one small piece; when that is
 * done, the rest is tried at once again. Reading is uv_read_start, whose question for memory goes
 * to the owner; it stays on until the owner wants nothing although something has come. */
#include "net/address.h"
#include "net/conn_private.h"
#include "telemetry/metrics.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct socket_conn {
    struct conn conn;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_write_t piece;
    size_t piece_bytes;
};

/* An idle connection must cost little. */
_Static_assert(sizeof(struct socket_conn) <= 1024, "struct socket_conn has grown");
_Static_assert(sizeof(uv_buf_t) == sizeof(struct iovec) &&
                   offsetof(uv_buf_t, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(uv_buf_t, len) == offsetof(struct iovec, iov_len),
               "uv_buf_t and struct iovec are the same");

static struct socket_conn *socket_of(struct conn *conn)
{
    return list_entry(conn, struct socket_conn, conn);
}

/* Clients' traffic: what came by a listener. */
static void count_received(const struct conn *conn, size_t count)
{
    if (conn->listener)
        metrics.received_bytes += count;
}

static void count_sent(const struct conn *conn, size_t count)
{
    if (conn->listener)
        metrics.sent_bytes += count;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct socket_conn *socket = handle->data;
    struct room room = conn_room(&socket->conn);
    *ret_buf = (uv_buf_t){room.data, room.size};
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct socket_conn *socket = stream->data;
    struct conn *conn = &socket->conn;
    if (count > 0) {
        count_received(conn, (size_t)count);
        conn_received(conn, (size_t)count);
    } else if (count == UV_EOF)
        conn_ended(conn);
    else if (count == UV_ENOBUFS) { /* no room; or closed while it was asked for */
        conn->reading = false;
        uv_read_stop(stream);
    } else if (count < 0)
        conn_abort(conn);
}

static void socket_read(struct conn *conn)
{
    if (uv_read_start(&socket_of(conn)->uv.stream, on_alloc, on_read) != 0)
        conn_abort(conn);
}

static ssize_t socket_write(struct conn *conn, const struct iovec *vectors, size_t count)
{
    unsigned some = count < IOV_MAX ? (unsigned)count : IOV_MAX;
    int taken = uv_try_write(&socket_of(conn)->uv.stream, (const uv_buf_t *)vectors, some);
    if (taken >= 0) {
        count_sent(conn, (size_t)taken);
        return taken;
    }
    return taken == UV_EAGAIN ? 0 : -1;
}

static void on_piece(uv_write_t *piece, int status)
{
    struct socket_conn *socket = piece->data;
    if (status == 0) {
        count_sent(&socket->conn, socket->piece_bytes);
        conn_taken(&socket->conn, socket->piece_bytes);
    } else {
        conn_abort(&socket->conn);
    }
}

static bool socket_await(struct conn *conn, struct iovec piece)
{
    struct socket_conn *socket = socket_of(conn);
    uv_buf_t buf = {piece.iov_base, piece.iov_len};
    socket->piece.data = socket;
    socket->piece_bytes = piece.iov_len;
    return uv_write(&socket->piece, &socket->uv.stream, &buf, 1, on_piece) == 0;
}

static int socket_fd(const struct socket_conn *socket)
{
    uv_os_fd_t fd;
    return uv_fileno(&socket->uv.handle, &fd) == 0 ? fd : -1;
}

static void socket_expect(struct conn *conn, size_t bytes)
{
    int least = (int)bytes;
    setsockopt(socket_fd(socket_of(conn)), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
}

static void socket_end(struct conn *conn)
{
    shutdown(socket_fd(socket_of(conn)),
             SHUT_WR); /* fails only when the peer is gone: read says so */
}

static void on_close(uv_handle_t *handle)
{
    struct socket_conn *socket = handle->data;
    conn_gone(&socket->conn);
    free(socket);
}

static void socket_close(struct conn *conn)
{
    uv_close(&socket_of(conn)->uv.handle, on_close);
}

static void socket_peer(const struct conn *conn, char *text, size_t size)
{
    const struct socket_conn *socket = list_entry(conn, struct socket_conn, conn);
    struct sockaddr_storage address = {0};
    socklen_t address_size = sizeof address;
    if (getpeername(socket_fd(socket), (struct sockaddr *)&address, &address_size) == 0)
        address_format(&address, text, size);
    else
        snprintf(text, size, "unknown");
}

static bool socket_left(const struct conn *conn)
{
    struct pollfd look = {.fd = socket_fd(list_entry(conn, struct socket_conn, conn)),
                          .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0;
}

static const struct conn_kind socket_kind = {
    .write = socket_write,
    .await = socket_await,
    .read = socket_read,
    .expect = socket_expect,
    .end = socket_end,
    .close = socket_close,
    .peer = socket_peer,
    .left = socket_left,
};

static int open_stream(struct socket_conn *socket, uv_loop_t *uv, int fd, bool is_unix)
{
    if (is_unix) {
        uv_pipe_init(uv, &socket->uv.pipe, 0);
        return uv_pipe_open(&socket->uv.pipe, fd);
    }
    uv_tcp_init(uv, &socket->uv.tcp);
    return uv_tcp_open(&socket->uv.tcp, fd);
}

/* Asked of the kernel once for each connection, since each request wants to know. */
static struct conn_origin find_origin(int fd, bool is_unix)
{
    struct conn_origin origin = {.place = is_unix ? CONN_UNIX : CONN_ELSEWHERE, .uid = (uid_t)-1};
    struct sockaddr_storage address = {0};
    socklen_t address_size = sizeof address;
    struct ucred peer;
    socklen_t peer_size = sizeof peer;
    if (is_unix && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0)
        origin.uid = peer.uid;
    if (!is_unix && getpeername(fd, (struct sockaddr *)&address, &address_size) == 0 &&
        address_is_loopback(&address))
        origin.place = CONN_LOOPBACK;
    return origin;
}

struct conn *conn_adopt(struct loop *loop, int fd, bool is_unix)
{
    struct socket_conn *socket = calloc(1, sizeof *socket);
    if (!socket) {
        close(fd);
        return NULL;
    }
    conn_init(&socket->conn, &socket_kind, loop);
    socket->conn.origin = find_origin(fd, is_unix);
    int status = open_stream(socket, &loop->uv, fd, is_unix);
    socket->uv.handle.data = socket;
    if (status == 0 && !loop_register(loop, fd)) {
        conn_abort(&socket->conn);
        return NULL;
    }
    if (status != 0) {
        close(fd);
        conn_abort(&socket->conn); /* frees it, from the loop */
        return NULL;
    }
    return &socket->conn;
}
