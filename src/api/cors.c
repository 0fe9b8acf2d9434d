/* CORS; see cors.h. */
#include "api/cors.h"

#define ASKED_METHOD SPAN("access-control-request-method")
#define ASKED_FIELDS SPAN("access-control-request-headers")

enum { MAX_FIELDS = 8 };

bool cors_is_preflight(const struct http_request *request)
{
    return request->method == HTTP_OPTIONS && http_field(request, ASKED_METHOD).data;
}

/* What the page asked for, it may send: the gate judges requests, not their fields. */
static size_t preflight_fields(const struct http_request *request, struct http_field *fields)
{
    struct span asked = http_field(request, ASKED_FIELDS);
    size_t count = 0;
    fields[count++] = (struct http_field){SPAN("access-control-allow-methods"),
                                          SPAN("GET, HEAD, POST, PUT, PATCH, DELETE")};
    if (asked.data)
        fields[count++] = (struct http_field){SPAN("access-control-allow-headers"), asked};
    fields[count++] = (struct http_field){SPAN("access-control-max-age"), SPAN("600")};
    /* Chromium asks this before a page of the Internet may reach a private address. */
    if (http_field(request, SPAN("access-control-request-private-network")).data)
        fields[count++] =
            (struct http_field){SPAN("access-control-allow-private-network"), SPAN("true")};
    return count;
}

bool cors_allow(struct http_exchange *exchange, struct span origin)
{
    struct http_field *fields = arena_calloc(&exchange->arena, MAX_FIELDS, sizeof *fields);
    size_t count = 0;
    if (!fields)
        return false;
    fields[count++] = (struct http_field){SPAN("access-control-allow-origin"), origin};
    fields[count++] = (struct http_field){SPAN("vary"), SPAN("origin")};
    if (cors_is_preflight(&exchange->request))
        count += preflight_fields(&exchange->request, fields + count);
    else
        fields[count++] = (struct http_field){SPAN("access-control-expose-headers"),
                                              SPAN("inference-header-content-length, retry-after, "
                                                   "www-authenticate")};
    exchange->reply_fields = fields;
    exchange->reply_field_count = count;
    return true;
}
