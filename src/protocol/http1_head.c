/* The checks of a complete HTTP/1.1 head that llhttp leaves to its user, and the request that it
 * makes: RFC 9112 §3 (request line, Host, target forms) and §6 (framing). */
#include "protocol/http1_parser.h"

static struct span piece(const char *head, struct http1_mark mark)
{
    return (struct span){head + mark.at, mark.size};
}

static bool malformed_line(struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "malformed request line");
}

/* RFC 9112 §2.2: empty lines may come first; llhttp takes bare CR and LF for them too. */
static bool empty_lines_valid(const char *head, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (head[i] != (i % 2 ? '\n' : '\r'))
            return false;
    }
    return size % 2 == 0;
}

/* RFC 9112 §3: single spaces, and HTTP; llhttp takes runs of spaces, RTSP and ICE too. */
static bool check_line(struct http1_parser *parser, const char *head, struct error *ret_error)
{
    if (!empty_lines_valid(head, parser->method.at))
        return malformed_line(ret_error);
    if (parser->version.size == 0 || !span_equal(piece(head, parser->protocol), SPAN("HTTP")))
        return malformed_line(ret_error);
    if (parser->target.at != parser->method.at + parser->method.size + 1 ||
        parser->protocol.at != parser->target.at + parser->target.size + 1)
        return malformed_line(ret_error);
    if (parser->llhttp.method == HTTP_CONNECT)
        return error_set(ret_error, ERROR_UNIMPLEMENTED, "CONNECT is not served");
    return true;
}

static void lower_case(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] | 0x20);
    }
}

static bool add_fields(struct http1_parser *parser, char *head, struct error *ret_error)
{
    for (size_t i = 0; i < parser->field_count; i++) {
        const struct http1_field_mark *mark = &parser->fields[i];
        lower_case(head + mark->name.at, mark->name.size);
        if (!http_exchange_add_field(parser->exchange, piece(head, mark->name),
                                     span_trim(piece(head, mark->value)), ret_error))
            return false;
    }
    return true;
}

/* The fields that decide what the message is; each may be there once. */
struct decisive {
    struct span host, content_length, transfer_encoding, expect;
};

static bool set_once(struct span *place, const struct http_field *field, struct error *ret_error)
{
    if (place->data)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%.*s more than once",
                         SPAN_ARGS(field->name));
    *place = field->value;
    return true;
}

static bool find_decisive(const struct http_request *request, struct decisive *ret_found,
                          struct error *ret_error)
{
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        struct span *place = NULL;
        if (span_equal(field->name, SPAN("host")))
            place = &ret_found->host;
        else if (span_equal(field->name, SPAN("content-length")))
            place = &ret_found->content_length;
        else if (span_equal(field->name, SPAN("transfer-encoding")))
            place = &ret_found->transfer_encoding;
        else if (span_equal(field->name, SPAN("expect")))
            place = &ret_found->expect;
        if (place && !set_once(place, field, ret_error))
            return false;
    }
    return true;
}

/* RFC 9112 §6.1 and §6.3. A length and a coding together are the classic way to smuggle. */
static bool check_framing(struct http1_parser *parser, const struct decisive *found,
                          struct error *ret_error)
{
    struct http_request *request = &parser->exchange->request;
    if (found->content_length.data &&
        !http_content_length(found->content_length, &request->content_length, ret_error))
        return false;
    if (!found->transfer_encoding.data)
        return true;
    if (found->content_length.data)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "Content-Length with Transfer-Encoding");
    if (parser->old)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "Transfer-Encoding in HTTP/1.0");
    if (!span_equal_nocase(found->transfer_encoding, SPAN("chunked")))
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "no transfer coding but chunked is served");
    parser->chunked = true;
    return true;
}

/* RFC 9112 §3.2.2: "http://authority/path" names the authority too; then Host must agree. */
static bool split_absolute(struct span *target, struct span *ret_authority)
{
    static const struct span schemes[] = {SPAN("http://"), SPAN("https://")};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        struct span scheme = {target->data, schemes[i].size};
        if (target->size < scheme.size || !span_equal_nocase(scheme, schemes[i]))
            continue;
        struct span rest = span_after(*target, scheme.size);
        size_t end = 0;
        /* -Wanalyzer-null-dereference: only an empty span has no data */
        while (end < rest.size && rest.data[end] != '/' && rest.data[end] != '?')
            end++;
        *ret_authority = (struct span){rest.data, end};
        *target = span_after(rest, end);
        return true;
    }
    return false;
}

static bool set_target(struct http1_parser *parser, struct span target, struct span host,
                       struct error *ret_error)
{
    struct http_request *request = &parser->exchange->request;
    struct span authority;
    request->authority = host;
    if (split_absolute(&target, &authority)) {
        if (!http_authority_valid(authority) || (host.data && !span_equal_nocase(authority, host)))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "the target's authority is malformed or not Host");
        request->authority = authority;
        if (target.size == 0)
            target = SPAN("/");
    }
    return http_exchange_set_target(parser->exchange, target, ret_error);
}

static bool check_host(const struct http1_parser *parser, struct span host, struct error *ret_error)
{
    if (!host.data)
        return parser->old || error_set(ret_error, ERROR_INVALID_ARGUMENT, "no Host");
    if (!http_authority_valid(host))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "malformed Host");
    return true;
}

bool http1_head_finish(struct http1_parser *parser, char *head, struct error *ret_error)
{
    struct http_request *request = &parser->exchange->request;
    struct decisive found = {0};
    request->version = 1;
    parser->old = parser->llhttp.http_minor == 0;
    if (!check_line(parser, head, ret_error) || !add_fields(parser, head, ret_error) ||
        !find_decisive(request, &found, ret_error) || !check_host(parser, found.host, ret_error) ||
        !check_framing(parser, &found, ret_error))
        return false;
    http_request_set_method(request, piece(head, parser->method));
    if (!set_target(parser, piece(head, parser->target), found.host, ret_error))
        return false;
    parser->keep_alive = llhttp_should_keep_alive(&parser->llhttp);
    parser->expects_continue =
        !parser->old && span_equal_nocase(found.expect, SPAN("100-continue"));
    return true;
}
