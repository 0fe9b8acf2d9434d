/* gRPC: framing in pieces of every size, timeouts, status text, what counts as a call. */
#include "protocol/grpc.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct http_request request_with(struct http_field *fields, size_t count)
{
    return (struct http_request){.method = HTTP_POST, .fields = fields, .field_count = count};
}

static void call_is_recognised(void **state)
{
    static const struct {
        const char *type;
        bool is_call;
    } cases[] = {
        {"application/grpc", true},       {"application/grpc+proto", true},
        {"Application/GRPC; a=b", true},  {"application/grpc ", true},
        {"application/grpc+json", false}, {"application/grpc-web", false},
        {"application/json", false},      {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_field type = {SPAN("content-type"), span_of(cases[i].type)};
        struct http_request request = request_with(&type, 1);
        assert_int_equal(grpc_is_call(&request), cases[i].is_call);
        request.method = HTTP_GET;
        assert_false(grpc_is_call(&request));
    }
}

static void method_is_split(void **state)
{
    struct span service, method;
    struct error error;
    assert_true(grpc_method_split(SPAN("/a.b.C/Do"), &service, &method, &error));
    assert_true(span_equal(service, SPAN("a.b.C")));
    assert_true(span_equal(method, SPAN("Do")));
    static const char *const wrong[] = {"",    "/",   "//",     "/a",   "/a/",
                                        "//b", "a/b", "/a/b/c", "/a/b/"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(grpc_method_split(span_of(wrong[i]), &service, &method, &error));
        assert_int_equal(error.code, ERROR_UNIMPLEMENTED);
    }
}

static void timeouts_are_parsed(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"1H", UINT64_C(3600000000000)},
        {"2M", UINT64_C(120000000000)},
        {"3S", UINT64_C(3000000000)},
        {"4m", 4000000},
        {"5u", 5000},
        {"6n", 6},
        {"0n", 0},
        {"00000001S", CLOCK_NS_PER_S},
        {"99999999S", UINT64_C(99999999) * CLOCK_NS_PER_S},
        {"99999999H", CLOCK_NEVER},
    };
    static const char *const bad[] = {"",    "S",   "1",    "1s",         "-1S", "+1S",
                                      " 1S", "1 S", "1.5S", "123456789n", "1Sx", "0x1S"};
    struct error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t ns = 1;
        assert_true(grpc_timeout_parse(span_of(good[i].text), &ns, &error));
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t ns = 77;
        assert_false(grpc_timeout_parse(span_of(bad[i]), &ns, &error));
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        assert_int_equal(ns, 77);
    }
}

static void deadline_is_absolute(void **state)
{
    struct http_field timeout = {SPAN("grpc-timeout"), SPAN("10m")};
    struct http_request request = request_with(&timeout, 1);
    uint64_t deadline_ns;
    assert_true(grpc_deadline(&request, 5, &deadline_ns, NULL));
    assert_int_equal(deadline_ns, 10 * CLOCK_NS_PER_MS + 5);
    timeout.value = SPAN("99999999H");
    assert_true(grpc_deadline(&request, 5, &deadline_ns, NULL));
    assert_int_equal(deadline_ns, CLOCK_NEVER);
    timeout.value = SPAN("x");
    assert_false(grpc_deadline(&request, 5, &deadline_ns, NULL));
    request.field_count = 0;
    assert_true(grpc_deadline(&request, 5, &deadline_ns, NULL));
    assert_int_equal(deadline_ns, CLOCK_NEVER);
}

static void message_is_percent_encoded(void **state)
{
    struct arena arena;
    arena_init(&arena, 256, 4096);
    struct span encoded;
    assert_true(grpc_message_encode(&arena, SPAN("50% of \"\xc3\xa4\"\n~"), &encoded));
    assert_true(span_equal(encoded, SPAN("50%25 of \"%C3%A4\"%0A~")));
    assert_true(grpc_message_encode(&arena, SPAN(""), &encoded));
    assert_int_equal(encoded.size, 0);
    arena_fini(&arena);
}

