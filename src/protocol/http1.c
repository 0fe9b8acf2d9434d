/* A connection that speaks HTTP/1.1: what is done with received bytes, and when.
 *
 * Everything comes to http1_run, which repeats two steps until neither moves: parse what was
 * received as far as the phase allows, then send and end what the application wrote. Bytes are
 * received into a room that all connections share, except for a body with Content-Length, most of
 * which goes straight where the handler says. What cannot be used yet is kept in `waiting`, so that
 * an idle connection owns nothing but its struct. */
#include "protocol/http1_conn.h"

#include "base/unset.h"
#include "protocol/message_memory.h"

#include <assert.h>
#include <stdlib.h>

static void closing(struct http1_conn *c)
{
    c->phase = HTTP1_CLOSING;
    free(c->waiting);
    c->waiting = NULL;
    c->waiting_size = 0;
    timer_stop(&c->timer);
    loop_undefer(&c->turn);
}

static void finish(struct http1_conn *c)
{
    closing(c);
    conn_finish(c->session.conn);
    http1_watch(c); /* the client must still read what is unsent */
}

void http1_abort(struct http1_conn *c)
{
    closing(c);
    conn_abort(c->session.conn);
    if (c->exchange)
        http_exchange_close(&c->exchange->base, false);
}

void http1_refuse(struct http1_conn *c, const struct error *why)
{
    struct http_exchange *base = &c->exchange->base;
    struct error error = *why;
    struct span response;
    bool answered = base->responded;
    message_explain(&base->arena, &error);
    http_exchange_refuse(base, &error);
    if (answered || !http1_write_error(&base->arena, &error, http_date(base->server),
                                       http_request_id(base), &response)) {
        http1_abort(c);
        return;
    }
    struct iovec vector = {(void *)(uintptr_t)response.data, response.size};
    c->unsent = !conn_send(c->session.conn, &vector, 1) || c->unsent;
    finish(
        c); /* the exchange, and the response in its arena, stay until the connection is closed */
}

/* ---- The request ---- */

static bool begin_exchange(struct http1_conn *c)
{
    struct http_exchange *base = http_exchange_new(c->session.server, &http1_transport);
    if (!base)
        return false;
    c->exchange = (struct http1_exchange *)(void *)base;
    c->exchange->conn = c;
    arena_init(&c->exchange->lines, 512, HTTP1_WANTS_BYTES);
    http1_parser_init(&c->exchange->parser, base);
    c->phase = HTTP1_HEAD;
    c->since_ns = loop_now_ns(conn_loop(c->session.conn));
    return true;
}

/* Gives up the transport's hold on an exchange that was closed. */
static void drop_exchange(struct http1_conn *c)
{
    struct http1_exchange *exchange = c->exchange;
    c->exchange = NULL;
    http1_parser_fini(&exchange->parser);
    arena_fini(&exchange->lines);
    http_unref(&exchange->base);
}

static void end_body(struct http1_conn *c)
{
    struct http_exchange *base = &c->exchange->base;
    c->phase = HTTP1_ANSWER;
    if (!base->ended)
        base->handler->body_end(base);
}

static void start_request(struct http1_conn *c)
{
    struct http_exchange *base = &c->exchange->base;
    const struct http1_parser *parser = &c->exchange->parser;
    c->keep_alive = parser->keep_alive && !base->server->draining;
    c->body_left = base->request.content_length > 0 ? (uint64_t)base->request.content_length : 0;
    c->since_ns = loop_now_ns(conn_loop(c->session.conn));
    c->window_bytes = 0;
    c->paused = false;
    c->phase = HTTP1_BODY;
    http_exchange_begin(base);
    assert(base->handler);
    if (!parser->chunked && c->body_left == 0)
        end_body(c);
}

static size_t read_head(struct http1_conn *c, struct span received)
{
    size_t used = 0;
    struct error error UNSET;
    if (!c->exchange && !begin_exchange(c)) {
        http1_abort(c);
        return 0;
    }
    switch (http1_parse_head(&c->exchange->parser, received, &used, &error)) {
    case HTTP1_ERROR:
        http1_refuse(c, &error);
        break;
    case HTTP1_DONE:
        start_request(c);
        break;
    case HTTP1_MORE:
        break;
    }
    return used;
}

