/* What a head means, whatever carried it: lines of a target, an authority, a length, a method and
 * fields. A path that is accepted holds nothing that could be taken for another one, and is
 * accepted again as it is. */
#include "protocol/http_transport.h"

#include "failing_allocation.h"

#include <assert.h>
#include <stdlib.h>

static void check_path(struct span path)
{
    struct span rest = path;
    assert(span_starts_with(path, SPAN("/")));
    for (size_t i = 0; i < path.size; i++)
        assert((unsigned char)path.data[i] >= 0x20 && path.data[i] != 0x7f && path.data[i] != '\\');
    while (rest.data) {
        struct span segment = span_split(&rest, '/');
        assert(!span_equal(segment, SPAN(".")) && !span_equal(segment, SPAN("..")));
    }
}

static bool add_fields(struct http_exchange *exchange, struct span lines)
{
    struct error error;
    while (lines.data) {
        struct span value = span_split(&lines, '\n'), name = span_split(&value, ':');
        value = value.data ? value : SPAN(""); /* a field has a value */
        if (!http_exchange_add_field(exchange, name, value, &error)) {
            assert(error.code == ERROR_HEADER_TOO_LARGE || error.code == ERROR_RESOURCE_EXHAUSTED);
            return false;
        }
        assert(http_field(&exchange->request, name).data);
    }
    return true;
}

static void read_head(struct http_exchange *exchange, struct span rest)
{
    struct error error = {0};
    int64_t length = -1;
    http_request_set_method(&exchange->request, span_split(&rest, '\n'));
    struct span target = span_split(&rest, '\n');
    if (http_exchange_set_target(exchange, target, &error)) {
        if (!span_equal(exchange->request.path, SPAN("*")))
            check_path(exchange->request.path);
    } else {
        assert(error.code != ERROR_OK && error.message[0]);
    }
    struct span authority = span_split(&rest, '\n');
    if (http_authority_valid(authority))
        assert(authority.size && !memchr(authority.data, '@', authority.size));
    if (http_content_length(span_split(&rest, '\n'), &length, &error))
        assert(length >= 0);
    assert(!add_fields(exchange, rest) || exchange->request.field_count <= 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_transport transport;
    struct span text = {(const char *)data, size};
    struct http_server server;
    http_server_init(&server, NULL, NULL);
    for (unsigned round = 0; round < 2; round++) {
        struct http_exchange *exchange = http_exchange_new(&server, &transport);
        assert(exchange);
        if (round)
            failing_allocation_begin(data, size);
        read_head(exchange, text);
        failing_allocation_end();
        http_unref(exchange);
    }
    http_server_fini(&server);
    return 0;
}
