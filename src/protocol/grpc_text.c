/* What gRPC writes as text: content types, paths, times, messages, binary fields; see grpc.h. Pure.
 */
#include "protocol/grpc.h"

#include "base/base64.h"

#include "base/clock.h"

bool grpc_is_call(const struct http_request *request)
{
    if (request->method != HTTP_POST)
        return false;
    struct span type = http_field(request, SPAN("content-type"));
    type = span_trim(span_split(&type, ';'));
    return span_equal_nocase(type, SPAN("application/grpc")) ||
           span_equal_nocase(type, SPAN("application/grpc+proto"));
}

bool grpc_method_split(struct span path, struct span *ret_service, struct span *ret_method,
                       struct error *ret_error)
{
    struct span rest = path;
    struct span before = span_split(&rest, '/');
    struct span service = rest.data ? span_split(&rest, '/') : (struct span){0};
    if (before.size || !service.size || !rest.size || memchr(rest.data, '/', rest.size))
        return error_set(ret_error, ERROR_UNIMPLEMENTED, "the path is not /package.Service/Method");
    *ret_service = service;
    *ret_method = rest;
    return true;
}

/* Nanoseconds of a grpc-timeout's unit; 0 when there is no such unit. */
static uint64_t timeout_unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return 3600 * CLOCK_NS_PER_S;
    case 'M':
        return 60 * CLOCK_NS_PER_S;
    case 'S':
        return CLOCK_NS_PER_S;
    case 'm':
        return CLOCK_NS_PER_MS;
    case 'u':
        return CLOCK_NS_PER_US;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

bool grpc_timeout_parse(struct span value, uint64_t *ret_timeout_ns, struct error *ret_error)
{
    uint64_t count = 0, timeout_ns;
    uint64_t unit_ns = value.size ? timeout_unit_ns(value.data[value.size - 1]) : 0;
    if (!unit_ns || value.size > 9 ||
        !span_to_u64((struct span){value.data, value.size - 1}, &count))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "grpc-timeout is not 1 to 8 digits and a unit (H, M, S, m, u, n)");
    if (__builtin_mul_overflow(count, unit_ns, &timeout_ns) || timeout_ns > INT64_MAX)
        timeout_ns = CLOCK_NEVER;
    *ret_timeout_ns = timeout_ns;
    return true;
}

bool grpc_deadline(const struct http_request *request, uint64_t now_ns, uint64_t *ret_deadline_ns,
                   struct error *ret_error)
{
    struct span value = http_field(request, SPAN("grpc-timeout"));
    uint64_t deadline_ns = CLOCK_NEVER;
    if (value.data) {
        if (!grpc_timeout_parse(value, &deadline_ns, ret_error))
            return false;
        if (__builtin_add_overflow(now_ns, deadline_ns, &deadline_ns))
            deadline_ns = CLOCK_NEVER;
    }
    *ret_deadline_ns = deadline_ns;
    return true;
}

/* Visible ASCII and the blank, without "%", stand for themselves. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c <= 0x7e && c != '%';
}

bool grpc_message_encode(struct arena *arena, struct span text, struct span *ret_encoded)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t bytes;
    if (__builtin_mul_overflow(text.size, 3u, &bytes))
        return false;
    char *encoded = arena_alloc(arena, bytes), *to = encoded;
    if (!encoded)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (is_plain(c)) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    *ret_encoded = (struct span){encoded, (size_t)(to - encoded)};
    return true;
}

bool grpc_binary_encode(struct arena *arena, struct span bytes, struct span *ret_value)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = arena_alloc(arena, bytes.size / 3 * 4 + 4), *to = text;
    if (!text)
        return false;
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        bits = bits << 8 | (unsigned char)bytes.data[i];
        for (count += 8; count >= 6; count -= 6)
            *to++ = digits[bits >> (count - 6) & 63];
    }
    if (count)
        *to++ = digits[bits << (6 - count) & 63];
    *ret_value = (struct span){text, (size_t)(to - text)};
    return true;
}

bool grpc_binary_decode(struct arena *arena, struct span value, struct span *ret_bytes,
                        struct error *ret_error)
{
    char *bytes = arena_alloc(arena, base64_most_bytes(value.size));
    struct span decoded = {bytes, 0};
    if (!bytes)
        return error_no_memory(ret_error);
    if (!base64_decode(value, bytes, &decoded.size))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a binary field is not base64");
    *ret_bytes = decoded;
    return true;
}
