/* Unit tests of repository/model_shaping.h: what a config says of tensors that the model has
 * otherwise than clients, and what is refused. */
#include "repository/model_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct model_config config;
    struct error error;
};

static int setup(void **state)
{
    static struct fixture fixture;
    arena_init(&fixture.arena, 4096, 1 << 20);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    arena_fini(&fixture->arena);
    return 0;
}

static bool read_config(struct fixture *fixture, const char *text)
{
    return model_config_read(MODEL_CONFIG_PBTXT, span_of(text), &fixture->arena, &fixture->config,
                             &fixture->error);
}

static void refuses(struct fixture *fixture, const char *text, const char *words)
{
    assert_false(read_config(fixture, text));
    assert_int_equal(fixture->error.code, ERROR_INVALID_ARGUMENT);
    if (!strstr(fixture->error.message, words))
        fail_msg("'%s' does not say '%s'", fixture->error.message, words);
}

static void expect(const struct shape *shape, const char *text)
{
    char got[128];
    assert_string_equal(shape_format(shape, got, sizeof got), text);
}

static void reshaped_tensors_have_the_models_shape(void **state)
{
    struct fixture *fixture = *state;
    assert_true(read_config(
        fixture,
        "max_batch_size: 4\n"
        "input [ { name: 'a' data_type: TYPE_FP32 dims: 3 }, "
        "{ name: 'b' data_type: TYPE_FP32 dims: 1 reshape { shape: [ ] } } ]\n"
        "output { name: 'c' data_type: TYPE_FP32 dims: [4, -1] reshape { shape: [2, 2, -1] "
        "} }"));
    const struct model_config *config = &fixture->config;
    expect(&config->inputs[0].shape, "[-1,3]");
    expect(&config->inputs[1].shape, "[-1]");
    expect(&config->outputs[0].shape, "[-1,2,2,-1]");
    assert_int_equal(config->shaping.tensor_count, 2);
    expect(&config->shaping.tensors[0].client, "[-1,1]");
    assert_false(config->shaping.tensors[0].is_output);
    expect(&config->shaping.tensors[1].client, "[-1,4,-1]");
    assert_true(config->shaping.tensors[1].is_output);
}

static void without_rows_a_reshape_is_of_the_whole(void **state)
{
    struct fixture *fixture = *state;
    assert_true(read_config(fixture, "max_batch_size: 0\n"
                                     "input { name: 'a' data_type: TYPE_FP32 dims: [6] reshape { "
                                     "shape: [2, 3] } }"));
    expect(&fixture->config.inputs[0].shape, "[2,3]");
    expect(&fixture->config.shaping.tensors[0].client, "[6]");
}

#define RAGGED                                                                                     \
    "max_batch_size: 4\n"                                                                          \
    "input { name: 'r' data_type: TYPE_FP32 dims: [-1, 2] allow_ragged_batch: true }\n"            \
    "output { name: 'o' data_type: TYPE_FP32 dims: [-1, 2] }\n"

static void what_is_ragged_is_declared_as_the_model_has_it(void **state)
{
    struct fixture *fixture = *state;
    assert_true(read_config(fixture, RAGGED
                            "batch_input { kind: BATCH_ITEM_SHAPE target_name: 's' data_type: "
                            "TYPE_INT32 source_input: 'r' }\n"
                            "batch_input { kind: BATCH_ELEMENT_COUNT target_name: ['n', 'm'] "
                            "data_type: TYPE_FP32 source_input: 'r' }\n"
                            "batch_output { target_name: 'o' source_input: 'r' }"));
    const struct model_config *config = &fixture->config;
    const struct shaping *shaping = &config->shaping;
    assert_int_equal(config->input_count, 4);
    assert_true(config->inputs[0].any_rank && !config->inputs[1].any_rank);
    expect(&config->inputs[1].shape, "[-1,2]");
    expect(&config->inputs[3].shape, "[-1]");
    assert_int_equal(config->inputs[3].datatype, TENSORD_FP32);
    assert_true(config->outputs[0].any_rank);
    assert_int_equal(shaping->batch_input_count, 3);
    assert_int_equal(shaping->batch_inputs[2].kind, BATCH_ELEMENT_COUNT);
    assert_true(span_equal(shaping->batch_inputs[2].name, SPAN("m")));
    assert_int_equal(shaping->tensor_count, 2);
    assert_int_equal(shaping->tensors[0].kind, SHAPED_RAGGED);
    expect(&shaping->tensors[0].client, "[-1,-1,2]");
    assert_int_equal(shaping->tensors[1].kind, SHAPED_SCATTERED);
    assert_true(span_equal(shaping->tensors[1].source, SPAN("r")));
}

static void impossible_reshapes_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *input, *words;
    } cases[] = {
        {"dims: 2 reshape { }", "'x' cannot be reshaped from [-1,2] to [-1]"},
        {"dims: 2 reshape { shape: 0 }", "not -1 or above 0"},
        {"dims: -1 reshape { shape: 4 }", "cannot be reshaped"},
        {"dims: 1 reshape { shape: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1] }", "too many dimensions"},
        {"dims: 1 reshape { } allow_ragged_batch: true", "one dimension"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300];
        snprintf(text, sizeof text, "max_batch_size: 4 input { name: 'x' data_type: TYPE_FP32 %s }",
                 cases[i].input);
        refuses(fixture, text, cases[i].words);
    }
}

