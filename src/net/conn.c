/* What all kinds of connections share: whose turn it is, what is unsent, how it ends.
 *
 * Pausing is lazy: conn_pause only leaves a note, which is read when bytes come. A client that
 * waits for its answer sends nothing meanwhile, so pausing and resuming around a request costs no
 * system call.
 *
 * The end: conn_abort closes; everything else ends there. conn_finish waits for the unsent bytes,
 * says so to the peer, and drops what the peer still sends until it closes or a timer is over; were
 * the socket closed while bytes lie unread, the kernel would send a reset, and the peer's kernel
 * would drop our answer unread (RFC 9112 §9.6). */
#include "net/conn_private.h"

#include <assert.h>

enum {
    LINGER_MS = 2000,
    /* Small enough for the kernel to take it whole as soon as it has room at all, so that a peer
     * that reads slowly is seen to read. */
    PIECE_BYTES = 16384,
    /* A sender that fills a gigabit is not slowed by this, and who waits for a smaller request
     * behind a large one does not notice. */
    EXPECT_MS = 1,
    EXPECT_LEAST_BYTES = 32 * 1024, /* fewer come in one or two segments anyway */
    EXPECT_MOST_BYTES = 512 * 1024,
};

static void close_resource(struct loop_resource *resource)
{
    conn_abort(list_entry(resource, struct conn, resource));
}

void conn_init(struct conn *conn, const struct conn_kind *kind, struct loop *loop)
{
    *conn = (struct conn){.kind = kind, .loop = loop};
    loop_enter(loop, &conn->resource, close_resource);
}

struct loop *conn_loop(const struct conn *conn)
{
    return conn->loop;
}

void conn_own(struct conn *conn, const struct conn_owner *calls, void *owner)
{
    conn->calls = calls;
    conn->owner = owner;
    conn_expect(conn, 0);
    conn_resume(conn);
}

static struct room no_room(void *owner)
{
    return (struct room){NULL, 0};
}

static void no_bytes(void *owner, size_t count)
{
}

static void no_event(void *owner)
{
}

void conn_disown(struct conn *conn)
{
    static const struct conn_owner nobody = {no_room, no_bytes, no_event, no_event, no_event};
    conn->calls = &nobody;
    conn->owner = NULL;
    conn_pause(conn);
}

void conn_peer(const struct conn *conn, char *text, size_t size)
{
    conn->kind->peer(conn, text, size);
}

const struct conn_origin *conn_origin(const struct conn *conn)
{
    return &conn->origin;
}

/* Receiving */

static void start_reading(struct conn *conn)
{
    conn->paused = false;
    if (conn->reading || conn->ended || conn->closing)
        return;
    conn->reading = true;
    conn->kind->read(conn);
}

void conn_pause(struct conn *conn)
{
    if (!conn->finishing)
        conn->paused = true;
}

void conn_resume(struct conn *conn)
{
    start_reading(conn);
}

/* Asks the owner; again when that one has given the connection away instead of answering. */
static struct room ask_owner(struct conn *conn)
{
    struct room room;
    const struct conn_owner *calls;
    void *owner;
    do {
        calls = conn->calls;
        owner = conn->owner;
        room = calls->room(owner);
    } while (!conn->closing && (calls != conn->calls || owner != conn->owner));
    return room;
}

struct room conn_room(struct conn *conn)
{
    struct room room = {0};
    if (!conn->closing && !conn->finishing && !conn->paused) {
        room = ask_owner(conn);
        if (room.size == 0)
            conn->paused = true;
    }
    if (conn->closing)
        return (struct room){0};
    if (conn->finishing)
        return (struct room){conn->loop->discard, sizeof conn->loop->discard};
    if (conn->paused)
        return (struct room){0};
    return room;
}

void conn_received(struct conn *conn, size_t count)
{
    if (!conn->finishing)
        conn->calls->received(conn->owner, count);
}

void conn_ended(struct conn *conn)
{
    conn->reading = false;
    conn->ended = true;
    if (!conn->finishing)
        conn->calls->received_end(conn->owner);
    else if (conn->unsent.bytes == 0)
        conn_abort(conn);
}

static void expect(struct conn *conn, size_t bytes)
{
    if (bytes == conn->expected_bytes)
        return;
    conn->expected_bytes = bytes;
    conn->kind->expect(conn, bytes);
}

