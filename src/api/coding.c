/* Bodies and answers that are compressed; see coding.h.
 *
 * A body is decoded while it comes and handed on when it is complete, because most of the routes
 * want to know how long it is before they take any of it. */
#include "api/coding.h"

#include <stdlib.h>

enum {
    PIECE_BYTES = 8192,   /* of a body, decoded in one go */
    LEAST_BYTES = 1024,   /* of an answer that is compressed */
    MOST_BYTES = 1 << 20, /* longer ones would hold up the loop */
    FIELD_LIMIT = 8,
    MOST_WEIGHT = 1000, /* "q=1", in thousandths */
};

static const struct span names[] = {
    [CODING_IDENTITY] = SPAN("identity"),
    [CODING_GZIP] = SPAN("gzip"),
    [CODING_DEFLATE] = SPAN("deflate"),
};

static enum zip_format format_of(enum coding coding)
{
    return coding == CODING_GZIP ? ZIP_GZIP : ZIP_DEFLATE;
}

/* ---- bodies ---- */

/* A body on its way in. */
struct coded_body {
    void (*begin)(struct api_call *call);
    struct zip_reader *reader;
    uint64_t encoded_bytes, encoded_limit;
    struct buf plain;
    size_t handed; /* bytes of it */
    bool complete, ended;
    char piece[PIECE_BYTES];
};

static enum coding coding_named(struct span name)
{
    if (span_equal_nocase(name, SPAN("x-gzip"))) /* RFC 9110 §8.4.1.3 */
        return CODING_GZIP;
    for (size_t i = 1; i < sizeof names / sizeof *names; i++) {
        if (span_equal_nocase(name, names[i]))
            return (enum coding)i;
    }
    return CODING_IDENTITY;
}

bool coding_of_body(const struct http_request *request, enum coding *ret_coding,
                    struct error *ret_error)
{
    enum coding found = CODING_IDENTITY;
    for (size_t i = 0; i < request->field_count; i++) {
        struct span value = request->fields[i].value;
        if (!span_equal(request->fields[i].name, SPAN("content-encoding")) || !value.size ||
            span_equal_nocase(value, names[CODING_IDENTITY]))
            continue;
        enum coding coding = coding_named(value);
        if (coding == CODING_IDENTITY || found != CODING_IDENTITY)
            return error_set(ret_error, ERROR_UNSUPPORTED_MEDIA,
                             "the Content-Encoding '%.*s' is not understood; gzip and deflate are, "
                             "one of them and once",
                             SPAN_ARGS(value));
        found = coding;
    }
    *ret_coding = found;
    return true;
}

static void refuse(struct api_call *call, const struct error *error)
{
    call->exchange->handler = &call_drop_handler;
    reply_error(call, error);
}

static struct room body_room(struct http_exchange *exchange)
{
    return (struct room){call_of(exchange)->coded->piece, PIECE_BYTES};
}

static void body_received(struct http_exchange *exchange, size_t count)
{
    struct api_call *call = call_of(exchange);
    struct coded_body *coded = call->coded;
    struct error error;
    coded->encoded_bytes += count;
    if (coded->encoded_bytes > coded->encoded_limit)
        error_set(&error, ERROR_TOO_LARGE,
                  "the body is longer than the %llu bytes that are allowed",
                  (unsigned long long)coded->encoded_limit);
    else if (zip_read(coded->reader, (struct span){coded->piece, count}, &coded->plain, &error))
        return;
    if (coded->plain.unaffordable)
        message_no_memory(&coded->plain, &error);
    else if (error.code == ERROR_RESOURCE_EXHAUSTED)
        error.code = ERROR_TOO_LARGE;
    refuse(call, &error);
}

/* Hands on what is decoded, as long as there is room for it. Any call may answer the exchange and
 * close it, and then frees what the call holds. */
static void hand_on(struct api_call *call)
{
    struct coded_body *coded = call->coded;
    struct http_exchange *exchange = http_ref(call->exchange);
    while (exchange->transport && coded->handed < coded->plain.size) {
        struct room room = exchange->handler->body_room(exchange);
        size_t left = coded->plain.size - coded->handed;
        size_t count = room.size < left ? room.size : left;
        if (!count)
            break; /* coding_resume goes on */
        memcpy(room.data, coded->plain.data + coded->handed, count);
        coded->handed += count;
        exchange->handler->body_received(exchange, count);
    }
    if (exchange->transport && coded->handed == coded->plain.size && !coded->ended) {
        coded->ended = true;
        exchange->handler->body_end(exchange);
    }
    http_unref(exchange);
}

static void body_end(struct http_exchange *exchange)
{
    struct api_call *call = call_of(exchange);
    struct coded_body *coded = call->coded;
    struct error error;
    if (!zip_read_end(coded->reader, &error)) {
        refuse(call, &error);
        return;
    }
    coded->complete = true;
    exchange->request.content_length = (int64_t)coded->plain.size;
    http_ref(exchange);
    coded->begin(call);
    if (exchange->transport)
        hand_on(call);
    http_unref(exchange);
}

