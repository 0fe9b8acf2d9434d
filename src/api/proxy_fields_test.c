/* Unit tests of api/proxy_fields.h. */
#include "api/proxy_fields.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 4096, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&arena);
    return 0;
}

#define FIELD(name, value) {SPAN(name), SPAN(value)}

static struct span value_of(const struct http_field *fields, size_t count, const char *name)
{
    const struct http_request request = {.fields = (struct http_field *)(uintptr_t)fields,
                                         .field_count = count};
    return http_field(&request, span_of(name));
}

static void assert_field(const struct http_field *fields, size_t count, const char *name,
                         const char *value)
{
    struct span got = value_of(fields, count, name);
    if (!value != !got.data || (value && !span_equal(got, span_of(value))))
        fail_msg("%s: '%.*s', not '%s'", name, SPAN_ARGS(got), value ? value : "none");
}

static const struct http_field *pass_on(struct http_field *fields, size_t field_count,
                                        enum proxy_body body, size_t *ret_count)
{
    const struct http_request request = {
        .fields = fields, .field_count = field_count, .content_length = 12};
    const struct proxy_origin origin = {.peer = SPAN("10.0.0.1"),
                                        .authority = SPAN("box:8000"),
                                        .request_id = SPAN("id"),
                                        .model = SPAN("a b"),
                                        .tls = true};
    const struct http_field *passed =
        proxy_request_fields(&arena, &request, &origin, body, ret_count);
    assert_non_null(passed);
    return passed;
}

static void what_the_server_is_told(void **state)
{
    struct http_field fields[] = {FIELD("host", "box:8000"), FIELD("accept", "*/*"),
                                  FIELD("content-type", "text/plain")};
    size_t count;
    const struct http_field *passed = pass_on(fields, 3, PROXY_NO_BODY, &count);
    assert_field(passed, count, "host", "localhost");
    assert_field(passed, count, "accept", "*/*");
    assert_field(passed, count, "content-type", "text/plain");
    assert_field(passed, count, "content-length", NULL);
    assert_field(passed, count, "transfer-encoding", NULL);
    assert_field(passed, count, "x-forwarded-for", "10.0.0.1");
    assert_field(passed, count, "x-forwarded-host", "box:8000");
    assert_field(passed, count, "x-forwarded-proto", "https");
    assert_field(passed, count, "x-forwarded-prefix", "/tensord/v1/servers/a%20b");
    assert_field(passed, count, "x-request-id", "id");
}

static void bodies_are_framed_anew(void **state)
{
    struct http_field fields[] = {FIELD("content-length", "999"),
                                  FIELD("transfer-encoding", "chunked")};
    size_t count;
    const struct http_field *passed = pass_on(fields, 2, PROXY_LENGTH, &count);
    assert_field(passed, count, "content-length", "12");
    assert_field(passed, count, "transfer-encoding", NULL);
    passed = pass_on(fields, 2, PROXY_CHUNKED, &count);
    assert_field(passed, count, "content-length", NULL);
    assert_field(passed, count, "transfer-encoding", "chunked");
}

static void what_is_not_the_servers_is_kept_back(void **state)
{
    struct http_field fields[] = {
        FIELD("authorization", "Bearer secret"),
        FIELD("cookie", "a=b"),
        FIELD("connection", "close, X-Mine , keep-alive"),
        FIELD("x-mine", "1"),
        FIELD("keep-alive", "timeout=5"),
        FIELD("te", "trailers"),
        FIELD("upgrade", "websocket"),
        FIELD("proxy-authorization", "Basic x"),
        FIELD("expect", "100-continue"),
        FIELD("forwarded", "for=evil"),
        FIELD("x-forwarded-for", "evil"),
        FIELD("x_forwarded_for", "evil"),
        FIELD("x-real-ip", "evil"),
        FIELD("x-yours", "2"),
    };
    size_t count;
    const struct http_field *passed =
        pass_on(fields, sizeof fields / sizeof *fields, PROXY_NO_BODY, &count);
    assert_int_equal(count, 7); /* host, x-yours, and five of ours */
    assert_field(passed, count, "x-yours", "2");
    assert_field(passed, count, "x-forwarded-for", "10.0.0.1");
}