/* The handler's room for the body. A pause has a clock of its own, and after it the body's starts
 * anew. */
static struct room handler_room(struct http1_conn *c)
{
    struct http_exchange *base = &c->exchange->base;
    struct room room = base->handler->body_room(base);
    bool pauses = room.size == 0;
    if (pauses != c->paused) {
        c->paused = pauses;
        c->since_ns = loop_now_ns(conn_loop(c->session.conn));
        c->window_bytes = 0;
        http1_watch(c);
    }
    return room;
}

/* RFC 9110 §10.1.1: the client waits for leave to send its body. It gets it once the handler has
 * room, unless the body or the response has begun. */
static void give_leave(struct http1_conn *c)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http1_exchange *exchange = c->exchange;
    if (c->phase != HTTP1_BODY || !exchange->parser.expects_continue || c->waiting ||
        exchange->base.responded || exchange->broken || handler_room(c).size == 0)
        return;
    exchange->parser.expects_continue = false;
    struct iovec vector = {(void *)(uintptr_t)line, sizeof line - 1};
    if (!conn_send(c->session.conn, &vector, 1))
        c->unsent = true;
}

static size_t read_chunked(struct http1_conn *c, struct span received)
{
    struct http_exchange *base = &c->exchange->base;
    struct room into = handler_room(c);
    size_t used = 0, decoded = 0;
    struct error error UNSET;
    if (into.size == 0 || c->exchange->broken)
        return 0;
    enum http1_step step =
        http1_parse_body(&c->exchange->parser, received, into, &used, &decoded, &error);
    c->window_bytes += decoded;
    c->exchange->parser.expects_continue = false;
    if (decoded)
        base->handler->body_received(base, decoded);
    if (step == HTTP1_ERROR && base->ended)
        used = received.size; /* nobody wants it any more */
    else if (step == HTTP1_ERROR)
        http1_refuse(c, &error);
    else if (step == HTTP1_DONE)
        end_body(c);
    return used;
}

/* `count` bytes of a body with Content-Length are in the handler's room. */
static void received_direct(struct http1_conn *c, size_t count)
{
    struct http_exchange *base = &c->exchange->base;
    assert(count <= c->body_left);
    c->body_left -= count;
    c->window_bytes += count;
    c->exchange->parser.expects_continue = false; /* it did not wait */
    base->handler->body_received(base, count);
    if (c->body_left == 0)
        end_body(c);
}

static size_t read_length(struct http1_conn *c, struct span received)
{
    struct room into = handler_room(c);
    size_t count = received.size < into.size ? received.size : into.size;
    if (count > c->body_left)
        count = (size_t)c->body_left;
    if (count == 0 || c->exchange->broken)
        return 0;
    memcpy(into.data, received.data, count);
    received_direct(c, count);
    return count;
}

static void go_idle(struct http1_conn *c, enum http1_phase phase)
{
    c->phase = phase;
    c->since_ns = loop_now_ns(conn_loop(c->session.conn));
    c->window_bytes = 0;
}

/* `count` bytes came of a body whose response has ended already: they are dropped. */
static void skipped(struct http1_conn *c, size_t count)
{
    c->body_left -= count;
    c->window_bytes += count;
    if (c->body_left > 0)
        return;
    if (c->exchange)
        c->phase = HTTP1_ANSWER;
    else
        go_idle(c, HTTP1_IDLE);
}

static size_t skip_body(struct http1_conn *c, struct span received)
{
    if (c->exchange && c->exchange->parser.chunked)
        return received.size; /* the connection closes after the response */
    size_t count = received.size < c->body_left ? received.size : (size_t)c->body_left;
    skipped(c, count);
    return count;
}

static size_t read_body(struct http1_conn *c, struct span received)
{
    if (c->exchange->base.ended)
        return skip_body(c, received);
    return c->exchange->parser.chunked ? read_chunked(c, received) : read_length(c, received);
}

/* Parses as much of `received`, which is not empty, as one step takes; 0 when it must wait. */
static size_t read_step(struct http1_conn *c, struct span received)
{
    switch (c->phase) {
    case HTTP1_IDLE:
    case HTTP1_HEAD:
        return read_head(c, received);
    case HTTP1_BODY:
        return read_body(c, received);
    case HTTP1_SKIP:
        return skip_body(c, received);
    case HTTP1_ANSWER:
    case HTTP1_CLOSING:
        break;
    }
    return 0;
}

