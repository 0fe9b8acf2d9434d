/* What the kinds of connections implement, and what they report. */
#ifndef TENSORD_NET_CONN_PRIVATE_H
#define TENSORD_NET_CONN_PRIVATE_H

#include "net/backlog.h"
#include "net/conn.h"
#include "net/loop_private.h"

/* A kind of connection: how bytes move. What they mean to the owner, and when, is conn.c's. None of
 * these calls back from within. */
struct conn_kind {
    /* Sends what can be sent at once. The number of bytes taken, 0 too, or -1: broken. */
    ssize_t (*write)(struct conn *conn, const struct iovec *vectors, size_t count);

    /* Waits until more can be sent, then calls conn_taken. May send `piece` meanwhile, which stays
     * in place. False: broken. */
    bool (*await)(struct conn *conn, struct iovec piece);

    /* Reports what is received, until conn_room gives none; conn->reading says that it does. */
    void (*read)(struct conn *conn);

    /* Reports nothing until so many bytes, ≥ 1, have come, or the end. NULL when the kind cannot
     * wait for more than one. */
    void (*expect)(struct conn *conn, size_t bytes);

    /* Tells the other side that no more will be sent. */
    void (*end)(struct conn *conn);

    /* Releases everything, reports nothing more, and calls conn_gone from the loop. */
    void (*close)(struct conn *conn);

    void (*peer)(const struct conn *conn, char *text, size_t size);

    /* Whether the other side has closed or reset the connection. */
    bool (*left)(const struct conn *conn);
};

struct conn {
    const struct conn_kind *kind;
    struct loop *loop;
    struct loop_resource resource;
    struct listener *listener; /* that accepted it, or NULL */
    struct conn_origin origin;
    const struct conn_owner *calls;
    void *owner;
    struct backlog unsent;
    uint64_t stalled_since_ns;
    struct timer timer;    /* ends an expectation, and lingering */
    size_t expected_bytes; /* what kind->expect was told; 0: nothing yet */
    bool reading;          /* the kind reads */
    bool paused;    /* but the owner wants nothing; the kind finds out when something comes */
    bool ended;     /* the other side has said that it sends no more */
    bool finishing; /* conn_finish was called */
    bool closing;   /* conn_gone follows */
};

/* Starts a connection of that kind; it has no owner yet. */
void conn_init(struct conn *conn, const struct conn_kind *kind, struct loop *loop);

/* Where the next received bytes go. Size 0: none wanted, the kind stops reading. */
struct room conn_room(struct conn *conn);

/* `count` ≥ 1 bytes were received into that room. */
void conn_received(struct conn *conn, size_t count);

/* The other side sends no more; the kind reads no more. */
void conn_ended(struct conn *conn);

/* More can be sent; of the piece, `count` bytes were. */
void conn_taken(struct conn *conn, size_t count);

/* Everything is released; the kind frees the connection next. */
void conn_gone(struct conn *conn);

/* One connection of the listener's is gone. */
struct listener;
void listener_release(struct listener *listener);

#endif
