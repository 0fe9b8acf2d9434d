/* Unit tests of api/predict_json.h. */
#include "api/predict_json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct tensor_info a_and_b[] = {
    {.name = SPAN("A"), .datatype = TENSORD_FP32, .shape = {2, {-1, 2}}},
    {.name = SPAN("B"), .datatype = TENSORD_BYTES, .shape = {1, {-1}}},
};
static struct tensor_info with_optional[] = {
    {.name = SPAN("X"), .datatype = TENSORD_FP32, .shape = {2, {-1, 1}}},
    {.name = SPAN("BIAS"), .datatype = TENSORD_FP32, .shape = {1, {1}}, .optional = true},
};
static const struct schema two = {.inputs = a_and_b, .input_count = 2};
static const struct schema one = {.inputs = a_and_b, .input_count = 1};
static const struct schema optional = {.inputs = with_optional, .input_count = 2};

static struct arena arena;
static struct infer_json request;
static struct predict_json predict;
static struct error error;

static bool read_text(const struct schema *schema, const char *text)
{
    predict_json_fini(&predict);
    arena_fini(&arena);
    arena_init(&arena, 1024, 1 << 20);
    return predict_json_read(span_of(text), schema, &arena, NULL, &request, &predict, &error);
}

static void take(const struct schema *schema, const char *text)
{
    if (!read_text(schema, text))
        fail_msg("%s: %s", text, error.message);
}

static void assert_input(size_t i, const char *name, const char *shape, const char *data)
{
    char text[64];
    assert_true(i < request.input_count);
    assert_true(span_equal(request.inputs[i].name, span_of(name)));
    assert_string_equal(shape_format(&request.inputs[i].shape, text, sizeof text), shape);
    assert_true(span_equal(request.inputs[i].data, span_of(data)));
}

static void rows_of_values_are_for_the_one_input(void **state)
{
    take(&one, "{\"instances\": [[1,2],[3,4]]}");
    assert_input(0, "A", "[2,2]", "[[1,2],[3,4]]");
    assert_false(predict.by_columns);
    take(&one, "{\"inputs\": [[1,2]]}");
    assert_input(0, "A", "[1,2]", "[[1,2]]");
    take(&optional, "{\"instances\": [1,2,3]}"); /* each row has one element */
    assert_input(0, "X", "[3,1]", "[1,2,3]");
    assert_int_equal(request.input_count, 1);
}

static void rows_of_objects_become_columns(void **state)
{
    take(&two, "{\"instances\":[{\"A\":[1,2],\"B\":\"x\"},{\"B\": \"y\",\"A\": [3, 4] }]}");
    assert_int_equal(request.input_count, 2);
    assert_input(0, "A", "[2,2]", "[[1,2],[3, 4]]");
    assert_input(1, "B", "[2]", "[\"x\",\"y\"]");
    take(&one, "{\"instances\":[{\"A\":[1,2]}]}");
    assert_input(0, "A", "[1,2]", "[[1,2]]");
}

static void columns_are_inputs_as_a_whole(void **state)
{
    take(&two, "{\"inputs\":{\"B\":[\"x\"],\"A\":[1,2,3,4]}}");
    assert_input(0, "B", "[1]", "[\"x\"]");
    assert_input(1, "A", "[2,2]", "[1,2,3,4]");
    assert_true(predict.by_columns);
}

static void parameters_are_the_requests(void **state)
{
    take(&one, "{\"signature_name\":\"serving_default\",\"parameters\":{\"timeout\":5,\"t\":0.5},"
               "\"instances\":[[1,2]]}");
    assert_int_equal(request.timeout_us, 5);
    assert_int_equal(request.parameter_count, 1);
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const struct schema *schema;
        const char *text, *sentence;
    } bad[] = {
        {&one, "{}", "neither 'instances' nor 'inputs'"},
        {&one, "[]", "expected an object"},
        {&one, "{\"instances\":[]}", "'instances' has no rows"},
        {&one, "{\"instances\":7}", "'instances' is to be an array"},
        {&one, "{\"instances\":{\"A\":[[1,2]]}}", "'instances' is to be an array"},
        {&one, "{\"instances\":[[1,2]],\"inputs\":[[1,2]]}", "is given once"},
        {&one, "{\"instances\":[1,2]}", "does not take 2 elements"},
        {&one, "{\"instances\":[{\"b64\":\"AA==\"}]}", "base64 is not read"},
        {&two, "{\"instances\":[{\"A\":[1,2],\"B\":{\"b64\":\"AA==\"}}]}", "base64 is not read"},
        {&two, "{\"instances\":[[1,2]]}", "has 2 inputs: write each instance as an object"},
        {&two, "{\"instances\":[{\"A\":[1,2],\"A\":[1,2]}]}", "'A' is given twice"},
        {&two, "{\"instances\":[{\"C\":[1,2]}]}", "'C' is no input of the model"},
        {&two, "{\"instances\":[{\"A\":[1,2]},{\"A\":[1,2],\"B\":\"x\"}]}", "not in one before"},
        {&two, "{\"instances\":[{\"A\":[1,2],\"B\":\"x\"},{\"B\":\"x\"}]}", "has 1 inputs"},
        {&two, "{\"instances\":[{\"A\":[1,2]},7]}", "expected an object"},
        {&two, "{\"instances\":[{\"A\":7}]}", "does not take 1 elements"},
        {&two, "{\"inputs\":{\"C\":1}}", "'C' is no input of the model"},
        {&two, "{\"inputs\":{\"B\":[],\"B\":[]}}", "'B' is given twice"},
        {&one, "{\"parameters\":{\"x\":[]},\"instances\":[[1,2]]}", "no string, number or bool"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_text(bad[i].schema, bad[i].text) || !strstr(error.message, bad[i].sentence))
            fail_msg("%s: %s", bad[i].text, error.message);
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    }
}

static int clean_up(void **state)
{
    predict_json_fini(&predict);
    arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_values_are_for_the_one_input),
        cmocka_unit_test(rows_of_objects_become_columns),
        cmocka_unit_test(columns_are_inputs_as_a_whole),
        cmocka_unit_test(parameters_are_the_requests),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
