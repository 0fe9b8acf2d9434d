/* What is read as a traceparent is written back as it came, as far as its version is known. */
#include "telemetry/trace_context.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_context context = {0};
    struct span text = {(const char *)data, size};
    trace_state_valid(text);
    if (!trace_context_parse(text, &context))
        return 0;
    char written[TRACEPARENT_BYTES];
    memcpy(context.span_id, context.parent_id, SPAN_ID_BYTES);
    trace_context_format(&context, written);
    assert(size >= TRACEPARENT_BYTES);
    assert(memcmp(written + 2, data + 2, TRACEPARENT_BYTES - 4) == 0); /* but version and flags */
    return 0;
}
