/* Unit tests of api/infer_contents.h. */
#include "api/infer_contents.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct error error;

static void narrow_integers_are_checked(void **state)
{
    int32_t items[] = {-128, 127, 128};
    struct inference_infer_tensor_contents contents = {
        .int_contents = {.count = 2, .items = items}};
    uint64_t size;
    int8_t bytes[3];
    assert_true(contents_size(&contents, TENSORD_INT8, &size, &error));
    assert_int_equal(size, 2);
    assert_true(contents_copy(&contents, TENSORD_INT8, (char *)bytes, &error));
    assert_int_equal(bytes[0], -128);
    assert_int_equal(bytes[1], 127);
    contents.int_contents.count = 3;
    assert_false(contents_copy(&contents, TENSORD_INT8, (char *)bytes, &error));
    assert_string_equal(error.message, "value 2 of the contents does not fit INT8");
}

static void strings_get_their_lengths(void **state)
{
    struct span items[] = {SPAN("ab"), SPAN("")};
    struct inference_infer_tensor_contents contents = {
        .bytes_contents = {.count = 2, .items = items}};
    uint64_t size;
    char bytes[10];
    assert_true(contents_size(&contents, TENSORD_BYTES, &size, &error));
    assert_int_equal(size, 10);
    assert_true(contents_copy(&contents, TENSORD_BYTES, bytes, &error));
    assert_memory_equal(bytes, "\2\0\0\0ab\0\0\0\0", 10);
}

static void the_wrong_list_is_refused(void **state)
{
    float items[] = {1};
    struct inference_infer_tensor_contents contents = {
        .fp32_contents = {.count = 1, .items = items}};
    uint64_t size = 7;
    assert_false(contents_size(&contents, TENSORD_INT32, &size, &error));
    assert_string_equal(error.message, "the contents hold values of another datatype than INT32");
    assert_false(contents_size(&contents, TENSORD_FP16, &size, &error));
    assert_string_equal(error.message, "FP16 values can only be sent in raw_input_contents");
    assert_int_equal(size, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(narrow_integers_are_checked),
        cmocka_unit_test(strings_get_their_lengths),
        cmocka_unit_test(the_wrong_list_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
