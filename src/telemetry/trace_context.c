/* W3C Trace Context; see trace_context.h. */
#include "telemetry/trace_context.h"

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* §3.2.1: lower case only */
}

/* Reads `size` bytes as hexadecimal digits, from which *text moves on. */
static bool take_hex(struct span *text, uint8_t *to, size_t size)
{
    if (text->size < 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = digit_of(text->data[2 * i]), low = digit_of(text->data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    *text = span_after(*text, 2 * size);
    return true;
}

static bool take_dash(struct span *text)
{
    if (text->size == 0 || text->data[0] != '-')
        return false;
    *text = span_after(*text, 1);
    return true;
}

static bool is_zero(const uint8_t *id, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (id[i])
            return false;
    }
    return true;
}

bool trace_context_parse(struct span text, struct trace_context *context)
{
    struct trace_context read = *context;
    uint8_t version, flags;
    if (!take_hex(&text, &version, 1) || !take_dash(&text) ||
        !take_hex(&text, read.trace_id, TRACE_ID_BYTES) || !take_dash(&text) ||
        !take_hex(&text, read.parent_id, SPAN_ID_BYTES) || !take_dash(&text) ||
        !take_hex(&text, &flags, 1))
        return false;
    /* §3.2.2.5, §4.3: versions to come may add fields behind another dash; 255 is none. */
    if (version == 0xff || (version == 0 && text.size) || (text.size && text.data[0] != '-'))
        return false;
    if (is_zero(read.trace_id, TRACE_ID_BYTES) || is_zero(read.parent_id, SPAN_ID_BYTES))
        return false;
    read.sampled = flags & 1;
    read.remote = true;
    *context = read;
    return true;
}

bool trace_state_valid(struct span state)
{
    for (size_t i = 0; i < state.size; i++) {
        if (state.data[i] < 0x20 || state.data[i] > 0x7e)
            return false;
    }
    return state.size > 0 && state.size <= TRACE_STATE_MAX_BYTES;
}

static char *put_hex(char *to, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    return to;
}

struct span trace_context_format(const struct trace_context *context, char to[TRACEPARENT_BYTES])
{
    char *at = to;
    const uint8_t version = 0, flags = context->sampled;
    at = put_hex(at, &version, 1);
    *at++ = '-';
    at = put_hex(at, context->trace_id, TRACE_ID_BYTES);
    *at++ = '-';
    at = put_hex(at, context->span_id, SPAN_ID_BYTES);
    *at++ = '-';
    put_hex(at, &flags, 1);
    return (struct span){to, TRACEPARENT_BYTES};
}

struct span trace_id_format(const struct trace_context *context, char to[2 * TRACE_ID_BYTES])
{
    put_hex(to, context->trace_id, TRACE_ID_BYTES);
    return (struct span){to, (size_t)2 * TRACE_ID_BYTES};
}

struct trace_context trace_context_child(const struct trace_context *caller)
{
    struct trace_context child = {.remote = true, .sampled = caller->sampled};
    memcpy(child.trace_id, caller->trace_id, TRACE_ID_BYTES);
    memcpy(child.parent_id, caller->span_id, SPAN_ID_BYTES);
    return child;
}
