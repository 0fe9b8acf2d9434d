/* Where a request stands in a distributed trace (W3C Trace Context, level 1). Pure but for the
 * random ids.
 * (https://www.w3.org/TR/trace-context/) */
#ifndef TENSORD_TELEMETRY_TRACE_CONTEXT_H
#define TENSORD_TELEMETRY_TRACE_CONTEXT_H

#include "base/span.h"

enum {
    TRACE_ID_BYTES = 16,
    SPAN_ID_BYTES = 8,
    TRACEPARENT_BYTES = 55,
    TRACE_STATE_MAX_BYTES = 512, /* longer ones are dropped, as §3.3.1.5 allows */
};

struct trace_context {
    uint8_t trace_id[TRACE_ID_BYTES]; /* zero: no trace yet */
    uint8_t parent_id[SPAN_ID_BYTES]; /* the caller's span; zero: there is none */
    uint8_t span_id[SPAN_ID_BYTES];   /* of this request; zero: not made yet */
    bool remote;                      /* the caller gave the trace */
    bool sampled;                     /* as the caller says, until `decided` */
    bool decided;                     /* sampled is our own decision */
    struct span state;                /* tracestate, handed on as it came */
};

/* Reads a traceparent (§3.2) into trace_id, parent_id, sampled and remote. False, with the context
 * untouched, when it is not one: the request then starts a trace of its own. */
bool trace_context_parse(struct span traceparent, struct trace_context *context);

/* True for a tracestate that may be handed on: printable and not too long. Its list is not looked
 * into, as nobody here reads or changes it. */
bool trace_state_valid(struct span state);

/* Writes a traceparent for what this request calls: its own span is the parent there. */
struct span trace_context_format(const struct trace_context *context, char to[TRACEPARENT_BYTES]);

/* Writes the trace's id as 32 hexadecimal digits. */
struct span trace_id_format(const struct trace_context *context, char to[2 * TRACE_ID_BYTES]);

/* The context of a request that `caller` makes: the same trace, its span as the parent. */
struct trace_context trace_context_child(const struct trace_context *caller);

#endif
