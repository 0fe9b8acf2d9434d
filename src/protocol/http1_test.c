/* HTTP/1.1 from the outside: raw bytes in, over a loopback connection, raw bytes and the
 * application's view out. */
#include "protocol/http1_test.h"

#include "base/buf.h"

/* ---- What is good and what is bad, whole and byte by byte ---- */

struct raw_case {
    const char *bytes;
    size_t size;
    const char *statuses; /* of the responses, in order */
    const char *seen;     /* what the application saw; NULL: not compared */
};

#define RAW(text) text, sizeof(text) - 1
#define HOST "Host: a\r\n"
#define CLOSE "Connection: close\r\n\r\n"
#define POST_CHUNKED "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"

static const struct raw_case good_cases[] = {
    {RAW("GET / HTTP/1.1\r\n" HOST CLOSE), "200 ", "GET / a []\n"},
    {RAW("\r\n\r\nGET / HTTP/1.1\r\n" HOST CLOSE), "200 ", "GET / a []\n"},
    {RAW("GET /a%20b?q=%31&r HTTP/1.1\r\n" HOST CLOSE), "200 ", "GET /a b?q=%31&r a []\n"},
    {RAW("GET /v2/%252e%252e/x HTTP/1.1\r\n" HOST CLOSE), "200 ", "GET /v2/%2e%2e/x a []\n"},
    {RAW("GET http://Example.com:80/x HTTP/1.1\r\nHost: example.com:80\r\n" CLOSE), "200 ",
     "GET /x Example.com:80 []\n"},
    {RAW("GET http://a HTTP/1.1\r\n" HOST CLOSE), "200 ", "GET / a []\n"},
    {RAW("GET / HTTP/1.1\r\nHost: [::1]:8000\r\n" CLOSE), "200 ", "GET / [::1]:8000 []\n"},
    {RAW("OPTIONS * HTTP/1.1\r\n" HOST CLOSE), "200 ", "OPTIONS * a []\n"},
    {RAW("GET / HTTP/1.1\r\nhOsT:\t a \t\r\n" CLOSE), "200 ", "GET / a []\n"},
    {RAW("GET / HTTP/1.1\r\n" HOST "X: \xff\tb\r\nEmpty:\r\n" CLOSE), "200 ", "GET / a []\n"},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" CLOSE "hello"), "200 ",
     "POST /echo a [hello]\n"},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" CLOSE), "200 ",
     "POST /echo a []\n"},
    {RAW(POST_CHUNKED CLOSE "3\r\nabc\r\n2;x=\"y\"\r\nde\r\n000\r\nT: 1\r\n\r\n"), "200 ",
     "POST /echo a [abcde]\n"},
    {RAW(POST_CHUNKED CLOSE "0\r\n\r\n"), "200 ", "POST /echo a []\n"},
    {RAW(POST_CHUNKED "Upgrade: h2c\r\nConnection: upgrade\r\n\r\n1\r\nx\r\n0\r\n\r\n"
                      "GET / HTTP/1.1\r\n" HOST CLOSE),
     "200 200 ", "POST /echo a [x]\nGET / a []\n"},
    {RAW("GET / HTTP/1.0\r\n\r\n"), "200 ", "GET /  []\n"},
    {RAW("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n"), "200 200 ",
     "GET /  []\nGET /b  []\n"},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\n" HOST
         "\r\nnonsense\x01\r\n\r\n"),
     "200 200 501 ", "POST /echo a [hi]\nGET /b a []\n"},
    {RAW("GET / HTTP/1.1\r\n" HOST CLOSE "GET /b HTTP/1.1\r\n" HOST "\r\n"), "200 ",
     "GET / a []\n"},
    {RAW("POST /early HTTP/1.1\r\n" HOST
         "Content-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n" HOST CLOSE),
     "404 200 ", "POST /early a\nGET /b a []\n"},
};

