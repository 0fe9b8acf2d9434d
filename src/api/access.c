/* The end of an exchange; see access.h. What went wrong on the server's side is a warning, what the
 * client did wrong is not: it could fill the log otherwise. */
#include "api/access.h"

#include "api/grpc_call.h"
#include "api/routes.h"
#include "api/trace.h"
#include "base/clock.h"
#include "protocol/grpc.h"
#include "telemetry/log.h"

#include <stdio.h>

enum { PATH_SHOWN_BYTES = 256, FIELDS = 9, GRPC_CANCELLED = 1 };

/* Statuses of gRPC that tell of a fault on the server's side (google.rpc.Code). */
static bool is_server_fault(int grpc_status)
{
    enum { UNKNOWN = 2, DEADLINE_EXCEEDED = 4, INTERNAL = 13, UNAVAILABLE = 14, DATA_LOSS = 15 };
    return grpc_status == UNKNOWN || grpc_status == DEADLINE_EXCEEDED || grpc_status == INTERNAL ||
           grpc_status == UNAVAILABLE || grpc_status == DATA_LOSS;
}

enum outcome { OUTCOME_GOOD, OUTCOME_GONE, OUTCOME_CLIENT, OUTCOME_SERVER };

/* A stream that was begun well may tell of a failure later: of one of its requests, by gRPC, which
 * is nearly always the request's own, or else of the model's. */
static enum outcome outcome_of_stream(const struct http_exchange *exchange)
{
    if (!exchange->failure.size)
        return OUTCOME_GOOD;
    return exchange->grpc_status == 0 ? OUTCOME_CLIENT : OUTCOME_SERVER;
}

static enum outcome outcome_of(const struct http_exchange *exchange)
{
    if (exchange->grpc_status > 0)
        return is_server_fault(exchange->grpc_status) ? OUTCOME_SERVER : OUTCOME_CLIENT;
    if (exchange->status == 0)
        return OUTCOME_GONE;
    if (exchange->status >= 400)
        return exchange->status >= 500 ? OUTCOME_SERVER : OUTCOME_CLIENT;
    return outcome_of_stream(exchange);
}

static const char *protocol_of(const struct http_exchange *exchange)
{
    if (exchange->request.version != 2)
        return "http/1.1";
    return exchange->grpc_status >= 0 ? "grpc" : "http/2";
}

/* Apart: its large locals are cleared when it is entered, which most requests need not pay for. */
__attribute__((noinline)) static void write_line(struct http_exchange *exchange,
                                                 enum outcome outcome, uint64_t now_ns)
{
    static const enum log_level levels[] = {LOG_INFO, LOG_DEBUG, LOG_INFO, LOG_WARNING};
    /* A flood of one kind must not hide the others. */
    static const char *const keys[] = {NULL, "gone", "client", "server"};
    static const struct span texts[] = {
        {"answered", 8}, {"the client went before the answer", 33}, {"refused", 7}, {"failed", 6}};
    struct log_field fields[FIELDS];
    size_t count = 0;
    char peer[80], status[24], grpc_status[24], ms[32], trace[2 * TRACE_ID_BYTES];
    struct span path = exchange->request.path;
    struct span what = exchange->failure.size ? exchange->failure : texts[outcome];
    path.size = path.size < PATH_SHOWN_BYTES ? path.size : PATH_SHOWN_BYTES;
    http_peer(exchange, peer, sizeof peer);
    snprintf(status, sizeof status, "%u", exchange->status);
    snprintf(grpc_status, sizeof grpc_status, "%d", exchange->grpc_status);
    snprintf(ms, sizeof ms, "%.3f", (double)(now_ns - exchange->started_ns) / 1e6);
    fields[count++] = (struct log_field){"request_id", http_request_id(exchange), false};
    if (exchange->trace.remote)
        fields[count++] =
            (struct log_field){"trace_id", trace_id_format(&exchange->trace, trace), false};
    fields[count++] = (struct log_field){"method", exchange->request.method_name, false};
    fields[count++] = (struct log_field){"path", path, false};
    fields[count++] = (struct log_field){"protocol", span_of(protocol_of(exchange)), false};
    fields[count++] = (struct log_field){"status", span_of(status), true};
    if (exchange->grpc_status >= 0)
        fields[count++] = (struct log_field){"grpc_status", span_of(grpc_status), true};
    fields[count++] = (struct log_field){"duration_ms", span_of(ms), true};
    fields[count++] = (struct log_field){"peer", span_of(peer), false};
    log_write_fields(levels[outcome], "request", keys[outcome], fields, count, "%.*s",
                     SPAN_ARGS(what));
}

/* Probes and scrapes only look after the server. They are not traced, and that something is not
 * ready is an answer, no failure. */
static bool is_routine(const struct http_exchange *exchange, const struct api_call *call)
{
    if (exchange->grpc_status >= 0) {
        const struct grpc_route *route = grpc_route_find(exchange->request.path);
        return route && (route->scope == SCOPE_OPEN || route->serve == grpc_model_ready);
    }
    const struct route *route = call ? call->route : NULL;
    return route && (route->scope == SCOPE_OPEN || route->serve == serve_model_ready ||
                     route->serve == serve_metrics);
}

/* A call that ended without a status of its own was cancelled. */
static void note_cancelled(struct http_exchange *exchange)
{
    if (exchange->status == 0 && exchange->request.version == 2 && exchange->grpc_status < 0 &&
        grpc_is_call(&exchange->request))
        exchange->grpc_status = GRPC_CANCELLED;
}

void access_closed(struct http_server *server, struct http_exchange *exchange, bool complete)
{
    struct api *api = server->context;
    uint64_t now_ns = http_server_now_ns(server);
    struct api_call *call = exchange->handler ? call_of(exchange) : NULL;
    note_cancelled(exchange);
    enum outcome outcome = outcome_of(exchange);
    metrics_count_request(exchange->request.version == 2 ? 2 : 1, exchange->status,
                          exchange->grpc_status);
    if (complete && call && call->inference)
        measure_written(call->inference, now_ns);
    bool routine = !(call && call->inference) && is_routine(exchange, call);
    if (!routine)
        trace_closed(api, exchange, call, outcome == OUTCOME_SERVER, now_ns);
    if (api->access_log == ACCESS_LOG_ALL ||
        (api->access_log == ACCESS_LOG_ERRORS && outcome != OUTCOME_GOOD && !routine))
        write_line(exchange, outcome, now_ns);
}
