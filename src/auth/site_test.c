/* Unit tests of auth/site.h. */
#include "auth/site.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct site here = {0};
static const struct site open_site = {
    .hosts = SPAN("bigbox,*.lab.example"),
    .origins = SPAN("https://app.example.com,http://localhost:*"),
    .any_address = true,
};

static void loopback_is_always_known(void **state)
{
    static const char *const good[] = {"localhost",
                                       "localhost:8000",
                                       "LocalHost:1",
                                       "localhost.",
                                       "a.localhost:8000",
                                       "127.0.0.1",
                                       "127.0.0.1:8000",
                                       "127.1.2.3",
                                       "[::1]",
                                       "[::1]:8000",
                                       "[0:0:0:0:0:0:0:1]:80",
                                       ""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!site_knows_host(&here, span_of(good[i])))
            fail_msg("%s", good[i]);
}

static void other_names_are_not(void **state)
{
    static const char *const bad[] = {"evil.example",
                                      "evil.example:8000",
                                      "localhost.evil.example",
                                      "xlocalhost",
                                      ".localhost",
                                      "127.0.0.1.evil.example",
                                      "10.0.0.1",
                                      "0.0.0.0:8000",
                                      "[::]",
                                      "[fe80::1]:8000",
                                      "128.0.0.1",
                                      "0x7f.1",
                                      "2130706433",
                                      "127.1",
                                      "a",
                                      "[::ffff:127.0.0.1]",
                                      "*"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (site_knows_host(&here, span_of(bad[i])))
            fail_msg("%s", bad[i]);
}

static void allowed_names_are_added(void **state)
{
    assert_true(site_knows_host(&open_site, SPAN("BigBox:8000")));
    assert_true(site_knows_host(&open_site, SPAN("gpu1.lab.example")));
    assert_true(site_knows_host(&open_site, SPAN("10.0.0.1:8000")));
    assert_true(site_knows_host(&open_site, SPAN("[2001:db8::1]:8000")));
    assert_true(site_knows_host(&open_site, SPAN("localhost")));
    assert_false(site_knows_host(&open_site, SPAN("lab.example")));
    assert_false(site_knows_host(&open_site, SPAN("bigbox.evil.example")));
    struct site all = {.hosts = SPAN("*")};
    assert_true(site_knows_host(&all, SPAN("evil.example")));
}

static void too_long_a_name_is_unknown(void **state)
{
    char name[300];
    struct site all = {.hosts = SPAN("*")};
    memset(name, 'a', sizeof name);
    assert_false(site_knows_host(&all, (struct span){name, sizeof name}));
}

static enum site_verdict judge(const struct site *site, struct site_request request)
{
    request.authority = SPAN("localhost:8000");
    return site_judge(site, &request);
}

#define ORIGIN(text) ((struct site_request){.origin = SPAN(text)})
#define FETCH(text) ((struct site_request){.fetch_site = SPAN(text)})

static void origins_tell(void **state)
{
    assert_int_equal(judge(&here, (struct site_request){0}), SITE_OWN);
    assert_int_equal(judge(&here, ORIGIN("http://localhost:8000")), SITE_OWN);
    assert_int_equal(judge(&here, ORIGIN("https://LOCALHOST:8000")), SITE_OWN);
    assert_int_equal(judge(&here, ORIGIN("http://localhost:3000")), SITE_FOREIGN);
    assert_int_equal(judge(&here, ORIGIN("http://localhost")), SITE_FOREIGN);
    assert_int_equal(judge(&here, ORIGIN("http://evil.example")), SITE_FOREIGN);
    assert_int_equal(judge(&here, ORIGIN("null")), SITE_FOREIGN);
    assert_int_equal(judge(&here, ORIGIN("")), SITE_FOREIGN);
    assert_int_equal(judge(&here, ORIGIN("localhost:8000")), SITE_FOREIGN);
    assert_int_equal(judge(&here, ORIGIN("http://evil.example/://localhost:8000")), SITE_FOREIGN);
    assert_int_equal(judge(&open_site, ORIGIN("https://app.example.com")), SITE_LISTED);
    assert_int_equal(judge(&open_site, ORIGIN("http://localhost:3000")), SITE_LISTED);
    assert_int_equal(judge(&open_site, ORIGIN("https://app.example.com.evil.example")),
                     SITE_FOREIGN);
    assert_int_equal(judge(&open_site, ORIGIN("http://app.example.com")), SITE_FOREIGN);
}

static void the_browser_says_where_a_fetch_comes_from(void **state)
{
    assert_int_equal(judge(&here, FETCH("same-origin")), SITE_OWN);
    assert_int_equal(judge(&here, FETCH("none")), SITE_OWN);
    assert_int_equal(judge(&here, FETCH("cross-site")), SITE_FOREIGN);
    assert_int_equal(judge(&here, FETCH("same-site")), SITE_FOREIGN);
    assert_int_equal(judge(&here, FETCH("")), SITE_FOREIGN);
    assert_int_equal(judge(&here, FETCH("Same-Origin")), SITE_FOREIGN);
}

/* curl posts forms too, but not as a browser. */
static void forms_of_old_browsers_are_seen(void **state)
{
    static const char *const types[] = {"application/x-www-form-urlencoded",
                                        "text/plain;charset=UTF-8",
                                        "Multipart/Form-Data; boundary=x"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct site_request request = {.content_type = span_of(types[i])};
        assert_int_equal(judge(&here, request), SITE_OWN);
        request.user_agent = SPAN("curl/8.0");
        assert_int_equal(judge(&here, request), SITE_OWN);
        request.user_agent = SPAN("Mozilla/5.0 (X11)");
        assert_int_equal(judge(&here, request), SITE_FOREIGN);
        request.referer = SPAN("http://localhost:8000/x");
        assert_int_equal(judge(&here, request), SITE_OWN);
        request.referer = SPAN("http://evil.example/localhost:8000/");
        assert_int_equal(judge(&here, request), SITE_FOREIGN);
    }
    struct site_request json = {.content_type = SPAN("application/json"),
                                .user_agent = SPAN("Mozilla/5.0")};
    assert_int_equal(judge(&here, json), SITE_OWN); /* a page would have had to ask first */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_always_known),
        cmocka_unit_test(other_names_are_not),
        cmocka_unit_test(allowed_names_are_added),
        cmocka_unit_test(too_long_a_name_is_unknown),
        cmocka_unit_test(origins_tell),
        cmocka_unit_test(the_browser_says_where_a_fetch_comes_from),
        cmocka_unit_test(forms_of_old_browsers_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
