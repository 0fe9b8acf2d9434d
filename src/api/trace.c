/* Spans and Server-Timing; see trace.h. */
#include "api/trace.h"

#include "base/clock.h"
#include "serving/generation.h"

#include <stdio.h>

enum { PEER_BYTES = 80, NUMBER_BYTES = 24 };

void trace_inference(struct api_call *call, struct inference *inference)
{
    inference->times.received_ns = call->exchange->started_ns;
    inference->trace = call->exchange->trace;
    call->inference = inference;
}

/* Apart: its large locals are cleared when it is entered, which most requests need not pay for. */
__attribute__((noinline)) static void tell_timing(struct api_call *call)
{
#define STAGE_NAME(name, what) #name,
    static const char *const names[] = {STAGES(STAGE_NAME)};
    struct http_exchange *exchange = call->exchange;
    char text[256];
    size_t size = 0;
    for (int stage = 0; stage < STAGE_write; stage++) {
        uint64_t ns = measure_stage_ns(call->inference, (enum stage)stage, 0);
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%s;dur=%llu.%03llu",
                                 stage ? ", " : "", names[stage],
                                 (unsigned long long)(ns / CLOCK_NS_PER_MS),
                                 (unsigned long long)(ns / CLOCK_NS_PER_US % 1000));
    }
    arena_copy(&exchange->arena, (struct span){text, size}, &exchange->server_timing);
}

void trace_tell_timing(struct api_call *call)
{
    if (call->exchange->wants_timing || call->api->server_timing)
        tell_timing(call);
}

/* ---- spans ---- */

/* "POST /v2/models/{model}/infer"; of an unknown path the method alone, since anybody can make up
 * any number of these. */
static struct span name_of(struct http_exchange *exchange, struct span route)
{
    if (exchange->grpc_status >= 0)
        return span_after(exchange->request.path, exchange->request.path.size ? 1 : 0);
    if (!route.size)
        return exchange->request.method_name;
    return span_of(arena_printf(&exchange->arena, "%.*s %.*s",
                                SPAN_ARGS(exchange->request.method_name), SPAN_ARGS(route)));
}

static void describe(struct http_exchange *exchange, const struct api_call *call,
                     char peer[PEER_BYTES], struct span_record *record)
{
    struct span route = call && call->route ? span_of(call->route->path) : (struct span){NULL, 0};
    record->flags |= SPAN_SERVER | (exchange->grpc_status >= 0 ? SPAN_RPC : 0);
    record->status = exchange->status;
    record->grpc_status = exchange->grpc_status;
    record->texts[SPAN_TEXT_NAME] = name_of(exchange, route);
    record->texts[SPAN_TEXT_ROUTE] = route;
    record->texts[SPAN_TEXT_METHOD] = exchange->request.method_name;
    record->texts[SPAN_TEXT_PATH] = exchange->request.path;
    record->texts[SPAN_TEXT_PROTOCOL] = exchange->request.version == 2 ? SPAN("2") : SPAN("1.1");
    record->texts[SPAN_TEXT_REQUEST_ID] = http_request_id(exchange);
    record->texts[SPAN_TEXT_FAILURE] = exchange->failure;
    http_peer(exchange, peer, PEER_BYTES);
    record->texts[SPAN_TEXT_PEER] = span_of(peer);
}

/* What a request without an inference has. */
static void take_context(const struct http_exchange *exchange, uint64_t now_ns,
                         struct span_record *record)
{
    memcpy(record->trace_id, exchange->trace.trace_id, sizeof record->trace_id);
    memcpy(record->parent_id, exchange->trace.parent_id, sizeof record->parent_id);
    memcpy(record->span_id, exchange->trace.span_id, sizeof record->span_id);
    record->texts[SPAN_TEXT_STATE] = exchange->trace.state;
    record->stages_ns[STAGE_total] = now_ns - exchange->started_ns;
}

/* Apart: its large locals are cleared when it is entered, which most requests need not pay for. */
__attribute__((noinline)) static void add_record(struct tracer *tracer,
                                                 struct http_exchange *exchange,
                                                 const struct api_call *call, bool failed,
                                                 uint64_t now_ns)
{
    const struct inference *inference = call ? call->inference : NULL;
    char peer[PEER_BYTES], version[NUMBER_BYTES];
    struct span_record record = {.flags = failed ? SPAN_FAILED : 0,
                                 .start_ns = tracer_epoch_ns(exchange->started_ns, now_ns)};
    describe(exchange, call, peer, &record);
    if (inference && inference->generation) {
        snprintf(version, sizeof version, "%llu",
                 (unsigned long long)inference->generation->spec.version);
        record.texts[SPAN_TEXT_VERSION] = span_of(version);
        measure_trace(inference, now_ns, &record);
    } else {
        take_context(exchange, now_ns, &record);
    }
    tracer_add(tracer, &record);
}

void trace_closed(struct api *api, struct http_exchange *exchange, const struct api_call *call,
                  bool failed, uint64_t now_ns)
{
    struct tracer *tracer = api->serving->tracer;
    const struct inference *inference = call ? call->inference : NULL;
    if (!tracer || !tracer->available)
        return;
    if (!inference)
        tracer_decide(tracer, NULL, &exchange->trace);
    if (inference ? inference->trace.sampled : exchange->trace.sampled)
        add_record(tracer, exchange, call, failed, now_ns);
}