static void expect_no_longer(struct timer *timer)
{
    expect(list_entry(timer, struct conn, timer), 1);
}

void conn_expect(struct conn *conn, uint64_t bytes)
{
    if (!conn->kind->expect || conn->finishing || conn->closing)
        return;
    if (bytes >= EXPECT_LEAST_BYTES) {
        expect(conn, bytes < EXPECT_MOST_BYTES ? (size_t)bytes : EXPECT_MOST_BYTES);
        timer_start(&conn->timer, conn->loop, EXPECT_MS, expect_no_longer);
    } else if (conn->expected_bytes > 1) {
        expect(conn, 1);
        timer_stop(&conn->timer);
    }
}

/* Sending */

/* Waits for the rest to be taken. */
static bool await_room(struct conn *conn)
{
    return conn->kind->await(conn, backlog_first(&conn->unsent, PIECE_BYTES));
}

static bool send_or_keep(struct conn *conn, const struct iovec *vectors, size_t count)
{
    bool waiting = conn->unsent.bytes > 0;
    ssize_t taken = waiting ? 0 : conn->kind->write(conn, vectors, count);
    if (taken < 0 || !backlog_add(&conn->unsent, vectors, count, (size_t)taken))
        return false;
    if (waiting || conn->unsent.bytes == 0)
        return true;
    conn->stalled_since_ns = loop_now_ns(conn->loop);
    return await_room(conn);
}

bool conn_send(struct conn *conn, const struct iovec *vectors, size_t count)
{
    assert(!conn->finishing);
    if (conn->closing)
        return false;
    if (!send_or_keep(conn, vectors, count)) {
        conn_abort(conn);
        return false;
    }
    return conn->unsent.bytes == 0;
}

size_t conn_unsent_bytes(const struct conn *conn)
{
    return conn->unsent.bytes;
}

uint64_t conn_stalled_since_ns(const struct conn *conn)
{
    return conn->stalled_since_ns;
}

bool conn_peer_left(const struct conn *conn)
{
    return conn->closing || conn->ended || conn->kind->left(conn);
}

static void linger_over(struct timer *linger)
{
    conn_abort(list_entry(linger, struct conn, timer));
}

/* The last byte has been sent. */
static void end_sending(struct conn *conn)
{
    if (conn->ended) {
        conn_abort(conn);
        return;
    }
    conn->kind->end(conn);
    timer_start(&conn->timer, conn->loop, LINGER_MS, linger_over);
}

static bool send_more(struct conn *conn)
{
    if (conn->unsent.bytes == 0)
        return true;
    ssize_t taken =
        conn->kind->write(conn, conn->unsent.vectors + conn->unsent.first, conn->unsent.count);
    if (taken < 0)
        return false;
    backlog_consume(&conn->unsent, (size_t)taken);
    return conn->unsent.bytes == 0 || await_room(conn);
}

void conn_taken(struct conn *conn, size_t count)
{
    if (conn->closing)
        return;
    backlog_consume(&conn->unsent, count);
    conn->stalled_since_ns = loop_now_ns(conn->loop);
    if (!send_more(conn)) {
        conn_abort(conn);
        return;
    }
    if (conn->unsent.bytes > 0)
        return;
    conn->stalled_since_ns = 0;
    bool finishing =
        conn->finishing; /* `drained` may finish it, which then ends the sending itself */
    conn->calls->drained(conn->owner);
    if (finishing && !conn->closing)
        end_sending(conn);
}

/* Ending */

void conn_finish(struct conn *conn)
{
    if (conn->finishing || conn->closing)
        return;
    conn_expect(conn, 0);
    conn->finishing = true;
    start_reading(conn);
    if (conn->unsent.bytes == 0)
        end_sending(conn);
}

void conn_abort(struct conn *conn)
{
    if (conn->closing)
        return;
    conn->closing = true;
    timer_stop(&conn->timer);
    conn->kind->close(conn);
}

void conn_gone(struct conn *conn)
{
    assert(conn->closing);
    loop_leave(&conn->resource);
    backlog_fini(&conn->unsent);
    if (conn->listener)
        listener_release(conn->listener);
    if (conn->calls)
        conn->calls->closed(conn->owner);
}