static const struct raw_case bad_cases[] = {
    /* The request line. */
    {RAW("GET / HTTP/9.9\r\n" HOST "\r\n"), "505 ", ""},
    {RAW("GET / HTTP/2.0\r\n" HOST "\r\n"), "505 ", ""},
    {RAW("GET / HTTP/0.9\r\n" HOST "\r\n"), "505 ", ""},
    {RAW("GET / HTTP/1.2\r\n" HOST "\r\n"), "505 ", ""},
    {RAW("GET / HTTP/1.1x\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET / HTTP/11.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET / http/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /\r\n\r\n"), "400 ", ""},
    {RAW("GET  / HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /  HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /a b HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("SOURCE / ICE/1.0\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("DESCRIBE / RTSP/1.0\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("\nGET / HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("get / HTTP/1.1\r\n" HOST "\r\n"), "501 ", ""},
    {RAW("FROB / HTTP/1.1\r\n" HOST "\r\n"), "501 ", ""},
    {RAW("GETX / HTTP/1.1\r\n" HOST "\r\n"), "501 ", ""},
    {RAW("G\0T / HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n"), "501 ", ""},
    {RAW("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "400 ", ""},
    {RAW("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), "505 ", ""},
    /* Targets. */
    {RAW("GET /a#b HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /a?b#c HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET * HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET a HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /\x80 HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /%00 HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /%2 HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /a/../b HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /a/%2e%2E/b HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /a%2fb HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET /a%5cb HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET http://b/ HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET http:/// HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n"), "400 ", ""},
    /* Host. */
    {RAW("GET / HTTP/1.1\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), "400 ", ""},
    /* Fields. */
    {RAW("GET / HTTP/1.1\n" HOST "\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\nHost: a\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n" HOST "\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n" HOST "X : a\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n " HOST "\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n" HOST "X\r\n\r\n"), "400 ", ""},
    {RAW("GET / HTTP/1.1\r\n" HOST "X\0Y: a\r\n\r\n"), "400 ", ""},
    /* Lengths. */
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\nhello"), "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\nhello"), "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\nhello"), "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nhello"), "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5 5\r\n\r\nhello"), "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\nhello"), "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
     "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
     "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST
         "Content-Length: 1111111111222222222233333333334444444444\r\n\r\n"),
     "413 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n"), "413 ", ""},
    /* Codings. */
    {RAW(POST_CHUNKED "Content-Length: 5\r\n\r\n0\r\n\r\n"), "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST
         "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     "400 ", ""},
    {RAW(POST_CHUNKED "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
     "501 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
     "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), "501 ",
     ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n0\r\n\r\n"), "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b"
         "chunked\r\n\r\n0\r\n\r\n"),
     "400 ", ""},
    {RAW("POST /echo HTTP/1.1\r\n" HOST "Transfer_Encoding: chunked\r\n" CLOSE "0\r\n\r\n"), "200 ",
     "POST /echo a []\n"},
    {RAW("POST /echo HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400 ", ""},
    /* Chunks. */
    {RAW(POST_CHUNKED "\r\n+3\r\nabc\r\n0\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n-3\r\nabc\r\n0\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n 3\r\nabc\r\n0\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n3 \r\nabc\r\n0\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n0x3\r\nabc\r\n0\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n3\nabc\r\n0\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n3\r\nabcd\r\n0\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n3\r\nabc\n0\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n3;a\nb\r\nabc\r\n0\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n0\r\nContent-Length: 5\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n0\r\nA : b\r\n\r\n"), "400 ", "POST /echo a"},
    {RAW(POST_CHUNKED "\r\n1000000000000000"
                      "0"),
     "413 ", "POST /echo a"},
};

static void check_case(const struct raw_case *raw, bool byte_by_byte)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f, (struct span){raw->bytes, raw->size}, byte_by_byte);
    fixture_run_until_closed(&f);
    if (strcmp(fixture_statuses(&f), raw->statuses) != 0 ||
        (raw->seen && strcmp(f.seen, raw->seen) != 0))
        fail_msg("%.200s, %s: statuses \"%s\", seen \"%.200s\"", raw->bytes,
                 byte_by_byte ? "byte by byte" : "whole", fixture_statuses(&f), f.seen);
    assert_int_equal(f.open, 0);
    fixture_fini(&f);
}

static void good_requests_are_answered(void **state)
{
    for (size_t i = 0; i < sizeof good_cases / sizeof *good_cases; i++) {
        check_case(&good_cases[i], false);
        check_case(&good_cases[i], true);
    }
}

static void bad_requests_are_refused_and_closed(void **state)
{
    for (size_t i = 0; i < sizeof bad_cases / sizeof *bad_cases; i++) {
        check_case(&bad_cases[i], false);
        check_case(&bad_cases[i], true);
    }
}

static void a_refusal_is_json(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f, SPAN("GET / HTTP/1.1\r\n\r\n"), false);
    fixture_run_until_closed(&f);
    assert_non_null(strstr(f.received, "\r\nconnection: close\r\n"));
    assert_non_null(strstr(f.received, "\r\ncontent-type: application/json\r\n"));
    assert_non_null(strstr(f.received, "\r\ncontent-length: 19\r\n"));
    assert_non_null(strstr(f.received, "\r\n\r\n{\"error\":\"no Host\"}"));
    fixture_fini(&f);
}

/* ---- Limits ---- */

/* Repeats `piece` between start and end, and expects the status, whole and byte by byte. */
static void check_repeated(const char *start, const char *piece, size_t times, const char *end,
                           const char *statuses)
{
    size_t size = strlen(start) + strlen(piece) * times + strlen(end);
    struct buf text;
    buf_init(&text, size);
    buf_append(&text, span_of(start));
    for (size_t i = 0; i < times; i++)
        buf_append(&text, span_of(piece));
    buf_append(&text, span_of(end));
    assert_true(buf_ok(&text) && text.size == size);
    struct raw_case raw = {text.data, size, statuses, NULL};
    check_case(&raw, false);
    if (size < 100000)
        check_case(&raw, true);
    buf_fini(&text);
}

static void limits_hold(void **state)
{
    check_repeated("GET /", "a", 8191, " HTTP/1.1\r\n" HOST CLOSE, "200 ");
    check_repeated("GET /", "a", 8192, " HTTP/1.1\r\n" HOST CLOSE, "414 ");
    check_repeated("GET /", "a", 65536, " HTTP/1.1\r\n" HOST CLOSE, "414 ");
    check_repeated("GET / HTTP/1.1\r\n" HOST, "X: y\r\n", 98, CLOSE, "200 ");
    check_repeated("GET / HTTP/1.1\r\n" HOST, "X: y\r\n", 99, CLOSE, "431 ");
    check_repeated("GET / HTTP/1.1\r\n" HOST, "X: y\r\n", 10000, CLOSE, "431 ");
    check_repeated("GET / HTTP/1.1\r\n" HOST "X: ", "y", 32000, "\r\n" CLOSE, "200 ");
    check_repeated("GET / HTTP/1.1\r\n" HOST "X: ", "y", 32768, "\r\n" CLOSE, "431 ");
    check_repeated("GET / HTTP/1.1\r\n" HOST "X: ", "y", 1 << 20, "\r\n" CLOSE, "431 ");
    check_repeated("", "\r\n", 20000, "GET / HTTP/1.1\r\n" HOST CLOSE, "431 ");
    check_repeated(POST_CHUNKED CLOSE, "1\r\nx\r\n", 65535, "0\r\n\r\n", "200 ");
    check_repeated(POST_CHUNKED CLOSE, "1\r\nx\r\n", 1000000, "0\r\n\r\n", "413 ");
    check_repeated(POST_CHUNKED "\r\n1;", "x", 40000, "\r\ny\r\n0\r\n\r\n", "431 ");
    check_repeated(POST_CHUNKED "\r\n", "0", 40000, "1\r\ny\r\n0\r\n\r\n", "431 ");
    check_repeated(POST_CHUNKED "\r\n0\r\n", "X: y\r\n", 101, "\r\n", "431 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_answered),
        cmocka_unit_test(bad_requests_are_refused_and_closed),
        cmocka_unit_test(a_refusal_is_json),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
