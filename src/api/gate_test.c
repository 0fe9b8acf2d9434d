/* Unit tests of api/gate.h and api/cors.h: requests that come from nowhere, over connections that
 * are what a test says. */
#include "api/gate.h"

#include "api/call.h"
#include "api/cors.h"
#include "auth/date.h"
#include "base/clock.h"
#include "protocol/http_transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

enum { TOKENS = 6, MAX_FIELDS = 12 };

struct test {
    struct loop *loop;
    struct conn *conn, *peer;
    struct http_session session; /* over conn */
    struct conn_origin *origin;  /* of conn, for the tests to say */
    struct gate gate;
    char secrets[TOKENS][SECRET_BYTES + 1];
    struct http_exchange exchange;
    struct http_field fields[MAX_FIELDS];
    struct api api;
    struct api_call call;
    struct error error;
};

static struct http_session *session_of(const struct http_exchange *exchange)
{
    return &((struct test *)exchange->state)->session;
}

static const struct http_transport transport = {.session = session_of};

/* Tokens: read, infer, deploy, code, admin; and one that infers, has expired. */
static bool make_tokens(struct test *test)
{
    static const enum scope scopes[TOKENS] = {SCOPE_READ, SCOPE_INFER, SCOPE_DEPLOY,
                                              SCOPE_CODE, SCOPE_ADMIN, SCOPE_INFER};
    struct token_record records[TOKENS];
    for (unsigned i = 0; i < TOKENS; i++) {
        token_record_init(&records[i]);
        records[i].id = i + 1;
        records[i].scopes = scope_bit(scopes[i]);
        if (!secret_make(test->secrets[i], NULL))
            return false;
        secret_hash(span_of(test->secrets[i]), records[i].hash);
    }
    records[1].limits = (struct quota_limits){
        .rate_count = 1, .rate_period_ns = CLOCK_NS_PER_S, .burst = 3, .concurrency = 2};
    records[5].expires_s = 1000;
    return token_table_replace(&test->gate.tokens, records, TOKENS, NULL, NULL, NULL);
}

static int setup(void **state)
{
    static struct test test;
    test = (struct test){
        .gate = {.owner = geteuid(), .local_scopes = scope_bit(SCOPE_INFER), .audit = {.fd = -1}}};
    test.loop = loop_new(NULL);
    if (!test.loop || !conn_pair_new(test.loop, &test.conn, &test.peer, NULL) ||
        !make_tokens(&test))
        return -1;
    test.session.conn = test.conn;
    test.origin = (struct conn_origin *)(uintptr_t)conn_origin(test.conn);
    arena_init(&test.exchange.arena, 4096, 1 << 20);
    *state = &test;
    return 0;
}

static int teardown(void **state)
{
    struct test *test = *state;
    token_table_fini(&test->gate.tokens);
    arena_fini(&test->exchange.arena);
    loop_free(test->loop);
    return 0;
}

/* A new request over a connection from that place. */
static void request(struct test *test, enum http_method method, enum conn_place place)
{
    struct arena arena = test->exchange.arena;
    arena_clear(&arena);
    test->origin->place = place;
    test->origin->uid = (uid_t)-1;
    test->exchange = (struct http_exchange){
        .request = {.method = method,
                    .path = SPAN("/x"),
                    .authority = SPAN("localhost:8000"),
                    .fields = test->fields},
        .arena = arena,
        .state = test,
        .transport = &transport,
    };
    test->api = (struct api){.gate = &test->gate};
    test->call = (struct api_call){.api = &test->api, .exchange = &test->exchange};
    test->error = (struct error){0};
}

static void add_field(struct test *test, const char *name, const char *value)
{
    struct http_request *head = &test->exchange.request;
    test->fields[head->field_count++] = (struct http_field){span_of(name), span_of(value)};
}

static void add_bearer(struct test *test, const char *secret)
{
    add_field(test, "authorization", arena_printf(&test->exchange.arena, "Bearer %s", secret));
}

static enum gate_answer ask(struct test *test, enum scope scope)
{
    return gate_ask(&test->gate, &test->call, scope, &test->error);
}

