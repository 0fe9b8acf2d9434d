/* The parser of HTTP/1.1; see http1_parser.h.
 *
 * Heads usually arrive whole: then they are parsed where they were received and copied once, into
 * the arena. While llhttp runs, pieces are remembered by their offsets, so that it makes no
 * difference when a head arrives in many reads and its bytes are gathered in `partial` first. Every
 * byte is parsed once. llhttp is stopped behind the head; it goes on only for a chunked body. */
#include "protocol/http1_parser.h"

#include <string.h>

/* Framing that one chunk may need: 16 digits, two line ends, and a little. Extensions, trailers and
 * leading zeros above that are counted against header_bytes. */
enum { CHUNK_FRAMING_BYTES = 24 };

static int refuse(struct http1_parser *parser, enum error_code code)
{
    parser->refusal = code;
    return HPE_USER;
}

/* Adds a span that llhttp reports to the piece that it belongs to. */
static int extend(struct http1_parser *parser, struct http1_mark *mark, const char *at, size_t size)
{
    size_t offset = parser->head_bytes + (size_t)(at - parser->chunk);
    if (mark->size == 0)
        mark->at = (uint32_t)offset;
    else if (mark->at + mark->size != offset)
        return refuse(parser, ERROR_INVALID_ARGUMENT);
    mark->size += (uint32_t)size;
    return 0;
}

static int on_method(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http1_parser *parser = llhttp->data;
    return extend(parser, &parser->method, at, size);
}

static int on_url(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http1_parser *parser = llhttp->data;
    return extend(parser, &parser->target, at, size);
}

static bool target_is_too_long(const struct http1_parser *parser)
{
    return parser->target.size > parser->exchange->server->limits.target_bytes;
}

/* The target is measured where it ends: a cut inside would else tell of its length before what is
 * malformed in it. */
static int on_url_complete(llhttp_t *llhttp)
{
    return target_is_too_long(llhttp->data) ? refuse(llhttp->data, ERROR_URI_TOO_LONG) : 0;
}

static int on_protocol(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http1_parser *parser = llhttp->data;
    return extend(parser, &parser->protocol, at, size);
}

static int on_version(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http1_parser *parser = llhttp->data;
    return extend(parser, &parser->version, at, size);
}

/* llhttp knows 0.9 and 2.0 too. */
static int on_version_complete(llhttp_t *llhttp)
{
    return llhttp->http_major == 1 ? 0 : refuse(llhttp->data, ERROR_HTTP_VERSION);
}

static int new_field(struct http1_parser *parser)
{
    void *fields = parser->fields;
    if (!arena_grow(&parser->exchange->arena, &fields, parser->field_count, &parser->field_capacity,
                    sizeof *parser->fields))
        return refuse(parser, ERROR_RESOURCE_EXHAUSTED);
    parser->fields = fields;
    parser->fields[parser->field_count++] = (struct http1_field_mark){{0, 0}, {0, 0}};
    parser->in_name = true;
    return 0;
}

static int on_field_name(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http1_parser *parser = llhttp->data;
    if (parser->in_body) /* a trailer: counted where it ends, and dropped */
        return 0;
    if (!parser->in_name) {
        int stop = new_field(parser);
        if (stop)
            return stop;
    }
    return extend(parser, &parser->fields[parser->field_count - 1].name, at, size);
}

static int on_field_value(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http1_parser *parser = llhttp->data;
    if (parser->in_body)
        return 0;
    parser->in_name = false;
    return extend(parser, &parser->fields[parser->field_count - 1].value, at, size);
}

/* Fields are counted where they end: a cut inside a name would else tell of a name that is
 * malformed. */
static int on_field_end(llhttp_t *llhttp)
{
    struct http1_parser *parser = llhttp->data;
    parser->in_name = false;
    size_t count = parser->in_body ? ++parser->trailer_count : parser->field_count;
    if (count > parser->exchange->server->limits.field_count)
        return refuse(parser, ERROR_HEADER_TOO_LARGE);
    return 0;
}

static int on_head_complete(llhttp_t *llhttp)
{
    return HPE_PAUSED;
}

