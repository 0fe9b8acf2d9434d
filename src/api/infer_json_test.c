/* Unit tests of api/infer_json.h. */
#include "api/infer_json.h"

#include "base/arena_fixture.h"

static struct infer_json request;

static void a_full_request_is_read(void **state)
{
    assert_true(infer_json_read(SPAN("{\"id\":\"7\",\"parameters\":{\"timeout\":1000,\"binary_data_"
                                     "output\":true,\"mode\":\"x\",\"k\":2.5},"
                                     "\"inputs\":[{\"name\":\"a\",\"shape\":[2,3],\"datatype\":"
                                     "\"FP32\",\"data\":[[1,2,3],[4,5,6]]},"
                                     "{\"datatype\":\"BYTES\",\"name\":\"b\",\"shape\":[1],"
                                     "\"parameters\":{\"binary_data_size\":9}}],"
                                     "\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":"
                                     "true}},{\"name\":\"z\"}]}"),
                                &arena, &request, &error));
    assert_true(span_equal(request.id, SPAN("7")));
    assert_int_equal(request.timeout_us, 1000);
    assert_true(request.binary_output);
    assert_int_equal(request.parameter_count, 2);
    assert_true(span_equal(request.parameters[0].value, SPAN("x")));
    assert_true(span_equal(request.parameters[1].value, SPAN("2.5")));
    assert_int_equal(request.input_count, 2);
    assert_int_equal(request.inputs[0].shape.ndim, 2);
    assert_int_equal(request.inputs[0].shape.dims[1], 3);
    assert_true(span_equal(request.inputs[0].data, SPAN("[[1,2,3],[4,5,6]]")));
    assert_null(request.inputs[1].data.data);
    assert_int_equal(request.inputs[1].size_bytes, 9);
    assert_int_equal(request.output_count, 2);
    assert_true(request.outputs[0].binary);
    assert_false(request.outputs[1].binary);
}

static void a_number_is_an_id(void **state)
{
    assert_true(infer_json_read(SPAN("{\"id\":42,\"inputs\":[]}"), &arena, &request, &error));
    assert_true(span_equal(request.id, SPAN("42")));
}

static void nulls_count_as_left_out(void **state)
{
    assert_true(infer_json_read(
        SPAN(
            "{\"id\":null,\"parameters\":{\"timeout\":null,\"binary_data_output\":null,\"k\":null},"
            "\"inputs\":[{\"name\":\"a\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1],"
            "\"parameters\":null},{\"name\":\"b\",\"shape\":[1],\"datatype\":\"BOOL\",\"data\":"
            "null,"
            "\"parameters\":{\"binary_data_size\":1,\"content_type\":null}}],"
            "\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":null,"
            "\"classification\":null}},{\"name\":\"z\",\"parameters\":null}]}"),
        &arena, &request, &error));
    assert_int_equal(request.id.size, 0);
    assert_int_equal(request.parameter_count, 0);
    assert_int_equal(request.inputs[1].size_bytes, 1);
    assert_int_equal(request.output_count, 2);
    assert_true(infer_json_read(SPAN("{\"parameters\":null,\"outputs\":null,\"inputs\":[]}"),
                                &arena, &request, &error));
    assert_false(infer_json_read(SPAN("{\"inputs\":null}"), &arena, &request, &error));
}

#define INPUT(rest) "{\"inputs\":[{\"name\":\"a\"" rest "}]}"

