/* By what a request is known elsewhere: its id, its place in a trace, and whether its client wants
 * to know where the time went. One look at the fields of a complete head. */
#include "protocol/http_transport.h"

#include "telemetry/request_id.h"

static void take_id(struct http_exchange *exchange, struct span id)
{
    if (!exchange->request_id.size && request_id_valid(id))
        exchange->request_id = id;
}

static void take_field(struct http_exchange *exchange, const struct http_field *field)
{
    struct span name = field->name;
    switch (name.size) {
    case sizeof "traceparent" - 1:
        /* Given twice it is garbage: which is meant, nobody knows. */
        if (span_equal(name, SPAN("traceparent")) &&
            (exchange->trace.remote || !trace_context_parse(field->value, &exchange->trace)))
            exchange->trace = (struct trace_context){0};
        break;
    case sizeof "tracestate" - 1:
        if (span_equal(name, SPAN("tracestate")) && trace_state_valid(field->value))
            exchange->trace.state = field->value;
        break;
    case sizeof "x-request-id" - 1:
        if (span_equal(name, SPAN("x-request-id")))
            take_id(exchange, field->value);
        break;
    case sizeof "triton-request-id" - 1:
        if (span_equal(name, SPAN("triton-request-id")))
            take_id(exchange, field->value);
        break;
    case sizeof "x-tensord-timing" - 1:
        if (span_equal(name, SPAN("x-tensord-timing")) && span_equal(field->value, SPAN("1")))
            exchange->wants_timing = true;
        break;
    default:
        break;
    }
}

struct span http_request_id(struct http_exchange *exchange)
{
    if (!exchange->request_id.size) {
        char *id = arena_alloc(&exchange->arena, REQUEST_ID_BYTES);
        exchange->request_id = id ? request_id_make(id) : SPAN("none");
    }
    return exchange->request_id;
}

/* Reads the fields that there are: of a head that is refused maybe not all. */
static void read_fields(struct http_exchange *exchange)
{
    const struct http_request *request = &exchange->request;
    for (size_t i = 0; i < request->field_count; i++)
        take_field(exchange, &request->fields[i]);
    if (!exchange->trace.remote) /* a state without a parent means nothing */
        exchange->trace.state = (struct span){NULL, 0};
}

void http_exchange_begin(struct http_exchange *exchange)
{
    read_fields(exchange);
    exchange->server->on_request(exchange->server, exchange);
}

void http_exchange_refuse(struct http_exchange *exchange, const struct error *error)
{
    if (!exchange->handler)
        read_fields(exchange);
    exchange->status = error_http_status(error->code);
    http_note_failure(exchange, span_of(error->message));
    http_exchange_close(exchange, false);
}

void http_note_failure(struct http_exchange *exchange, struct span sentence)
{
    if (!exchange->failure.data)
        arena_copy(&exchange->arena, sentence, &exchange->failure);
}