static int on_chunk_header(llhttp_t *llhttp)
{
    struct http1_parser *parser = llhttp->data;
    if (++parser->chunk_count > parser->exchange->server->limits.chunk_count)
        return refuse(parser, ERROR_TOO_LARGE);
    return HPE_PAUSED; /* for its framing to be judged */
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http1_parser *parser = llhttp->data;
    memcpy(parser->decoded, at, size);
    parser->decoded += size;
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    struct http1_parser *parser = llhttp->data;
    parser->body_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_protocol = on_protocol,
    .on_version = on_version,
    .on_version_complete = on_version_complete,
    .on_header_field = on_field_name,
    .on_header_value = on_field_value,
    .on_header_value_complete = on_field_end,
    .on_headers_complete = on_head_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http1_parser_init(struct http1_parser *parser, struct http_exchange *exchange)
{
    *parser = (struct http1_parser){.exchange = exchange};
    buf_init(&parser->partial, exchange->server->limits.header_bytes);
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
    parser->llhttp.data = parser;
}

void http1_parser_fini(struct http1_parser *parser)
{
    if (parser)
        buf_fini(&parser->partial);
}

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* RFC 9110 §9.1: an unknown method is 501; what cannot be a method is not. */
static bool refuse_method(struct http1_parser *parser, struct error *ret_error)
{
    const char *at = llhttp_get_error_pos(&parser->llhttp);
    if (at && is_token_char(*at))
        return error_set(ret_error, ERROR_UNIMPLEMENTED, "unknown method");
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "malformed request line");
}

/* "HTTP/9.9" is another version; "HTTP/1.1x" and "HTTP/x" are none. */
static bool refuse_version(struct http1_parser *parser, struct error *ret_error)
{
    const llhttp_t *llhttp = &parser->llhttp;
    bool known = llhttp->http_major == 1 && llhttp->http_minor <= 1;
    if (parser->version.size == 3 && !known)
        return error_set(ret_error, ERROR_HTTP_VERSION, "%s", error_text(ERROR_HTTP_VERSION));
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "malformed request line");
}

static bool refuse_limit(struct http1_parser *parser, struct error *ret_error)
{
    const struct http_limits *limits = &parser->exchange->server->limits;
    switch (parser->refusal) {
    case ERROR_URI_TOO_LONG:
        limit_hit(LIMIT_max_target_bytes);
        return error_set(ret_error, parser->refusal, "the target is longer than %zu bytes",
                         limits->target_bytes);
    case ERROR_HEADER_TOO_LARGE:
        limit_hit(LIMIT_max_header_fields);
        return error_set(ret_error, parser->refusal, "more than %zu header fields",
                         limits->field_count);
    case ERROR_TOO_LARGE:
        limit_hit(LIMIT_max_chunks);
        return error_set(ret_error, parser->refusal, "more than %u chunks",
                         (unsigned)limits->chunk_count);
    default:
        return error_set(ret_error, parser->refusal, "%s", error_text(parser->refusal));
    }
}

/* llhttp's reasons are fixed sentences. */
static enum http1_step refuse_syntax(struct http1_parser *parser, llhttp_errno_t code,
                                     struct error *ret_error)
{
    const char *reason = llhttp_get_error_reason(&parser->llhttp);
    bool overflow = reason && strstr(reason, "overflow");
    if (parser->refusal != ERROR_OK)
        refuse_limit(parser, ret_error);
    else if (code == HPE_INVALID_METHOD)
        refuse_method(parser, ret_error);
    else if (code == HPE_INVALID_VERSION)
        refuse_version(parser, ret_error);
    else if (code == HPE_INVALID_CONSTANT)
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "malformed request line");
    else
        error_set(ret_error, overflow ? ERROR_TOO_LARGE : ERROR_INVALID_ARGUMENT, "%s",
                  reason && *reason ? reason : "malformed request");
    return HTTP1_ERROR;
}

/* Brings the head, whose last bytes are in `end`, into the arena and has it checked. */
static enum http1_step finish_head(struct http1_parser *parser, struct span end,
                                   struct error *ret_error)
{
    char *head = arena_alloc(&parser->exchange->arena, parser->partial.size + end.size);
    if (!head) {
        error_no_memory(ret_error);
        return HTTP1_ERROR;
    }
    if (parser->partial.size)
        memcpy(head, parser->partial.data, parser->partial.size);
    memcpy(head + parser->partial.size, end.data, end.size);
    buf_fini(&parser->partial);
    return http1_head_finish(parser, head, ret_error) ? HTTP1_DONE : HTTP1_ERROR;
}