static void mistakes_are_named(void **state)
{
    static const struct {
        struct span text;
        const char *says;
    } cases[] = {
        {SPAN("{}"), "no 'inputs'"},
        {SPAN("[]"), "expected"},
        {SPAN("{\"inputs\":[],\"inputs\":[]}"), "'inputs' is given twice"},
        {SPAN("{\"id\":\"a\",\"id\":\"b\",\"inputs\":[]}"), "'id' is given twice"},
        {SPAN("{\"parameters\":{\"k\":1,\"k\":2},\"inputs\":[]}"), "'k' is given twice"},
        {SPAN("{\"parameters\":{\"timeout\":1,\"timeout\":2},\"inputs\":[]}"),
         "'timeout' is given twice"},
        {SPAN("{\"parameters\":{\"priority\":1,\"priority\":2},\"inputs\":[]}"),
         "'priority' is given twice"},
        {SPAN("{\"parameters\":{\"binary_data_output\":true,\"binary_data_output\":false},"
              "\"inputs\":[]}"),
         "'binary_data_output' is given twice"},
        {SPAN(INPUT(",\"parameters\":{\"binary_data_size\":4,\"binary_data_size\":8}")),
         "'binary_data_size' is given twice"},
        {SPAN("{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":"
              "{\"binary_data\":true,\"binary_data\":false}}]}"),
         "'binary_data' is given twice"},
        {SPAN(INPUT(",\"name\":\"b\"")), "'name' is given twice"},
        {SPAN(INPUT(",\"shape\":[2],\"shape\":[1]")), "'shape' is given twice"},
        {SPAN(INPUT(",\"data\":[1],\"data\":[2]")), "'data' is given twice"},
        {SPAN("{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"name\":\"z\"}]}"),
         "'name' is given twice"},
        {SPAN("{\"inputs\":[]} x"), "at byte 14"},
        {SPAN(INPUT("")), "input 'a' has no datatype"},
        {SPAN(INPUT(",\"datatype\":\"FP33\"")), "'FP33' is no datatype"},
        {SPAN(INPUT(",\"datatype\":\"FP32\"")), "input 'a' has no shape"},
        {SPAN(INPUT(",\"datatype\":\"FP32\",\"shape\":[1]")), "But no field is set for input 'a'"},
        {SPAN(INPUT(",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1],\"parameters\":{\"binary_"
                    "data_size\":4}")),
         "But set 'data' 'binary_data_size' for input 'a'"},
        {SPAN(INPUT(",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1],\"parameters\":{\"shared_"
                    "memory_region\":\"r\",\"shared_memory_byte_size\":4}")),
         "But set 'data' 'shared_memory_region' for input 'a'"},
        {SPAN(INPUT(",\"shape\":[-1]")), "byte"},
        {SPAN(INPUT(",\"shape\":[1.5]")), "byte"},
        {SPAN(INPUT(",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]")), "at most 16 dimensions"},
        {SPAN(INPUT(",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1],\"parameters\":{\"shared_"
                    "memory_offset\":4}")),
         "'shared_memory_offset' can not be specified without 'shared_memory_region'"},
        {SPAN(INPUT(",\"parameters\":{\"shared_memory_size\":4}")),
         "no parameter 'shared_memory_size'"},
        {SPAN(INPUT(",\"parameters\":{\"shared_memory_offset\":-1}")), "byte"},
        {SPAN(INPUT(
             ",\"parameters\":{\"shared_memory_region\":\"r\",\"shared_memory_region\":\"s\"}")),
         "'shared_memory_region' is given twice"},
        {SPAN("{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":"
              "{\"shared_memory_region\":\"r\",\"binary_data\":true}}]}"),
         "Output can't set both 'shared_memory_region' and 'binary_data'"},
        {SPAN("{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":"
              "{\"shared_memory_region\":\"r\",\"classification\":2}}]}"),
         "Output can't set both 'shared_memory_region' and 'classification'"},
        {SPAN("{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":"
              "{\"shared_memory_byte_size\":4}}]}"),
         "'shared_memory_byte_size' can not be specified without 'shared_memory_region'"},
        {SPAN("{\"inputs\":[{\"datatype\":\"FP32\",\"shape\":[],\"data\":[1]}]}"),
         "an input has no name"},
        {SPAN("{\"inputs\":[],\"outputs\":[{}]}"), "an output has no name"},
        {SPAN("{\"inputs\":[],\"parameters\":{\"x\":[1]}}"), "no string, number or bool"},
        {SPAN("{\"inputs\":[],\"parameters\":{\"triton_x\":1}}"), "reserved"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        error.code = ERROR_OK;
        assert_false(infer_json_read(cases[i].text, &arena, &request, &error));
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        if (!strstr(error.message, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text.data, error.message,
                     cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(a_full_request_is_read),
        ARENA_TEST(a_number_is_an_id),
        ARENA_TEST(nulls_count_as_left_out),
        ARENA_TEST(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
