/* Unit tests of api/generate_json.h. */
#include "api/generate_json.h"

#include "base/arena_fixture.h"

static struct tensor_info inputs[] = {
    {.name = SPAN("text"), .datatype = TENSORD_BYTES, .shape = {1, {1}}},
    {.name = SPAN("rows"), .datatype = TENSORD_FP32, .shape = {2, {-1, 3}}},
    {.name = SPAN("free"), .datatype = TENSORD_INT64, .shape = {3, {-1, 2, -1}}},
    {.name = SPAN("any"), .datatype = TENSORD_FP32, .shape = {1, {-1}}, .any_rank = true},
    {.name = SPAN("scalar"), .datatype = TENSORD_BOOL, .shape = {0}},
};
static const struct schema schema = {.inputs = inputs,
                                     .input_count = sizeof inputs / sizeof *inputs};

static struct infer_json request;

static bool read(const char *text)
{
    return generate_json_read(span_of(text), &schema, &arena, &request, &error);
}

static void keys_are_inputs_and_parameters(void **state)
{
    assert_true(read("{\"text\":\"hi\",\"id\":7,\"temperature\":0.5,\"stop\":null,\"parameters\":"
                     "{\"timeout\":1000,\"mode\":\"x\",\"stream\":true}}"));
    assert_int_equal(request.input_count, 1);
    assert_true(span_equal(request.inputs[0].name, SPAN("text")));
    assert_true(span_equal(request.inputs[0].data, SPAN("\"hi\"")));
    assert_true(request.inputs[0].alone);
    assert_int_equal(request.inputs[0].datatype, TENSORD_BYTES);
    assert_true(span_equal(request.id, SPAN("7")));
    assert_int_equal(request.timeout_us, 1000);
    assert_int_equal(request.parameter_count, 3);
    assert_true(span_equal(request.parameters[0].key, SPAN("temperature")));
    assert_true(span_equal(request.parameters[2].value, SPAN("true")));
}

/* The shape that the value gets; its dimensions follow. */
static void expect_shape(const char *text, uint32_t ndim, const int64_t *dims)
{
    assert_true(read(text));
    assert_int_equal(request.inputs[0].shape.ndim, ndim);
    for (uint32_t i = 0; i < ndim; i++)
        assert_int_equal(request.inputs[0].shape.dims[i], dims[i]);
}

static void shapes_are_filled(void **state)
{
    expect_shape("{\"text\":\"a\"}", 1, (int64_t[]){1});
    expect_shape("{\"text\":[\"a\"]}", 1, (int64_t[]){1});
    expect_shape("{\"rows\":[1,2,3,4,5,6]}", 2, (int64_t[]){2, 3});
    expect_shape("{\"rows\":[[1,2,3],[4,5,6]]}", 2, (int64_t[]){2, 3});
    expect_shape("{\"rows\":[]}", 2, (int64_t[]){0, 3});
    expect_shape("{\"free\":[1,2,3,4]}", 3,
                 (int64_t[]){1, 2, 2}); /* the innermost takes the rest */
    expect_shape("{\"any\":[[1],[2]]}", 2, (int64_t[]){2, 1});
    expect_shape("{\"any\":3}", 0, NULL);
    expect_shape("{\"scalar\":true}", 0, NULL);
}

static void what_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"{\"rows\":[1,2]}", "input 'rows' does not take 2 elements"},
        {"{\"rows\":1}", "input 'rows' does not take 1 elements"},
        {"{\"scalar\":[true,false]}", "input 'scalar' does not take 2 elements"},
        {"{\"text\":\"a\",\"text\":\"b\"}", "given twice"},
        {"{\"id\":1,\"id\":2}", "'id' is given twice"},
        {"{\"mode\":1,\"parameters\":{\"mode\":2}}", "'mode' is given twice"},
        {"{\"parameters\":{\"timeout\":1,\"timeout\":2}}", "'timeout' is given twice"},
        {"{\"what\":[1]}", "'what' is no input of the model"},
        {"{\"parameters\":{\"deep\":{}}}", "'deep' is no input of the model"},
        {"{\"triton_x\":1}", "reserved"},
        {"{\"parameters\":1}", "expected"},
        {"[]", "expected"},
        {"", "expected"},
        {"{} x", "byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        error = (struct error){0};
        assert_false(read(cases[i].text));
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        if (!strstr(error.message, cases[i].sentence))
            fail_msg("%s: %s", cases[i].text, error.message);
    }
}

/* An input of such a name is the input. */
static void inputs_come_first(void **state)
{
    static struct tensor_info named[] = {
        {.name = SPAN("id"), .datatype = TENSORD_INT64, .shape = {1, {1}}},
        {.name = SPAN("parameters"), .datatype = TENSORD_INT64, .shape = {1, {1}}},
    };
    const struct schema odd = {.inputs = named, .input_count = 2};
    assert_true(
        generate_json_read(SPAN("{\"id\":1,\"parameters\":2}"), &odd, &arena, &request, &error));
    assert_int_equal(request.input_count, 2);
    assert_int_equal(request.id.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_inputs_and_parameters),
        cmocka_unit_test(shapes_are_filled),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(inputs_come_first),
    };
    return cmocka_run_group_tests(tests, arena_set_up, arena_tear_down);
}