static void answers_speak_for_their_server_alone(void **state)
{
    struct http_field fields[] = {
        FIELD("content-type", "text/html"),
        FIELD("content-length", "5"),
        FIELD("connection", "X-Mine"),
        FIELD("x-mine", "1"),
        FIELD("transfer-encoding", "chunked"),
        FIELD("set-cookie", "a=b"),
        FIELD("strict-transport-security", "max-age=1"),
        FIELD("access-control-allow-origin", "*"),
        FIELD("date", "now"),
        FIELD("x-request-id", "its"),
        FIELD("server", "uvicorn"),
    };
    size_t count;
    const struct http_field *passed =
        proxy_response_fields(&arena, fields, sizeof fields / sizeof *fields, SPAN("/p"), &count);
    assert_int_equal(count, 4);
    assert_field(passed, count, "content-type", "text/html");
    assert_field(passed, count, "content-length", "5");
    assert_field(passed, count, "server", "uvicorn");
    assert_true(
        span_starts_with(value_of(passed, count, "content-security-policy"), SPAN("sandbox ")));
}

static void locations_are_where_clients_reach_them(void **state)
{
    static const struct {
        const char *given, *expected;
    } cases[] = {
        {"/docs", "/p/docs"},
        {"/", "/p/"},
        {"/p/docs", "/p/docs"},
        {"docs", "docs"},
        {"?x", "?x"},
        {"", ""},
        {"//elsewhere/x", "//elsewhere/x"},
        {"http://localhost/docs?a", "/p/docs?a"},
        {"https://localhost", "/p/"},
        {"http://localhost:8000/x", "http://localhost:8000/x"},
        {"http://localhost.evil/x", "http://localhost.evil/x"},
        {"https://huggingface.co/x", "https://huggingface.co/x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_field field = {SPAN("location"), span_of(cases[i].given)};
        size_t count;
        const struct http_field *passed =
            proxy_response_fields(&arena, &field, 1, SPAN("/p"), &count);
        assert_field(passed, count, "location", cases[i].expected);
    }
}

static void targets_are_encoded_again(void **state)
{
    static const struct {
        struct span rest, query;
        const char *expected;
    } cases[] = {
        {SPAN(""), SPAN(""), "/"},
        {SPAN("/"), SPAN("a=%20b"), "/?a=%20b"},
        {SPAN("/v1/chat/completions"), SPAN(""), "/v1/chat/completions"},
        {SPAN("/a b%/\xc3\xa9?#"), SPAN(""), "/a%20b%25/%C3%A9%3F%23"},
        {SPAN("/x;y=z,(1)@:+!$&'*~"), SPAN(""), "/x;y=z,(1)@:+!$&'*~"},
        {SPAN("//x"), SPAN(""), "//x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span target = proxy_target(&arena, cases[i].rest, cases[i].query);
        if (!span_equal(target, span_of(cases[i].expected)))
            fail_msg("'%.*s', not '%s'", SPAN_ARGS(target), cases[i].expected);
    }
    assert_true(span_equal(proxy_prefix(&arena, SPAN("a/b")), SPAN("/tensord/v1/servers/a%2Fb")));
}

static void upgrades_are_seen(void **state)
{
    struct http_field fields[] = {FIELD("connection", "keep-alive, Upgrade"),
                                  FIELD("upgrade", "websocket")};
    const struct http_request both = {.fields = fields, .field_count = 2};
    const struct http_request one = {.fields = fields, .field_count = 1};
    const struct http_request other = {.fields = fields + 1, .field_count = 1};
    assert_true(span_equal(proxy_upgrade(&both), SPAN("websocket")));
    assert_null(proxy_upgrade(&one).data);
    assert_null(proxy_upgrade(&other).data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_server_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_are_framed_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_the_servers_is_kept_back, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_speak_for_their_server_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(locations_are_where_clients_reach_them, setup, teardown),
        cmocka_unit_test_setup_teardown(targets_are_encoded_again, setup, teardown),
        cmocka_unit_test_setup_teardown(upgrades_are_seen, setup, teardown),
    };
    return cmocka_run_group_tests_name("proxy_fields", tests, NULL, NULL);
}
