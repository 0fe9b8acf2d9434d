/* gRPC's answers and status; see grpc.h. */
#include "protocol/grpc.h"

#include "protocol/message_memory.h"

#include <assert.h>

#define FIELD(name, value) {{name, sizeof name - 1}, {value, sizeof value - 1}}

static const struct http_field content_type = FIELD("content-type", "application/grpc");
static const struct http_field accept_encoding =
    FIELD("grpc-accept-encoding", "identity,deflate,gzip");
static const struct http_field encodings[] = {
    [GRPC_GZIP] = FIELD("grpc-encoding", "gzip"),
    [GRPC_DEFLATE] = FIELD("grpc-encoding", "deflate"),
};

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

void grpc_prefix(char prefix[GRPC_PREFIX_BYTES], bool compressed, size_t size_bytes)
{
    prefix[0] = compressed;
    for (unsigned i = 0; i < 4; i++)
        prefix[1 + i] = (char)(size_bytes >> (24 - 8 * i));
}

bool grpc_compress(struct grpc_writer *writer, const struct iovec *vectors, size_t count,
                   size_t size_bytes)
{
    if (writer->encoding == GRPC_IDENTITY || size_bytes < GRPC_COMPRESS_BYTES ||
        size_bytes > GRPC_COMPRESS_MAX_BYTES)
        return false;
    buf_clear(&writer->compressed);
    return zip_write(writer->encoding == GRPC_GZIP ? ZIP_GZIP : ZIP_DEFLATE, vectors, count,
                     &writer->compressed) &&
           writer->compressed.size < size_bytes;
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
    if (grpc_compress(writer, vectors, count, size)) {
        const struct iovec compressed = {writer->compressed.data, writer->compressed.size};
        grpc_prefix(writer->prefix, true, compressed.iov_len);
        http_body(exchange, (struct iovec[]){prefix, compressed}, 2);
        return true;
    }
    grpc_prefix(writer->prefix, false, size);
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

/* With when to try again, where that is known: as gRPC's own retries understand it (gRFC A6), and
 * as HTTP says it. */
static void end_with_error(struct http_exchange *exchange, const struct error *why)
{
    char *seconds = NULL, *pushback_ms = NULL;
    struct error error = *why;
    message_explain(&exchange->arena, &error);
    if (error.retry_after_s) {
        seconds = arena_printf(&exchange->arena, "%u", error.retry_after_s);
        pushback_ms = arena_printf(&exchange->arena, "%u000", error.retry_after_s);
    }
    const struct http_field fields[] = {{SPAN("retry-after"), span_of(seconds)},
                                        {SPAN("grpc-retry-pushback-ms"), span_of(pushback_ms)}};
    grpc_end_with(exchange, error_grpc_status(error.code), span_of(error.message), fields,
                  seconds && pushback_ms ? 2 : 0);
}

void grpc_end(struct http_exchange *exchange, const struct error *error)
{
    static const struct http_field ok = FIELD("grpc-status", "0");
    if (!error)
        note_status(exchange, 0, (struct span){NULL, 0});
    if (error)
        end_with_error(exchange, error);
    else if (exchange->responded)
        http_end(exchange, &ok, 1); /* the usual end, without memory */
    else
        grpc_end_with(exchange, 0, (struct span){NULL, 0}, NULL, 0);
}
