/* Two connections joined in memory, so that protocols are tested without sockets.
 *
 * Each half has an inbox of fixed size in place of the kernel's buffer: what does not fit stays
 * unsent with the sender, as with a slow reader. A half does its work when a message that it has
 * posted to itself is delivered, so nothing is ever received within the call that sends it. */
#include "net/conn_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INBOX_BYTES = 65536 };

struct half {
    struct conn conn;
    struct half *peer; /* NULL: gone */
    struct loop_message turn;
    bool posted;     /* the turn */
    bool waiting;    /* for room in the peer's inbox */
    bool peer_ended; /* the inbox is the last to come */
    bool reset;      /* the peer went away without reading all */
    size_t inbox_bytes;
    char inbox[INBOX_BYTES];
};

static struct half *half_of(struct conn *conn)
{
    return list_entry(conn, struct half, conn);
}

static void post(struct half *half)
{
    if (half->posted)
        return;
    half->posted = true;
    loop_post(half->conn.loop, &half->turn);
}

static ssize_t half_write(struct conn *conn, const struct iovec *vectors, size_t count)
{
    struct half *peer = half_of(conn)->peer;
    if (!peer)
        return -1;
    size_t before = peer->inbox_bytes;
    for (size_t i = 0; i < count && peer->inbox_bytes < INBOX_BYTES; i++) {
        size_t room = INBOX_BYTES - peer->inbox_bytes;
        size_t some = vectors[i].iov_len < room ? vectors[i].iov_len : room;
        if (some > 0)
            memcpy(peer->inbox + peer->inbox_bytes, vectors[i].iov_base, some);
        peer->inbox_bytes += some;
    }
    post(peer);
    return (ssize_t)(peer->inbox_bytes - before);
}

static bool half_await(struct conn *conn, struct iovec piece)
{
    half_of(conn)->waiting = true;
    return true;
}

static void half_read(struct conn *conn)
{
    post(half_of(conn));
}

static void half_end(struct conn *conn)
{
    struct half *peer = half_of(conn)->peer;
    if (!peer)
        return;
    peer->peer_ended = true;
    post(peer);
}

static void half_close(struct conn *conn)
{
    struct half *half = half_of(conn), *peer = half->peer;
    if (peer) {
        peer->peer = half->peer = NULL;
        peer->peer_ended = true;
        peer->reset = half->inbox_bytes > 0;
        post(peer);
    }
    post(half);
}

static void half_peer(const struct conn *conn, char *text, size_t size)
{
    snprintf(text, size, "pair");
}

static bool half_left(const struct conn *conn)
{
    const struct half *half = list_entry(conn, struct half, conn);
    return half->peer_ended || half->reset;
}

static const struct conn_kind half_kind = {
    .write = half_write,
    .await = half_await,
    .read = half_read,
    .end = half_end,
    .close = half_close,
    .peer = half_peer,
    .left = half_left,
};

static void receive(struct half *half)
{
    struct conn *conn = &half->conn;
    while (conn->reading && half->inbox_bytes > 0 && !conn->closing) {
        struct room room = conn_room(conn);
        if (room.size == 0) {
            conn->reading = false;
            return;
        }
        size_t some = half->inbox_bytes < room.size ? half->inbox_bytes : room.size;
        memcpy(room.data, half->inbox, some);
        half->inbox_bytes -= some;
        memmove(half->inbox, half->inbox + some, half->inbox_bytes);
        conn_received(conn, some);
    }
}

static void take_turn(struct loop_message *turn)
{
    struct half *half = list_entry(turn, struct half, turn);
    struct conn *conn = &half->conn;
    half->posted = false;
    if (conn->closing) {
        conn_gone(conn);
        free(half);
        return;
    }
    if (half->reset) {
        conn_abort(conn);
        return;
    }
    if (half->waiting && (!half->peer || half->peer->inbox_bytes < INBOX_BYTES)) {
        half->waiting = false;
        conn_taken(conn, 0);
    }
    receive(half);
    if (half->peer && half->peer->waiting && half->inbox_bytes < INBOX_BYTES)
        post(half->peer);
    if (conn->reading && !conn->closing && half->inbox_bytes == 0 && half->peer_ended)
        conn_ended(conn);
}

static struct half *half_new(struct loop *loop)
{
    struct half *half = calloc(1, sizeof *half);
    if (!half)
        return NULL;
    conn_init(&half->conn, &half_kind, loop);
    half->turn.deliver = take_turn;
    return half;
}

bool conn_pair_new(struct loop *loop, struct conn **ret_a, struct conn **ret_b,
                   struct error *ret_error)
{
    struct half *a = half_new(loop), *b = a ? half_new(loop) : NULL;
    if (!b) {
        if (a)
            conn_abort(&a->conn);
        return error_no_memory(ret_error);
    }
    a->peer = b;
    b->peer = a;
    *ret_a = &a->conn;
    *ret_b = &b->conn;
    return true;
}
