/* gRPC framing and status; see grpc.h. What can be pure is: only the last three functions touch an
 * exchange. */
#include "protocol/grpc.h"

#include "base/clock.h"

#include <assert.h>

static const struct http_field content_type = {
    {"content-type", sizeof "content-type" - 1},
    {"application/grpc", sizeof "application/grpc" - 1},
};
static const struct http_field accept_encoding = {
    {"grpc-accept-encoding", sizeof "grpc-accept-encoding" - 1},
    {"identity", sizeof "identity" - 1},
};
static const struct http_field status_ok = {
    {"grpc-status", sizeof "grpc-status" - 1},
    {"0", 1},
};

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

void grpc_reader_init(struct grpc_reader *reader, const struct http_request *request,
                      size_t limit_bytes)
{
    struct span encoding = http_field(request, SPAN("grpc-encoding"));
    *reader = (struct grpc_reader){
        .limit_bytes = limit_bytes,
        .encoded = encoding.size && !span_equal_nocase(encoding, SPAN("identity")),
    };
}

struct room grpc_reader_room(struct grpc_reader *reader)
{
    if (reader->left_bytes)
        return (struct room){0};
    return (struct room){reader->prefix + reader->prefix_count,
                         (size_t)GRPC_PREFIX_BYTES - reader->prefix_count};
}

/* A prefix is complete: one byte of flags, then the length in network order. */
static enum grpc_read start_message(struct grpc_reader *reader, struct error *ret_error)
{
    const unsigned char *p = (const unsigned char *)reader->prefix;
    uint32_t size = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    reader->prefix_count = 0;
    if (p[0] == 1 && reader->encoded) {
        error_set(ret_error, ERROR_UNIMPLEMENTED, "compressed messages are not supported");
        return GRPC_READ_ERROR;
    }
    if (p[0] != 0) {
        error_set(ret_error, ERROR_INTERNAL, "the message's flags are 0x%02x without an encoding",
                  p[0]);
        return GRPC_READ_ERROR;
    }
    if (size > reader->limit_bytes) {
        error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                  "the message has %u bytes, more than the limit of %zu", size,
                  reader->limit_bytes);
        return GRPC_READ_ERROR;
    }
    reader->size_bytes = reader->left_bytes = size;
    return size ? GRPC_READ_STARTED : GRPC_READ_MESSAGE;
}

enum grpc_read grpc_reader_advance(struct grpc_reader *reader, size_t count,
                                   struct error *ret_error)
{
    if (reader->left_bytes) {
        assert(count <= reader->left_bytes);
        reader->left_bytes -= (uint32_t)count;
        return reader->left_bytes ? GRPC_READ_MORE : GRPC_READ_MESSAGE;
    }
    assert(count <= (size_t)GRPC_PREFIX_BYTES - reader->prefix_count);
    reader->prefix_count = (uint8_t)(reader->prefix_count + count);
    return reader->prefix_count < GRPC_PREFIX_BYTES ? GRPC_READ_MORE
                                                    : start_message(reader, ret_error);
}

bool grpc_reader_idle(const struct grpc_reader *reader)
{
    return !reader->left_bytes && !reader->prefix_count;
}

bool grpc_reader_end(const struct grpc_reader *reader, struct error *ret_error)
{
    if (!grpc_reader_idle(reader))
        return error_set(ret_error, ERROR_INTERNAL, "the request ends inside a message");
    return true;
}

void grpc_reply(struct http_exchange *exchange)
{
    http_reply(exchange, 200, (struct http_field[]){content_type, accept_encoding}, 2);
}

bool grpc_message(struct http_exchange *exchange, char prefix[GRPC_PREFIX_BYTES],
                  const struct iovec *vectors, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(size, vectors[i].iov_len, &size))
            return false;
    }
    if (size > UINT32_MAX)
        return false;
    prefix[0] = 0;
    for (unsigned i = 0; i < 4; i++)
        prefix[1 + i] = (char)(size >> (24 - 8 * i));
    http_body(exchange, &(struct iovec){prefix, GRPC_PREFIX_BYTES}, 1);
    http_body(exchange, vectors, count);
    return true;
}

/* The fields of a failed call's status, in the exchange's arena. Without memory the text is left
 * out: the code matters more. Returns their count, 1 or 2. */
static size_t status_fields(struct http_exchange *exchange, const struct error *error,
                            struct http_field ret_fields[2])
{
    static const char *const numbers[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                          "9", "10", "11", "12", "13", "14", "15", "16"};
    unsigned status = error_grpc_status(error->code);
    assert(status < sizeof numbers / sizeof *numbers);
    ret_fields[0] = (struct http_field){SPAN("grpc-status"), span_of(numbers[status])};
    struct span text;
    if (!grpc_message_encode(&exchange->arena, span_of(error->message), &text))
        return 1;
    ret_fields[1] = (struct http_field){SPAN("grpc-message"), text};
    return 2;
}

void grpc_end(struct http_exchange *exchange, const struct error *error)
{
    struct http_field fields[4] = {content_type, accept_encoding, status_ok};
    size_t count = error ? status_fields(exchange, error, fields + 2) : 1;
    if (exchange->responded) {
        http_end(exchange, fields + 2, count);
    } else {
        http_reply(exchange, 200, fields, 2 + count);
        http_end(exchange, NULL, 0);
    }
}
