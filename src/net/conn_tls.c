/* TLS as a kind of connection, over a connection below that carries the ciphertext.
 *
 * Receiving: the connection below puts ciphertext into room that all connections share; it is
 * decrypted from there into the owner's room. What the owner does not take is copied, and the
 * connection below is not read until it has been.
 *
 * Sending: records are written into an output buffer, small vectors together, and given to the
 * connection below at once; a small answer is one record and one writev(2). When that takes it all,
 * the output serves the next connection. Otherwise the connection keeps it, and counts the
 * plaintext as taken only once all its ciphertext is: so `drained`, stalls and what is unsent mean
 * the same as without TLS.
 *
 * Before the first byte comes, there is no session: a connection that says nothing costs next to
 * nothing. A client without TLS is told so in the clear. When TLS fails, the alert that says why is
 * sent, and the connection below lingers, so that it arrives; the owner hears no more than
 * `closed`. The end of TCP counts as the peer's end, with or without close_notify: HTTP says by
 * itself whether a message is complete (RFC 9112 §9.8). */
#include "net/tls_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEER_BYTES = 56 };

enum phase {
    PHASE_GREETING, /* nothing has come */
    PHASE_HANDSHAKE,
    PHASE_OPEN,
    PHASE_OVER, /* failed, or ended by us: nothing is sent or received any more */
};

struct tls_conn {
    struct conn conn;
    struct conn *below; /* NULL once it is gone */
    struct tls_server *server;
    struct tls_session *session; /* NULL in PHASE_GREETING */
    struct tls_output *output;   /* that below has not taken all of, or NULL */
    size_t ahead; /* plaintext bytes of the unsent ones whose ciphertext is in output */
    char *kept;   /* ciphertext that was received and not used yet; kept_size bytes at kept_at */
    size_t kept_at, kept_size;
    struct loop_task pump; /* decrypts what is there */
    enum phase phase;
    const char *failure; /* of `failed`; NULL: ask the session */
    bool failed;
    char peer[PEER_BYTES]; /* of `failed`: when it is told, below is gone */
    bool waiting;          /* conn waits until more can be sent */
    bool below_ended;      /* the peer's TCP sends no more */
};

_Static_assert(sizeof(struct tls_conn) <= 512, "struct tls_conn has grown");

static struct tls_conn *tls_of(const struct conn *conn)
{
    return list_entry(conn, struct tls_conn, conn);
}

static const struct tls_library *library_of(const struct tls_conn *tls)
{
    return tls->server->options.library;
}

/* ---- ciphertext out ---- */

/* Room for what a call may have to send. It fails only when there is no memory. */
static bool open_output(struct tls_conn *tls, struct tls_io *io)
{
    if (!tls->output)
        tls->output = tls_output_take(tls->server);
    if (!tls->output)
        return false;
    io->out = (struct room){tls->output->data + tls->output->size,
                            sizeof tls->output->data - tls->output->size};
    return true;
}

static void give_output(struct tls_conn *tls)
{
    tls_output_give(tls->server, tls->output);
    tls->output = NULL;
}

/* Sends what the call has put into the output. True when below has taken all of it. */
static bool flush(struct tls_conn *tls, const struct tls_io *io)
{
    char *from = tls->output->data + tls->output->size;
    struct iovec added = {from, (size_t)(io->out.data - from)};
    tls->output->size += added.iov_len;
    bool taken =
        added.iov_len ? conn_send(tls->below, &added, 1) : conn_unsent_bytes(tls->below) == 0;
    if (taken)
        give_output(tls);
    return taken;
}

/* ---- the end ---- */

/* Nothing goes on but that below sends what it has; then it closes, and so do we. */
static void part(struct tls_conn *tls)
{
    tls->phase = PHASE_OVER;
    tls->conn.reading = false;
    conn_finish(tls->below);
}

/* failure NULL: the session knows. */
static void fail(struct tls_conn *tls, const char *failure)
{
    tls->failed = true;
    tls->failure = failure;
    conn_peer(tls->below, tls->peer, sizeof tls->peer);
    tls->conn.closing = true; /* for the owner; conn_gone follows */
    timer_stop(&tls->conn.timer);
    part(tls);
}

/* Says goodbye to the peer, if it still can be said. */
static void say_end(struct tls_conn *tls)
{
    struct tls_io io = {.in = {NULL, 0}};
    if (tls->phase != PHASE_OPEN || !open_output(tls, &io))
        return;
    library_of(tls)->session_end(tls->session, &io);
    flush(tls, &io);
}

