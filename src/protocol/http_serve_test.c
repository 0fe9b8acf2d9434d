/* Which transport a connection goes to, however its first bytes are cut. */
#include "protocol/http1_test.h"

static void check(const char *bytes, const char *statuses)
{
    for (int byte_by_byte = 0; byte_by_byte < 2; byte_by_byte++) {
        struct fixture f;
        fixture_init_serving(&f, http_serve);
        fixture_send(&f, span_of(bytes), byte_by_byte);
        fixture_run_until_closed(&f);
        assert_string_equal(fixture_statuses(&f), statuses);
        fixture_fini(&f);
    }
}

/* The preface with an empty SETTINGS frame is answered by SETTINGS (type 4, RFC 9113 §6.5). */
static void the_preface_chooses_http2(void **state)
{
    static const char greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    for (int byte_by_byte = 0; byte_by_byte < 2; byte_by_byte++) {
        struct fixture f;
        fixture_init_serving(&f, http_serve);
        fixture_send(&f, (struct span){greeting, sizeof greeting - 1}, byte_by_byte);
        fixture_run_turns(&f, 100);
        assert_true(f.client && f.received_size >= 9);
        assert_int_equal(f.received[3], 4);
        fixture_fini(&f);
    }
}

static void all_else_is_http1(void **state)
{
    check("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200 ");
    check("PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200 ");
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", "505 ");
    check("X", "501 ");
}

static void silence_ends(void **state)
{
    struct fixture f;
    fixture_init_serving(&f, http_serve);
    fixture_send(&f, SPAN("PRI"), false);
    conn_finish(f.client);
    fixture_run_until_closed(&f);
    fixture_fini(&f);

    fixture_init_serving(&f, http_serve);
    http_server_drain(&f.server);
    fixture_run_until_closed(&f);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_preface_chooses_http2),
        cmocka_unit_test(all_else_is_http1),
        cmocka_unit_test(silence_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
