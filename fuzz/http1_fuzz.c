/* The parser of HTTP/1.1, fed whole and cut at a place that the first byte chooses: both must come
 * to the same end. */
#include "protocol/http1_parser.h"

#include "failing_allocation.h"

#include <stdlib.h>

enum { BODY_BYTES = 64 };

/* How far a connection's bytes are understood. */
struct outcome {
    size_t used;
    size_t requests;
    size_t body_bytes;
    enum error_code code; /* ERROR_OK: more is needed */
};

struct reader {
    struct http_server server;
    struct http_exchange *exchange;
    struct http1_parser parser;
    bool in_head;
    uint64_t left; /* of a body with Content-Length */
    struct outcome outcome;
};

static void begin(struct reader *reader)
{
    reader->exchange = http_exchange_new(&reader->server, NULL);
    if (!reader->exchange) { /* one allocation fails, no more */
        reader->outcome.code = ERROR_RESOURCE_EXHAUSTED;
        reader->exchange = http_exchange_new(&reader->server, NULL);
    }
    http1_parser_init(&reader->parser, reader->exchange);
    reader->in_head = true;
}

static void end(struct reader *reader)
{
    http1_parser_fini(&reader->parser);
    http_unref(reader->exchange);
}

static void next(struct reader *reader)
{
    reader->outcome.requests++;
    end(reader);
    begin(reader);
}

static enum http1_step read_head(struct reader *reader, struct span bytes, size_t *ret_used,
                                 struct error *ret_error)
{
    enum http1_step step = http1_parse_head(&reader->parser, bytes, ret_used, ret_error);
    if (step != HTTP1_DONE)
        return step;
    int64_t length = reader->exchange->request.content_length;
    reader->in_head = false;
    reader->left = length > 0 ? (uint64_t)length : 0;
    if (!reader->parser.chunked && reader->left == 0)
        next(reader);
    return step;
}

static enum http1_step read_body(struct reader *reader, struct span bytes, size_t *ret_used,
                                 struct error *ret_error)
{
    char body[BODY_BYTES];
    size_t decoded = 0;
    if (!reader->parser.chunked) {
        *ret_used = bytes.size < reader->left ? bytes.size : (size_t)reader->left;
        reader->left -= *ret_used;
        reader->outcome.body_bytes += *ret_used;
        if (reader->left == 0)
            next(reader);
        return HTTP1_DONE;
    }
    enum http1_step step = http1_parse_body(
        &reader->parser, bytes, (struct room){body, sizeof body}, ret_used, &decoded, ret_error);
    reader->outcome.body_bytes += decoded;
    if (step == HTTP1_DONE)
        next(reader);
    return step;
}

static void feed(struct reader *reader, struct span bytes)
{
    struct error error;
    while (bytes.size && reader->outcome.code == ERROR_OK) {
        size_t used = 0;
        enum http1_step step = reader->in_head ? read_head(reader, bytes, &used, &error)
                                               : read_body(reader, bytes, &used, &error);
        if (step == HTTP1_ERROR)
            reader->outcome.code = error.code;
        else if (used == 0)
            abort();
        else
            reader->outcome.used += used;
        bytes = span_after(bytes, used);
    }
}

static struct outcome parse(struct span first, struct span second, bool fails)
{
    struct reader reader = {.in_head = true};
    http_server_init(&reader.server, NULL, NULL);
    reader.server.limits.header_bytes = 1024;
    reader.server.limits.field_count = 8;
    reader.server.limits.target_bytes = 256;
    reader.server.limits.chunk_count = 16;
    if (fails)
        failing_allocation_begin((const uint8_t *)first.data, first.size);
    begin(&reader);
    feed(&reader, first);
    feed(&reader, second);
    failing_allocation_end();
    end(&reader);
    http_server_fini(&reader.server);
    return reader.outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span bytes = {(const char *)data + 1, size - 1};
    size_t cut = bytes.size * data[0] / 256;
    struct outcome whole = parse(bytes, (struct span){NULL, 0}, false);
    struct outcome parts = parse((struct span){bytes.data, cut}, span_after(bytes, cut), false);
    if (whole.code != parts.code || whole.requests != parts.requests ||
        (whole.code == ERROR_OK && whole.used != parts.used) ||
        whole.body_bytes != parts.body_bytes)
        abort();
    parse((struct span){bytes.data, cut}, span_after(bytes, cut), true);
    return 0;
}
