/* Differences of tensors: numbers of each kind, texts, and what cannot be compared. */
#include "serving/compare.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct difference difference_of(enum tensord_datatype datatype, int64_t count, const void *a,
                                       const void *b, size_t size)
{
    struct compared one = {datatype, {1, {count}}, {a, size}},
                    other = {datatype, {1, {count}}, {b, size}};
    struct difference difference;
    compare_tensors(&one, &other, &difference);
    return difference;
}

static void floats_differ_by_so_much(void **state)
{
    const float a[] = {1, 2, 0, NAN, 0}, b[] = {1, 1.5f, -0.0f, NAN, 0.25f};
    struct difference found = difference_of(TENSORD_FP32, 5, a, b, sizeof a);
    assert_true(found.comparable);
    assert_int_equal(found.elements, 5);
    assert_int_equal(found.unequal, 2);
    assert_true(found.max_absolute == 0.5);
    assert_true(found.max_relative == 1);
    const double c[] = {-1, INFINITY}, d[] = {1, 3};
    found = difference_of(TENSORD_FP64, 2, c, d, sizeof c);
    assert_int_equal(found.unequal, 2);
    assert_true(found.max_absolute == 2 && found.max_relative == 2);
}

static void numbers_of_each_kind_are_read(void **state)
{
    static const struct {
        enum tensord_datatype datatype;
        const char *a, *b;
        double absolute;
    } rows[] = {
        {TENSORD_UINT8, "\xff", "\x01", 254},
        {TENSORD_INT8, "\xff", "\x01", 2},
        {TENSORD_UINT16, "\x00\x01", "\x00\0", 256},
        {TENSORD_INT16, "\xff\xff", "\x01\0", 2},
        {TENSORD_UINT32, "\x04\0\0\0", "\x01\0\0\0", 3},
        {TENSORD_INT32, "\xff\xff\xff\xff", "\x01\0\0\0", 2},
        {TENSORD_UINT64, "\x04\0\0\0\0\0\0\0", "\x01\0\0\0\0\0\0\0", 3},
        {TENSORD_INT64, "\xff\xff\xff\xff\xff\xff\xff\xff", "\x01\0\0\0\0\0\0\0", 2},
        {TENSORD_FP16, "\x00\x3c", "\x00\x40", 1},
        {TENSORD_BF16, "\x80\x3f", "\x00\x40", 1},
        {TENSORD_BOOL, "\x01", "\x00", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct difference found = difference_of(rows[i].datatype, 1, rows[i].a, rows[i].b,
                                                datatype_size_bytes(rows[i].datatype));
        assert_true(found.comparable && found.unequal == 1);
        assert_true(found.max_absolute == rows[i].absolute);
        found = difference_of(rows[i].datatype, 1, rows[i].a, rows[i].a,
                              datatype_size_bytes(rows[i].datatype));
        assert_true(found.comparable && found.unequal == 0 && found.max_absolute == 0);
    }
}

static void texts_are_equal_or_not(void **state)
{
    static const char a[] = "\x02\0\0\0ab\x01\0\0\0c", b[] = "\x02\0\0\0ab\x01\0\0\0d";
    struct difference found = difference_of(TENSORD_BYTES, 2, a, b, sizeof a - 1);
    assert_true(found.comparable && found.elements == 2 && found.unequal == 1);
    static const char lies[] = "\xff\0\0\0ab\x01\0\0\0d";
    found = difference_of(TENSORD_BYTES, 2, a, lies, sizeof a - 1);
    assert_int_equal(found.unequal, 2);
}

static void what_has_another_form_is_not_compared(void **state)
{
    const float data[4] = {0};
    const struct compared a = {TENSORD_FP32, {1, {4}}, {(const char *)data, sizeof data}};
    struct compared b = a;
    struct difference found;
    b.datatype = TENSORD_INT32;
    compare_tensors(&a, &b, &found);
    assert_false(found.comparable);
    b = a;
    b.shape = (struct shape){2, {2, 2}};
    compare_tensors(&a, &b, &found);
    assert_false(found.comparable);
    b = a;
    b.data.size = 8;
    compare_tensors(&a, &b, &found);
    assert_false(found.comparable);
    b = (struct compared){TENSORD_FP32, {1, {0}}, {NULL, 0}};
    compare_tensors(&b, &b, &found);
    assert_true(found.comparable && found.elements == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_differ_by_so_much),
        cmocka_unit_test(numbers_of_each_kind_are_read),
        cmocka_unit_test(texts_are_equal_or_not),
        cmocka_unit_test(what_has_another_form_is_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
