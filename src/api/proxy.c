/* Requests to managed servers: passed on as they come, both ways, each side as fast as the other.
 *
 * A call waits for a connection (serving/visit.h), which may mean that the server has to start; its
 * body stands still meanwhile. Then one piece of the body at a time is with the server, and one
 * piece of the answer with the client; each is received into memory of the call's own. A WebSocket
 * is a request without a body whose answer, 101, opens a body on either side: these have no end but
 * that of either connection or of the client's token, and no clock but the server's silence and the
 * client's. */
#include "api/gate.h"
#include "api/proxy_fields.h"
#include "api/routes.h"
#include "protocol/http1_client.h"
#include "protocol/http1_write.h"
#include "serving/visit.h"

#include <stdio.h>
#include <stdlib.h>

enum { UP_BYTES = 32 << 10, PEER_BYTES = 80, TOKEN_LOOK_MS = 1000 };

struct proxy {
    struct api_call *call;
    struct visit visit;
    struct http1_client *client; /* NULL until there was a connection */
    struct timer silence;        /* of the server */
    struct timer look;           /* of a WebSocket: whether its token still holds */
    char *up;                    /* a piece of the body; likewise */
    enum proxy_body framing;
    char line[HTTP1_CHUNK_LINE_BYTES];
    struct span upgrade; /* the protocol that the client asks for; data NULL: none */
    bool body_ended;
    bool connected; /* the client has a connection */
    bool used;      /* which was used before */
    bool retried;
    bool sending;        /* a piece of the body is not yet taken */
    bool replied;        /* the head of the answer was passed on */
    bool over;           /* the answer has ended, or will not come */
    bool failed;         /* by the server */
    struct error broken; /* while it asks why */
    char peer[PEER_BYTES];
};

static struct proxy *proxy_of(const struct http_exchange *exchange)
{
    return call_of(exchange)->detail;
}

static void stop_clocks(struct proxy *proxy)
{
    timer_stop(&proxy->silence);
    timer_stop(&proxy->look);
}

/* Answers with an error, or breaks off what has begun. */
static void fail(struct proxy *proxy, const struct error *error)
{
    struct http_exchange *exchange = proxy->call->exchange;
    stop_clocks(proxy);
    proxy->over = proxy->failed = true;
    if (proxy->replied) {
        http_note_failure(exchange, span_of(error->message));
        http_reset(exchange);
        return;
    }
    reply_error(proxy->call, error);
    http_resume(exchange); /* what still comes of the body is dropped */
}

static void let_go(struct proxy *proxy)
{
    if (!proxy->connected)
        return;
    proxy->connected = false;
    visit_return(&proxy->visit, http1_client_abandon(proxy->client), false);
}

/* ---- clocks ---- */

static void on_silence(struct timer *timer)
{
    struct proxy *proxy = list_entry(timer, struct proxy, silence);
    struct error error;
    error_set(&error, ERROR_GATEWAY_TIMEOUT,
              "the server of model '%.*s' was silent for %llu s (answer_timeout_s)",
              SPAN_ARGS(proxy->call->model),
              (unsigned long long)visit_config(&proxy->visit)->answer_timeout_s);
    let_go(proxy);
    fail(proxy, &error);
}

/* The server's silence begins anew. It does not count while the client does not read. */
static void listen(struct proxy *proxy)
{
    struct loop *loop = http_loop(proxy->call->exchange);
    if (loop && proxy->connected && !http1_client_is_paused(proxy->client))
        timer_start(&proxy->silence, loop, visit_config(&proxy->visit)->answer_timeout_s * 1000,
                    on_silence);
}

static void on_alive(void *owner)
{
    listen(owner);
}

static void look_later(struct proxy *proxy);

/* A WebSocket may last for ever; its token may not. */
static void on_look(struct timer *timer)
{
    struct proxy *proxy = list_entry(timer, struct proxy, look);
    const struct api_call *call = proxy->call;
    struct error error;
    if (gate_holds(call->api->gate, call, call->route->scope, &error)) {
        look_later(proxy);
        return;
    }
    let_go(proxy);
    fail(proxy, &error);
}

static void look_later(struct proxy *proxy)
{
    struct loop *loop = http_loop(proxy->call->exchange);
    if (loop && proxy->call->token)
        timer_start(&proxy->look, loop, TOKEN_LOOK_MS, on_look);
}

/* ---- the answer ---- */

