/* Calls of the test server; see call.h. */
#include "call.h"

#include "base/clock.h"

#include <stdlib.h>

enum { ARENA_BYTES = 256 << 20, BODY_BYTES = 64 << 20 };

static void pump(struct test_call *call);

static void fail(struct test_call *call, const struct error *error)
{
    if (call->ended)
        return;
    call->ended = true;
    grpc_end(call->exchange, error);
}

static void out_of_memory(struct test_call *call)
{
    struct error error;
    error_no_memory(&error);
    fail(call, &error);
}

/* ---- answers ---- */

static void on_delay(struct timer *timer)
{
    struct test_call *call = list_entry(timer, struct test_call, delay);
    call->waited = true;
    pump(call);
}

static void on_deadline(struct timer *timer)
{
    struct test_call *call = list_entry(timer, struct test_call, deadline);
    fail(call,
         &(struct error){.code = ERROR_DEADLINE_EXCEEDED, .message = "the deadline has passed"});
}

void test_call_start(struct test_call *call)
{
    if (!call->exchange->responded && !call->ended)
        grpc_reply(call->exchange, &call->writer, call->headers, call->header_count);
}

/* Sends what is due: one answer at a time, then the status. */
static void pump(struct test_call *call)
{
    if (call->ended || call->writing || timer_running(&call->delay))
        return;
    if (call->sent_count < call->answer_count) {
        struct test_answer *answer = &call->answers[call->sent_count];
        if (answer->delay_ms && !call->waited) {
            timer_start(&call->delay, http_loop(call->exchange), answer->delay_ms, on_delay);
            return;
        }
        call->waited = false;
        call->sent_count++;
        test_call_start(call);
        call->writing = true;
        grpc_message(call->exchange, &call->writer,
                     &(struct iovec){(void *)(uintptr_t)answer->bytes.data, answer->bytes.size}, 1);
        return;
    }
    if (!call->finished)
        return;
    if (call->header_count)
        test_call_start(call);
    call->ended = true;
    grpc_end_with(call->exchange, call->status, call->status_text, call->trailers,
                  call->trailer_count);
}

void test_call_answer(struct test_call *call, uint64_t delay_ms, const struct pb_message *table,
                      const void *message)
{
    struct buf buf;
    struct span bytes;
    buf_init(&buf, BODY_BYTES);
    bool good = pb_encode(table, message, &buf) &&
                arena_copy(&call->arena, buf_span(&buf), &bytes) &&
                arena_grow(&call->arena, (void **)&call->answers, call->answer_count,
                           &call->answer_capacity, sizeof *call->answers);
    buf_fini(&buf);
    if (!good) {
        out_of_memory(call);
        return;
    }
    call->answers[call->answer_count++] = (struct test_answer){delay_ms, bytes};
    pump(call);
}

void test_call_finish(struct test_call *call, unsigned status, struct span text)
{
    if (call->finished)
        return;
    call->finished = true;
    call->status = status;
    call->status_text = text;
    pump(call);
}

static void add_field(struct test_call *call, struct http_field **fields, size_t *count,
                      struct http_field field)
{
    struct http_field *more = arena_calloc(&call->arena, *count + 1, sizeof *more);
    if (!more) {
        out_of_memory(call);
        return;
    }
    if (*count)
        memcpy(more, *fields, *count * sizeof *more);
    more[(*count)++] = field;
    *fields = more;
}

void test_call_header(struct test_call *call, struct span name, struct span value)
{
    add_field(call, &call->headers, &call->header_count, (struct http_field){name, value});
}

void test_call_trailer(struct test_call *call, struct span name, struct span value)
{
    add_field(call, &call->trailers, &call->trailer_count, (struct http_field){name, value});
}

/* ---- messages ---- */

void *test_call_decode(struct test_call *call, const struct pb_message *table, struct span bytes)
{
    struct error error;
    void *message = arena_calloc(&call->arena, 1, table->size_bytes);
    if (message && pb_decode(table, bytes, &call->arena, message, &error))
        return message;
    if (message)
        fail(call, &error);
    else
        out_of_memory(call);
    return NULL;
}

static struct room body_room(struct http_exchange *exchange)
{
    static char sink[16384];
    struct test_call *call = exchange->state;
    if (call->ended)
        return (struct room){sink, sizeof sink};
    struct room room = grpc_reader_room(&call->reader);
    if (room.size)
        return room;
    return (struct room){buf_reserve(&call->body, call->reader.left_bytes),
                         call->reader.left_bytes};
}

