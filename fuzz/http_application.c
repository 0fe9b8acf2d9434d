/* See http_application.h. */
#include "http_application.h"

#include "failing_allocation.h"

#include <assert.h>
#include <stdlib.h>

enum { BODY_BYTES = 4096, LARGE_BYTES = 1 << 20, TURNS = 6, LAST_TURNS = 64 };

struct peer {
    struct loop *loop;
    char room[65536];
    bool reads, closed;
    size_t open; /* exchanges */
};

static char body[BODY_BYTES];
static char large[LARGE_BYTES];

/* What an exchange is up to; in its arena. */
struct state {
    struct peer *peer;
    char what; /* the path's second character */
    bool waits;
};

/* ---- the application ---- */

static const struct http_field fields[] = {{SPAN("content-type"), SPAN("text/plain")}};

static struct room app_room(struct http_exchange *exchange)
{
    struct state *state = exchange->state;
    if (state->what == 'w' && !state->waits) { /* it needs a moment */
        state->waits = true;
        http_resume(exchange);
        return (struct room){NULL, 0};
    }
    return (struct room){body, sizeof body};
}

static void app_received(struct http_exchange *exchange, size_t count)
{
    struct state *state = exchange->state;
    if (state->what == 'd')
        return; /* takes it all, answers at the end */
    if (state->what == 'r') {
        http_reset(exchange);
        return;
    }
    if (!exchange->responded)
        http_reply(exchange, 200, fields, 1);
    http_body(exchange, &(struct iovec){body, count}, 1);
}

static void app_end(struct http_exchange *exchange)
{
    static const struct http_field trailer = {SPAN("grpc-status"), SPAN("0")};
    if (exchange->ended)
        return;
    if (exchange->responded)
        http_end(exchange, &trailer, 1);
    else
        http_send(exchange, 200, fields, 1, NULL, 0);
}

static void app_drained(struct http_exchange *exchange)
{
    struct state *state = exchange->state;
    if (state->what == 's' && !exchange->ended && http_wants(exchange))
        http_end(exchange, NULL, 0);
}

static void app_closed(struct http_exchange *exchange, bool complete)
{
    struct state *state = exchange->state;
    assert(state->peer->open > 0);
    state->peer->open--;
}

static const struct http_handler handler = {app_room, app_received, app_end, app_drained,
                                            app_closed};

/* An answer that begins before the body is there. */
static void answer_early(struct http_exchange *exchange, char what)
{
    static const struct http_field length = {SPAN("content-length"), SPAN("100")};
    switch (what) {
    case 'e': /* all at once */
        http_send(exchange, 404, fields, 1, &(struct iovec){body, 20}, 1);
        break;
    case 'l': /* less than it says */
        http_reply(exchange, 200, &length, 1);
        http_body(exchange, &(struct iovec){body, 50}, 1);
        http_end(exchange, NULL, 0);
        break;
    case 's': /* a stream */
        http_reply(exchange, 200, fields, 1);
        http_body(exchange, &(struct iovec){large, sizeof large}, 1);
        break;
    case 'g': /* the server is about to end */
        http_server_drain(exchange->server);
        break;
    case 'n':
        http_send(exchange, 204, NULL, 0, NULL, 0);
        break;
    default:
        break;
    }
}

static void on_request(struct http_server *server, struct http_exchange *exchange)
{
    static struct state lost = {.what = 'e'}; /* of exchanges without memory */
    struct peer *peer = server->context;
    struct span path = exchange->request.path;
    struct state *state = arena_calloc(&exchange->arena, 1, sizeof *state);
    assert(path.size && (path.data[0] == '/' || path.data[0] == '*'));
    peer->open++;
    exchange->handler = &handler;
    if (state)
        *state = (struct state){.peer = peer, .what = path.size > 1 ? path.data[1] : '\0'};
    lost.peer = peer;
    exchange->state = state ? state : &lost;
    answer_early(exchange, ((struct state *)exchange->state)->what);
}

