/* Unit tests of codec/top_classes.h. */
#include "codec/top_classes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct span labels[] = {{"cat", 3}, {"", 0}, {"dog", 3}};

/* The classes, each followed by a blank. */
static void assert_classes(enum tensord_datatype datatype, size_t rows, size_t width, size_t count,
                           const void *values, const char *expected)
{
    struct buf buf;
    struct error error;
    struct buf text;
    buf_init(&buf, 1 << 20);
    buf_init(&text, 1 << 20);
    struct span data = {values, rows * width * datatype_size_bytes(datatype)};
    assert_true(top_classes(datatype, rows, width, count, data, labels, 3, &buf, &error));
    for (size_t at = 0; at < buf.size;) {
        uint32_t length;
        memcpy(&length, buf.data + at, sizeof length);
        buf_append(&text, (struct span){buf.data + at + sizeof length, length});
        buf_append_char(&text, ' ');
        at += sizeof length + length;
    }
    buf_append_char(&text, '\0');
    assert_string_equal(text.data, expected);
    buf_fini(&text);
    buf_fini(&buf);
}

static void the_highest_come_first_in_each_row(void **state)
{
    static const float values[] = {0.1f, -2, 3.5f, 0.1f, 7, 1, 2, 8};
    assert_classes(TENSORD_FP32, 2, 4, 3, values,
                   "3.500000:2:dog 0.100000:0:cat 0.100000:3 8.000000:3 7.000000:0:cat "
                   "2.000000:2:dog ");
    assert_classes(TENSORD_FP32, 1, 8, 8, values,
                   "8.000000:7 7.000000:4 3.500000:2:dog 2.000000:6 1.000000:5 0.100000:0:cat "
                   "0.100000:3 -2.000000:1 ");
}

static void each_datatype_has_its_order_and_spelling(void **state)
{
    static const int8_t bytes[] = {-128, 127, 0};
    static const uint64_t wide[] = {1, UINT64_MAX, 9007199254740993};
    static const int64_t signs[] = {INT64_MIN, -1, INT64_MAX};
    static const double doubles[] = {-INFINITY, (double)NAN, -0.0};
    static const uint16_t halves[] = {0x3c00, 0xc000, 0x4200}; /* 1, -2, 3 */
    assert_classes(TENSORD_INT8, 1, 3, 3, bytes, "127:1 0:2:dog -128:0:cat ");
    assert_classes(TENSORD_UINT64, 1, 3, 2, wide, "18446744073709551615:1 9007199254740993:2:dog ");
    assert_classes(TENSORD_INT64, 1, 3, 3, signs,
                   "9223372036854775807:2:dog -1:1 -9223372036854775808:0:cat ");
    assert_classes(TENSORD_FP64, 1, 3, 3, doubles, "0.000000:2:dog -inf:0:cat nan:1 ");
    assert_classes(TENSORD_FP16, 1, 3, 2, halves, "3.000000:2:dog 1.000000:0:cat ");
}

static void nothing_has_no_classes(void **state)
{
    assert_classes(TENSORD_FP32, 0, 4, 4, "", "");
    assert_classes(TENSORD_FP32, 3, 0, 0, "", "");
}

static void what_has_no_order_is_refused(void **state)
{
    struct buf buf;
    struct error error;
    buf_init(&buf, 1024);
    assert_false(top_classes(TENSORD_BYTES, 1, 1, 1, SPAN("\0\0\0\0"), NULL, 0, &buf, &error));
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "unsupported type 'BYTES'"));
    buf_fini(&buf);
}

static void no_memory_is_an_error(void **state)
{
    static const float values[64];
    struct buf buf;
    struct error error;
    buf_init(&buf, 16);
    struct span data = {(const char *)values, sizeof values};
    assert_false(top_classes(TENSORD_FP32, 1, 64, 64, data, NULL, 0, &buf, &error));
    assert_int_equal(error.code, ERROR_RESOURCE_EXHAUSTED);
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_highest_come_first_in_each_row),
        cmocka_unit_test(each_datatype_has_its_order_and_spelling),
        cmocka_unit_test(nothing_has_no_classes),
        cmocka_unit_test(what_has_no_order_is_refused),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