static void body_closed(struct http_exchange *exchange, bool complete)
{
    call_close(call_of(exchange));
}

static const struct http_handler receive_handler = {body_room, body_received, body_end,
                                                    call_drained, body_closed};

void coding_receive(struct api_call *call, enum coding coding, size_t limit_bytes,
                    void (*begin)(struct api_call *call))
{
    struct error error;
    struct coded_body *coded = calloc(1, sizeof *coded);
    call->coded = coded;
    if (coded) {
        coded->begin = begin;
        coded->encoded_limit = call->api->max_body_bytes;
        buf_init_within(&coded->plain, limit_bytes, &call->api->messages);
        coded->reader = zip_reader_new(format_of(coding));
    }
    if (!coded || !coded->reader) {
        error_no_memory(&error);
        refuse(call, &error);
        return;
    }
    call->exchange->handler = &receive_handler;
}

void coding_resume(struct api_call *call)
{
    if (call->coded && call->coded->complete)
        hand_on(call);
    else
        http_resume(call->exchange);
}

void coding_fini(struct api_call *call)
{
    buf_fini(&call->compressed);
    if (!call->coded)
        return;
    zip_reader_free(call->coded->reader);
    buf_fini(&call->coded->plain);
    free(call->coded);
    call->coded = NULL;
}

/* ---- answers ---- */

/* What a client says of the codings that it takes; weights are -1 where it says nothing. */
struct accepted {
    int gzip, deflate, others;
    unsigned named; /* codings, identity left out */
};

/* "q=0.5" as thousandths; what is no weight is 0, so that the coding is not used. */
static int weight_of(struct span parameter)
{
    int weight = 0, digits = 0;
    parameter = span_trim(parameter);
    if (parameter.size < 3 || (parameter.data[0] | 0x20) != 'q' || parameter.data[1] != '=')
        return 0;
    for (size_t i = 2; i < parameter.size && digits < 4; i++) {
        if (parameter.data[i] >= '0' && parameter.data[i] <= '9') {
            weight = weight * 10 + (parameter.data[i] - '0');
            digits++;
        } else if (parameter.data[i] != '.' || i != 3) {
            return 0;
        }
    }
    for (; digits > 0 && digits < 4; digits++)
        weight *= 10;
    return weight <= MOST_WEIGHT ? weight : 0;
}

static void take_member(struct accepted *accepted, struct span member)
{
    struct span name = span_trim(span_split(&member, ';'));
    int weight = member.data ? weight_of(member) : MOST_WEIGHT;
    if (!name.size || span_equal_nocase(name, names[CODING_IDENTITY]))
        return;
    accepted->named++;
    if (coding_named(name) == CODING_GZIP)
        accepted->gzip = weight;
    else if (coding_named(name) == CODING_DEFLATE)
        accepted->deflate = weight;
    else if (span_equal(name, SPAN("*")))
        accepted->others = weight;
}

static enum coding coding_wanted(const struct http_request *request, bool tensors)
{
    struct accepted accepted = {-1, -1, 0, 0};
    for (size_t i = 0; i < request->field_count; i++) {
        struct span list = request->fields[i].value;
        if (!span_equal(request->fields[i].name, SPAN("accept-encoding")))
            continue;
        while (list.data)
            take_member(&accepted, span_split(&list, ','));
    }
    int gzip = accepted.gzip >= 0 ? accepted.gzip : accepted.others;
    int deflate = accepted.deflate >= 0 ? accepted.deflate : accepted.others;
    if ((tensors && accepted.named != 1) || (gzip <= 0 && deflate <= 0))
        return CODING_IDENTITY;
    return gzip >= deflate ? CODING_GZIP : CODING_DEFLATE;
}

/* Compresses into call->compressed; false when that is not worth it. */
static bool compress(struct api_call *call, enum coding coding, const struct iovec *vectors,
                     size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += vectors[i].iov_len;
    if (coding == CODING_IDENTITY || size < LEAST_BYTES || size > MOST_BYTES)
        return false;
    buf_fini(&call->compressed);
    buf_init_within(&call->compressed, size, &call->api->messages);
    return zip_write(format_of(coding), vectors, count, &call->compressed);
}

void coding_send(struct api_call *call, unsigned status, const struct http_field *fields,
                 size_t count, const struct iovec *vectors, size_t vector_count, bool tensors)
{
    struct http_field all[FIELD_LIMIT];
    enum coding coding = coding_wanted(&call->exchange->request, tensors);
    if (count + 2 > FIELD_LIMIT || !compress(call, coding, vectors, vector_count)) {
        http_send(call->exchange, status, fields, count, vectors, vector_count);
        return;
    }
    memcpy(all, fields, count * sizeof *fields);
    all[count] = (struct http_field){SPAN("content-encoding"), names[coding]};
    all[count + 1] = (struct http_field){SPAN("vary"), SPAN("accept-encoding")};
    const struct iovec body = {call->compressed.data, call->compressed.size};
    http_send(call->exchange, status, all, count + 2, &body, 1);
}