static void tls_end(struct conn *conn)
{
    struct tls_conn *tls = tls_of(conn);
    say_end(tls);
    part(tls);
}

static void tls_close(struct conn *conn)
{
    struct tls_conn *tls = tls_of(conn);
    if (!tls->below)
        return; /* below_closed goes on */
    if (conn->finishing && conn->unsent.bytes == 0)
        say_end(tls);
    tls->phase = PHASE_OVER;
    conn_abort(tls->below);
}

static void below_closed(void *owner)
{
    struct tls_conn *tls = owner;
    tls->below = NULL;
    conn_abort(&tls->conn);
    loop_undefer(&tls->pump);
    conn_gone(&tls->conn);
    library_of(tls)->session_free(tls->session);
    tls_output_give(tls->server, tls->output);
    free(tls->kept);
    free(tls);
}

/* ---- ciphertext in, plaintext to the owner ---- */

static enum tls_result shake_hands(struct tls_conn *tls, struct span *in)
{
    struct tls_io io = {.in = *in};
    enum tls_result result;
    bool taken;
    do {
        if (!open_output(tls, &io))
            return TLS_FAILED;
        result = library_of(tls)->session_handshake(tls->session, &io);
        taken = flush(tls, &io);
    } while (result == TLS_WANT_ROOM && taken);
    *in = io.in;
    if (result == TLS_OK)
        tls->phase = PHASE_OPEN;
    return result;
}

/* One record, or what of it fits into the room. */
static enum tls_result read_record(struct tls_conn *tls, struct span *in, struct room room,
                                   size_t *ret_count)
{
    struct tls_io io = {.in = *in};
    enum tls_result result;
    bool taken;
    do {
        if (!open_output(tls, &io))
            return TLS_FAILED;
        result = library_of(tls)->session_read(tls->session, &io, room, ret_count);
        taken = flush(tls, &io);
    } while (result == TLS_WANT_ROOM && taken);
    *in = io.in;
    return result;
}

/* Decrypts for the owner until it wants no more, or there is no more. A record that did not fill
 * its room leaves nothing behind in the session. */
static enum tls_result read_records(struct tls_conn *tls, struct span *in)
{
    struct conn *conn = &tls->conn;
    while (conn->reading && tls->phase == PHASE_OPEN) {
        size_t count;
        struct room room = conn_room(conn);
        if (room.size == 0) {
            conn->reading = false;
            break;
        }
        enum tls_result result = read_record(tls, in, room, &count);
        if (result != TLS_OK)
            return result;
        conn_received(conn, count);
        if (in->size == 0 && count < room.size && !tls->below_ended)
            break;
    }
    return TLS_OK;
}

/* More can be sent: the handshake is over, or below has taken all. */
static void go_on_sending(struct tls_conn *tls)
{
    size_t taken = tls->ahead;
    if (!tls->waiting || tls->phase != PHASE_OPEN)
        return;
    tls->waiting = false;
    tls->ahead = 0;
    conn_taken(&tls->conn, taken);
}

static void react(struct tls_conn *tls, enum tls_result result)
{
    if (tls->conn.closing || tls->phase == PHASE_OVER)
        return;
    bool at_end = result == TLS_WANT_INPUT && tls->below_ended;
    if (result == TLS_FAILED)
        fail(tls, NULL);
    else if (at_end && tls->phase == PHASE_HANDSHAKE)
        conn_abort(&tls->conn);
    else if ((at_end || result == TLS_END) && tls->conn.reading)
        conn_ended(&tls->conn);
}

/* Uses as much of the ciphertext as it can; most calls to the owner come from here. */
static void advance(struct tls_conn *tls, struct span *in)
{
    enum tls_result result = TLS_OK;
    if (tls->phase == PHASE_HANDSHAKE) {
        result = shake_hands(tls, in);
        if (result == TLS_OK)
            go_on_sending(tls);
    }
    if (tls->phase == PHASE_OPEN)
        result = read_records(tls, in);
    react(tls, result);
}

/* ---- from below ---- */

/* The first byte says whether the client speaks TLS; if it does, there is a session now. */
static bool greet(struct tls_conn *tls, struct span in)
{
    const struct tls_server_options *options = &tls->server->options;
    if (in.data[0] == TLS_RECORD_HANDSHAKE) {
        tls->session = options->library->session_new(tls->server->tls);
        tls->phase = PHASE_HANDSHAKE;
        if (!tls->session)
            fail(tls, "there is no memory for it");
        return tls->session != NULL;
    }
    bool is_http = in.data[0] >= 'A' && in.data[0] <= 'Z'; /* a method */
    struct iovec answer = {(void *)(uintptr_t)options->plain_answer.data,
                           options->plain_answer.size};
    if (is_http && answer.iov_len)
        conn_send(tls->below, &answer, 1);
    fail(tls, is_http ? "the client speaks HTTP without TLS" : "the client does not speak TLS");
    return false;
}

