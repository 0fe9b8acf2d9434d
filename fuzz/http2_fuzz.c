/* A whole HTTP/2 connection over a loopback pair: any bytes behind the preface, against an
 * application that echoes bodies. The client then goes; whatever came, everything must be freed. */
#include "protocol/http_transport.h"

#include <assert.h>
#include <stdlib.h>

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

struct peer {
    struct loop *loop;
    char room[65536];
    size_t open; /* exchanges */
};

static char body[4096];

static struct room app_room(struct http_exchange *exchange)
{
    return (struct room){body, sizeof body};
}

static void app_received(struct http_exchange *exchange, size_t count)
{
    if (!exchange->responded)
        http_reply(exchange, 200, NULL, 0);
    http_body(exchange, &(struct iovec){body, count}, 1);
}

static void app_end(struct http_exchange *exchange)
{
    static const struct http_field trailer = {SPAN("grpc-status"), SPAN("0")};
    if (exchange->responded)
        http_end(exchange, &trailer, 1);
    else
        http_send(exchange, 200, NULL, 0, NULL, 0);
}

static void app_drained(struct http_exchange *exchange)
{
}

static void app_closed(struct http_exchange *exchange, bool complete)
{
    struct peer *peer = exchange->state;
    assert(peer->open > 0);
    peer->open--;
}

static const struct http_handler handler = {app_room, app_received, app_end, app_drained,
                                            app_closed};

static void on_request(struct http_server *server, struct http_exchange *exchange)
{
    struct peer *peer = server->context;
    peer->open++;
    exchange->state = peer;
    exchange->handler = &handler;
}

static struct room peer_room(void *owner)
{
    struct peer *peer = owner;
    return (struct room){peer->room, sizeof peer->room};
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
    loop_stop(peer->loop);
}

static const struct conn_owner peer_calls = {peer_room, peer_received, peer_end, peer_drained,
                                             peer_closed};

/* Leaves after a few turns of the loop, in which the server reads, answers and writes. */
struct leave {
    struct loop_message message; /* first */
    struct loop *loop;
    struct conn *conn;
    unsigned turns;
};

static void leave_soon(struct loop_message *message)
{
    struct leave *leave = (struct leave *)(void *)message;
    if (leave->turns--)
        loop_post(leave->loop, message);
    else
        conn_abort(leave->conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct peer peer;
    struct conn *near, *far;
    struct http_server server;
    struct leave leave = {.message.deliver = leave_soon, .turns = 4};
    peer.loop = loop_new(NULL);
    if (!peer.loop)
        return 0;
    http_server_init(&server, on_request, &peer);
    if (conn_pair_new(peer.loop, &near, &far, NULL)) {
        struct iovec vectors[] = {{(char *)(uintptr_t)preface, sizeof preface - 1},
                                  {(char *)(uintptr_t)data, size}};
        conn_own(far, &peer_calls, &peer);
        http2_serve(&server, near, (struct span){NULL, 0});
        conn_send(far, vectors, 2);
        leave.conn = far;
        leave.loop = peer.loop;
        loop_post(peer.loop, &leave.message);
        loop_run(peer.loop);
    }
    loop_free(peer.loop);
    assert(peer.open == 0);
    http_server_fini(&server);
    return 0;
}
