/* Unit tests of repository/model_yaml.h. */
#include "codec/model_config.pb.h"
#include "codec/model_sections.pb.h"
#include "repository/model_yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct error error;
    struct inference_model_config config;
    struct tensord_model_sections sections;
};

static int setup(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    arena_init(&fixture.arena, 4096, 1 << 20);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&((struct fixture *)*state)->arena);
    return 0;
}

static bool read_yaml(struct fixture *fixture, struct span text)
{
    const struct model_yaml_target targets[] = {{&inference_model_config_pb, &fixture->config},
                                                {&tensord_model_sections_pb, &fixture->sections}};
    memset(&fixture->config, 0, sizeof fixture->config);
    memset(&fixture->sections, 0, sizeof fixture->sections);
    return model_yaml_read(targets, 2, text, &fixture->arena, &fixture->error);
}

static void accepts(struct fixture *fixture, const char *text)
{
    if (!read_yaml(fixture, span_of(text)))
        fail_msg("%s", fixture->error.message);
}

static void refuses(struct fixture *fixture, const char *text, const char *sentence)
{
    assert_false(read_yaml(fixture, span_of(text)));
    assert_string_equal(fixture->error.message, sentence);
}

static bool is(struct span span, const char *text)
{
    return span_equal(span, span_of(text));
}

static void a_config_is_read(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "# a comment\n"
                     "backend: onnxruntime\n"
                     "max_batch_size: 8\n"
                     "input:\n"
                     "  - name: x\n"
                     "    data_type: TYPE_FP32\n"
                     "    dims: [-1, 16]\n"
                     "  - {name: \"y\", dims: []}\n"
                     "parameters:\n"
                     "  threads: {string_value: '4'}\n"
                     "  mode: {}\n"
                     "dynamic_batching:\n"
                     "  max_queue_delay_microseconds: 100\n"
                     "  priority_queue_policy: {7: {timeout_action: DELAY}}\n");
    const struct inference_model_config *config = &fixture->config;
    assert_true(is(config->backend, "onnxruntime"));
    assert_int_equal(config->max_batch_size, 8);
    assert_int_equal(config->input.count, 2);
    assert_int_equal(config->input.items[0].data_type, INFERENCE_TYPE_FP32);
    assert_int_equal(config->input.items[0].dims.count, 2);
    assert_int_equal(config->input.items[0].dims.items[0], -1);
    assert_true(is(config->input.items[1].name, "y"));
    assert_int_equal(config->parameters.count, 2);
    assert_true(is(config->parameters.items[0].key, "threads"));
    assert_true(is(config->parameters.items[0].value->string_value, "4"));
    assert_non_null(config->parameters.items[1].value);
    assert_int_equal(config->dynamic_batching->max_queue_delay_microseconds, 100);
    assert_int_equal(config->dynamic_batching->priority_queue_policy.items[0].key, 7);
}

static void nothing_is_the_empty_message(void **state)
{
    accepts(*state, "");
    accepts(*state, "# only a comment\n");
    accepts(*state, "---\n");
    accepts(*state, "{}");
    assert_true(read_yaml(*state, (struct span){NULL, 0}));
}

static void unknown_keys_are_refused_with_a_suggestion(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, "name: m\nmax_batchsize: 8\n",
            "line 2: unknown key 'max_batchsize'; did you mean 'max_batch_size'?");
    refuses(fixture, "input:\n  - nam: x\n", "line 2: unknown key 'nam'; did you mean 'name'?");
    refuses(fixture, "input: [{python: x}]", "line 1: unknown key 'python'");
}

static void sections_within_sections_may_be_short_too(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "rollout: {weights: {1: 95, 2: 5}, shadow: 3}\n");
    const struct tensord_rollout_section *rollout = fixture->sections.rollout;
    assert_int_equal(rollout->weights.count, 2);
    assert_int_equal(rollout->weights.items[1].key, 2);
    assert_int_equal(rollout->weights.items[1].value, 5);
    assert_int_equal(rollout->shadow->version, 3);
    assert_false(rollout->shadow->has_share);
    accepts(fixture, "rollout: {shadow: {version: 3, share: 0.25}}\n");
    assert_true(fixture->sections.rollout->shadow->has_share);
    refuses(fixture, "rollout: 2\n", "line 1: 'rollout' must be a mapping");
    refuses(fixture, "rollout: {shadow: [2]}\n", "line 1: 'shadow' must be a mapping");
    refuses(fixture, "rollout: {weigths: {1: 1}}\n",
            "line 1: unknown key 'weigths'; did you mean 'weights'?");
}