static void binary_fields_are_base64(void **state)
{
    static const struct {
        const char *bytes, *value, *padded;
    } cases[] = {{"", "", ""},
                 {"a", "YQ", "YQ=="},
                 {"ab", "YWI", "YWI="},
                 {"abc", "YWJj", "YWJj"},
                 {"\xfb\xff\xbf\x01", "+/+/AQ", "+/+/AQ=="}};
    static const char *const bad[] = {"A", "YW J", "YWI-", "Y=WI", "YQ===", "====", "YWJjA"};
    struct arena arena;
    struct error error;
    arena_init(&arena, 256, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span got;
        assert_true(grpc_binary_encode(&arena, span_of(cases[i].bytes), &got));
        assert_true(span_equal(got, span_of(cases[i].value)));
        assert_true(grpc_binary_decode(&arena, span_of(cases[i].value), &got, &error));
        assert_true(span_equal(got, span_of(cases[i].bytes)));
        assert_true(grpc_binary_decode(&arena, span_of(cases[i].padded), &got, &error));
        assert_true(span_equal(got, span_of(cases[i].bytes)));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct span got;
        assert_false(grpc_binary_decode(&arena, span_of(bad[i]), &got, &error));
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    }
    arena_fini(&arena);
}

/* Feeds bytes in pieces of at most `piece`, collecting messages as "[...]". */
static enum grpc_read feed(struct grpc_reader *reader, struct span bytes, size_t piece, char *text,
                           struct error *error)
{
    char message[64];
    size_t at = 0;
    while (bytes.size) {
        struct room room = grpc_reader_room(reader);
        bool prefix = room.size > 0;
        if (!prefix)
            room = (struct room){message + at, reader->left_bytes};
        size_t count = piece < room.size ? piece : room.size;
        count = count < bytes.size ? count : bytes.size;
        memcpy(room.data, bytes.data, count);
        bytes = span_after(bytes, count);
        at = prefix ? 0 : at + count;
        enum grpc_read read = grpc_reader_advance(reader, count, error);
        if (read == GRPC_READ_ERROR)
            return read;
        if (read == GRPC_READ_MESSAGE && reader->compressed)
            text += snprintf(text, 16, "<%.*s>", (int)reader->plain.size, reader->plain.data);
        else if (read == GRPC_READ_MESSAGE)
            text += snprintf(text, 16, "[%.*s]", (int)reader->size_bytes, message);
    }
    return GRPC_READ_MORE;
}

static void messages_are_read_in_any_pieces(void **state)
{
    static const char bytes[] = "\0\0\0\0\5hello\0\0\0\0\0\0\0\0\0\6world!\0\0\0\0\1x";
    struct http_request request = request_with(NULL, 0);
    for (size_t piece = 1; piece < sizeof bytes; piece++) {
        struct grpc_reader reader;
        char text[64] = "";
        grpc_reader_init(&reader, &request, 6);
        assert_int_equal(feed(&reader, (struct span){bytes, sizeof bytes - 1}, piece, text, NULL),
                         GRPC_READ_MORE);
        assert_string_equal(text, "[hello][][world!][x]");
        assert_true(grpc_reader_idle(&reader));
        assert_true(grpc_reader_end(&reader, NULL));
    }
}

/* The framed message in buf, compressed. */
static void put_compressed(struct buf *buf, enum zip_format format, struct span text)
{
    struct buf compressed;
    buf_init(&compressed, 4096);
    assert_true(zip_write(format, &(struct iovec){(void *)(uintptr_t)text.data, text.size}, 1,
                          &compressed));
    buf_append(buf, SPAN("\1\0\0\0"));
    buf_append_char(buf, (char)compressed.size);
    buf_append(buf, buf_span(&compressed));
    buf_fini(&compressed);
}

static void compressed_messages_are_read_in_any_pieces(void **state)
{
    static const char *const names[] = {[ZIP_GZIP] = "GZip", [ZIP_DEFLATE] = "deflate"};
    for (enum zip_format format = ZIP_GZIP; format <= ZIP_DEFLATE; format++) {
        struct http_field encoding = {SPAN("grpc-encoding"), span_of(names[format])};
        struct http_request request = request_with(&encoding, 1);
        struct buf bytes;
        buf_init(&bytes, 4096);
        put_compressed(&bytes, format, SPAN("hello"));
        buf_append(&bytes, SPAN("\0\0\0\0\2no\1\0\0\0\0"));
        put_compressed(&bytes, format, SPAN("six!!!"));
        for (size_t piece = 1; piece <= bytes.size; piece++) {
            struct grpc_reader reader;
            char text[64] = "";
            grpc_reader_init(&reader, &request, 40);
            assert_int_equal(feed(&reader, buf_span(&bytes), piece, text, NULL), GRPC_READ_MORE);
            assert_string_equal(text, "<hello>[no]<><six!!!>");
            assert_true(grpc_reader_end(&reader, NULL));
            struct buf last = {0};
            grpc_reader_message(&reader, &last);
            assert_true(span_equal(buf_span(&last), SPAN("six!!!")));
            buf_fini(&last);
            grpc_reader_fini(&reader);
        }
        buf_fini(&bytes);
    }
}