static const char *reply_field(const struct test *test, const char *name)
{
    for (size_t i = 0; i < test->exchange.reply_field_count; i++) {
        if (span_equal(test->exchange.reply_fields[i].name, span_of(name)))
            return test->exchange.reply_fields[i].value.data;
    }
    return NULL;
}

/* Asks for each scope in turn; "o" for open, "." for closed. */
static const char *scopes_open(struct test *test, enum conn_place place, const char *secret)
{
    static char answers[SCOPE_COUNT + 1];
    for (enum scope scope = 0; scope < SCOPE_COUNT; scope++) {
        request(test, HTTP_GET, place);
        if (secret)
            add_bearer(test, secret);
        answers[scope] = ask(test, scope) == GATE_OPEN ? 'o' : '.';
        gate_leave(&test->call);
    }
    return answers;
}

static void without_a_token_the_connection_decides(void **state)
{
    struct test *test = *state;
    assert_string_equal(scopes_open(test, CONN_LOOPBACK, NULL), "ooo...");
    assert_int_equal(test->call.caller.kind, CALLER_LOCAL);
    assert_string_equal(scopes_open(test, CONN_ELSEWHERE, NULL), "o.....");
    assert_int_equal(test->call.caller.kind, CALLER_NOBODY);
    assert_string_equal(scopes_open(test, CONN_UNIX, NULL), "o....."); /* nobody that we know */
    test->gate.local_scopes = 0;
    assert_string_equal(scopes_open(test, CONN_LOOPBACK, NULL), "o.....");
    test->gate.remote_scopes = scope_bit(SCOPE_READ);
    assert_string_equal(scopes_open(test, CONN_ELSEWHERE, NULL), "oo....");
}

static void tokens_open_what_they_say(void **state)
{
    struct test *test = *state;
    static const enum conn_place places[] = {CONN_ELSEWHERE, CONN_LOOPBACK, CONN_UNIX};
    static const char *const opened[TOKENS] = {"oo....", "ooo...", "oo.o..",
                                               "oo.oo.", "oooooo", "o....."};
    for (size_t p = 0; p < sizeof places / sizeof *places; p++)
        for (size_t i = 0; i < TOKENS; i++) {
            struct token *token = token_table_find(&test->gate.tokens, span_of(test->secrets[i]));
            token->quota = (struct quota){0};
            assert_string_equal(scopes_open(test, places[p], test->secrets[i]), opened[i]);
        }
    assert_string_equal(scopes_open(test, CONN_LOOPBACK, "nonsense"), "o.....");
}

static void who_asks_is_known(void **state)
{
    struct test *test = *state;
    char text[CALLER_TEXT_BYTES];
    request(test, HTTP_GET, CONN_ELSEWHERE);
    add_bearer(test, test->secrets[2]);
    assert_int_equal(ask(test, SCOPE_READ), GATE_OPEN);
    assert_string_equal(caller_format(test->call.caller, text, sizeof text), "token 00000003");
    gate_leave(&test->call);
    gate_leave(&test->call); /* twice does no harm */
}

static void the_same_user_over_a_unix_socket_is_admin(void **state)
{
    struct test *test = *state;
    char text[CALLER_TEXT_BYTES];
    const uid_t admins[] = {geteuid(), 0};
    for (size_t i = 0; i < sizeof admins / sizeof *admins; i++) {
        request(test, HTTP_POST, CONN_UNIX);
        test->origin->uid = admins[i];
        assert_int_equal(ask(test, SCOPE_ADMIN), GATE_OPEN);
    }
    request(test, HTTP_POST, CONN_UNIX);
    test->origin->uid = 12345;
    assert_int_equal(ask(test, SCOPE_READ), GATE_CLOSED);
    assert_int_equal(test->error.code, ERROR_UNAUTHENTICATED);
    assert_string_equal(caller_format(test->call.caller, text, sizeof text), "user 12345");
    /* A token that is shown counts, not who shows it. */
    request(test, HTTP_POST, CONN_UNIX);
    test->origin->uid = geteuid();
    add_bearer(test, test->secrets[0]);
    assert_int_equal(ask(test, SCOPE_DEPLOY), GATE_CLOSED);
    assert_int_equal(test->error.code, ERROR_PERMISSION_DENIED);
    gate_leave(&test->call);
}