static struct room below_room(void *owner)
{
    struct tls_conn *tls = owner;
    struct conn *conn = &tls->conn;
    if (tls->kept_size || tls->phase == PHASE_OVER)
        return (struct room){NULL, 0};
    if (tls->phase == PHASE_OPEN && conn->paused && !conn->finishing)
        conn->reading = false; /* then what comes may stay in the kernel */
    if (tls->phase == PHASE_OPEN && !conn->reading)
        return (struct room){NULL, 0};
    return (struct room){tls->server->receive, sizeof tls->server->receive};
}

static void below_received(void *owner, size_t count)
{
    struct tls_conn *tls = owner;
    struct span in = {tls->server->receive, count};
    if (tls->phase == PHASE_GREETING && !greet(tls, in))
        return;
    advance(tls, &in);
    if (in.size == 0 || tls->conn.closing || tls->phase == PHASE_OVER)
        return;
    tls->kept = malloc(in.size);
    if (!tls->kept) {
        conn_abort(&tls->conn);
        return;
    }
    memcpy(tls->kept, in.data, in.size);
    tls->kept_at = 0;
    tls->kept_size = in.size;
}

/* Goes on with what is there: kept ciphertext, and what the session still has of a record. */
static void pump(struct loop_task *task)
{
    struct tls_conn *tls = list_entry(task, struct tls_conn, pump);
    struct span in = {tls->kept ? tls->kept + tls->kept_at : NULL, tls->kept_size};
    if (tls->conn.closing || tls->phase == PHASE_OVER)
        return;
    advance(tls, &in);
    tls->kept_at += tls->kept_size - in.size;
    tls->kept_size = in.size;
    if (in.size)
        return;
    free(tls->kept);
    tls->kept = NULL;
    if (!tls->conn.closing && (tls->conn.reading || tls->phase == PHASE_HANDSHAKE))
        conn_resume(tls->below);
}

static void below_ended(void *owner)
{
    struct tls_conn *tls = owner;
    tls->below_ended = true;
    if (tls->phase == PHASE_GREETING)
        conn_abort(&tls->conn);
    else
        loop_defer(tls->conn.loop, &tls->pump);
}

static void below_drained(void *owner)
{
    struct tls_conn *tls = owner;
    if (tls->output)
        give_output(tls);
    go_on_sending(tls);
    if (tls->kept_size)
        loop_defer(tls->conn.loop, &tls->pump);
}

static const struct conn_owner below_calls = {
    .room = below_room,
    .received = below_received,
    .received_end = below_ended,
    .drained = below_drained,
    .closed = below_closed,
};

/* ---- the kind ---- */

/* Where a write has come to in its vectors. */
struct cursor {
    const struct iovec *vectors;
    size_t count;
    size_t offset; /* in the first */
};

static struct span rest_of_first(struct cursor *cursor)
{
    while (cursor->count && cursor->offset == cursor->vectors->iov_len) {
        cursor->vectors++;
        cursor->count--;
        cursor->offset = 0;
    }
    if (!cursor->count)
        return (struct span){NULL, 0};
    return (struct span){(const char *)cursor->vectors->iov_base + cursor->offset,
                         cursor->vectors->iov_len - cursor->offset};
}

/* The next record's plaintext: as it lies when it lies in one piece, else gathered. Empty at the
 * end. */
static struct span next_piece(struct tls_server *server, struct cursor *cursor)
{
    struct span part = rest_of_first(cursor);
    size_t size = 0;
    if (part.size >= TLS_RECORD_BYTES || cursor->count <= 1) {
        part.size = part.size < TLS_RECORD_BYTES ? part.size : TLS_RECORD_BYTES;
        cursor->offset += part.size;
        return part;
    }
    while (size < TLS_RECORD_BYTES && (part = rest_of_first(cursor)).size) {
        size_t room = TLS_RECORD_BYTES - size;
        size_t some = part.size < room ? part.size : room;
        memcpy(server->gather + size, part.data, some);
        cursor->offset += some;
        size += some;
    }
    return (struct span){server->gather, size};
}

