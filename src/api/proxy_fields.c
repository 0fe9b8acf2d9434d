/* Fields and paths of proxied requests; see proxy_fields.h. */
#include "api/proxy_fields.h"

#include <string.h>

enum { OWN_FIELDS = 11 }; /* that a request or an answer gets at most */

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

/* The name by which the server is asked, whatever the client called it: programs that answer for
 * this machine alone insist on it. */
static const struct span server_host = SPAN("localhost");

static const struct span of_connection[] = {
    SPAN("connection"),
    SPAN("keep-alive"),
    SPAN("proxy-connection"),
    SPAN("transfer-encoding"),
    SPAN("te"),
    SPAN("trailer"),
    SPAN("upgrade"),
    SPAN("proxy-authenticate"),
    SPAN("proxy-authorization"),
    SPAN("http2-settings"),
    SPAN("proxy-authentication-info"),
};

static const struct span not_to_server[] = {
    SPAN("host"),
    SPAN("content-length"),
    SPAN("authorization"),
    SPAN("cookie"),
    SPAN("expect"),
    SPAN("forwarded"),
    SPAN("x-forwarded-for"),
    SPAN("x-forwarded-host"),
    SPAN("x-forwarded-proto"),
    SPAN("x-forwarded-port"),
    SPAN("x-forwarded-prefix"),
    SPAN("x-real-ip"),
    SPAN("x-request-id"),
};

static const struct span not_to_client[] = {
    SPAN("date"),
    SPAN("x-request-id"),
    SPAN("set-cookie"),
    SPAN("strict-transport-security"),
    SPAN("alt-svc"),
    SPAN("clear-site-data"),
    SPAN("service-worker-allowed"),
    SPAN("access-control-allow-origin"),
    SPAN("access-control-allow-credentials"),
    SPAN("access-control-allow-methods"),
    SPAN("access-control-allow-headers"),
    SPAN("access-control-expose-headers"),
    SPAN("access-control-max-age"),
};

static bool is_among(struct span name, const struct span *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(name, names[i]))
            return true;
    return false;
}

/* Whether a Connection field names it. */
static bool is_named_by_connection(struct span name, const struct http_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct span rest = fields[i].value;
        while (span_equal(fields[i].name, SPAN("connection")) && rest.data)
            if (span_equal_nocase(span_trim(span_split(&rest, ',')), name))
                return true;
    }
    return false;
}

static bool is_of_connection(struct span name, const struct http_field *fields, size_t count)
{
    return is_among(name, of_connection, COUNT(of_connection)) ||
           is_named_by_connection(name, fields, count);
}

/* ---- paths ---- */

/* RFC 3986 §3.3: what a path may have as it is. */
static bool is_plain(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~!$&'()*+,;=:@/", c));
}

static char *encode(char *to, struct span text, bool slashes)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (is_plain((char)c) && (slashes || c != '/')) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = digits[c >> 4];
        *to++ = digits[c & 15];
    }
    return to;
}

static char *put(char *to, struct span text)
{
    if (text.size)
        memcpy(to, text.data, text.size);
    return to + text.size;
}

struct span proxy_target(struct arena *arena, struct span rest, struct span query)
{
    size_t size;
    if (!rest.size)
        rest = SPAN("/");
    if (__builtin_mul_overflow(rest.size, 3, &size) ||
        __builtin_add_overflow(size, query.size + 1, &size))
        return (struct span){NULL, 0};
    char *text = arena_alloc(arena, size);
    if (!text)
        return (struct span){NULL, 0};
    char *at = encode(text, rest, true);
    if (query.size)
        at = put(put(at, SPAN("?")), query);
    return (struct span){text, (size_t)(at - text)};
}

struct span proxy_prefix(struct arena *arena, struct span model)
{
    const struct span path = SPAN("/tensord/v1/servers/");
    char *text = arena_alloc(arena, path.size + 3 * model.size);
    if (!text)
        return (struct span){NULL, 0};
    char *at = encode(put(text, path), model, false);
    return (struct span){text, (size_t)(at - text)};
}

/* ---- requests ---- */

struct span proxy_upgrade(const struct http_request *request)
{
    return is_named_by_connection(SPAN("upgrade"), request->fields, request->field_count)
               ? http_field(request, SPAN("upgrade"))
               : (struct span){NULL, 0};
}

/* Programs that take '_' for '-' would take it for a field that only a proxy may set. */
static bool is_ambiguous(struct span name)
{
    return name.size && memchr(name.data, '_', name.size);
}