static void a_proxy_does_not_make_its_clients_local(void **state)
{
    struct test *test = *state;
    static const char *const fields[] = {"x-forwarded-for", "forwarded", "x-real-ip", "via"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        request(test, HTTP_GET, CONN_LOOPBACK);
        add_field(test, fields[i], "");
        assert_int_equal(ask(test, SCOPE_READ), GATE_CLOSED);
        assert_int_equal(test->error.code, ERROR_UNAUTHENTICATED);
    }
}

static void refusals_say_how_to_ask(void **state)
{
    struct test *test = *state;
    request(test, HTTP_GET, CONN_ELSEWHERE);
    assert_int_equal(ask(test, SCOPE_INFER), GATE_CLOSED);
    assert_int_equal(test->error.code, ERROR_UNAUTHENTICATED);
    assert_string_equal(reply_field(test, "www-authenticate"), "Bearer realm=\"tensord\"");
    for (size_t i = 0; i < 2; i++) {
        request(test, HTTP_GET, CONN_LOOPBACK);
        add_bearer(test, i ? test->secrets[5] : "tensord_x");
        assert_int_equal(ask(test, SCOPE_READ), GATE_CLOSED);
        assert_int_equal(test->error.code, ERROR_UNAUTHENTICATED);
        assert_string_equal(reply_field(test, "www-authenticate"),
                            "Bearer realm=\"tensord\", error=\"invalid_token\"");
    }
    request(test, HTTP_GET, CONN_LOOPBACK);
    add_bearer(test, test->secrets[1]);
    assert_int_equal(ask(test, SCOPE_DEPLOY), GATE_CLOSED);
    assert_int_equal(test->error.code, ERROR_PERMISSION_DENIED);
    assert_non_null(strstr(test->error.message, "deploy"));
    assert_non_null(strstr(reply_field(test, "www-authenticate"), "insufficient_scope"));
    gate_leave(&test->call);
}

static void two_of_a_field_are_refused(void **state)
{
    struct test *test = *state;
    static const char *const fields[] = {"authorization", "origin", "sec-fetch-site"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        request(test, HTTP_GET, CONN_LOOPBACK);
        add_field(test, fields[i], "same-origin");
        add_field(test, fields[i], "same-origin");
        assert_int_equal(ask(test, SCOPE_OPEN), GATE_CLOSED);
        assert_int_equal(test->error.code, ERROR_INVALID_ARGUMENT);
    }
}

static void tokens_in_queries_are_refused(void **state)
{
    struct test *test = *state;
    request(test, HTTP_GET, CONN_LOOPBACK);
    test->exchange.request.query = SPAN("a=b&access_token=x");
    assert_int_equal(ask(test, SCOPE_OPEN), GATE_CLOSED);
    assert_int_equal(test->error.code, ERROR_INVALID_ARGUMENT);
    assert_null(strstr(test->error.message, "access_token=x"));
}

static void quotas_hold_until_the_call_is_over(void **state)
{
    struct test *test = *state;
    struct api_call first;
    request(test, HTTP_GET, CONN_ELSEWHERE);
    add_bearer(test, test->secrets[1]);
    assert_int_equal(ask(test, SCOPE_READ), GATE_OPEN);
    first = test->call;
    request(test, HTTP_GET, CONN_ELSEWHERE);
    add_bearer(test, test->secrets[1]);
    assert_int_equal(ask(test, SCOPE_READ), GATE_OPEN);
    struct api_call second = test->call;
    request(test, HTTP_GET, CONN_ELSEWHERE);
    add_bearer(test, test->secrets[1]);
    assert_int_equal(ask(test, SCOPE_READ), GATE_CLOSED);
    assert_int_equal(test->error.code, ERROR_RESOURCE_EXHAUSTED);
    assert_string_equal(reply_field(test, "retry-after"), "1");
    gate_leave(&test->call); /* it never ran: nothing is given back for it */
    request(test, HTTP_GET, CONN_ELSEWHERE);
    add_bearer(test, test->secrets[1]);
    assert_int_equal(ask(test, SCOPE_READ), GATE_CLOSED);
    gate_leave(&test->call);
    gate_leave(&first);
    request(test, HTTP_GET, CONN_ELSEWHERE);
    add_bearer(test, test->secrets[1]);
    assert_int_equal(ask(test, SCOPE_READ), GATE_OPEN);
    gate_leave(&test->call);
    gate_leave(&second);
    request(test, HTTP_GET, CONN_ELSEWHERE); /* the fourth in a second, of three */
    add_bearer(test, test->secrets[1]);
    assert_int_equal(ask(test, SCOPE_READ), GATE_CLOSED);
    assert_non_null(strstr(test->error.message, "rate"));
    gate_leave(&test->call);
}

