/* Writes response heads; see http1_write.h. The size is summed first, so that a head is one piece
 * of the arena and one vector. */
#include "protocol/http1_write.h"

#include <assert.h>

/* "HTTP/1.1 200 " … "\r\n" … "connection: keep-alive\r\n" … "transfer-encoding: chunked\r\n" */
enum { FIXED_BYTES = 192 };

static const struct {
    unsigned status;
    struct span text;
} reasons[] = {
    {200, SPAN("OK")},
    {201, SPAN("Created")},
    {202, SPAN("Accepted")},
    {204, SPAN("No Content")},
    {206, SPAN("Partial Content")},
    {301, SPAN("Moved Permanently")},
    {302, SPAN("Found")},
    {303, SPAN("See Other")},
    {304, SPAN("Not Modified")},
    {307, SPAN("Temporary Redirect")},
    {308, SPAN("Permanent Redirect")},
    {400, SPAN("Bad Request")},
    {401, SPAN("Unauthorized")},
    {403, SPAN("Forbidden")},
    {404, SPAN("Not Found")},
    {405, SPAN("Method Not Allowed")},
    {408, SPAN("Request Timeout")},
    {409, SPAN("Conflict")},
    {411, SPAN("Length Required")},
    {413, SPAN("Content Too Large")},
    {414, SPAN("URI Too Long")},
    {415, SPAN("Unsupported Media Type")},
    {416, SPAN("Range Not Satisfiable")},
    {421, SPAN("Misdirected Request")},
    {422, SPAN("Unprocessable Content")},
    {429, SPAN("Too Many Requests")},
    {431, SPAN("Request Header Fields Too Large")},
    {499, SPAN("Client Closed Request")},
    {500, SPAN("Internal Server Error")},
    {501, SPAN("Not Implemented")},
    {502, SPAN("Bad Gateway")},
    {503, SPAN("Service Unavailable")},
    {504, SPAN("Gateway Timeout")},
    {505, SPAN("HTTP Version Not Supported")},
};

static struct span reason_of(unsigned status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].status == status)
            return reasons[i].text;
    }
    return SPAN("Other");
}

static char *put(char *at, struct span text)
{
    memcpy(at, text.data, text.size);
    return at + text.size;
}

static char *put_status(char *at, unsigned status)
{
    at = put(at, SPAN("HTTP/1.1 "));
    *at++ = (char)('0' + status / 100 % 10);
    *at++ = (char)('0' + status / 10 % 10);
    *at++ = (char)('0' + status % 10);
    *at++ = ' ';
    at = put(at, reason_of(status));
    return put(at, SPAN("\r\n"));
}

static char *put_field(char *at, struct http_field field)
{
    at = put(at, field.name);
    at = put(at, SPAN(": "));
    if (field.value.size)
        at = put(at, field.value);
    return put(at, SPAN("\r\n"));
}

static bool head_size(const struct http_field *fields, size_t count, size_t *ret_size)
{
    size_t size = FIXED_BYTES;
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(size, fields[i].name.size + 4, &size) ||
            __builtin_add_overflow(size, fields[i].value.size, &size))
            return false;
    }
    *ret_size = size;
    return true;
}

bool http1_write_head(struct arena *arena, const struct http1_response *response,
                      const struct http_field *fields, size_t count, struct span *ret_head)
{
    size_t size;
    char *head = head_size(fields, count, &size) ? arena_alloc(arena, size) : NULL;
    if (!head)
        return false;
    char *at = put_status(head, response->status);
    for (size_t i = 0; i < count; i++)
        at = put_field(at, fields[i]);
    at = put_field(at, (struct http_field){SPAN("date"), response->date});
    if (response->framing == HTTP1_SWITCHED)
        at = put(at, SPAN("connection: upgrade\r\n"));
    else if (response->close)
        at = put(at, SPAN("connection: close\r\n"));
    else if (response->keep_alive)
        at = put(at, SPAN("connection: keep-alive\r\n"));
    if (response->framing == HTTP1_CHUNKED)
        at = put(at, SPAN("transfer-encoding: chunked\r\n"));
    at = put(at, SPAN("\r\n"));
    assert((size_t)(at - head) <= size);
    *ret_head = (struct span){head, (size_t)(at - head)};
    return true;
}

static bool is_safe(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == '\0')
            return false;
    return true;
}

static bool all_safe(struct span target, const struct http_field *fields, size_t count)
{
    bool safe = is_safe(target) && !(target.size && memchr(target.data, ' ', target.size));
    for (size_t i = 0; i < count; i++)
        safe = safe && is_safe(fields[i].name) && is_safe(fields[i].value);
    return safe;
}

bool http1_write_request(struct arena *arena, struct span method, struct span target,
                         const struct http_field *fields, size_t count, struct span *ret_head)
{
    size_t size;
    if (!all_safe(target, fields, count) || !head_size(fields, count, &size) ||
        __builtin_add_overflow(size, method.size + target.size, &size))
        return false;
    char *head = arena_alloc(arena, size);
    if (!head)
        return false;
    char *at = put(put(head, method), SPAN(" "));
    at = put(put(at, target), SPAN(" HTTP/1.1\r\n"));
    for (size_t i = 0; i < count; i++)
        at = put_field(at, fields[i]);
    at = put(at, SPAN("\r\n"));
    assert((size_t)(at - head) <= size);
    *ret_head = (struct span){head, (size_t)(at - head)};
    return true;
}

bool http1_write_error(struct arena *arena, const struct error *error, struct span date,
                       struct span request_id, struct span *ret_response)
{
    struct span reason = reason_of(error_http_status(error->code));
    size_t body_bytes = sizeof "{\"error\":\"\"}" - 1 + strlen(error->message);
    char *text = arena_printf(arena,
                              "HTTP/1.1 %u %.*s\r\n"
                              "content-type: application/json\r\n"
                              "content-length: %zu\r\n"
                              "date: %.*s\r\n"
                              "x-request-id: %.*s\r\n"
                              "connection: close\r\n\r\n"
                              "{\"error\":\"%s\"}",
                              error_http_status(error->code), SPAN_ARGS(reason), body_bytes,
                              SPAN_ARGS(date), SPAN_ARGS(request_id), error->message);
    if (!text)
        return false;
    *ret_response = span_of(text);
    return true;
}

struct span http1_write_chunk_line(char text[HTTP1_CHUNK_LINE_BYTES], size_t size_bytes)
{
    size_t at = HTTP1_CHUNK_LINE_BYTES;
    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = "0123456789abcdef"[size_bytes & 15];
        size_bytes >>= 4;
    } while (size_bytes);
    return (struct span){text + at, HTTP1_CHUNK_LINE_BYTES - at};
}
