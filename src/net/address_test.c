/* Unit tests of net/address.h. */
#include "net/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static void assert_parsed(const char *text, const char *written)
{
    struct sockaddr_storage address;
    socklen_t size;
    struct error error;
    char again[64];
    if (!address_parse(text, &address, &size, &error))
        fail_msg("%s", error.message);
    address_format(&address, again, sizeof again);
    assert_string_equal(again, written);
}

static void addresses_are_read_and_written(void **state)
{
    assert_parsed("127.0.0.1:8000", "127.0.0.1:8000");
    assert_parsed("0.0.0.0:0", "0.0.0.0:0");
    assert_parsed("localhost:65535", "127.0.0.1:65535");
    assert_parsed("[::1]:80", "[::1]:80");
    assert_parsed("[::]:80", "[::]:80");
    assert_parsed("[::ffff:10.1.2.3]:80", "10.1.2.3:80");
    assert_parsed("unix:/tmp/a:1", "unix");
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",           ":",         "8000",       "127.0.0.1",     "127.0.0.1:",    ":8000",
        "1.2.3:80",   "1.2.3.4:x", "1.2.3.4:-1", "1.2.3.4:65536", "1.2.3.4: 80",   "::1:80",
        "[::1]",      "[::1:80",   "[]:80",      "[1.2.3.4]:80",  "example.org:1", "unix:",
        "[[::1]]:80", "[:80",      "unix:@name",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sockaddr_storage address;
        socklen_t size;
        struct error error = {0};
        if (address_parse(wrong[i], &address, &size, &error))
            fail_msg("'%s' was read as an address", wrong[i]);
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(error.message, wrong[i]));
    }
}

static void a_long_path_or_host_is_refused(void **state)
{
    struct sockaddr_storage address;
    socklen_t size;
    char text[300] = "unix:";
    size_t limit = sizeof(((struct sockaddr_un *)0)->sun_path);
    memset(text + 5, 'p', limit - 1);
    assert_true(address_parse(text, &address, &size, NULL));
    text[5 + limit - 1] = 'p';
    assert_false(address_parse(text, &address, &size, NULL));
    snprintf(text, sizeof text, "%0250d:80", 1);
    assert_false(address_parse(text, &address, &size, NULL));
}

static struct sockaddr_storage parsed(const char *text)
{
    struct sockaddr_storage address;
    socklen_t size;
    assert_true(address_parse(text, &address, &size, NULL));
    return address;
}

static void equal_addresses_are_the_same_place(void **state)
{
    static const char *const places[] = {"127.0.0.1:80", "127.0.0.1:81", "127.0.0.2:80",
                                         "[::1]:80",     "[::1]:81",     "[::2]:80",
                                         "unix:/a",      "unix:/ab"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        for (size_t j = 0; j < sizeof places / sizeof *places; j++) {
            struct sockaddr_storage a = parsed(places[i]), b = parsed(places[j]);
            assert_int_equal(address_equal(&a, &b), i == j);
        }
    }
}

static void loopback_is_what_only_this_machine_reaches(void **state)
{
    static const char *const loopback[] = {"127.0.0.1:1", "127.255.0.9:1", "[::1]:1",
                                           "[::ffff:127.0.0.1]:1"};
    static const char *const beyond[] = {"0.0.0.0:1", "128.0.0.1:1",         "10.0.0.127:1",
                                         "[::]:1",    "[::ffff:10.0.0.1]:1", "[fe80::1]:1",
                                         "unix:/a"};
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++) {
        struct sockaddr_storage address = parsed(loopback[i]);
        assert_true(address_is_loopback(&address));
    }
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        struct sockaddr_storage address = parsed(beyond[i]);
        assert_false(address_is_loopback(&address));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_long_path_or_host_is_refused),
        cmocka_unit_test(equal_addresses_are_the_same_place),
        cmocka_unit_test(loopback_is_what_only_this_machine_reaches),
    };
    return cmocka_run_group_tests_name("net/address", tests, NULL, NULL);
}
