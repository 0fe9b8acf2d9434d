/* Graphs that are sound, and what is said of those that are not. */
#include "pipeline/graph_fixture.h"

static void expect_refused(const char *sentence)
{
    assert_false(pipeline_graph_finish(&graph, &error));
    assert_string_equal(error.message, sentence);
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
}

static void steps_are_put_in_order(void **state)
{
    assert_true(step("c", "y", "z") && step("b", "x", "y") && step("a", "w", "x"));
    assert_true(pipeline_graph_finish(&graph, &error));
    assert_int_equal(graph.order[0], 2);
    assert_int_equal(graph.order[1], 1);
    assert_int_equal(graph.order[2], 0);
    assert_true(pipeline_is_input(&graph.tensors[pipeline_tensor_named(&graph, SPAN("w"))]));
    assert_false(pipeline_is_input(&graph.tensors[pipeline_tensor_named(&graph, SPAN("x"))]));
    assert_int_equal(pipeline_tensor_named(&graph, SPAN("q")), PIPELINE_NO_TENSOR);
}

static void a_model_that_is_used_twice_has_two_names(void **state)
{
    assert_true(step("m", "x", "y") && step("m", "y", "z") && step("m", "z", "w"));
    assert_memory_equal(graph.steps[0].name.data, "m", 2);
    assert_memory_equal(graph.steps[1].name.data, "m-2", 4);
    assert_memory_equal(graph.steps[2].name.data, "m-3", 4);
    assert_null(pipeline_add_step(&graph, SPAN("m-3"), SPAN("m"), -1, &error));
    assert_string_equal(error.message, "there are two steps with the name 'm-3'");
}

static void circles_are_shown(void **state)
{
    assert_true(step("before", "x", "first") && step("a", "first", "p"));
    assert_true(pipeline_add_input(&graph, SPAN("more"), SPAN("r"), &error));
    assert_true(step("b", "p", "q") && step("c", "q", "r") && step("behind", "q", "s"));
    expect_refused("steps wait for each other in a circle: b <- a <- c <- b");
}

static void a_step_does_not_wait_for_itself(void **state)
{
    assert_true(step("a", "x", "x"));
    expect_refused("steps wait for each other in a circle: a <- a");
}

static void long_circles_are_cut(void **state)
{
    char name[400];
    memset(name, 'n', sizeof name);
    assert_false(step("a", "x", (name[257] = '\0', name)));
    assert_string_equal(error.message, "the name of a tensor of a step is longer than 256 bytes");
    pipeline_graph_init(&graph, &arena);
    for (int i = 0; i < 20; i++) {
        char model[256], takes[16], gives[16];
        snprintf(model, sizeof model, "%0200d", i);
        snprintf(takes, sizeof takes, "t%d", (i + 1) % 20);
        snprintf(gives, sizeof gives, "t%d", i);
        assert_true(step(model, takes, gives));
    }
    assert_false(pipeline_graph_finish(&graph, &error));
}

static void a_tensor_has_one_giver(void **state)
{
    assert_true(step("a", "x", "y") && step("b", "x", "y"));
    expect_refused("steps 'a' and 'b' both give the tensor 'y'");
}

static void unless_exactly_one_of_two_runs(void **state)
{
    assert_true(step("a", "x", "y"));
    assert_true(pipeline_add_condition(&graph, SPAN("c"), false, &error));
    assert_true(step("b", "x", "y"));
    assert_true(pipeline_add_condition(&graph, SPAN("c"), true, &error));
    assert_true(pipeline_graph_finish(&graph, &error));
    assert_true(step("d", "x", "y"));
    assert_true(pipeline_add_condition(&graph, SPAN("c"), true, &error));
    assert_false(pipeline_add_condition(&graph, SPAN("c"), false, &error));
    assert_string_equal(error.message, "step 'd': it has another condition beside 'c'");
    expect_refused("steps 'a' and 'a' both give the tensor 'y'");
}

