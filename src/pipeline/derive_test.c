/* What is derived from the models of a pipeline's steps, and what is said when they do not fit. */
#include "pipeline/derive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;
static struct pipeline_graph graph;
static struct pipeline_declared declared;
static struct schema schemas[4], schema;
static struct tensor_info infos[4][2];
static struct error error;

#define INFO(tensor, type, ...)                                                                    \
    {                                                                                              \
        .name = SPAN(tensor),                                                                      \
        .datatype = TENSORD_##type,                                                                \
        .shape = {sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t), {__VA_ARGS__}},                \
    }

static int set_up(void **state)
{
    arena_init(&arena, 1024, 1 << 20);
    pipeline_graph_init(&graph, &arena);
    memset(schemas, 0, sizeof schemas);
    schema = (struct schema){0};
    declared = (struct pipeline_declared){0};
    return 0;
}

static int tear_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

/* A step whose model takes and gives one tensor. */
static void step(const char *model, struct tensor_info in, const char *takes,
                 struct tensor_info out, const char *gives)
{
    size_t at = graph.step_count;
    assert_non_null(pipeline_add_step(&graph, SPAN(""), span_of(model), -1, &error));
    assert_true(pipeline_add_input(&graph, in.name, span_of(takes), &error));
    assert_true(pipeline_add_output(&graph, out.name, span_of(gives), &error));
    infos[at][0] = in;
    infos[at][1] = out;
    schemas[at] = (struct schema){
        .inputs = &infos[at][0], .input_count = 1, .outputs = &infos[at][1], .output_count = 1};
}

static bool derive(void)
{
    const struct schema *of[4] = {&schemas[0], &schemas[1], &schemas[2], &schemas[3]};
    schema = (struct schema){0};
    if (!graph.order)
        assert_true(pipeline_graph_finish(&graph, &error));
    return pipeline_derive(&graph, of, &declared, &arena, &schema, &error);
}

static void expect_refused(const char *sentence)
{
    assert_false(derive());
    assert_string_equal(error.message, sentence);
}

static const struct tensor_info x = INFO("x", FP32, -1, 4), y = INFO("y", FP32, -1, 4);

static void ends_of_a_chain_are_inputs_and_outputs(void **state)
{
    step("b", x, "between", y, "out");
    step("a", x, "in", y, "between");
    assert_true(derive());
    assert_int_equal(schema.input_count, 1);
    assert_true(span_equal(schema.inputs[0].name, SPAN("in")));
    assert_int_equal(schema.inputs[0].datatype, TENSORD_FP32);
    assert_int_equal(schema.inputs[0].shape.dims[1], 4);
    assert_int_equal(schema.output_count, 1);
    assert_true(span_equal(schema.outputs[0].name, SPAN("out")));
}

static void what_two_take_is_what_both_can(void **state)
{
    struct tensor_info wide = INFO("x", FP32, 2, -1);
    wide.optional = true;
    step("a", wide, "in", y, "p");
    step("b", x, "in", y, "q");
    assert_true(derive());
    assert_int_equal(schema.inputs[0].shape.dims[0], 2);
    assert_int_equal(schema.inputs[0].shape.dims[1], 4);
    assert_false(schema.inputs[0].optional);
    assert_true(graph.steps[0].inputs[0].optional);
    assert_int_equal(schema.output_count, 2);
}

static void what_does_not_fit_is_named(void **state)
{
    struct tensor_info five = INFO("x", FP32, -1, 5);
    step("a", x, "in", y, "between");
    step("b", five, "between", y, "out");
    expect_refused(
        "step 'b': 'x' of model 'b' is FP32 [-1,5], but tensor 'between', which step 'a' "
        "gives as 'y', is FP32 [-1,4]");
    infos[1][0] = (struct tensor_info)INFO("x", INT64, -1, 4);
    expect_refused("step 'b': 'x' of model 'b' is INT64 [-1,4], but tensor 'between', which step "
                   "'a' gives as 'y', is FP32 [-1,4]");
    infos[1][0] = (struct tensor_info)INFO("x", FP32, -1);
    assert_false(derive());
    infos[1][0].any_rank = true;
    assert_true(derive());
}