/* A refused request uses nothing of the quotas, and health needs no token, so uses none either. */
/* A call that carries several requests: the first is paid for by the call itself. */
static void each_request_of_a_call_takes_its_own(void **state)
{
    struct test *test = *state;
    request(test, HTTP_POST, CONN_ELSEWHERE);
    add_bearer(test, test->secrets[1]);
    assert_int_equal(ask(test, SCOPE_INFER), GATE_OPEN);
    const struct token *token = test->call.token;
    assert_int_equal(token->quota.running, 1);
    assert_true(gate_take(&test->gate, &test->call, SCOPE_INFER, &test->error));
    assert_int_equal(token->quota.running, 1);
    assert_true(gate_take(&test->gate, &test->call, SCOPE_INFER, &test->error));
    assert_int_equal(token->quota.running, 2);
    assert_false(gate_take(&test->gate, &test->call, SCOPE_INFER, &test->error));
    assert_int_equal(test->error.code, ERROR_RESOURCE_EXHAUSTED); /* two may run */
    gate_give_back(&test->call);
    assert_true(gate_take(&test->gate, &test->call, SCOPE_INFER, &test->error));
    gate_give_back(&test->call);
    gate_give_back(&test->call);
    assert_int_equal(token->quota.running, 0);
    assert_false(gate_take(&test->gate, &test->call, SCOPE_INFER, &test->error)); /* the rate */
    assert_false(gate_take(&test->gate, &test->call, SCOPE_ADMIN, &test->error));
    assert_int_equal(test->error.code, ERROR_PERMISSION_DENIED);
    assert_true(token_table_replace(&test->gate.tokens, NULL, 0, NULL, NULL, NULL));
    assert_false(gate_take(&test->gate, &test->call, SCOPE_INFER, &test->error));
    assert_int_equal(test->error.code, ERROR_UNAUTHENTICATED);
    gate_leave(&test->call);
}

static void without_a_token_requests_of_a_call_are_free(void **state)
{
    struct test *test = *state;
    request(test, HTTP_POST, CONN_LOOPBACK);
    assert_int_equal(ask(test, SCOPE_INFER), GATE_OPEN);
    for (int i = 0; i < 10; i++)
        assert_true(gate_take(&test->gate, &test->call, SCOPE_INFER, &test->error));
    gate_give_back(&test->call);
    gate_leave(&test->call);
}

static void what_is_refused_or_open_costs_no_quota(void **state)
{
    struct test *test = *state;
    struct token *token = token_table_find(&test->gate.tokens, span_of(test->secrets[1]));
    request(test, HTTP_GET, CONN_ELSEWHERE);
    add_bearer(test, test->secrets[1]);
    assert_int_equal(ask(test, SCOPE_ADMIN), GATE_CLOSED);
    gate_leave(&test->call);
    request(test, HTTP_GET, CONN_ELSEWHERE);
    add_bearer(test, test->secrets[1]);
    assert_int_equal(ask(test, SCOPE_OPEN), GATE_OPEN);
    gate_leave(&test->call);
    assert_int_equal(token->quota.full_ns, 0);
    assert_int_equal(token->quota.running, 0);
    assert_int_equal(token->references, 1);
}