enum http1_step http1_parse_head(struct http1_parser *parser, struct span received,
                                 size_t *ret_used, struct error *ret_error)
{
    size_t limit = parser->exchange->server->limits.header_bytes;
    struct span part = received;
    if (part.size > limit - parser->head_bytes)
        part.size = limit - parser->head_bytes;
    parser->chunk = part.data;
    llhttp_errno_t code = llhttp_execute(&parser->llhttp, part.data, part.size);
    if (code == HPE_PAUSED) {
        part.size = (size_t)(llhttp_get_error_pos(&parser->llhttp) - part.data);
        parser->head_bytes += part.size;
        *ret_used = part.size;
        return finish_head(parser, part, ret_error);
    }
    if (code != HPE_OK)
        return refuse_syntax(parser, code, ret_error);
    parser->head_bytes += part.size;
    *ret_used = part.size;
    if (parser->head_bytes == limit && target_is_too_long(parser)) {
        parser->refusal = ERROR_URI_TOO_LONG;
        refuse_limit(parser, ret_error);
        return HTTP1_ERROR;
    }
    if (parser->head_bytes == limit) {
        limit_hit(LIMIT_max_header_bytes);
        error_set(ret_error, ERROR_HEADER_TOO_LARGE, "the head is larger than %zu bytes", limit);
        return HTTP1_ERROR;
    }
    if (!buf_append(&parser->partial, part)) {
        error_no_memory(ret_error);
        return HTTP1_ERROR;
    }
    return HTTP1_MORE;
}

/* Whether so many chunks may have so much framing, with `more` bytes that are not counted yet. */
static bool framing_fits(const struct http1_parser *parser, size_t more, uint32_t chunks)
{
    return parser->framing_bytes + more <=
           parser->exchange->server->limits.header_bytes + (uint64_t)chunks * CHUNK_FRAMING_BYTES;
}

/* Runs llhttp over a part of the body, chunk by chunk: the framing up to where a chunk's content
 * begins is judged without what that chunk and later ones may have, as if the part ended there. */
static llhttp_errno_t run_body(struct http1_parser *parser, struct span part, const char *into,
                               size_t *ret_used, bool *ret_fits)
{
    *ret_used = 0;
    for (;;) {
        llhttp_errno_t code =
            llhttp_execute(&parser->llhttp, part.data + *ret_used, part.size - *ret_used);
        bool in_chunk = code == HPE_PAUSED && !parser->body_done;
        *ret_used = code == HPE_OK ? part.size
                                   : (size_t)(llhttp_get_error_pos(&parser->llhttp) - part.data);
        *ret_fits = framing_fits(parser, *ret_used - (size_t)(parser->decoded - into),
                                 parser->chunk_count - in_chunk);
        if (!in_chunk || !*ret_fits)
            return code;
        llhttp_resume(&parser->llhttp);
    }
}

enum http1_step http1_parse_body(struct http1_parser *parser, struct span received,
                                 struct room into, size_t *ret_used, size_t *ret_decoded,
                                 struct error *ret_error)
{
    if (!parser->in_body) {
        parser->in_body = true;
        parser->llhttp.upgrade = 0; /* Upgrade is ignored: RFC 9110 §7.8 */
        llhttp_resume(&parser->llhttp);
    }
    struct span part = {received.data, received.size < into.size ? received.size : into.size};
    parser->decoded = into.data;
    size_t used;
    bool fits;
    llhttp_errno_t code = run_body(parser, part, into.data, &used, &fits);
    *ret_decoded = (size_t)(parser->decoded - into.data);
    parser->framing_bytes += used - *ret_decoded;
    /* What comes before a malformed byte is looked at first: it may have come alone. */
    if (!fits) {
        error_set(ret_error, ERROR_HEADER_TOO_LARGE, "too much framing around the body");
        return HTTP1_ERROR;
    }
    if (code != HPE_OK && code != HPE_PAUSED)
        return refuse_syntax(parser, code, ret_error);
    *ret_used = used;
    return parser->body_done ? HTTP1_DONE : HTTP1_MORE;
}