static void names_are_the_models_own(void **state)
{
    step("a", x, "in", y, "out");
    schemas[0].inputs = &(struct tensor_info)INFO("other", FP32, 1);
    expect_refused("step 'a': model 'a' has no input 'x'");
    schemas[0].inputs = &infos[0][0];
    schemas[0].outputs = &(struct tensor_info)INFO("other", FP32, 1);
    expect_refused("step 'a': model 'a' has no output 'y'");
    schemas[0].outputs = &infos[0][1];
    schemas[0].inputs = (struct tensor_info[]){x, INFO("more", FP32, 1)};
    schemas[0].input_count = 2;
    expect_refused("step 'a': model 'a' wants an input 'more', which it is not given");
    schemas[0].inputs[1].optional = true;
    assert_true(derive());
}

static void parts_are_of_any_number(void **state)
{
    struct tensor_info one = INFO("x", FP32, 1, 4), three = INFO("y", FP32, 3, 2);
    step("a", one, "in", three, "out");
    assert_true(pipeline_add_each(&graph, SPAN("in"), 1, &error));
    assert_true(derive());
    assert_int_equal(schema.inputs[0].shape.dims[0], -1);
    assert_int_equal(schema.outputs[0].shape.dims[0], -1);
    assert_int_equal(schema.outputs[0].shape.dims[1], 2);
    graph.steps[0].rows = 2;
    expect_refused("step 'a': 'x' of model 'a' takes 1 rows, and parts have 2");
    infos[0][1].shape.ndim = 0;
    graph.steps[0].rows = 1;
    expect_refused("step 'a': 'y' of model 'a' has no rows, so that it cannot be joined");
}

static void conditions_are_bool(void **state)
{
    const struct tensor_info flag = INFO("flag", BOOL, 1);
    step("a", x, "in", flag, "c");
    step("b", x, "in", y, "out");
    assert_true(pipeline_add_condition(&graph, SPAN("c"), false, &error));
    assert_true(derive());
    infos[0][1].datatype = TENSORD_UINT8;
    expect_refused("step 'b': its condition 'c' is UINT8, not BOOL");
    pipeline_graph_init(&graph, &arena);
    step("b", x, "in", y, "out");
    assert_true(pipeline_add_condition(&graph, SPAN("given"), true, &error));
    assert_true(derive());
    assert_int_equal(schema.input_count, 2);
    assert_int_equal(schema.inputs[1].datatype, TENSORD_BOOL);
}

static void two_branches_give_what_both_do(void **state)
{
    const struct tensor_info three = INFO("y", FP32, 3, 4);
    step("a", x, "in", y, "out");
    assert_true(pipeline_add_condition(&graph, SPAN("c"), false, &error));
    step("b", x, "in", three, "out");
    assert_true(pipeline_add_condition(&graph, SPAN("c"), true, &error));
    assert_true(derive());
    assert_int_equal(schema.output_count, 1);
    assert_int_equal(schema.outputs[0].shape.dims[0], -1);
}

static void what_is_declared_must_be_so(void **state)
{
    struct tensor_info in = INFO("in", FP32, 7, -1), out = INFO("between", FP32, -1, -1);
    step("a", x, "in", y, "between");
    step("b", x, "between", y, "out");
    declared = (struct pipeline_declared){&in, 1, &out, 1};
    assert_true(derive());
    assert_int_equal(schema.inputs[0].shape.dims[0], 7); /* it says more */
    assert_int_equal(schema.inputs[0].shape.dims[1], 4);
    assert_true(span_equal(schema.outputs[0].name, SPAN("between")));
    in.datatype = TENSORD_INT8;
    expect_refused("input 'in' is declared as INT8 [7,-1], but is FP32 [-1,4]");
    in.name = SPAN("between");
    expect_refused("input 'between' is given by a step, too");
    in.name = SPAN("other");
    expect_refused("no step takes the input 'other'");
    in = (struct tensor_info)INFO("in", FP32, -1, 4);
    in.optional = true;
    expect_refused("input 'in' is declared as optional, but a step needs it");
    in.optional = false;
    out.name = SPAN("in");
    expect_refused("no step gives the output 'in'");
}

static void an_input_that_is_not_declared_is_missing(void **state)
{
    const struct tensor_info in = INFO("in", FP32, -1, 4);
    step("a", x, "in", y, "between");
    step("b", x, "betwen", y, "out");
    declared = (struct pipeline_declared){&in, 1, NULL, 0};
    expect_refused("step 'b' takes 'betwen', which no step gives and which is no input");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ends_of_a_chain_are_inputs_and_outputs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_two_take_is_what_both_can, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_the_models_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_are_of_any_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(conditions_are_bool, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_branches_give_what_both_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_declared_must_be_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_input_that_is_not_declared_is_missing, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
