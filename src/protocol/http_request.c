/* What a request's head means, whatever carried it: methods, targets, paths, authorities, lengths.
 * Everything here is pure, and refuses what two readers could take for two things (RFC 9110, 9112,
 * 3986). */
#include "protocol/http.h"
#include "protocol/http_transport.h"

static const struct {
    struct span name;
    enum http_method method;
} methods[] = {
    {SPAN("GET"), HTTP_GET},     {SPAN("POST"), HTTP_POST},     {SPAN("HEAD"), HTTP_HEAD},
    {SPAN("PUT"), HTTP_PUT},     {SPAN("DELETE"), HTTP_DELETE}, {SPAN("OPTIONS"), HTTP_OPTIONS},
    {SPAN("PATCH"), HTTP_PATCH},
};

void http_request_set_method(struct http_request *request, struct span name)
{
    request->method_name = name;
    request->method = HTTP_OTHER;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (span_equal(name, methods[i].name))
            request->method = methods[i].method;
    }
}

struct span http_field(const struct http_request *request, struct span name)
{
    for (size_t i = 0; i < request->field_count; i++) {
        if (span_equal(request->fields[i].name, name))
            return request->fields[i].value;
    }
    return (struct span){NULL, 0};
}

bool http_field_is_single(const struct http_request *request, struct span name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->field_count; i++)
        count += span_equal(request->fields[i].name, name);
    return count <= 1;
}

bool http_exchange_add_field(struct http_exchange *exchange, struct span name, struct span value,
                             struct error *ret_error)
{
    struct http_request *request = &exchange->request;
    const struct http_limits *limits = &exchange->server->limits;
    if (request->field_count >= limits->field_count) {
        limit_hit(LIMIT_max_header_fields);
        return error_set(ret_error, ERROR_HEADER_TOO_LARGE, "more than %zu header fields",
                         limits->field_count);
    }
    size_t bytes;
    if (__builtin_add_overflow(name.size, value.size, &bytes) ||
        __builtin_add_overflow(exchange->field_bytes, bytes, &bytes) ||
        bytes > limits->header_bytes) {
        limit_hit(LIMIT_max_header_bytes);
        return error_set(ret_error, ERROR_HEADER_TOO_LARGE, "more than %zu bytes of header fields",
                         limits->header_bytes);
    }
    void *fields = request->fields;
    if (!arena_grow(&exchange->arena, &fields, request->field_count, &exchange->field_capacity,
                    sizeof *request->fields))
        return error_no_memory(ret_error);
    request->fields = fields;
    request->fields[request->field_count++] = (struct http_field){name, value};
    exchange->field_bytes = bytes;
    return true;
}

bool http_content_length(struct span value, int64_t *ret_length, struct error *ret_error)
{
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "malformed Content-Length");
    }
    uint64_t length;
    if (value.size == 0)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "empty Content-Length");
    if (!span_to_u64(value, &length) || length > INT64_MAX)
        return error_set(ret_error, ERROR_TOO_LARGE, "Content-Length is too large");
    *ret_length = (int64_t)length;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Decodes the character at text[*at] and moves *at behind it. */
static bool decode_char(struct span text, size_t *at, char *ret_char, struct error *ret_error)
{
    char c = text.data[*at];
    bool escaped = c == '%';
    if (escaped) {
        int high = *at + 2 < text.size ? hex_value(text.data[*at + 1]) : -1;
        int low = *at + 2 < text.size ? hex_value(text.data[*at + 2]) : -1;
        if (high < 0 || low < 0)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "bad escape in the path");
        c = (char)(high * 16 + low);
        *at += 2;
    }
    *at += 1;
    bool control = (unsigned char)c < 0x20 || c == 0x7f;
    if (control || c == '\\' || (escaped && c == '/') || (!escaped && (unsigned char)c > 0x7f) ||
        (!escaped && (c == ' ' || c == '#' || c == '?')))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "forbidden character in the path");
    *ret_char = c;
    return true;
}

static bool has_dot_segment(struct span path)
{
    struct span rest = path;
    while (rest.data) {
        struct span segment = span_split(&rest, '/');
        if (span_equal(segment, SPAN(".")) || span_equal(segment, SPAN("..")))
            return true;
    }
    return false;
}

bool http_path_decode(struct arena *arena, struct span target_path, struct span *ret_path,
                      struct error *ret_error)
{
    if (!span_starts_with(target_path, SPAN("/")))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the path does not start with /");
    char *decoded = arena_alloc(arena, target_path.size);
    if (!decoded)
        return error_no_memory(ret_error);
    size_t size = 0;
    for (size_t at = 0; at < target_path.size; size++) {
        if (!decode_char(target_path, &at, &decoded[size], ret_error))
            return false;
    }
    struct span path = {decoded, size};
    if (has_dot_segment(path))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "dot segment in the path");
    *ret_path = path;
    return true;
}

/* A query is passed on as it is, and so is checked only for what no URI holds. */
static bool query_valid(struct span query)
{
    for (size_t i = 0; i < query.size; i++) {
        unsigned char c = (unsigned char)query.data[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return false;
    }
    return true;
}

bool http_exchange_set_target(struct http_exchange *exchange, struct span target,
                              struct error *ret_error)
{
    struct http_request *request = &exchange->request;
    if (target.size > exchange->server->limits.target_bytes) {
        limit_hit(LIMIT_max_target_bytes);
        return error_set(ret_error, ERROR_URI_TOO_LONG, "the target is longer than %zu bytes",
                         exchange->server->limits.target_bytes);
    }
    if (request->method == HTTP_OPTIONS && span_equal(target, SPAN("*"))) {
        request->path = target;
        return true;
    }
    struct span query = target;
    struct span path = span_split(&query, '?');
    if (!query_valid(query))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "forbidden character in the query");
    if (!http_path_decode(&exchange->arena, path, &request->path, ret_error))
        return false;
    request->query = query;
    return true;
}

static bool port_valid(struct span port)
{
    uint64_t number;
    return span_to_u64(port, &number) && number <= 65535;
}

/* The inside of [ ]: IPv6 with, perhaps, a dotted end. Who uses it as an address parses it. */
static bool ipv6_valid(struct span text)
{
    size_t colons = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == ':')
            colons++;
        else if (hex_value(text.data[i]) < 0 && text.data[i] != '.')
            return false;
    }
    return colons >= 2 && text.size <= 45;
}

/* RFC 3986 allows more, but a host with "," or ";" is a list to some readers, and no name in DNS.
 * Of escapes only "%2F" has a use: gRPC's clients name a unix socket by its path, encoded. */
static bool reg_name_valid(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (span_starts_with(span_after(text, i), SPAN("%2F")))
            i += 2;
        else if (!is_letter_or_digit(c) && (c == '\0' || !strchr("-._~", c)))
            return false;
    }
    return text.size > 0;
}

bool http_authority_valid(struct span authority)
{
    struct span rest = authority;
    if (!span_starts_with(authority, SPAN("["))) {
        struct span host = span_split(&rest, ':');
        return reg_name_valid(host) && (!rest.data || port_valid(rest));
    }
    rest = span_after(rest, 1);
    struct span address = span_split(&rest, ']');
    if (!rest.data || !ipv6_valid(address))
        return false;
    return rest.size == 0 || (rest.data[0] == ':' && port_valid(span_after(rest, 1)));
}
