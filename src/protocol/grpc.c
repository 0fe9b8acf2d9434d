/* gRPC calls, answers and status; see grpc.h. What can be pure is: only the last functions touch an
 * exchange. */
#include "protocol/grpc.h"

#include "base/clock.h"

#include <assert.h>

#define FIELD(name, value) {{name, sizeof name - 1}, {value, sizeof value - 1}}

static const struct http_field content_type = FIELD("content-type", "application/grpc");
static const struct http_field accept_encoding =
    FIELD("grpc-accept-encoding", "identity,deflate,gzip");
static const struct http_field encodings[] = {
    [GRPC_GZIP] = FIELD("grpc-encoding", "gzip"),
    [GRPC_DEFLATE] = FIELD("grpc-encoding", "deflate"),
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

static int sextet(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
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
    char *bytes = arena_alloc(arena, value.size / 4 * 3 + 3), *to = bytes;
    uint32_t bits = 0;
    unsigned count = 0;
    if (!bytes)
        return error_no_memory(ret_error);
    for (int padding = 0; padding < 2 && value.size && value.data[value.size - 1] == '='; padding++)
        value.size--;
    for (size_t i = 0; i < value.size; i++) {
        int digit = sextet((unsigned char)value.data[i]);
        if (digit < 0)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a binary field is not base64");
        bits = bits << 6 | (uint32_t)digit;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *to++ = (char)(bits >> count);
        }
    }
    if (value.size % 4 == 1)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a binary field is cut short");
    *ret_bytes = (struct span){bytes, (size_t)(to - bytes)};
    return true;
}

/* ---- answering ---- */

/* True when the name is an item of the comma-separated list. */
static bool list_has(struct span list, struct span name)
{
    while (list.data) {
        if (span_equal_nocase(span_trim(span_split(&list, ',')), name))
            return true;
    }
    return false;
}

void grpc_writer_init(struct grpc_writer *writer, const struct http_request *request)
{
    struct span own = http_field(request, SPAN("grpc-encoding"));
    struct span accepted = http_field(request, SPAN("grpc-accept-encoding"));
    *writer = (struct grpc_writer){.encoding = GRPC_IDENTITY};
    buf_init(&writer->compressed, UINT32_MAX);
    for (enum grpc_encoding encoding = GRPC_GZIP; own.size && encoding <= GRPC_DEFLATE;
         encoding++) {
        if (span_equal_nocase(own, encodings[encoding].value) && list_has(accepted, own))
            writer->encoding = encoding;
    }
}

void grpc_writer_fini(struct grpc_writer *writer)
{
    buf_fini(&writer->compressed);
}

/* An id that no client asked for is worth its bytes and its time only when the call fails: it then
 * comes with the status. */
void grpc_reply(struct http_exchange *exchange, const struct grpc_writer *writer,
                const struct http_field *fields, size_t count)
{
    struct http_field few[3];
    exchange->omits_id = !exchange->request_id.size;
    struct http_field *all = count ? arena_calloc(&exchange->arena, count + 3, sizeof *all) : few;
    size_t own = 0;
    if (!all) {
        http_reset(exchange);
        return;
    }
    all[own++] = content_type;
    all[own++] = accept_encoding;
    if (writer->encoding != GRPC_IDENTITY)
        all[own++] = encodings[writer->encoding];
    if (count)
        memcpy(all + own, fields, count * sizeof *fields);
    http_reply(exchange, 200, all, own + count);
}

static void write_prefix(char prefix[GRPC_PREFIX_BYTES], bool compressed, size_t size)
{
    prefix[0] = compressed;
    for (unsigned i = 0; i < 4; i++)
        prefix[1 + i] = (char)(size >> (24 - 8 * i));
}

/* Compresses where that is wanted and helps; what finds no memory goes as it is. */
static bool compress(struct grpc_writer *writer, const struct iovec *vectors, size_t count,
                     size_t size)
{
    if (writer->encoding == GRPC_IDENTITY || size < GRPC_COMPRESS_BYTES ||
        size > GRPC_COMPRESS_MAX_BYTES)
        return false;
    buf_clear(&writer->compressed);
    return zip_write(writer->encoding == GRPC_GZIP ? ZIP_GZIP : ZIP_DEFLATE, vectors, count,
                     &writer->compressed) &&
           writer->compressed.size < size;
}

bool grpc_message(struct http_exchange *exchange, struct grpc_writer *writer,
                  const struct iovec *vectors, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(size, vectors[i].iov_len, &size))
            return false;
    }
    if (size > UINT32_MAX)
        return false;
    const struct iovec prefix = {writer->prefix, GRPC_PREFIX_BYTES};
    if (compress(writer, vectors, count, size)) {
        const struct iovec compressed = {writer->compressed.data, writer->compressed.size};
        write_prefix(writer->prefix, true, compressed.iov_len);
        http_body(exchange, (struct iovec[]){prefix, compressed}, 2);
        return true;
    }
    write_prefix(writer->prefix, false, size);
    http_body(exchange, &prefix, 1);
    http_body(exchange, vectors, count);
    return true;
}

/* The fields of a status, in the exchange's arena, behind room for `before` others. NULL without
 * memory. A text that finds no memory is left out: the code matters more. */
static struct http_field *status_fields(struct http_exchange *exchange, size_t before,
                                        unsigned status, struct span message, size_t extra,
                                        size_t *ret_count)
{
    static const char *const numbers[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                          "9", "10", "11", "12", "13", "14", "15", "16"};
    assert(status < sizeof numbers / sizeof *numbers);
    struct http_field *fields = arena_calloc(&exchange->arena, before + 2 + extra, sizeof *fields);
    struct span text;
    if (!fields)
        return NULL;
    *ret_count = before;
    fields[(*ret_count)++] = (struct http_field){SPAN("grpc-status"), span_of(numbers[status])};
    if (message.size && grpc_message_encode(&exchange->arena, message, &text))
        fields[(*ret_count)++] = (struct http_field){SPAN("grpc-message"), text};
    return fields;
}

static void note_status(struct http_exchange *exchange, unsigned status, struct span message)
{
    if (exchange->grpc_status < 0)
        exchange->grpc_status = (int)status;
    if (status)
        http_note_failure(exchange, message);
}

void grpc_end_with(struct http_exchange *exchange, unsigned status, struct span message,
                   const struct http_field *trailers, size_t count)
{
    enum { HEAD = 2 };
    size_t all;
    struct http_field *fields = status_fields(exchange, HEAD, status, message, count + 1, &all);
    note_status(exchange, status, message);
    if (!fields) {
        http_reset(exchange);
        return;
    }
    if (count)
        memcpy(fields + all, trailers, count * sizeof *trailers);
    all += count;
    if (exchange->responded) {
        if (status && exchange->omits_id)
            fields[all++] = (struct http_field){SPAN("x-request-id"), http_request_id(exchange)};
        http_end(exchange, fields + HEAD, all - HEAD);
        return;
    }
    fields[0] = content_type;
    fields[1] = accept_encoding;
    http_reply(exchange, 200, fields, all);
    http_end(exchange, NULL, 0);
}

void grpc_end(struct http_exchange *exchange, const struct error *error)
{
    static const struct http_field ok = FIELD("grpc-status", "0");
    if (!error)
        note_status(exchange, 0, (struct span){NULL, 0});
    if (error)
        grpc_end_with(exchange, error_grpc_status(error->code), span_of(error->message), NULL, 0);
    else if (exchange->responded)
        http_end(exchange, &ok, 1); /* the usual end, without memory */
    else
        grpc_end_with(exchange, 0, (struct span){NULL, 0}, NULL, 0);
}
