/* What ties requests together: ids, and traces. What is read as a traceparent is written back as it
 * came, as far as its version is known. */
#include "telemetry/request_id.h"
#include "telemetry/trace_context.h"

#include <assert.h>
#include <stdlib.h>

/* A request that is made for this one belongs to the same trace. */
static void check_child(const struct trace_context *context)
{
    struct trace_context child = trace_context_child(context);
    char id[2 * TRACE_ID_BYTES], child_id[2 * TRACE_ID_BYTES];
    trace_id_format(context, id);
    assert(span_equal(trace_id_format(&child, child_id), (struct span){id, sizeof id}));
    assert(child.sampled == context->sampled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_context context = {0};
    struct span text = {(const char *)data, size};
    if (trace_state_valid(text))
        assert(size > 0 && size <= TRACE_STATE_MAX_BYTES);
    if (request_id_valid(text))
        assert(size > 0 && size <= REQUEST_ID_MAX_BYTES && !memchr(data, '"', size));
    char id[REQUEST_ID_BYTES];
    assert(request_id_valid(request_id_make(id)));
    if (!trace_context_parse(text, &context))
        return 0;
    char written[TRACEPARENT_BYTES];
    memcpy(context.span_id, context.parent_id, SPAN_ID_BYTES);
    trace_context_format(&context, written);
    assert(size >= TRACEPARENT_BYTES);
    assert(memcmp(written + 2, data + 2, TRACEPARENT_BYTES - 4) == 0); /* but version and flags */
    check_child(&context);
    return 0;
}