/* ---- The response ---- */

static void end_exchange(struct http1_conn *c)
{
    bool in_body = c->phase == HTTP1_BODY;
    http_exchange_close(&c->exchange->base, true);
    drop_exchange(c);
    if (!c->keep_alive) {
        finish(c);
        return;
    }
    go_idle(c, in_body ? HTTP1_SKIP : HTTP1_IDLE);
}

/* Sends what was written; true when that ended the exchange. */
static bool write_step(struct http1_conn *c)
{
    struct http1_exchange *exchange = c->exchange;
    if (!exchange || c->phase == HTTP1_CLOSING)
        return false;
    if (exchange->broken) {
        http1_abort(c);
        return false;
    }
    http1_flush(exchange);
    if (c->unsent)
        return false;
    if (exchange->base.ended) {
        end_exchange(c);
        return true;
    }
    if (exchange->wrote) /* told in a turn of its own, so that a fast stream starves nobody */
        loop_defer(conn_loop(c->session.conn), &c->turn);
    return false;
}

static void tell_drained(struct http1_conn *c)
{
    struct http1_exchange *exchange = c->exchange;
    if (!exchange || !exchange->wrote || c->unsent || exchange->base.ended ||
        exchange->vector_count || c->phase == HTTP1_CLOSING)
        return;
    exchange->wrote = false;
    arena_clear(&exchange->lines);
    exchange->base.handler->drained(&exchange->base);
}

/* ---- What drives both ---- */

/* Keeps what could not be used yet; `rest` is received bytes or the end of `old`, which is freed.
 */
static void keep_waiting(struct http1_conn *c, struct span rest, char *old)
{
    if (c->phase == HTTP1_CLOSING || rest.size == 0) {
        free(old);
        return;
    }
    assert(!c->waiting);
    if (old) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): rest is not empty */
        memmove(old, rest.data, rest.size);
        c->waiting = old;
    } else {
        c->waiting = malloc(rest.size);
        if (!c->waiting) {
            http1_abort(c);
            return;
        }
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): rest is not empty */
        memcpy(c->waiting, rest.data, rest.size);
    }
    c->waiting_size = rest.size;
}

static bool append_waiting(struct http1_conn *c, struct span received)
{
    char *larger = realloc(c->waiting, c->waiting_size + received.size);
    if (!larger)
        return false;
    memcpy(larger + c->waiting_size, received.data, received.size);
    c->waiting = larger;
    c->waiting_size += received.size;
    return true;
}

/* A client may send many requests at once whose answers are there at once: after `most` of them
 * the others wait for the next turn, so that nobody else's do for long. */
static struct span run_steps(struct http1_conn *c, struct span rest, size_t most)
{
    for (size_t answered = 0;;) {
        size_t used = rest.size && c->phase != HTTP1_CLOSING ? read_step(c, rest) : 0;
        rest = span_after(rest, used);
        bool ended = write_step(c);
        if (!used && !ended)
            return rest;
        answered += ended;
        if (answered >= most && rest.size && c->phase != HTTP1_CLOSING) {
            c->yields = true;
            loop_yield(conn_loop(c->session.conn), &c->turn);
            return rest;
        }
    }
}

static void run(struct http1_conn *c, struct span received, size_t most)
{
    char *old = NULL;
    c->running = true;
    if (c->waiting && received.size && !append_waiting(c, received)) {
        http1_abort(c);
    } else if (c->waiting) {
        old = c->waiting;
        received = (struct span){old, c->waiting_size};
        c->waiting = NULL;
        c->waiting_size = 0;
    }
    struct span rest = run_steps(c, received, most);
    keep_waiting(c, rest, old);
    give_leave(c);
    c->running = false;
    if (c->phase == HTTP1_CLOSING)
        return;
    http1_watch(c);
    if (c->starved) {
        c->starved = false;
        conn_resume(c->session.conn);
    }
}

void http1_run(struct http1_conn *c, struct span received)
{
    if (!c->yields)
        run(c, received, HTTP1_TURN_REQUESTS);
    else if (received.size && !append_waiting(c, received))
        http1_abort(c);
    else
        c->running = false;
}

void http1_wake(struct http1_conn *c)
{
    if (!c->running && c->phase != HTTP1_CLOSING)
        loop_defer(conn_loop(c->session.conn), &c->turn);
}

