/* A connection: a stream of bytes in both directions, owned by a protocol.
 *
 * Received bytes go where the owner says: conn asks for room before each read, so that a tensor is
 * received straight into the memory where it stays. Sending is by vectors of memory that stays in
 * place until the kernel has it. Two kinds: a socket (TCP or unix) and one half of a loopback pair,
 * which tests drive without sockets.
 *
 * All calls are for the loop's thread. */
#ifndef TENSORD_NET_CONN_H
#define TENSORD_NET_CONN_H

#include "base/error.h"
#include "base/span.h"
#include "net/loop.h"

#include <sys/types.h>
#include <sys/uio.h>

struct conn;
struct arena;
struct tls_client;

/* What the owner of a connection is told. Only one of these runs at a time; any of them may call
 * the conn_ functions. */
struct conn_owner {
    /* Where the next received bytes go. No room (size 0) pauses reading, until conn_resume. May be
     * asked without `received` following, when there was nothing to read. */
    struct room (*room)(void *owner);

    /* `count` bytes, ≥ 1, were received into the room asked for last. */
    void (*received)(void *owner, size_t count);

    /* The other side will send no more; it may still read, but a client that closed looks the same
     * until something is sent to it. */
    void (*received_end)(void *owner);

    /* All that was given to conn_send has been taken by the kernel: its memory may be reused. Comes
     * also after conn_finish; not after a failure or conn_abort: then `closed` says so. */
    void (*drained)(void *owner);

    /* The connection is gone: finished, aborted, reset by the peer, or its loop is freed. The last
     * call; the owner frees itself here. After it, conn is invalid. */
    void (*closed)(void *owner);
};

/* The loop that the connection lives on. */
struct loop *conn_loop(const struct conn *conn);

/* Gives the connection to an owner and starts reading. Also used to hand it from one owner to
 * another: what the former has received, be it bytes or the end, the new one is not told again, and
 * the former is told nothing more. */
void conn_own(struct conn *conn, const struct conn_owner *calls, void *owner);

/* Nobody owns the connection for now: nothing is read or told. */
void conn_disown(struct conn *conn);

/* Sends the vectors in order, after what is unsent already. What the kernel does not take at once
 * is kept by reference: the memory must stay until `drained`; the vector array itself is copied
 * when needed. Returns true when all was taken at once (then `drained` is not called for it); false
 * when `drained` or `closed` will come. A failure closes the connection: `closed` comes later,
 * never from within this call. Not after conn_finish. */
bool conn_send(struct conn *conn, const struct iovec *vectors, size_t count);

/* Bytes given to conn_send that the kernel has not taken. */
size_t conn_unsent_bytes(const struct conn *conn);

/* Since when (loop_now_ns) the kernel has taken nothing for the peer although something was unsent;
 * 0 when nothing is. */
uint64_t conn_stalled_since_ns(const struct conn *conn);

/* Stops reading; what the peer sends waits in the kernel and, in the end, at the peer. While
 * paused, a peer's end or reset may go unnoticed. Costs no system call unless something comes. */
void conn_pause(struct conn *conn);

/* Reads again after conn_pause or after room() gave none. */
void conn_resume(struct conn *conn);

/* So many bytes more are sure to come, and fewer are of no use: they are reported when all of them
 * are there (of many, the first half MiB), and not segment by segment; but what has come by then is
 * reported after a millisecond or two in any case. For the middle of a large body. Holds until
 * that, or the next call; 0, as at first: each byte matters. */
void conn_expect(struct conn *conn, uint64_t bytes);

/* True when the peer has closed or reset the connection, whether or not it is read; a system call.
 */
bool conn_peer_left(const struct conn *conn);

/* Closes once everything unsent has been sent, then lingers until the peer has closed or 2 s have
 * passed, so that a last error answer is not lost to a reset. Received bytes are not reported any
 * more. `closed` follows. A peer that takes nothing is the owner's to notice and to abort. */
void conn_finish(struct conn *conn);

/* Closes at once. `closed` follows, from the loop, never from within this call. */
void conn_abort(struct conn *conn);

/* Writes the peer's address, "127.0.0.1:5000" or "unix", for logs; "unknown" once it is gone. */
void conn_peer(const struct conn *conn, char *text, size_t size);

/* Where the other end is, as the kernel says. */
enum conn_place {
    CONN_ELSEWHERE, /* another machine, or not known */
    CONN_LOOPBACK,  /* this machine, some user of it */
    CONN_UNIX,      /* this machine, the user `uid` */
};

struct conn_origin {
    enum conn_place place;
    uid_t uid; /* who connected over the unix socket */
};

/* Found out once, when it connected; costs nothing. */
const struct conn_origin *conn_origin(const struct conn *conn);

/* Whether it speaks TLS. */
bool conn_is_tls(const struct conn *conn);

/* The protocol that TLS has agreed on (ALPN), "h2" or "http/1.1", once something was received;
 * empty when the client named none, and without TLS. */
struct span conn_protocol(const struct conn *conn);

/* Who the client is by the certificate that it has shown and that was found valid; in the arena.
 * False with UNAUTHENTICATED when it has shown none. */
bool conn_client(const struct conn *conn, struct arena *arena, struct tls_client *ret_client,
                 struct error *ret_error);

/* In `closed`: whether the connection ended because the peer did not keep to TLS, or was refused,
 * and why; conn_peer still knows whom. */
bool conn_failure(const struct conn *conn, struct error *ret_error);

/* A connection over a stream socket that somebody else has connected, TCP or unix, which must not
 * block; takes the descriptor in any case. It has no owner yet. What goes over it is not counted as
 * clients' traffic. NULL when there is no memory. */
struct conn *conn_adopt(struct loop *loop, int fd, bool is_unix);

/* Two connections joined in memory; what one sends the other receives, in the loop's later turns.
 * Up to 64 KiB are taken that the other has not received; the rest is unsent. False when there is
 * no memory. */
bool conn_pair_new(struct loop *loop, struct conn **ret_a, struct conn **ret_b,
                   struct error *ret_error);

#endif