static void unknown_hosts_are_misdirected(void **state)
{
    struct test *test = *state;
    request(test, HTTP_GET, CONN_LOOPBACK);
    add_bearer(test, test->secrets[4]);
    test->exchange.request.authority = SPAN("evil.example:8000");
    assert_int_equal(ask(test, SCOPE_OPEN), GATE_CLOSED);
    assert_int_equal(test->error.code, ERROR_MISDIRECTED);
    test->gate.site.hosts = SPAN("evil.example");
    assert_int_equal(ask(test, SCOPE_OPEN), GATE_OPEN);
    test->gate.site.hosts = SPAN("");
    request(test, HTTP_GET, CONN_UNIX); /* no browser comes this way */
    test->exchange.request.authority = SPAN("evil.example:8000");
    assert_int_equal(ask(test, SCOPE_OPEN), GATE_OPEN);
}

static void pages_of_others_are_refused_whatever_they_show(void **state)
{
    struct test *test = *state;
    static const char *const fields[][2] = {{"origin", "http://evil.example"},
                                            {"origin", "null"},
                                            {"sec-fetch-site", "cross-site"},
                                            {"sec-fetch-site", "same-site"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        for (enum http_method method = HTTP_OTHER; method <= HTTP_PATCH; method++) {
            request(test, method, CONN_LOOPBACK);
            add_bearer(test, test->secrets[4]);
            add_field(test, fields[i][0], fields[i][1]);
            add_field(test, "access-control-request-method", "POST");
            assert_int_equal(ask(test, SCOPE_OPEN), GATE_CLOSED);
            assert_int_equal(test->error.code, ERROR_PERMISSION_DENIED);
            assert_null(reply_field(test, "access-control-allow-origin"));
        }
    request(test, HTTP_POST, CONN_LOOPBACK);
    add_field(test, "content-type", "text/plain");
    add_field(test, "user-agent", "Mozilla/5.0");
    assert_int_equal(ask(test, SCOPE_OPEN), GATE_CLOSED);
}

static void listed_pages_ask_first_and_read_answers(void **state)
{
    struct test *test = *state;
    test->gate.site.origins = SPAN("https://app.example");
    request(test, HTTP_OPTIONS, CONN_ELSEWHERE);
    add_field(test, "origin", "https://app.example");
    add_field(test, "access-control-request-method", "POST");
    add_field(test, "access-control-request-headers", "authorization,content-type");
    add_field(test, "access-control-request-private-network", "true");
    assert_int_equal(ask(test, SCOPE_READ), GATE_PREFLIGHT);
    assert_string_equal(reply_field(test, "access-control-allow-origin"), "https://app.example");
    assert_string_equal(reply_field(test, "access-control-allow-headers"),
                        "authorization,content-type");
    const char *methods = reply_field(test, "access-control-allow-methods");
    assert_true(methods && strstr(methods, "POST"));
    assert_string_equal(reply_field(test, "access-control-allow-private-network"), "true");
    assert_string_equal(reply_field(test, "vary"), "origin");
    assert_null(reply_field(test, "access-control-allow-credentials"));
    request(test, HTTP_POST, CONN_ELSEWHERE);
    add_field(test, "origin", "https://app.example");
    assert_int_equal(ask(test, SCOPE_READ), GATE_CLOSED); /* it needs a token like anybody */
    assert_int_equal(test->error.code, ERROR_UNAUTHENTICATED);
    assert_string_equal(reply_field(test, "access-control-allow-origin"), "https://app.example");
    assert_non_null(reply_field(test, "www-authenticate"));
    request(test, HTTP_OPTIONS, CONN_ELSEWHERE); /* not a preflight */
    add_field(test, "origin", "https://app.example");
    assert_int_equal(ask(test, SCOPE_READ), GATE_CLOSED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_token_the_connection_decides),
        TEST(tokens_open_what_they_say),
        TEST(who_asks_is_known),
        TEST(the_same_user_over_a_unix_socket_is_admin),
        TEST(a_proxy_does_not_make_its_clients_local),
        TEST(refusals_say_how_to_ask),
        TEST(two_of_a_field_are_refused),
        TEST(tokens_in_queries_are_refused),
        TEST(quotas_hold_until_the_call_is_over),
        TEST(each_request_of_a_call_takes_its_own),
        TEST(without_a_token_requests_of_a_call_are_free),
        TEST(what_is_refused_or_open_costs_no_quota),
        TEST(unknown_hosts_are_misdirected),
        TEST(pages_of_others_are_refused_whatever_they_show),
        TEST(listed_pages_ask_first_and_read_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
