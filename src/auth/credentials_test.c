/* Unit tests of auth/credentials.h. */
#include "auth/credentials.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char room[CREDENTIALS_BYTES];
static struct error error;

static struct span parse(const char *value)
{
    struct span secret = {NULL, 0};
    error = (struct error){0};
    if (!credentials_parse(span_of(value), room, &secret, &error))
        assert_null(secret.data);
    return secret;
}

static void bearer_and_basic_are_understood(void **state)
{
    assert_true(span_equal(parse("Bearer abc"), SPAN("abc")));
    assert_true(span_equal(parse("bearer   abc "), SPAN("abc")));
    assert_true(span_equal(parse("BEARER a=b:c"), SPAN("a=b:c")));
    /* "user:pass:word", ":secret", "token:x" */
    assert_true(span_equal(parse("Basic dXNlcjpwYXNzOndvcmQ="), SPAN("pass:word")));
    assert_true(span_equal(parse("basic OnNlY3JldA=="), SPAN("secret")));
    assert_true(span_equal(parse("Basic dG9rZW46eA"), SPAN("x")));
}

static void all_else_is_refused(void **state)
{
    static const char *const malformed[] = {"Bearer",
                                            "Bearer ",
                                            "Bearer a b",
                                            "Bearer a\tb",
                                            "Basic",
                                            "Basic !",
                                            "Basic dXNlcg==" /* no colon */,
                                            "Basic dXNlcjo=" /* no password */,
                                            "Basic A",
                                            "Basic dXNl cjpw"};
    static const char *const unknown[] = {"", "Digest x", "abc", "Bearer\tabc", "Bearertoken"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        assert_null(parse(malformed[i]).data);
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_null(parse(unknown[i]).data);
        assert_int_equal(error.code, ERROR_UNAUTHENTICATED);
    }
}

/* A name and password that do not fit are malformed, not cut. */
static void long_passwords_are_refused(void **state)
{
    char value[CREDENTIALS_BYTES * 2];
    memset(value, 'A', sizeof value);
    memcpy(value, "Basic Ong6", 10); /* ":x:" and zeros */
    value[6 + CREDENTIALS_BYTES / 3 * 4] = '\0';
    assert_int_equal(parse(value).size, CREDENTIALS_BYTES / 3 * 3 - 1);
    value[6 + CREDENTIALS_BYTES / 3 * 4] = 'A';
    value[6 + CREDENTIALS_BYTES / 3 * 4 + 4] = '\0';
    assert_null(parse(value).data);
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
}

static void secrets_in_queries_are_seen(void **state)
{
    static const char *const bad[] = {
        "token=x",           "a=b&access_token=x", "ACCESS-TOKEN=x",    "api_key",
        "apikey=",           "x=tensord_abc",      "x=%74ensord_abc",   "tensord%5Fabc",
        "%74%6F%6b%65%6e=1", "Authorization=x",    "a&b&x=TENSORD_abc", "x=tensord-abc"};
    static const char *const good[] = {
        "",          "a=b",  "tokens=5",  "tok=en", "max_tokens=5", "x=atensord_",
        "x=tensord", "to%6", "key=value", "%",      "%zz=1",        "tensor=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!query_has_secret(span_of(bad[i])))
            fail_msg("%s", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (query_has_secret(span_of(good[i])))
            fail_msg("%s", good[i]);
    assert_false(query_has_secret((struct span){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bearer_and_basic_are_understood),
        cmocka_unit_test(all_else_is_refused),
        cmocka_unit_test(long_passwords_are_refused),
        cmocka_unit_test(secrets_in_queries_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