static void turn(struct loop_task *task)
{
    struct http1_conn *c = list_entry(task, struct http1_conn, turn);
    c->running = true;
    c->yields = false;
    tell_drained(c);
    http1_run(c, (struct span){NULL, 0});
}

/* ---- The connection's calls ---- */

static struct room shared_room(struct http1_conn *c)
{
    char *data = http_receive_room(c->session.server);
    size_t left = HTTP1_WAITING_BYTES - c->waiting_size;
    return (struct room){data, !data ? 0 : left < HTTP_RECEIVE_BYTES ? left : HTTP_RECEIVE_BYTES};
}

static struct room body_room(struct http1_conn *c)
{
    struct http1_exchange *exchange = c->exchange;
    if (c->waiting)
        return (struct room){NULL, 0};
    struct room room = handler_room(c);
    if (room.size == 0 || exchange->broken)
        return (struct room){NULL, 0};
    if (exchange->parser.chunked)
        return shared_room(c);
    if (room.size > c->body_left)
        room.size = (size_t)c->body_left;
    c->direct = true;
    return room;
}

static struct room on_room(void *owner)
{
    struct http1_conn *c = owner;
    bool running = c->running;
    struct room room = {NULL, 0};
    c->direct = false;
    c->running =
        true; /* the handler may call; what it asks for is done when bytes come, or below */
    if (c->phase == HTTP1_BODY && !c->exchange->base.ended)
        room = body_room(c);
    else if (c->phase != HTTP1_CLOSING)
        room = shared_room(c);
    c->running = running;
    c->starved = room.size == 0;
    if (c->exchange && (c->exchange->broken || c->exchange->vector_count))
        http1_wake(c);
    return room;
}

static void on_received(void *owner, size_t count)
{
    struct http1_conn *c = owner;
    if (c->phase == HTTP1_CLOSING)
        return;
    if (!c->direct) {
        http1_run(c, (struct span){c->session.server->receive_room, count});
        return;
    }
    c->direct = false;
    c->running = true;
    if (c->exchange && !c->exchange->base.ended)
        received_direct(c, count);
    else /* the response ended since room was asked for */
        skipped(c, count);
    http1_run(c, (struct span){NULL, 0});
}

static void on_received_end(void *owner)
{
    struct http1_conn *c = owner;
    if (c->yields) { /* no more comes: what did is answered first */
        c->yields = false;
        run(c, (struct span){NULL, 0}, SIZE_MAX);
    }
    if (c->phase == HTTP1_CLOSING)
        return;
    if (!c->exchange)
        finish(c);
    else if (c->exchange->base.ended && !c->exchange->broken)
        c->keep_alive = false;
    else
        http1_abort(c);
}

static void on_drained(void *owner)
{
    struct http1_conn *c = owner;
    c->unsent = false;
    if (c->phase == HTTP1_CLOSING)
        return;
    c->running = true;
    tell_drained(c);
    http1_run(c, (struct span){NULL, 0});
}

static void on_closed(void *owner)
{
    struct http1_conn *c = owner;
    closing(c);
    if (c->exchange) {
        http_exchange_close(&c->exchange->base, false);
        drop_exchange(c);
    }
    http_session_fini(&c->session);
    free(c);
}

static const struct conn_owner calls = {
    .room = on_room,
    .received = on_received,
    .received_end = on_received_end,
    .drained = on_drained,
    .closed = on_closed,
};

static void drain(struct http_session *session, bool close_idle)
{
    struct http1_conn *c = (struct http1_conn *)(void *)session;
    bool promised = c->keep_alive && c->exchange && c->exchange->base.responded;
    c->keep_alive = promised && !close_idle;
    if (close_idle && !c->yields && (c->phase == HTTP1_IDLE || c->phase == HTTP1_SKIP))
        finish(c);
}

void http1_serve(struct http_server *server, struct conn *conn, struct span received)
{
    struct http1_conn *c = calloc(1, sizeof *c);
    if (!c) {
        conn_abort(conn);
        return;
    }
    http_session_init(&c->session, server, conn, drain);
    c->turn.run = turn;
    c->since_ns = loop_now_ns(conn_loop(conn));
    conn_own(conn, &calls, c);
    http1_run(c, received);
}