static void take_message(struct test_call *call)
{
    struct span copy;
    static const struct error many = {.code = ERROR_UNIMPLEMENTED,
                                      .message = "a unary call has exactly one message"};
    grpc_reader_message(&call->reader, &call->body);
    if (call->message_count++ && !call->method->client_streaming)
        fail(call, &many);
    else if (!arena_copy(&call->arena, buf_span(&call->body), &copy))
        out_of_memory(call);
    else if (call->method->client_streaming)
        call->method->message(call, copy);
    else
        call->state =
            memcpy(call->state, &copy, sizeof copy); /* it waits for the end of the body */
    buf_clear(&call->body);
}

static void body_received(struct http_exchange *exchange, size_t count)
{
    struct test_call *call = exchange->state;
    struct error error;
    if (call->ended)
        return;
    if (call->reader.left_bytes && !call->reader.compressed)
        call->body.size += count;
    enum grpc_read read = grpc_reader_advance(&call->reader, count, &error);
    exchange->body_idle = grpc_reader_idle(&call->reader);
    if (read == GRPC_READ_ERROR)
        fail(call, &error);
    else if (read == GRPC_READ_MESSAGE)
        take_message(call);
}

static void body_end(struct http_exchange *exchange)
{
    struct test_call *call = exchange->state;
    struct error error;
    struct span message;
    static const struct error none = {.code = ERROR_UNIMPLEMENTED,
                                      .message = "a unary call has exactly one message"};
    if (call->ended)
        return;
    if (!grpc_reader_end(&call->reader, &error)) {
        fail(call, &error);
    } else if (call->method->client_streaming) {
        call->method->ended(call);
    } else if (!call->message_count) {
        fail(call, &none);
    } else {
        memcpy(&message, call->state, sizeof message);
        memset(call->state, 0, TEST_CALL_STATE_BYTES);
        call->method->message(call, message);
    }
}

static void drained(struct http_exchange *exchange)
{
    struct test_call *call = exchange->state;
    call->writing = false;
    pump(call);
}

static void closed(struct http_exchange *exchange, bool complete)
{
    struct test_call *call = exchange->state;
    timer_stop(&call->delay);
    timer_stop(&call->deadline);
    grpc_reader_fini(&call->reader);
    grpc_writer_fini(&call->writer);
    buf_fini(&call->body);
    arena_fini(&call->arena);
    free(call);
}

static const struct http_handler handler = {body_room, body_received, body_end, drained, closed};

/* ---- the beginning ---- */

static struct room drop_room(struct http_exchange *exchange)
{
    static char sink[16384];
    return (struct room){sink, sizeof sink};
}
static void drop_received(struct http_exchange *exchange, size_t count)
{
}
static void drop(struct http_exchange *exchange)
{
}
static void drop_closed(struct http_exchange *exchange, bool complete)
{
}

static const struct http_handler drop_handler = {drop_room, drop_received, drop, drop, drop_closed};

static const struct test_method *method_of(struct span path)
{
    const struct test_method *const services[] = {conformance_methods, testing_methods};
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        for (const struct test_method *method = services[i]; method->path; method++) {
            if (span_equal(path, span_of(method->path)))
                return method;
        }
    }
    return NULL;
}

static void refuse(struct http_exchange *exchange, const struct error *error)
{
    exchange->handler = &drop_handler;
    grpc_end(exchange, error);
}

void test_call_begin(struct http_exchange *exchange, size_t limit_bytes)
{
    struct error error;
    uint64_t deadline_ns, now_ns = loop_now_ns(http_loop(exchange));
    const struct test_method *method = method_of(exchange->request.path);
    if (!grpc_is_call(&exchange->request)) {
        exchange->handler = &drop_handler;
        http_send(exchange, 415, NULL, 0, NULL, 0);
        return;
    }
    struct test_call *call = method ? calloc(1, sizeof *call + TEST_CALL_STATE_BYTES) : NULL;
    if (!call || !grpc_deadline(&exchange->request, now_ns, &deadline_ns, &error)) {
        if (!call)
            error_set(&error, ERROR_UNIMPLEMENTED, "unknown service or method");
        free(call);
        refuse(exchange, &error);
        return;
    }
    call->exchange = exchange;
    call->method = method;
    call->state = call + 1;
    exchange->state = call;
    exchange->handler = &handler;
    exchange->body_idle = true;
    arena_init(&call->arena, 4096, ARENA_BYTES);
    buf_init(&call->body, BODY_BYTES);
    grpc_reader_init(&call->reader, &exchange->request, limit_bytes);
    grpc_writer_init(&call->writer, &exchange->request);
    if (deadline_ns != CLOCK_NEVER)
        timer_start(&call->deadline, http_loop(exchange),
                    (deadline_ns - now_ns + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS, on_deadline);
}
