/* The part of http.h that is the same for every transport: the calls, which go to the exchange's
 * transport while it has one; the life of an exchange; the server.
 *
 * Exchanges are recycled with the first block of their arenas: between two ordinary requests
 * nothing is given back to the heap, and at most SPARE_LIMIT of them wait. */
#include "protocol/http.h"
#include "protocol/http_transport.h"

#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ARENA_BLOCK_BYTES = 6144, /* holds a usual head, the inference, and the head of the response */
    SPARE_LIMIT = 64,
};

const struct http_limits http_limits_default = {
    .header_bytes = 32 * 1024,
    .field_count = 100,
    .target_bytes = 8 * 1024,
    .chunk_count = 65536,
    .streams = 100,
    .reset_burst = 1000,
    .resets_per_s = 200,
    .header_timeout_ms = 10 * 1000,
    .body_timeout_ms = 10 * 1000,
    .body_bytes_per_s = 1024,
    .unsent_timeout_ms = 30 * 1000,
    .idle_timeout_ms = 120 * 1000,
    .arena_bytes = 1024 * 1024,
};

void http_server_init(struct http_server *server,
                      void (*on_request)(struct http_server *, struct http_exchange *),
                      void *context)
{
    *server = (struct http_server){
        .on_request = on_request, .limits = http_limits_default, .context = context, .date_s = -1};
    list_init(&server->conns);
}

void http_server_fini(struct http_server *server)
{
    if (!server)
        return;
    assert(server->conn_count == 0);
    while (server->spare) {
        struct http_exchange *exchange = server->spare;
        server->spare = exchange->state;
        arena_fini(&exchange->arena);
        free(exchange);
    }
    http2_shared_free(server->http2);
    server->http2 = NULL;
    free(server->receive_room);
    server->receive_room = NULL;
}

static void end_keep_alive(struct http_server *server, bool close_idle)
{
    server->draining = true;
    list_each(link, &server->conns)
    {
        struct http_session *session = list_entry(link, struct http_session, link);
        session->drain(session, close_idle);
    }
}

void http_server_retire(struct http_server *server)
{
    end_keep_alive(server, false);
}

void http_server_drain(struct http_server *server)
{
    end_keep_alive(server, true);
}

void http_session_init(struct http_session *session, struct http_server *server, struct conn *conn,
                       void (*drain)(struct http_session *, bool close_idle))
{
    *session = (struct http_session){.server = server, .conn = conn, .drain = drain};
    list_add(&server->conns, &session->link);
    server->conn_count++;
}

void http_session_fini(struct http_session *session)
{
    if (!session || !list_linked(&session->link))
        return;
    struct http_server *server = session->server;
    list_remove(&session->link);
    if (--server->conn_count == 0 && server->draining && server->emptied)
        server->emptied(server);
}

char *http_receive_room(struct http_server *server)
{
    if (!server->receive_room)
        server->receive_room = malloc(HTTP_RECEIVE_BYTES);
    return server->receive_room;
}

struct span http_date(struct http_server *server)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    if (now != server->date_s) {
        struct tm t;
        gmtime_r(&now, &t);
        snprintf(server->date, sizeof server->date, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                 days[t.tm_wday], t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour,
                 t.tm_min, t.tm_sec);
        server->date_s = now;
    }
    return span_of(server->date);
}

struct http_exchange *http_exchange_new(struct http_server *server,
                                        const struct http_transport *transport)
{
    struct http_exchange *exchange = server->spare;
    struct arena arena;
    if (exchange) {
        server->spare = exchange->state;
        server->spare_count--;
        arena = exchange->arena;
        memset(exchange, 0, HTTP_EXCHANGE_BYTES);
    } else {
        exchange = calloc(1, HTTP_EXCHANGE_BYTES);
        if (!exchange)
            return NULL;
        arena_init(&arena, ARENA_BLOCK_BYTES, server->limits.arena_bytes);
        arena.budget = server->messages;
    }
    exchange->arena = arena;
    exchange->server = server;
    exchange->transport = transport;
    exchange->references = 1;
    exchange->request.content_length = -1;
    exchange->grpc_status = -1;
    exchange->started_ns = http_server_now_ns(server);
    return exchange;
}

void http_exchange_close(struct http_exchange *exchange, bool complete)
{
    struct http_server *server = exchange->server;
    if (!exchange->transport)
        return;
    if (server->on_closed)
        server->on_closed(server, exchange, complete);
    exchange->transport = NULL;
    if (exchange->handler)
        exchange->handler->closed(exchange, complete);
}

struct http_exchange *http_ref(struct http_exchange *exchange)
{
    exchange->references++;
    return exchange;
}

void http_unref(struct http_exchange *exchange)
{
    if (!exchange)
        return;
    assert(exchange->references > 0);
    if (--exchange->references > 0)
        return;
    struct http_server *server = exchange->server;
    if (server->spare_count >= SPARE_LIMIT) {
        arena_fini(&exchange->arena);
        free(exchange);
        return;
    }
    arena_clear(&exchange->arena);
    if (exchange->arena.total_bytes > ARENA_BLOCK_BYTES)
        arena_fini(&exchange->arena);
    exchange->state = server->spare;
    server->spare = exchange;
    server->spare_count++;
}