static void expect_compressed_error(struct span frame, size_t limit_bytes, enum error_code code)
{
    struct http_field encoding = {SPAN("grpc-encoding"), SPAN("gzip")};
    struct http_request request = request_with(&encoding, 1);
    struct grpc_reader reader;
    struct error error = {0};
    char text[64] = "";
    grpc_reader_init(&reader, &request, limit_bytes);
    assert_int_equal(feed(&reader, frame, 5, text, &error), GRPC_READ_ERROR);
    assert_int_equal(error.code, code);
    grpc_reader_fini(&reader);
}

static void bad_compressed_messages_are_refused(void **state)
{
    static char zeros[100];
    struct buf bytes;
    buf_init(&bytes, 4096);
    put_compressed(&bytes, ZIP_GZIP, (struct span){zeros, sizeof zeros});
    expect_compressed_error(buf_span(&bytes), sizeof zeros - 1, ERROR_RESOURCE_EXHAUSTED);
    bytes.data[4]--; /* the message ends before its gzip does */
    expect_compressed_error(buf_span(&bytes), sizeof zeros, ERROR_INTERNAL);
    expect_compressed_error(SPAN("\1\0\0\0\4nope"), 10, ERROR_INTERNAL);
    buf_fini(&bytes);
}

static void bad_frames_are_refused(void **state)
{
    static const struct {
        const char *encoding;
        const char prefix[6];
        enum error_code code;
    } cases[] = {
        {NULL, "\0\xff\xff\xff\xff", ERROR_RESOURCE_EXHAUSTED},
        {NULL, "\0\0\0\0\7", ERROR_RESOURCE_EXHAUSTED},
        {NULL, "\1\0\0\0\1", ERROR_INTERNAL},
        {"identity", "\1\0\0\0\1", ERROR_INTERNAL},
        {"snappy", "\1\0\0\0\1", ERROR_UNIMPLEMENTED},
        {"snappy", "\0\0\0\0\1", ERROR_UNIMPLEMENTED},
        {"gzip", "\1\0\0\0\7", ERROR_RESOURCE_EXHAUSTED},
        {"gzip", "\2\0\0\0\1", ERROR_INTERNAL},
        {NULL, "\200\0\0\0\1", ERROR_INTERNAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_field encoding = {SPAN("grpc-encoding"), span_of(cases[i].encoding)};
        struct http_request request = request_with(&encoding, cases[i].encoding ? 1 : 0);
        struct grpc_reader reader;
        struct error error;
        char text[8];
        grpc_reader_init(&reader, &request, 6);
        assert_int_equal(feed(&reader, (struct span){cases[i].prefix, 5}, 5, text, &error),
                         GRPC_READ_ERROR);
        assert_int_equal(error.code, cases[i].code);
    }
}

static void end_inside_a_message_is_an_error(void **state)
{
    static const char bytes[] = "\0\0\0\0\2ab";
    struct http_request request = request_with(NULL, 0);
    for (size_t cut = 1; cut < sizeof bytes - 1; cut++) {
        struct grpc_reader reader;
        struct error error;
        char text[8];
        grpc_reader_init(&reader, &request, 6);
        feed(&reader, (struct span){bytes, cut}, 1, text, NULL);
        assert_false(grpc_reader_idle(&reader));
        assert_false(grpc_reader_end(&reader, &error));
        assert_int_equal(error.code, ERROR_INTERNAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_is_recognised),
        cmocka_unit_test(method_is_split),
        cmocka_unit_test(timeouts_are_parsed),
        cmocka_unit_test(deadline_is_absolute),
        cmocka_unit_test(message_is_percent_encoded),
        cmocka_unit_test(messages_are_read_in_any_pieces),
        cmocka_unit_test(binary_fields_are_base64),
        cmocka_unit_test(compressed_messages_are_read_in_any_pieces),
        cmocka_unit_test(bad_compressed_messages_are_refused),
        cmocka_unit_test(bad_frames_are_refused),
        cmocka_unit_test(end_inside_a_message_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