static void what_batches_cannot_be_made_of_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *more, *words;
    } cases[] = {
        {"batch_input { target_name: 'n' data_type: TYPE_INT32 }", "takes one 'source_input'"},
        {"batch_input { target_name: 'n' data_type: TYPE_INT64 source_input: 'r' }",
         "TYPE_INT32 or TYPE_FP32"},
        {"batch_input { target_name: 'n' data_type: TYPE_INT32 source_input: 'q' }",
         "'q' of 'batch_input' is no input"},
        {"batch_input { target_name: 'r' data_type: TYPE_INT32 source_input: 'r' }",
         "another input's"},
        {"batch_output { target_name: 'q' source_input: 'r' }", "'q' of 'batch_output'"},
        {"batch_output { target_name: 'o' source_input: 'o' }", "is no input"},
        {"batch_output { target_name: ['o', 'o'] source_input: 'r' }", "second 'batch_output'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[500];
        snprintf(text, sizeof text, RAGGED "%s", cases[i].more);
        refuses(fixture, text, cases[i].words);
    }
    refuses(fixture, "input { name: 'r' data_type: TYPE_FP32 dims: 1 allow_ragged_batch: true }",
            "'max_batch_size' above 0");
}

static void what_is_not_done_with_others_is_said(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {
        RAGGED "sequence_batching { }",
        "platform: 'ensemble' input { name: 'x' data_type: TYPE_FP32 dims: 1 reshape { } }\n"
        "max_batch_size: 4 output { name: 'y' data_type: TYPE_FP32 dims: 1 }\n"
        "ensemble_scheduling { step { model_name: 'm' input_map { key: 'a' value: 'x' } output_map "
        "{ key: 'b' value: 'y' } } }",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_false(read_config(fixture, texts[i]));
        assert_int_equal(fixture->error.code, ERROR_UNIMPLEMENTED);
    }
}

static bool read_yaml(struct fixture *fixture, const char *text)
{
    return model_config_read(MODEL_CONFIG_YAML, span_of(text), &fixture->arena, &fixture->config,
                             &fixture->error);
}

static void padding_counts_its_dimension_behind_the_rows(void **state)
{
    struct fixture *fixture = *state;
    assert_true(read_yaml(fixture,
                          "max_batch_size: 4\n"
                          "scheduling:\n"
                          "  padding:\n"
                          "    - {input: [a, b], dim: 1, sizes: [4, 8], value: -1, output: "
                          "[c]}\n"
                          "    - {input: [d], sizes: [16]}\n"));
    const struct shaping *shaping = &fixture->config.shaping;
    assert_int_equal(shaping->padding_count, 2);
    const struct padding *first = &shaping->paddings[0];
    assert_true(first->input_count == 2 && first->output_count == 1 && first->dim == 2);
    assert_true(first->size_count == 2 && first->sizes[1] == 8 && first->value == -1);
    assert_int_equal(shaping->paddings[1].dim, 1);
}

static void impossible_paddings_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"scheduling: {padding: [{input: [a], sizes: [4]}]}", "'max_batch_size' above 0"},
        {"max_batch_size: 1\nscheduling: {padding: [{sizes: [4]}]}", "needs an 'input'"},
        {"max_batch_size: 1\nscheduling: {padding: [{input: [a]}]}", "needs 'sizes'"},
        {"max_batch_size: 1\nscheduling: {padding: [{input: [a], sizes: [0]}]}", "ascend"},
        {"max_batch_size: 1\nscheduling: {padding: [{input: [a], sizes: [8, 8]}]}", "ascend"},
        {"max_batch_size: 1\nscheduling: {padding: [{input: [a], sizes: [9999999]}]}", "ascend"},
        {"max_batch_size: 1\nscheduling: {padding: [{input: [a], sizes: [4], dim: 15}]}", "'dim'"},
        {"max_batch_size: 1\nscheduling: {padding: [{input: [a, a], sizes: [4]}]}", "twice"},
        {"max_batch_size: 1\nscheduling: {padding: [{input: [a], sizes: [4]}, {input: [a], sizes: "
         "[4]}]}",
         "twice"},
        {"max_batch_size: 1\ninput: [{name: a, data_type: TYPE_FP32, dims: [-1], "
         "allow_ragged_batch: true}]\nscheduling: {padding: [{input: [a], sizes: [4]}]}",
         "reshaped or ragged"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(read_yaml(fixture, cases[i].text));
        assert_int_equal(fixture->error.code, ERROR_INVALID_ARGUMENT);
        if (!strstr(fixture->error.message, cases[i].words))
            fail_msg("'%s' does not say '%s'", fixture->error.message, cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reshaped_tensors_have_the_models_shape, setup, teardown),
        cmocka_unit_test_setup_teardown(without_rows_a_reshape_is_of_the_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_ragged_is_declared_as_the_model_has_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(impossible_reshapes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_batches_cannot_be_made_of_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(padding_counts_its_dimension_behind_the_rows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(impossible_paddings_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_done_with_others_is_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
