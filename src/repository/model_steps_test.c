/* Pipelines in configs, in both spellings, and what is said of wrong ones. */
#include "repository/model_steps.h"

#include "repository/config_fixture.h"

static const char whole[] = "steps:\n"
                            "- {model: m, version: 3, input: {X: a}, output: {Y: b}, when: c}\n"
                            "- {name: n, model: m, input: {X: b, Z: d}, output: {Y: e},\n"
                            "   for_each: [b, d], rows: 6}\n";

static void check_whole(const struct pipeline_graph *graph)
{
    assert_int_equal(graph->step_count, 2);
    const struct pipeline_step *first = &graph->steps[0], *second = &graph->steps[1];
    assert_true(span_equal(first->name, SPAN("m")) && span_equal(second->name, SPAN("n")));
    assert_int_equal(first->version, 3);
    assert_int_equal(second->version, -1);
    assert_int_equal(first->condition, pipeline_tensor_named(graph, SPAN("c")));
    assert_int_equal(first->rows, 0);
    assert_int_equal(second->rows, 6);
    assert_true(second->inputs[0].each && second->inputs[1].each);
}

static void steps_are_read(void **state)
{
    accepts_yaml(whole);
    check_whole(config.pipeline);
}

static void an_ensemble_is_the_same(void **state)
{
    accepts_pbtxt("platform: 'ensemble' ensemble_scheduling { max_inflight_requests: 3 step { "
                  "model_name: 'm' model_version: -1 input_map { key: 'X' value: 'a' } "
                  "output_map { key: 'Y' value: 'b' } } }");
    assert_int_equal(config.pipeline->at_once, 3);
    assert_int_equal(config.pipeline->steps[0].version, -1);
    assert_true(span_equal(config.pipeline->steps[0].outputs[0].name, SPAN("Y")));
    assert_int_equal(config.engine.size, 0);
}

static void they_cross_as_bytes(void **state)
{
    struct pipeline_graph other;
    struct buf buf;
    buf_init(&buf, 1 << 16);
    accepts_yaml(whole);
    model_steps_pack(config.pipeline, &buf);
    struct unpack unpack = {.rest = buf_span(&buf), .arena = &arena};
    model_steps_unpack(&unpack, &other);
    assert_true(unpack_end(&unpack));
    check_whole(&other);
    for (size_t size = 0; size < buf.size; size++) {
        struct unpack cut = {.rest = {buf.data, size}, .arena = &arena};
        model_steps_unpack(&cut, &other);
        assert_false(unpack_end(&cut));
    }
    buf_fini(&buf);
}

static void what_is_wrong_is_said(void **state)
{
    refuses_yaml("steps: []\nensemble_scheduling: {step: []}\n", "a pipeline has no steps");
    refuses_yaml("steps: [{output: {Y: b}}]\n", "the model of a step has no name");
    refuses_yaml("steps: [{model: m, version: -2, output: {Y: b}}]\n", "a version is 1 or above");
    refuses_yaml("steps: [{model: m, rows: 2, output: {Y: b}}]\n", "'rows' says how many rows");
    refuses_yaml("steps: [{model: m, for_each: [a], output: {Y: b}}]\n", "no input of it is 'a'");
    refuses_yaml("steps: [{model: m, output: {Y: b}, when: c, unless: c}]\n", "another condition");
    refuses_yaml("steps: m\n", "'steps' must be a list");
    refuses_yaml("steps: [{model: m, output: {Y: b}}]\nbackend: onnxruntime\n",
                 "a pipeline excludes 'backend'");
    refuses_yaml("steps: [{model: m, output: {Y: b}}]\nensemble_scheduling: {}\n",
                 "'steps' excludes 'ensemble_scheduling'");
    refuses_yaml("ensemble_scheduling: {step: [{model_name: m, model_namespace: n}]}\n",
                 "'model_namespace' is not supported");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(steps_are_read),
        ARENA_TEST(an_ensemble_is_the_same),
        ARENA_TEST(they_cross_as_bytes),
        ARENA_TEST(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