static void parts_are_of_inputs(void **state)
{
    assert_true(step("a", "x", "y"));
    assert_true(pipeline_add_each(&graph, SPAN("x"), 3, &error));
    assert_true(graph.steps[0].inputs[0].each);
    assert_int_equal(graph.steps[0].rows, 3);
    assert_false(pipeline_add_each(&graph, SPAN("y"), 3, &error));
    assert_string_equal(error.message, "step 'a': no input of it is 'y'");
    assert_false(pipeline_add_each(&graph, SPAN("x"), 0, &error));
    assert_false(pipeline_add_each(&graph, SPAN("x"), PIPELINE_MAX_ROWS + 1, &error));
}

static void what_is_missing_is_said(void **state)
{
    assert_false(pipeline_graph_finish(&graph, &error));
    assert_string_equal(error.message, "a pipeline has no steps");
    assert_null(pipeline_add_step(&graph, SPAN("a"), SPAN(""), -1, &error));
    assert_string_equal(error.message, "the model of a step has no name");
    assert_non_null(pipeline_add_step(&graph, SPAN("a"), SPAN("m"), -1, &error));
    assert_false(pipeline_add_input(&graph, SPAN(""), SPAN("x"), &error));
    assert_false(pipeline_add_input(&graph, SPAN("in"), SPAN(""), &error));
    assert_true(pipeline_add_input(&graph, SPAN("in"), SPAN("x"), &error));
    assert_false(pipeline_add_input(&graph, SPAN("in"), SPAN("z"), &error));
    assert_string_equal(error.message, "step 'a': there are two tensors for 'in'");
    expect_refused("step 'a' gives nothing: it has no 'output'");
}

static void there_are_limits(void **state)
{
    graph.at_once = PIPELINE_MAX_AT_ONCE + 1;
    assert_true(step("a", "x", "y"));
    expect_refused("'max_inflight_requests' must be at most 256");
    pipeline_graph_init(&graph, &arena);
    for (int i = 0; i < PIPELINE_MAX_STEPS; i++) {
        char gives[16];
        snprintf(gives, sizeof gives, "t%d", i);
        assert_true(step("a", "x", gives));
    }
    assert_false(step("a", "x", "more"));
    assert_string_equal(error.message, "a pipeline has at most 256 steps");
    for (int i = 0; i < PIPELINE_MAX_TENSORS - PIPELINE_MAX_STEPS - 1; i++) {
        char name[16];
        snprintf(name, sizeof name, "i%d", i);
        assert_true(pipeline_add_input(&graph, span_of(name), span_of(name), &error));
    }
    assert_false(pipeline_add_input(&graph, SPAN("more"), SPAN("more"), &error));
    assert_string_equal(error.message, "a pipeline has at most 1024 tensors");
    for (size_t i = graph.edge_count; i < PIPELINE_MAX_EDGES; i++) {
        char name[16];
        snprintf(name, sizeof name, "j%zu", i);
        assert_true(pipeline_add_input(&graph, span_of(name), SPAN("x"), &error));
    }
    assert_false(pipeline_add_input(&graph, SPAN("more"), SPAN("x"), &error));
}

static void a_copy_is_whole(void **state)
{
    struct arena other;
    struct pipeline_graph copy;
    arena_init(&other, 1024, 1 << 20);
    assert_true(step("b", "y", "z") && step("a", "x", "y"));
    assert_true(pipeline_add_condition(&graph, SPAN("c"), true, &error));
    assert_true(pipeline_graph_finish(&graph, &error));
    assert_true(pipeline_graph_copy(&graph, &other, &copy));
    arena_fini(&arena);
    assert_int_equal(copy.order[0], 1);
    assert_int_equal(copy.steps[1].condition, pipeline_tensor_named(&copy, SPAN("c")));
    assert_true(span_equal(copy.steps[0].inputs[0].name, SPAN("in")));
    arena_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(steps_are_put_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_model_that_is_used_twice_has_two_names, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(circles_are_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_step_does_not_wait_for_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_circles_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tensor_has_one_giver, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unless_exactly_one_of_two_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_are_of_inputs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_missing_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_are_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_copy_is_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
