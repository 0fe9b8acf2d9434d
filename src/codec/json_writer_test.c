/* Unit tests of codec/json_writer.h. */
#include "codec/json_writer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    struct buf buf;
    struct json_writer writer;
};

static void start(struct fixture *f)
{
    buf_init(&f->buf, 1 << 20);
    json_writer_init(&f->writer, &f->buf);
}

static void assert_wrote(struct fixture *f, const char *text)
{
    assert_true(buf_ok(&f->buf));
    buf_append_char(&f->buf, '\0');
    assert_string_equal(f->buf.data, text);
    buf_fini(&f->buf);
}

static void puts_commas_where_they_belong(void **state)
{
    struct fixture f;
    start(&f);
    json_put_object(&f.writer);
    json_put_key(&f.writer, SPAN("a"));
    json_put_array(&f.writer);
    json_put_array(&f.writer);
    json_put_array_end(&f.writer);
    json_put_u64(&f.writer, UINT64_MAX);
    json_put_i64(&f.writer, INT64_MIN);
    json_put_array_end(&f.writer);
    json_put_key(&f.writer, SPAN("b"));
    json_put_object(&f.writer);
    json_put_object_end(&f.writer);
    json_put_key(&f.writer, SPAN("c"));
    json_put_bool(&f.writer, true);
    json_put_key(&f.writer, SPAN("d"));
    json_put_null(&f.writer);
    json_put_key(&f.writer, SPAN("e"));
    json_put_string(&f.writer, SPAN("x"));
    json_put_key(&f.writer, SPAN("f"));
    json_put_raw(&f.writer, SPAN("{\"r\":[]}"));
    json_put_object_end(&f.writer);
    assert_wrote(&f, "{\"a\":[[],18446744073709551615,-9223372036854775808],\"b\":{},\"c\":true,"
                     "\"d\":null,\"e\":\"x\",\"f\":{\"r\":[]}}");
}

static void escapes_strings(void **state)
{
    struct fixture f;
    start(&f);
    json_put_array(&f.writer);
    assert_true(json_put_string(&f.writer, SPAN("")));
    assert_true(json_put_string(&f.writer, SPAN("\"\\/\b\f\n\r\t")));
    assert_true(json_put_string(&f.writer, SPAN("\0\x01\x1f\x7f")));
    assert_true(json_put_string(&f.writer, SPAN("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80")));
    json_put_array_end(&f.writer);
    assert_wrote(&f, "[\"\",\"\\\"\\\\/\\b\\f\\n\\r\\t\",\"\\u0000\\u0001\\u001f\x7f\","
                     "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"]");
}

static void refuses_strings_that_are_not_utf8(void **state)
{
    struct fixture f;
    start(&f);
    json_put_array(&f.writer);
    json_put_string(&f.writer, SPAN("a"));
    assert_false(json_put_string(&f.writer, SPAN("\xff")));
    assert_false(json_put_string(&f.writer, SPAN("\xed\xa0\x80")));
    json_put_string(&f.writer, SPAN("b"));
    json_put_array_end(&f.writer);
    assert_wrote(&f, "[\"a\",\"b\"]");
}

/* What others say spoils no document. */
static void members_are_always_whole(void **state)
{
    struct fixture f;
    start(&f);
    json_put_object(&f.writer);
    json_put_member_string(&f.writer, SPAN("a"), SPAN("x"));
    json_put_member_string(&f.writer, SPAN("b"), SPAN("\xff"));
    json_put_member_u64(&f.writer, SPAN("c"), 7);
    json_put_member_double(&f.writer, SPAN("d"), 0.5);
    json_put_member_double(&f.writer, SPAN("e"), (double)INFINITY);
    json_put_member_bool(&f.writer, SPAN("f"), true);
    json_put_object_end(&f.writer);
    assert_wrote(&f, "{\"a\":\"x\",\"b\":\"?\",\"c\":7,\"d\":0.5,\"e\":null,\"f\":true}");
}

static void refuses_nonfinite_numbers_unless_told(void **state)
{
    struct fixture f;
    start(&f);
    json_put_array(&f.writer);
    assert_true(json_put_double(&f.writer, 0.5));
    assert_false(json_put_double(&f.writer, (double)NAN));
    assert_false(json_put_float(&f.writer, -INFINITY));
    f.writer.write_nonfinite = true;
    assert_true(json_put_float(&f.writer, NAN));
    assert_true(json_put_double(&f.writer, (double)INFINITY));
    assert_true(json_put_double(&f.writer, -(double)INFINITY));
    assert_true(json_put_float(&f.writer, 1.0f));
    json_put_array_end(&f.writer);
    assert_wrote(&f, "[0.5,NaN,Infinity,-Infinity,1.0]");
}

static void a_full_buffer_fails_once_and_for_all(void **state)
{
    struct buf buf;
    struct json_writer writer;
    for (size_t limit = 0; limit < 40; limit++) {
        buf_init(&buf, limit);
        json_writer_init(&writer, &buf);
        json_put_array(&writer);
        json_put_string(&writer, SPAN("\n\n\n\n\n\n\n\n"));
        json_put_double(&writer, 0.1);
        json_put_array_end(&writer);
        assert_false(buf_ok(&buf));
        assert_true(buf.size <= limit);
        buf_fini(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_commas_where_they_belong),
        cmocka_unit_test(escapes_strings),
        cmocka_unit_test(refuses_strings_that_are_not_utf8),
        cmocka_unit_test(members_are_always_whole),
        cmocka_unit_test(refuses_nonfinite_numbers_unless_told),
        cmocka_unit_test(a_full_buffer_fails_once_and_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
