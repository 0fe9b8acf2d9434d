/* Unit tests of serving/check.h: the sentences are those that clients of Triton match on. */
#include "serving/check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* a: FP32 (-1, 16); b: INT64 (-1, 1), optional; out: FP32 (-1, 2) */
static struct tensor_info inputs[] = {
    {.name = {"a", 1}, .datatype = TENSORD_FP32, .shape = {2, {-1, 16}}},
    {.name = {"b", 1}, .datatype = TENSORD_INT64, .shape = {2, {-1, 1}}, .optional = true},
};
static struct tensor_info outputs[] = {
    {.name = {"out", 3}, .datatype = TENSORD_FP32, .shape = {2, {-1, 2}}}};
static const struct schema schema = {.inputs = inputs,
                                     .input_count = 2,
                                     .outputs = outputs,
                                     .output_count = 1,
                                     .concurrency = 1,
                                     .max_batch_size = 8};

static struct channel_tensor tensor(enum tensord_datatype datatype, int64_t rows, int64_t columns)
{
    return (struct channel_tensor){
        .index = 99, .datatype = datatype, .shape = {2, {rows, columns}}};
}

static void refused(const char *sentence, struct channel_tensor *given, struct span *names,
                    size_t count)
{
    struct error error;
    assert_false(check_inputs(&schema, SPAN("m"), given, names, count, &error));
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message, sentence);
}

static void good_inputs_are_put_in_order(void **state)
{
    struct channel_tensor given[] = {tensor(TENSORD_INT64, 3, 1), tensor(TENSORD_FP32, 3, 16)};
    struct span names[] = {SPAN("b"), SPAN("a")};
    struct error error;
    assert_true(check_inputs(&schema, SPAN("m"), given, names, 2, &error));
    assert_int_equal(given[0].index, 0);
    assert_int_equal(given[1].index, 1);
    assert_true(span_equal(names[0], SPAN("a")));
    assert_true(check_inputs(&schema, SPAN("m"), given, names, 1, &error)); /* b is optional */
}

static void any_rank_will_do_where_it_is_said(void **state)
{
    static struct tensor_info any[] = {
        {.name = {"a", 1}, .datatype = TENSORD_FP32, .shape = {1, {-1}}, .any_rank = true}};
    const struct schema loose = {.inputs = any, .input_count = 1, .concurrency = 1};
    struct channel_tensor given[] = {tensor(TENSORD_FP32, 3, 5)};
    struct span names[] = {SPAN("a")};
    struct error error;
    assert_true(check_inputs(&loose, SPAN("m"), given, names, 1, &error));
    given[0].shape.ndim = 0;
    assert_true(check_inputs(&loose, SPAN("m"), given, names, 1, &error));
    any[0].any_rank = false;
    assert_false(check_inputs(&loose, SPAN("m"), given, names, 1, &error));
}

static void bad_inputs_are_explained(void **state)
{
    refused("unexpected shape for input 'a' for model 'm'. Expected [-1,16], got [1,17].",
            (struct channel_tensor[]){tensor(TENSORD_FP32, 1, 17)}, (struct span[]){SPAN("a")}, 1);
    refused("inference input 'a' data-type is 'INT32', but model 'm' expects 'FP32'",
            (struct channel_tensor[]){tensor(TENSORD_INT32, 1, 16)}, (struct span[]){SPAN("a")}, 1);
    refused("unexpected inference input 'x' for model 'm'; its inputs are ['a','b']",
            (struct channel_tensor[]){tensor(TENSORD_FP32, 1, 16)}, (struct span[]){SPAN("x")}, 1);
    refused("expected 1 inputs but got 1 inputs for model 'm'. Got input(s) ['b'], but missing "
            "required input(s) "
            "['a']. Please provide all required input(s).",
            (struct channel_tensor[]){tensor(TENSORD_INT64, 1, 1)}, (struct span[]){SPAN("b")}, 1);
    refused("an input of model 'm' is given more than once",
            (struct channel_tensor[]){tensor(TENSORD_FP32, 1, 16), tensor(TENSORD_FP32, 1, 16)},
            (struct span[]){SPAN("a"), SPAN("a")}, 2);
    refused("inputs of model 'm' must have the same batch size in their first dimension",
            (struct channel_tensor[]){tensor(TENSORD_FP32, 1, 16), tensor(TENSORD_INT64, 2, 1)},
            (struct span[]){SPAN("a"), SPAN("b")}, 2);
}

static void rows_are_bounded_where_the_config_bounds_them(void **state)
{
    (void)state;
    struct schema bounded = schema;
    struct channel_tensor given[] = {tensor(TENSORD_FP32, 9, 16)};
    struct span names[] = {SPAN("a")};
    struct error error;
    assert_true(check_inputs(&bounded, SPAN("m"), given, names, 1, &error));
    bounded.bounds_rows = true;
    assert_false(check_inputs(&bounded, SPAN("m"), given, names, 1, &error));
    assert_string_equal(error.message, "inference request batch-size must be <= 8 for 'm'");
    given[0].shape.dims[0] = 8;
    assert_true(check_inputs(&bounded, SPAN("m"), given, names, 1, &error));
    given[0].shape = (struct shape){1, {16}};
    assert_false(check_inputs(&bounded, SPAN("m"), given, names, 1, &error));
    assert_string_equal(
        error.message,
        "unexpected shape for input 'a' for model 'm'. Expected [-1,16], got [16]. NOTE: Setting a "
        "non-zero max_batch_size in the model config requires a batch dimension to be prepended to "
        "each input shape. If you want to specify the full shape including the batch dim in your "
        "input dims config, try setting max_batch_size to zero. See the model configuration docs "
        "for more info on max_batch_size.");
}

static void strings_fill_their_tensor_to_the_byte(void **state)
{
    static const char two[] = "\1\0\0\0a\2\0\0\0bc";
    const struct span data = {two, sizeof two - 1};
    const struct shape shape = {2, {2, 1}}, one = {1, {1}}, none = {1, {0}};
    struct error error;
    assert_true(check_strings(SPAN("m"), SPAN("a"), &shape, data, &error));
    assert_true(check_strings(SPAN("m"), SPAN("a"), &none, (struct span){NULL, 0}, &error));
    assert_false(check_strings(SPAN("m"), SPAN("a"), &one, data, &error));
    for (size_t size = 0; size < data.size; size++)
        assert_false(check_strings(SPAN("m"), SPAN("a"), &shape, (struct span){two, size}, &error));
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message,
                        "the bytes of input 'a' for model 'm' are not exactly the BYTES elements "
                        "that its shape says, each a length and as many bytes");
}

static void outputs_become_bits(void **state)
{
    struct error error;
    uint64_t wanted = 7;
    assert_false(check_outputs(&schema, SPAN("m"), (struct span[]){SPAN("x")}, 1, &wanted, &error));
    assert_string_equal(error.message, "unexpected inference output 'x' for model 'm'");
    assert_int_equal(wanted, 7);
    assert_true(
        check_outputs(&schema, SPAN("m"), (struct span[]){SPAN("out")}, 1, &wanted, &error));
    assert_int_equal(wanted, 1);
    assert_true(check_outputs(&schema, SPAN("m"), NULL, 0, &wanted, &error));
    assert_true(wanted == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_inputs_are_put_in_order),
        cmocka_unit_test(any_rank_will_do_where_it_is_said),
        cmocka_unit_test(bad_inputs_are_explained),
        cmocka_unit_test(rows_are_bounded_where_the_config_bounds_them),
        cmocka_unit_test(strings_fill_their_tensor_to_the_byte),
        cmocka_unit_test(outputs_become_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
