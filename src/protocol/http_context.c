/* By what a request is known elsewhere: its id, its place in a trace, and whether its client wants
 * to know where the time went. One look at the fields of a complete head. */
#include "protocol/http_transport.h"

#include "telemetry/request_id.h"

static void take_id(struct http_exchange *exchange, struct span id)
{
    if (!exchange->request_id.size && request_id_valid(id))
        exchange->request_id = id;
}

/* What a request says of its trace, before it is looked into. */
struct trace_fields {
    struct span parent, state;
    size_t parents;
};

/* Several fields are one list (§3.3 of Trace Context); what is too long anyway grows no more. */
static struct span join_states(struct http_exchange *exchange, struct span state, struct span more)
{
    if (!state.size || !more.size || state.size > TRACE_STATE_MAX_BYTES)
        return state.size ? state : more;
    const char *both =
        arena_printf(&exchange->arena, "%.*s,%.*s", SPAN_ARGS(state), SPAN_ARGS(more));
    return span_of(both ? both : "");
}

static void take_field(struct http_exchange *exchange, const struct http_field *field,
                       struct trace_fields *trace)
{
    struct span name = field->name;
    switch (name.size) {
    case sizeof "traceparent" - 1:
        if (span_equal(name, SPAN("traceparent"))) {
            trace->parent = field->value;
            trace->parents++;
        }
        break;
    case sizeof "tracestate" - 1:
        if (span_equal(name, SPAN("tracestate")))
            trace->state = join_states(exchange, trace->state, field->value);
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
    struct trace_fields trace = {.parents = 0};
    for (size_t i = 0; i < request->field_count; i++)
        take_field(exchange, &request->fields[i], &trace);
    /* A parent that is given twice is garbage: which is meant, nobody knows; and a state without a
     * parent means nothing. */
    if (trace.parents == 1 && trace_context_parse(trace.parent, &exchange->trace) &&
        trace_state_valid(trace.state))
        exchange->trace.state = trace.state;
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