static void add(struct http_field *fields, size_t *count, struct span name, struct span value)
{
    if (value.data)
        fields[(*count)++] = (struct http_field){name, value};
}

static struct span length_text(struct arena *arena, int64_t length)
{
    return span_of(arena_printf(arena, "%lld", (long long)length));
}

const struct http_field *proxy_request_fields(struct arena *arena,
                                              const struct http_request *request,
                                              const struct proxy_origin *origin,
                                              enum proxy_body body, size_t *ret_count)
{
    size_t count = 0;
    struct http_field *fields =
        arena_calloc(arena, request->field_count + OWN_FIELDS, sizeof *fields);
    const struct span prefix = proxy_prefix(arena, origin->model);
    if (!fields || !prefix.data)
        return NULL;
    add(fields, &count, SPAN("host"), server_host);
    for (size_t i = 0; i < request->field_count; i++) {
        struct span name = request->fields[i].name;
        if (!is_of_connection(name, request->fields, request->field_count) &&
            !is_among(name, not_to_server, COUNT(not_to_server)) && !is_ambiguous(name) &&
            name.data[0] != ':')
            fields[count++] = request->fields[i];
    }
    if (body == PROXY_LENGTH)
        add(fields, &count, SPAN("content-length"), length_text(arena, request->content_length));
    else if (body == PROXY_CHUNKED)
        add(fields, &count, SPAN("transfer-encoding"), SPAN("chunked"));
    add(fields, &count, SPAN("x-forwarded-for"), origin->peer);
    add(fields, &count, SPAN("x-forwarded-host"), origin->authority);
    add(fields, &count, SPAN("x-forwarded-proto"), origin->tls ? SPAN("https") : SPAN("http"));
    add(fields, &count, SPAN("x-forwarded-prefix"), prefix);
    add(fields, &count, SPAN("x-request-id"), origin->request_id);
    if (origin->upgrade.data)
        add(fields, &count, SPAN("connection"), SPAN("upgrade"));
    add(fields, &count, SPAN("upgrade"), origin->upgrade);
    *ret_count = count;
    return fields;
}

/* ---- answers ---- */

/* A Location that names a path of the server, or its own address, as clients reach it. */
static struct span location(struct arena *arena, struct span value, struct span prefix)
{
    static const struct span addresses[] = {SPAN("http://localhost"), SPAN("https://localhost")};
    for (size_t i = 0; i < COUNT(addresses); i++) {
        if (!span_starts_with(value, addresses[i]))
            continue;
        struct span rest = span_after(value, addresses[i].size);
        if (rest.size && rest.data[0] != '/')
            return value; /* another port, or another host */
        value = rest.size ? rest : SPAN("/");
        break;
    }
    if (!value.size || value.data[0] != '/' || (value.size > 1 && value.data[1] == '/') ||
        span_starts_with(value, prefix))
        return value;
    char *text = arena_alloc(arena, prefix.size + value.size);
    if (!text)
        return (struct span){NULL, 0};
    put(put(text, prefix), value);
    return (struct span){text, prefix.size + value.size};
}

static bool names_a_path(struct span name)
{
    return span_equal(name, SPAN("location")) || span_equal(name, SPAN("content-location"));
}

const struct http_field *proxy_response_fields(struct arena *arena, const struct http_field *from,
                                               size_t from_count, struct span prefix,
                                               size_t *ret_count)
{
    size_t count = 0;
    struct http_field *fields = arena_calloc(arena, from_count + OWN_FIELDS, sizeof *fields);
    if (!fields)
        return NULL;
    for (size_t i = 0; i < from_count; i++) {
        struct http_field field = from[i];
        if (is_of_connection(field.name, from, from_count) ||
            is_among(field.name, not_to_client, COUNT(not_to_client)))
            continue;
        if (names_a_path(field.name))
            field.value = location(arena, field.value, prefix);
        if (!field.value.data)
            return NULL;
        fields[count++] = field;
    }
    /* Its pages are of no site, so that they may do here what pages of other sites may. */
    add(fields, &count, SPAN("content-security-policy"),
        SPAN("sandbox allow-scripts allow-forms allow-popups allow-downloads"));
    *ret_count = count;
    return fields;
}

const struct http_field *proxy_add_upgrade(struct arena *arena, const struct http_field *fields,
                                           size_t *count, struct span protocol)
{
    struct http_field *more = arena_calloc(arena, *count + 1, sizeof *more);
    if (!more)
        return NULL;
    memcpy(more, fields, *count * sizeof *more);
    add(more, count, SPAN("upgrade"), protocol);
    return more;
}
