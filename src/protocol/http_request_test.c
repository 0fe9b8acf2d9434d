/* What parts of a head mean. */
#include "protocol/http_transport.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool decode(const char *text, const char *expected)
{
    struct arena arena;
    struct span path = {NULL, 0};
    struct error error;
    arena_init(&arena, 256, 4096);
    bool done = http_path_decode(&arena, span_of(text), &path, &error);
    bool equal = done && expected && span_equal(path, span_of(expected));
    arena_fini(&arena);
    return expected ? equal : !done && error.code == ERROR_INVALID_ARGUMENT;
}

static void paths_are_decoded_once(void **state)
{
    assert_true(decode("/", "/"));
    assert_true(decode("/v2/models/a%20b/infer", "/v2/models/a b/infer"));
    assert_true(decode("/%25%32%65", "/%2e"));
    assert_true(decode("/%c3%A9", "/\xc3\xa9"));
    assert_true(decode("/a:b;c=d,e@f", "/a:b;c=d,e@f"));
    assert_true(decode("/...", "/..."));
    assert_true(decode("/a//b/", "/a//b/"));
}

static void ambiguous_paths_are_refused(void **state)
{
    static const char *const paths[] = {
        "",      "a",    "*",       "/%",     "/%2",    "/%zz", "/%00",  "/%0a",   "/\n",
        "/\x7f", "/a b", "/a?b",    "/a#b",   "/a\\b",  "/%5c", "/%2F",  "/..",    "/.",
        "/a/..", "/./a", "/a/%2e.", "/%2e/a", "/\x80x", "/%7f", "/a/./", "/.%2E/x"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (!decode(paths[i], NULL))
            fail_msg("accepted: %s", paths[i]);
    }
}

static void authorities_are_hosts_and_ports(void **state)
{
    static const char *const good[] = {"a",          "a.example",   "127.0.0.1",
                                       "a:80",       "model_a-b:1", "tmp%2Fx.sock",
                                       "[::1]:8000", "[fe80::1]",   "a:65535"};
    static const char *const bad[] = {
        "",    ":80",  "a:",   "a:b",     "a:65536", "a:1:2",  "u@a",     "a b",     "a/b",
        "a?b", "[::1", "[]",   "[::1]80", "[a b]",   "::1",    "a%20b",   "a%2",     "a%2f",
        "a,b", "a;b",  "a\\b", "[::g]",   "[:]",     "[::1]:", "[::1]:x", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!http_authority_valid(span_of(good[i])))
            fail_msg("refused: %s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (http_authority_valid(span_of(bad[i])))
            fail_msg("accepted: %s", bad[i]);
    }
    assert_false(http_authority_valid((struct span){"a\0b", 3}));
}

static enum error_code length_error(const char *text)
{
    struct error error = {.code = ERROR_OK};
    int64_t length = -7;
    bool done = http_content_length(span_of(text), &length, &error);
    assert_true(done == (error.code == ERROR_OK) && done == (length != -7));
    return error.code;
}

static void lengths_are_digits(void **state)
{
    int64_t length;
    assert_true(http_content_length(SPAN("9223372036854775807"), &length, NULL));
    assert_int_equal(length, INT64_MAX);
    assert_int_equal(length_error("0"), ERROR_OK);
    assert_int_equal(length_error(""), ERROR_INVALID_ARGUMENT);
    assert_int_equal(length_error("+5"), ERROR_INVALID_ARGUMENT);
    assert_int_equal(length_error("5,5"), ERROR_INVALID_ARGUMENT);
    assert_int_equal(length_error("9223372036854775808"), ERROR_TOO_LARGE);
    assert_int_equal(length_error("99999999999999999999999"), ERROR_TOO_LARGE);
}

static void fields_are_counted_and_found(void **state)
{
    struct http_server server;
    struct error error;
    http_server_init(&server, NULL, NULL);
    server.limits.field_count = 3;
    server.limits.header_bytes = 20;
    struct http_exchange *exchange = http_exchange_new(&server, NULL);
    assert_true(http_exchange_add_field(exchange, SPAN("a"), SPAN("1"), &error));
    assert_true(http_exchange_add_field(exchange, SPAN("b"), SPAN("2"), &error));
    assert_false(http_exchange_add_field(exchange, SPAN("c"), SPAN("01234567890123456"), &error));
    assert_int_equal(error.code, ERROR_HEADER_TOO_LARGE);
    assert_true(http_exchange_add_field(exchange, SPAN("a"), SPAN("3"), &error));
    assert_false(http_exchange_add_field(exchange, SPAN("d"), SPAN("4"), &error));
    assert_int_equal(error.code, ERROR_HEADER_TOO_LARGE);
    assert_true(span_equal(http_field(&exchange->request, SPAN("a")), SPAN("1")));
    assert_null(http_field(&exchange->request, SPAN("x")).data);
    assert_true(http_field_is_single(&exchange->request, SPAN("x")));
    assert_true(http_field_is_single(&exchange->request, SPAN("b")));
    assert_false(http_field_is_single(&exchange->request, SPAN("a")));
    http_unref(exchange);
    http_server_fini(&server);
}

static void dates_are_of_the_fixed_form(void **state)
{
    struct http_server server;
    http_server_init(&server, NULL, NULL);
    struct span date = http_date(&server);
    assert_int_equal(date.size, 29);
    assert_int_equal(memcmp(date.data + 25, " GMT", 4), 0);
    http_server_fini(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_decoded_once),
        cmocka_unit_test(ambiguous_paths_are_refused),
        cmocka_unit_test(authorities_are_hosts_and_ports),
        cmocka_unit_test(lengths_are_digits),
        cmocka_unit_test(fields_are_counted_and_found),
        cmocka_unit_test(dates_are_of_the_fixed_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