static void on_head(void *owner, const struct http1_client_head *head)
{
    struct proxy *proxy = owner;
    struct http_exchange *exchange = proxy->call->exchange;
    size_t count;
    const struct span prefix = proxy_prefix(&exchange->arena, proxy->call->model);
    const struct http_field *fields =
        proxy_response_fields(&exchange->arena, head->fields, head->field_count, prefix, &count);
    if (head->status == 101 && !http_may_switch(exchange)) {
        struct error error;
        error_set(&error, ERROR_BAD_GATEWAY,
                  "the server changed the protocol before the request was complete");
        let_go(proxy);
        fail(proxy, &error);
        return;
    }
    if (fields && head->status == 101)
        fields = proxy_add_upgrade(&exchange->arena, fields, &count, proxy->upgrade);
    if (!prefix.data || !fields) {
        struct error error;
        error_no_memory(&error);
        let_go(proxy);
        fail(proxy, &error);
        return;
    }
    proxy->replied = true;
    proxy->failed = head->status >= 500;
    if (head->status == 101) {
        proxy->body_ended = false;
        look_later(proxy);
    }
    http_reply(exchange, head->status, fields, count);
}

static void on_body(void *owner, struct span piece)
{
    struct proxy *proxy = owner;
    struct iovec vector = {(void *)(uintptr_t)piece.data, piece.size};
    timer_stop(&proxy->silence);
    http_body(proxy->call->exchange, &vector, 1);
}

static bool may_be_sent_again(const struct proxy *proxy)
{
    enum http_method method = proxy->call->exchange->request.method;
    return proxy->used && !proxy->retried && !http1_client_has_answer(proxy->client) &&
           proxy->framing == PROXY_NO_BODY &&
           (method == HTTP_GET || method == HTTP_HEAD || method == HTTP_OPTIONS ||
            method == HTTP_PUT || method == HTTP_DELETE);
}

static void on_done(void *owner, struct conn *conn, bool reusable, const struct error *error)
{
    struct proxy *proxy = owner;
    stop_clocks(proxy);
    proxy->connected = false;
    visit_return(&proxy->visit, conn, reusable);
    if (error && may_be_sent_again(proxy)) {
        proxy->retried = true; /* it was closed as we began to use it */
        visit_submit(&proxy->visit);
        return;
    }
    if (error && !proxy->replied && http1_client_was_cut(proxy->client)) {
        proxy->broken = *error;
        visit_ask_why(&proxy->visit);
        return;
    }
    if (error) {
        fail(proxy, error);
        return;
    }
    proxy->over = true;
    http_end(proxy->call->exchange, NULL, 0);
    http_resume(proxy->call->exchange); /* what still comes of the body is dropped */
}

static void on_told(struct visit *visit, const char *why)
{
    struct proxy *proxy = list_entry(visit, struct proxy, visit);
    if (why)
        error_set(&proxy->broken, ERROR_BAD_GATEWAY,
                  "the server of model '%.*s' ended before it answered (%s); the request may be "
                  "sent again",
                  SPAN_ARGS(proxy->call->model), why);
    fail(proxy, &proxy->broken);
}

/* ---- the body ---- */

static void end_body(struct proxy *proxy)
{
    struct iovec vector = {(void *)(uintptr_t)"0\r\n\r\n", 5};
    bool chunked = proxy->framing == PROXY_CHUNKED;
    http1_client_send(proxy->client, &vector, chunked ? 1 : 0, true);
}

static void on_sent(void *owner)
{
    struct proxy *proxy = owner;
    proxy->sending = false;
    http_resume(proxy->call->exchange);
}

static const struct http1_client_events events = {on_head, on_body, on_sent, on_alive, on_done};

static struct room body_room(struct http_exchange *exchange)
{
    const struct proxy *proxy = proxy_of(exchange);
    if (proxy->over)
        return call_drop_room(exchange);
    if (!proxy->connected || proxy->sending)
        return (struct room){NULL, 0};
    return (struct room){proxy->up, UP_BYTES};
}

static void body_received(struct http_exchange *exchange, size_t count)
{
    struct proxy *proxy = proxy_of(exchange);
    if (proxy->over || !proxy->connected)
        return;
    const struct span line = http1_write_chunk_line(proxy->line, count);
    const struct iovec vectors[] = {
        {(void *)(uintptr_t)line.data, line.size},
        {proxy->up, count},
        {(void *)(uintptr_t)"\r\n", 2},
    };
    bool chunked = proxy->framing == PROXY_CHUNKED;
    proxy->sending =
        !http1_client_send(proxy->client, chunked ? vectors : vectors + 1, chunked ? 3 : 1, false);
    listen(proxy);
}

static void body_end(struct http_exchange *exchange)
{
    struct proxy *proxy = proxy_of(exchange);
    proxy->body_ended = true;
    if (proxy->connected && !proxy->over)
        end_body(proxy);
}

/* ---- the request ---- */