/* ---- the client ---- */

static struct room peer_room(void *owner)
{
    struct peer *peer = owner;
    return (struct room){peer->room, peer->reads ? sizeof peer->room : 0};
}

static void peer_received(void *owner, size_t count)
{
}

static void peer_end(void *owner)
{
}

static void peer_drained(void *owner)
{
}

static void peer_closed(void *owner)
{
    struct peer *peer = owner;
    peer->closed = true;
    loop_stop(peer->loop);
}

static const struct conn_owner peer_calls = {peer_room, peer_received, peer_end, peer_drained,
                                             peer_closed};

/* Sends the rest of the bytes turn by turn, and leaves after a few more; if it has only said that
 * it sends no more, it leaves for good somewhat later: time stands still here, so that nothing
 * waits for the timers of either side. */
struct client {
    struct loop_message message; /* first */
    struct peer *peer;
    struct conn *conn;
    struct span rest;
    size_t piece;
    bool finishes;
    struct http_server *server;
    bool drains; /* the server, in the middle of it */
    unsigned turns, last_turns;
};

static void client_turn(struct loop_message *message)
{
    struct client *client = (struct client *)(void *)message;
    struct span piece = client->rest;
    if (client->peer->closed)
        return;
    if (piece.size > client->piece && client->turns > 1)
        piece.size = client->piece;
    client->rest = span_after(client->rest, piece.size);
    if (piece.size)
        conn_send(client->conn, &(struct iovec){(void *)(uintptr_t)piece.data, piece.size}, 1);
    if (client->turns == TURNS / 2 && client->drains)
        http_server_drain(client->server);
    if (client->turns == TURNS / 2 && !client->peer->reads) {
        client->peer->reads = true;
        conn_resume(client->conn);
    }
    if (client->turns == 0 && client->finishes && client->last_turns == LAST_TURNS)
        conn_finish(client->conn);
    unsigned *left = client->turns ? &client->turns : &client->last_turns;
    if (*left == 0 || (client->turns == 0 && !client->finishes)) {
        conn_abort(client->conn);
        return;
    }
    (*left)--;
    loop_post(client->peer->loop, message);
}

void http_application_run(void (*serve)(struct http_server *server, struct conn *conn),
                          struct span greeting, struct span bytes)
{
    static struct peer peer;
    struct conn *near, *far;
    struct http_server server;
    unsigned char how = bytes.size ? (unsigned char)bytes.data[bytes.size - 1] : 0;
    peer.loop = loop_new(NULL);
    peer.reads = !(how & 1);
    peer.closed = false;
    if (!peer.loop)
        return;
    http_server_init(&server, on_request, &peer);
    server.limits.header_bytes = 1024;
    server.limits.field_count = 8;
    server.limits.target_bytes = 256;
    server.limits.chunk_count = 16;
    struct client client = {.message.deliver = client_turn,
                            .peer = &peer,
                            .rest = bytes,
                            .piece = bytes.size / (1 + (how >> 2) % (TURNS - 1)) + 1,
                            .finishes = how & 2,
                            .server = &server,
                            .drains = (how & 0xc0) == 0x40,
                            .turns = TURNS,
                            .last_turns = LAST_TURNS};
    if (conn_pair_new(peer.loop, &near, &far, NULL)) {
        client.conn = far;
        conn_own(far, &peer_calls, &peer);
        if (how & 0x80)
            failing_allocation_begin((const uint8_t *)bytes.data, bytes.size);
        serve(&server, near);
        conn_send(far, &(struct iovec){(void *)(uintptr_t)greeting.data, greeting.size}, 1);
        loop_post(peer.loop, &client.message);
        loop_run(peer.loop);
        failing_allocation_end();
    }
    loop_free(peer.loop);
    assert(peer.open == 0);
    http_server_fini(&server);
}