static void sections_of_our_own_are_read(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "name: m\npython: {version: '3.12', requirements: [a==1, b]}\nbackend: x\n");
    assert_true(is(fixture->config.name, "m") && is(fixture->config.backend, "x"));
    const struct tensord_python_section *python = fixture->sections.python;
    assert_true(is(python->version, "3.12") && python->requirements.count == 2);
    assert_true(is(python->requirements.items[1], "b"));
    accepts(fixture, "python: '3.11'\n");
    assert_true(is(fixture->sections.python->version, "3.11"));
    refuses(fixture, "python: '3.11'\nname: m\npython: {}\n",
            "line 3: key 'python' is given twice");
    refuses(fixture, "name: m\npython: {}\nname: n\n", "line 3: key 'name' is given twice");
    refuses(fixture, "python: {verson: 3}\n",
            "line 1: unknown key 'verson'; did you mean 'version'?");
    refuses(fixture, "python: [x]\n", "line 1: 'python' must be a mapping");
}

static void values_of_the_wrong_kind_are_refused(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, "max_batch_size: eight",
            "line 1: 'max_batch_size' must be an integer that it can hold, not 'eight'");
    refuses(fixture, "max_batch_size: [8]", "line 1: 'max_batch_size' must be a single value");
    refuses(fixture, "max_batch_size: {a: 1}", "line 1: 'max_batch_size' must be a single value");
    refuses(fixture, "input: x", "line 1: 'input' must be a list");
    refuses(fixture, "input: {name: x}", "line 1: 'input' must be a list");
    refuses(fixture, "input: [x]", "line 1: 'input' must be a mapping");
    refuses(fixture, "input: [[x]]", "line 1: 'input' must be a mapping");
    refuses(fixture, "parameters: [x]", "line 1: 'parameters' must be a mapping");
    refuses(fixture, "parameters: {x: 1}", "line 1: 'parameters.x' must be a mapping");
    refuses(fixture, "rollout: {weights: {1: -1}}",
            "line 1: 'weights.1' must be an integer that it can hold, not '-1'");
    refuses(fixture, "rollout: {weights: {1: [2]}}", "line 1: 'weights.1' must be a single value");
    refuses(fixture, "optimization: 5", "line 1: 'optimization' must be a mapping");
    refuses(fixture, "- name: x", "line 1: the file must be a mapping of keys to values");
    refuses(fixture, "onnx", "line 1: the file must be a mapping of keys to values");
    refuses(fixture, "? [a]\n: b", "line 1: a key must be a single value");
    refuses(fixture, "? {a: b}\n: b", "line 1: a key must be a single value");
}

static void keys_may_stand_once(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, "name: a\nname: b\n", "line 2: key 'name' is given twice");
    refuses(fixture, "parameters:\n  k: {}\n  k: {}\n", "line 3: key 'k' is given twice");
    refuses(fixture, "dynamic_batching: {}\nsequence_batching: {}\n",
            "line 2: 'sequence_batching' excludes another choice that is given");
}

static void what_is_more_than_a_tree_is_refused(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, "name: &a x", "line 1: anchors and aliases are not supported");
    refuses(fixture, "input: &a [{name: x}]", "line 1: anchors and aliases are not supported");
    refuses(fixture, "input: [&a {}]", "line 1: anchors and aliases are not supported");
    refuses(fixture, "input: *a", "line 1: anchors and aliases are not supported");
    refuses(fixture, "name: !!str x", "line 1: tags are not supported");
    refuses(fixture, "name: a\n---\nname: b\n", "line 2: there is more than one document");
}

static void broken_yaml_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_false(read_yaml(fixture, SPAN("name: [a")));
    assert_true(span_starts_with(span_of(fixture->error.message), SPAN("line 1: ")));
    assert_false(read_yaml(fixture, SPAN("name: a\n\tb: c\n")));
    assert_true(span_starts_with(span_of(fixture->error.message), SPAN("line 2: ")));
    assert_false(read_yaml(fixture, SPAN("name: \xff")));
    assert_false(read_yaml(fixture, SPAN("name: a\0b")));
}

static void maps_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    static char text[1 << 15];
    size_t size = (size_t)snprintf(text, sizeof text, "metric_tags:\n");
    for (int i = 0; i < 1025; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, " k%d: v\n", i);
    refuses(fixture, text, "line 1026: 'metric_tags' has more than 1024 entries");
}

static void no_memory_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    arena_fini(&fixture->arena);
    arena_init(&fixture->arena, 64, 256);
    assert_false(read_yaml(fixture, SPAN("input: [{}, {}, {}, {}]")));
    assert_int_equal(fixture->error.code, ERROR_RESOURCE_EXHAUSTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_config_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_the_empty_message, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_keys_are_refused_with_a_suggestion, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(sections_within_sections_may_be_short_too, setup, teardown),
        cmocka_unit_test_setup_teardown(sections_of_our_own_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(values_of_the_wrong_kind_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_may_stand_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_more_than_a_tree_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_yaml_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(maps_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