/* Encrypts as many records as there is room for; the number of plaintext bytes, or -1. */
static ssize_t encrypt(struct tls_conn *tls, struct tls_io *io, struct cursor *cursor)
{
    size_t count = 0;
    while (io->out.size >= TLS_RECORD_ROOM) {
        struct span piece = next_piece(tls->server, cursor);
        if (piece.size == 0)
            break;
        if (library_of(tls)->session_write(tls->session, io, piece) != TLS_OK)
            return -1;
        count += piece.size;
    }
    return (ssize_t)count;
}

static ssize_t tls_write(struct conn *conn, const struct iovec *vectors, size_t count)
{
    struct tls_conn *tls = tls_of(conn);
    struct cursor cursor = {vectors, count, 0};
    ssize_t total = 0;
    if (tls->phase != PHASE_OPEN)
        return tls->phase == PHASE_OVER ? -1 : 0;
    while (rest_of_first(&cursor).size) {
        struct tls_io io = {.in = {NULL, 0}};
        ssize_t some = open_output(tls, &io) ? encrypt(tls, &io, &cursor) : -1;
        if (some < 0)
            return -1;
        if (!flush(tls, &io)) {
            tls->ahead = (size_t)some;
            break;
        }
        total += some;
    }
    return total;
}

static bool tls_await(struct conn *conn, struct iovec piece)
{
    tls_of(conn)->waiting = true; /* for below_drained, or the end of the handshake */
    return true;
}

static void tls_read(struct conn *conn)
{
    struct tls_conn *tls = tls_of(conn);
    if (tls->phase == PHASE_OPEN)
        loop_defer(conn->loop, &tls->pump);
}

static void tls_expect(struct conn *conn, size_t bytes)
{
    struct conn *below = tls_of(conn)->below;
    if (below->kind->expect)
        below->kind->expect(below, bytes); /* a little more will come, but as long as this holds */
}

static void tls_peer(const struct conn *conn, char *text, size_t size)
{
    const struct tls_conn *tls = tls_of(conn);
    if (tls->below)
        conn_peer(tls->below, text, size);
    else
        snprintf(text, size, "%s", tls->peer[0] ? tls->peer : "unknown");
}

static bool tls_left(const struct conn *conn)
{
    const struct tls_conn *tls = tls_of(conn);
    return !tls->below || conn_peer_left(tls->below);
}

static const struct conn_kind tls_kind = {
    .write = tls_write,
    .await = tls_await,
    .read = tls_read,
    .expect = tls_expect,
    .end = tls_end,
    .close = tls_close,
    .peer = tls_peer,
    .left = tls_left,
};

struct conn *conn_tls_with(struct conn *below, struct tls_server *server,
                           struct tls_session *session)
{
    struct tls_conn *tls = calloc(1, sizeof *tls);
    if (!tls) {
        conn_abort(below);
        return NULL;
    }
    conn_init(&tls->conn, &tls_kind, conn_loop(below));
    tls->conn.origin = *conn_origin(below);
    tls->below = below;
    tls->server = server;
    tls->session = session;
    tls->phase = session ? PHASE_HANDSHAKE : PHASE_GREETING;
    tls->pump.run = pump;
    conn_own(below, &below_calls, tls);
    if (session)
        loop_defer(tls->conn.loop, &tls->pump); /* a client speaks first */
    return &tls->conn;
}

struct conn *conn_tls_new(struct conn *below, struct tls_server *server)
{
    return conn_tls_with(below, server, NULL);
}

/* ---- facts ---- */

bool conn_is_tls(const struct conn *conn)
{
    return conn->kind == &tls_kind;
}

struct span conn_protocol(const struct conn *conn)
{
    if (!conn_is_tls(conn) || !tls_of(conn)->session)
        return (struct span){NULL, 0};
    return library_of(tls_of(conn))->session_protocol(tls_of(conn)->session);
}

bool conn_client(const struct conn *conn, struct arena *arena, struct tls_client *ret_client,
                 struct error *ret_error)
{
    if (!conn_is_tls(conn) || !tls_of(conn)->session)
        return error_set(ret_error, ERROR_UNAUTHENTICATED, "the client showed no certificate");
    return library_of(tls_of(conn))
        ->session_client(tls_of(conn)->session, arena, ret_client, ret_error);
}

bool conn_failure(const struct conn *conn, struct error *ret_error)
{
    if (!conn_is_tls(conn) || !tls_of(conn)->failed)
        return false;
    const struct tls_conn *tls = tls_of(conn);
    if (tls->failure)
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s", tls->failure);
    else
        library_of(tls)->session_failure(tls->session, ret_error);
    return true;
}
