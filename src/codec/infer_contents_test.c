/* Unit tests of codec/infer_contents.h. */
#include "codec/infer_contents.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct error error;
static char bytes[64];

/* Size and bytes of the contents as a tensor. */
static void reads(struct span contents, enum tensord_datatype datatype, struct span expected)
{
    uint64_t size;
    assert_true(contents_size(contents, datatype, &size, &error));
    assert_int_equal(size, expected.size);
    assert_true(contents_copy(contents, datatype, bytes, &error));
    assert_memory_equal(bytes, expected.data, expected.size);
}

static void refuses(struct span contents, enum tensord_datatype datatype, const char *sentence)
{
    uint64_t size = 7;
    assert_false(contents_size(contents, datatype, &size, &error));
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message, sentence);
    assert_int_equal(size, 7);
}

static void values_become_a_tensor(void **state)
{
    reads(SPAN("\x0a\x02\x05\x00"), TENSORD_BOOL, SPAN("\1\0"));
    reads(SPAN("\x22\x03\x01\xff\x01"), TENSORD_UINT8, SPAN("\x01\xff"));
    reads(SPAN("\x1a\x01\x7f"), TENSORD_INT64, SPAN("\x7f\0\0\0\0\0\0\0"));
    reads(SPAN("\x32\x08\x00\x00\xc0\x3f\x00\x00\x00\xc0"), TENSORD_FP32,
          SPAN("\x00\x00\xc0\x3f\x00\x00\x00\xc0"));
    reads(SPAN("\x42\x02\x61\x62\x42\x00"), TENSORD_BYTES, SPAN("\2\0\0\0ab\0\0\0\0"));
    reads(SPAN(""), TENSORD_FP64, SPAN(""));
}

/* Packed, value by value and both; fields of a later version between them. */
static void a_list_may_come_in_pieces(void **state)
{
    reads(SPAN("\x10\x01\x12\x02\x02\x03\x78\x63\x10\x04"), TENSORD_INT16,
          SPAN("\1\0\2\0\3\0\4\0"));
    reads(SPAN("\x35\x01\x02\x03\x04\x32\x04\x05\x06\x07\x08"), TENSORD_FP32,
          SPAN("\1\2\3\4\5\6\7\x8"));
}

static void narrow_integers_are_checked(void **state)
{
    const struct span contents =
        SPAN("\x12\x0d\x80\xff\xff\xff\xff\xff\xff\xff\xff\x01\x7f\x80\x01");
    uint64_t size;
    assert_true(contents_size(contents, TENSORD_INT8, &size, &error));
    assert_int_equal(size, 3);
    assert_false(contents_copy(contents, TENSORD_INT8, bytes, &error));
    assert_string_equal(error.message, "value 2 of the contents does not fit INT8");
    assert_int_equal(bytes[0], -128);
    assert_int_equal(bytes[1], 127);
}

static void the_wrong_list_is_refused(void **state)
{
    const char *other = "the contents hold values of another datatype than INT32";
    refuses(SPAN("\x32\x04\x00\x00\xc0\x3f"), TENSORD_INT32, other);
    refuses(SPAN("\x10\x01\x42\x00"), TENSORD_INT32, other);
    refuses(SPAN(""), TENSORD_FP16, "FP16 values can only be sent in raw_input_contents");
}

static void what_is_malformed_is_refused(void **state)
{
    const char *malformed = "the contents are no InferTensorContents";
    refuses(SPAN("\x32"), TENSORD_FP32, malformed);
    refuses(SPAN("\x32\x04\x00"), TENSORD_FP32, malformed);
    refuses(SPAN("\x32\x03\x00\x00\x00"), TENSORD_FP32, malformed); /* less than a value */
    refuses(SPAN("\x30\x01"), TENSORD_FP32, malformed);             /* a varint */
    refuses(SPAN("\x10\x80"), TENSORD_INT32, malformed);
    refuses(SPAN("\x12\x01\x80"), TENSORD_INT32, malformed);
    refuses(SPAN("\x13\x14"), TENSORD_INT32, malformed); /* a group */
    refuses(SPAN("\x00\x01"), TENSORD_INT32, malformed);
    const struct span endless = SPAN("\x12\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    uint64_t size;
    assert_true(contents_size(endless, TENSORD_INT32, &size, &error));
    assert_false(contents_copy(endless, TENSORD_INT32, bytes, &error));
    assert_string_equal(error.message, malformed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_become_a_tensor),       cmocka_unit_test(a_list_may_come_in_pieces),
        cmocka_unit_test(narrow_integers_are_checked),  cmocka_unit_test(the_wrong_list_is_refused),
        cmocka_unit_test(what_is_malformed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