static bool make_head(struct proxy *proxy, struct span *ret_head, struct error *ret_error)
{
    struct http_exchange *exchange = proxy->call->exchange;
    const struct http_request *request = &exchange->request;
    size_t count = 0;
    http_peer(exchange, proxy->peer, sizeof proxy->peer);
    char *colon = strrchr(proxy->peer, ':');
    if (colon)
        *colon = '\0'; /* the port says nothing to anybody */
    const struct proxy_origin origin = {
        .peer = span_of(proxy->peer),
        .authority = request->authority,
        .request_id = http_request_id(exchange),
        .model = proxy->call->model,
        .upgrade = proxy->upgrade,
        .tls = conn_is_tls(http_conn(exchange)),
    };
    const struct span target = proxy_target(&exchange->arena, proxy->call->rest, request->query);
    const struct http_field *fields =
        proxy_request_fields(&exchange->arena, request, &origin, proxy->framing, &count);
    if (!target.data || !fields)
        return error_no_memory(ret_error);
    return http1_write_request(&exchange->arena, request->method_name, target, fields, count,
                               ret_head) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "the request cannot be passed on: a field of it holds what ends a line");
}

static bool take_memory(struct proxy *proxy, struct error *ret_error)
{
    struct http_exchange *exchange = proxy->call->exchange;
    if (!proxy->up)
        proxy->up = malloc(UP_BYTES);
    if (!proxy->client)
        proxy->client = http1_client_new(&exchange->server->limits, &exchange->arena,
                                         exchange->request.method == HTTP_HEAD, &events, proxy);
    return (proxy->up && proxy->client) || error_no_memory(ret_error);
}

/* A body whose length is not known has begun to come, or would have ended by now. */
static enum proxy_body framing_of(const struct proxy *proxy)
{
    int64_t length = proxy->call->exchange->request.content_length;
    if (length >= 0)
        return PROXY_LENGTH;
    return proxy->body_ended ? PROXY_NO_BODY : PROXY_CHUNKED;
}

static void on_given(struct visit *visit, struct conn *conn, bool used)
{
    struct proxy *proxy = list_entry(visit, struct proxy, visit);
    struct http_exchange *exchange = proxy->call->exchange;
    struct error error;
    struct span head;
    proxy->framing = framing_of(proxy);
    if (!take_memory(proxy, &error) || !make_head(proxy, &head, &error)) {
        visit_return(visit, conn, false);
        fail(proxy, &error);
        return;
    }
    proxy->used = used;
    proxy->connected = true;
    if (proxy->upgrade.data)
        http1_client_may_switch(proxy->client);
    http1_client_begin(proxy->client, conn);
    struct iovec vector = {(void *)(uintptr_t)head.data, head.size};
    proxy->sending = !http1_client_send(proxy->client, &vector, 1, false);
    if (proxy->body_ended)
        end_body(proxy);
    listen(proxy);
    http_resume(exchange);
}

static void on_refused(struct visit *visit, const struct error *error)
{
    fail(list_entry(visit, struct proxy, visit), error);
}

/* ---- the exchange ---- */

static void exchange_drained(struct http_exchange *exchange)
{
    struct proxy *proxy = proxy_of(exchange);
    if (!proxy->connected || !http1_client_is_paused(proxy->client))
        return;
    http1_client_resume(proxy->client);
    listen(proxy);
}

static void exchange_closed(struct http_exchange *exchange, bool complete)
{
    struct proxy *proxy = proxy_of(exchange);
    stop_clocks(proxy);
    let_go(proxy);
    visit_fini(&proxy->visit, proxy->failed ? VISIT_FAILED
                              : complete    ? VISIT_ANSWERED
                                            : VISIT_LEFT);
    http1_client_free(proxy->client);
    free(proxy->up);
    call_close(proxy->call);
}

static const struct http_handler handler = {body_room, body_received, body_end, exchange_drained,
                                            exchange_closed};

static bool begin(struct proxy *proxy, struct error *ret_error)
{
    struct api_call *call = proxy->call;
    const struct http_request *request = &call->exchange->request;
    proxy->upgrade = proxy_upgrade(request);
    if (proxy->upgrade.data &&
        (request->method != HTTP_GET || !span_equal_nocase(proxy->upgrade, SPAN("websocket"))))
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "connections to a managed server stay HTTP, but for WebSockets, which "
                         "begin with a GET over HTTP/1.1");
    struct version *version = call_route(call, (struct span){NULL, 0}, ret_error);
    return version && visit_init(&proxy->visit, version, ret_error);
}

void begin_proxy(struct api_call *call)
{
    struct error error;
    struct proxy *proxy = arena_calloc(&call->exchange->arena, 1, sizeof *proxy);
    if (!proxy) {
        error_no_memory(&error);
        reply_error(call, &error);
        return;
    }
    proxy->call = call;
    call->detail = proxy;
    call->exchange->handler = &handler;
    if (!begin(proxy, &error)) {
        proxy->over = true;
        reply_error(call, &error);
        return;
    }
    proxy->visit.given = on_given;
    proxy->visit.refused = on_refused;
    proxy->visit.told = on_told;
    visit_submit(&proxy->visit);
}