/* RFC 9110 §5.5: what would end the value, or mean something else to another reader. */
static bool value_is_safe(struct span value)
{
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == '\r' || value.data[i] == '\n' || value.data[i] == '\0')
            return false;
    }
    return true;
}

enum { OWN_FIELDS = 2 }; /* that are added to the application's */

/* How many fields may be added to the application's. */
static size_t more_fields(const struct http_exchange *exchange)
{
    return OWN_FIELDS + exchange->reply_field_count;
}

/* Starts the response with `fields`, behind which there is room for more_fields. */
static void reply(struct http_exchange *exchange, unsigned status, struct http_field *fields,
                  size_t count)
{
    assert(!exchange->responded);
    exchange->responded = true;
    exchange->status = status;
    for (size_t i = 0; i < exchange->reply_field_count; i++)
        fields[count++] = exchange->reply_fields[i];
    for (size_t i = 0; i < count; i++) {
        if (!value_is_safe(fields[i].value)) {
            exchange->transport->reset(exchange);
            return;
        }
    }
    if (!exchange->omits_id)
        fields[count++] = (struct http_field){SPAN("x-request-id"), http_request_id(exchange)};
    if (exchange->server_timing.size)
        fields[count++] = (struct http_field){SPAN("server-timing"), exchange->server_timing};
    exchange->transport->reply(exchange, status, fields, count);
}

/* A copy of the fields with room for `more`; NULL after the exchange was reset for want of memory.
 */
static struct http_field *copy_fields(struct http_exchange *exchange,
                                      const struct http_field *fields, size_t count, size_t more)
{
    struct http_field *copy = arena_alloc(&exchange->arena, (count + more) * sizeof *copy);
    if (!copy)
        http_reset(exchange);
    else if (count)
        memcpy(copy, fields, count * sizeof *copy);
    return copy;
}

void http_reply(struct http_exchange *exchange, unsigned status, const struct http_field *fields,
                size_t count)
{
    if (!exchange->transport)
        return;
    struct http_field *all = copy_fields(exchange, fields, count, more_fields(exchange));
    if (all)
        reply(exchange, status, all, count);
    exchange->responded = true;
}

bool http_may_switch(const struct http_exchange *exchange)
{
    const struct http_transport *transport = exchange->transport;
    return transport && transport->may_switch && transport->may_switch(exchange);
}

void http_body(struct http_exchange *exchange, const struct iovec *vectors, size_t count)
{
    if (!exchange->transport)
        return;
    assert(exchange->responded && !exchange->ended);
    exchange->transport->body(exchange, vectors, count);
}

void http_end(struct http_exchange *exchange, const struct http_field *trailers, size_t count)
{
    if (!exchange->transport)
        return;
    assert(exchange->responded && !exchange->ended);
    exchange->ended = true;
    exchange->transport->end(exchange, trailers, count);
}

static bool status_has_content(unsigned status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* The size as text; empty, which is no length, when there is no memory. */
static struct span size_text(struct http_exchange *exchange, size_t size)
{
    enum { DIGITS = 20 };
    char *text = arena_alloc(&exchange->arena, DIGITS);
    size_t at = DIGITS;
    if (!text)
        return SPAN("");
    do
        text[--at] = (char)('0' + size % 10);
    while (size /= 10);
    return (struct span){text + at, DIGITS - at};
}

void http_send(struct http_exchange *exchange, unsigned status, const struct http_field *fields,
               size_t count, const struct iovec *vectors, size_t vector_count)
{
    if (!exchange->transport)
        return;
    size_t size = 0;
    for (size_t i = 0; i < vector_count; i++)
        size += vectors[i].iov_len;
    struct http_field *all = copy_fields(exchange, fields, count, more_fields(exchange) + 1);
    if (!all)
        return;
    if (status_has_content(status))
        all[count++] = (struct http_field){SPAN("content-length"), size_text(exchange, size)};
    reply(exchange, status, all, count);
    if (vector_count)
        http_body(exchange, vectors, vector_count);
    http_end(exchange, NULL, 0);
}

bool http_wants(const struct http_exchange *exchange)
{
    return exchange->transport && exchange->transport->wants(exchange);
}

void http_resume(struct http_exchange *exchange)
{
    if (exchange->transport)
        exchange->transport->resume(exchange);
}

void http_reset(struct http_exchange *exchange)
{
    if (exchange->transport)
        exchange->transport->reset(exchange);
}

struct conn *http_conn(const struct http_exchange *exchange)
{
    return exchange->transport ? exchange->transport->session(exchange)->conn : NULL;
}

struct loop *http_loop(const struct http_exchange *exchange)
{
    struct conn *conn = http_conn(exchange);
    return conn ? conn_loop(conn) : NULL;
}

void http_peer(const struct http_exchange *exchange, char *text, size_t size)
{
    struct conn *conn = http_conn(exchange);
    text[0] = '\0';
    if (conn)
        conn_peer(conn, text, size);
}

uint64_t *http_held_bytes(const struct http_exchange *exchange)
{
    return exchange->transport ? &exchange->transport->session(exchange)->held_bytes : NULL;
}
