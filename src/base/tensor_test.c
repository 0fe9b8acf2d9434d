/* Unit tests of base/tensor.h. */
#include "base/tensor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void names_and_sizes_agree(void **state)
{
    for (int i = TENSORD_INVALID + 1; i < TENSORD_DATATYPE_COUNT; i++)
        assert_int_equal(datatype_of_name(span_of(datatype_name((enum tensord_datatype)i))), i);
    assert_int_equal(datatype_of_name(SPAN("INVALID")), TENSORD_INVALID);
    assert_int_equal(datatype_of_name(SPAN("fp32")), TENSORD_INVALID);
    assert_int_equal(datatype_size_bytes(TENSORD_BF16), 2);
    assert_int_equal(datatype_size_bytes((enum tensord_datatype)99), 0);
}

static void products_do_not_wrap(void **state)
{
    uint64_t size = 7;
    struct shape wraps = {2, {16, (INT64_C(1) << 60) + 2}};
    struct shape negative = {2, {2, -5}};
    struct shape scalar = {0};
    assert_false(shape_size_bytes(&wraps, TENSORD_FP32, &size));
    assert_false(shape_count(&negative, &size));
    assert_int_equal(size, 7);
    assert_true(shape_size_bytes(&scalar, TENSORD_FP64, &size));
    assert_int_equal(size, 8);
}

static void formats_shapes(void **state)
{
    char text[32], tiny[4];
    assert_string_equal(shape_format(&(struct shape){3, {1, -1, 16}}, text, sizeof text),
                        "[1,-1,16]");
    assert_string_equal(shape_format(&(struct shape){0}, text, sizeof text), "[]");
    assert_string_equal(shape_format(&(struct shape){2, {1000, 2}}, tiny, sizeof tiny), "[10");
}

static void byte_elements_are_checked(void **state)
{
    static const char good[] = {2, 0, 0, 0, 'a', 'b', 0, 0, 0, 0};
    static const char lies[] = {3, 0, 0, 0, 'a', 'b'};
    static const char huge[] = {(char)255, (char)255, (char)255, (char)255, 'a'};
    assert_true(bytes_tensor_check((struct span){good, sizeof good}, 2));
    assert_false(bytes_tensor_check((struct span){good, sizeof good}, 1));
    assert_false(bytes_tensor_check((struct span){good, sizeof good}, 3));
    assert_false(bytes_tensor_check((struct span){lies, sizeof lies}, 1));
    assert_false(bytes_tensor_check((struct span){huge, sizeof huge}, 1));
    assert_false(bytes_tensor_check((struct span){huge, sizeof huge}, UINT64_MAX));
}

static void schemas_are_compared_by_their_tensors(void **state)
{
    struct tensor_info x = {.name = SPAN("x"), .datatype = TENSORD_FP32, .shape = {1, {-1}}};
    struct tensor_info y = {.name = SPAN("y"), .datatype = TENSORD_FP32, .shape = {1, {-1}}};
    struct tensor_info wide = {.name = SPAN("y"), .datatype = TENSORD_FP32, .shape = {1, {4}}};
    struct schema one = {.inputs = &x, .input_count = 1, .outputs = &y, .output_count = 1};
    struct schema other = one;
    other.concurrency = 7;
    assert_true(schema_same_tensors(&one, &other));
    other.outputs = &wide;
    assert_false(schema_same_tensors(&one, &other));
    other.output_count = 0;
    assert_false(schema_same_tensors(&one, &other));
}

static void schemas_are_copied_deeply(void **state)
{
    char name[] = "x";
    struct tensor_info input = {.name = {name, 1}, .datatype = TENSORD_FP32, .shape = {1, {-1}}};
    struct schema schema = {.platform = SPAN("p"), .inputs = &input, .input_count = 1};
    struct schema *copy = schema_copy(&schema);
    assert_non_null(copy);
    name[0] = 'y';
    assert_int_equal(schema_input(copy, SPAN("x")), 0);
    assert_int_equal(schema_input(copy, SPAN("y")), -1);
    assert_int_equal(schema_output(copy, SPAN("x")), -1);
    schema_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_sizes_agree),
        cmocka_unit_test(products_do_not_wrap),
        cmocka_unit_test(formats_shapes),
        cmocka_unit_test(byte_elements_are_checked),
        cmocka_unit_test(schemas_are_compared_by_their_tensors),
        cmocka_unit_test(schemas_are_copied_deeply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
