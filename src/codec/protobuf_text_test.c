/* Unit tests of codec/protobuf_text.h. */
#include "codec/model_config.pb.h"
#include "codec/protobuf_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct error error;
    struct inference_model_config config;
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

static bool read_text(struct fixture *fixture, const char *text)
{
    memset(&fixture->config, 0, sizeof fixture->config);
    return pb_text_read(&inference_model_config_pb, span_of(text), &fixture->arena,
                        &fixture->config, &fixture->error);
}

static void accepts(struct fixture *fixture, const char *text)
{
    if (!read_text(fixture, text))
        fail_msg("%s", fixture->error.message);
}

static void refuses(struct fixture *fixture, const char *text, const char *sentence)
{
    assert_false(read_text(fixture, text));
    assert_string_equal(fixture->error.message, sentence);
    assert_int_equal(fixture->error.code, ERROR_INVALID_ARGUMENT);
}

static bool is(struct span span, const char *text)
{
    return span_equal(span, span_of(text));
}

static void a_config_is_read(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "# a comment\n"
                     "name: \"m\"  platform: 'onnxruntime_onnx'\n"
                     "max_batch_size: 8\n"
                     "input [ { name: \"x\" data_type: TYPE_FP32 dims: [ -1, 0x10 ] },\n"
                     "        { name: \"y\", data_type: 9; dims: 3 dims: 010 } ]\n"
                     "output: < name: \"z\" >\n"
                     "instance_group { count: 2 kind: KIND_CPU }\n"
                     "parameters: { key: \"k\" value: { string_value: \"v\" } }\n"
                     "dynamic_batching { }\n");
    const struct inference_model_config *config = &fixture->config;
    assert_true(is(config->name, "m") && is(config->platform, "onnxruntime_onnx"));
    assert_int_equal(config->max_batch_size, 8);
    assert_int_equal(config->input.count, 2);
    assert_int_equal(config->input.items[0].data_type, INFERENCE_TYPE_FP32);
    assert_int_equal(config->input.items[0].dims.items[0], -1);
    assert_int_equal(config->input.items[0].dims.items[1], 16);
    assert_int_equal(config->input.items[1].data_type, INFERENCE_TYPE_INT64);
    assert_int_equal(config->input.items[1].dims.items[1], 8);
    assert_true(is(config->output.items[0].name, "z"));
    assert_int_equal(config->instance_group.items[0].kind, INFERENCE_MODEL_INSTANCE_GROUP_KIND_CPU);
    assert_true(is(config->parameters.items[0].value->string_value, "v"));
    assert_int_equal(config->which_scheduling_choice, 11);
}

static void nothing_is_the_empty_message(void **state)
{
    accepts(*state, "");
    accepts(*state, " # only a comment");
    accepts(*state, "input [] output { } parameters { }");
}

static void defaults_stay_unless_given(void **state)
{
    struct fixture *fixture = *state;
    fixture->config = (struct inference_model_config){.max_batch_size = -7};
    assert_true(pb_text_read(&inference_model_config_pb, SPAN("name: 'm'"), &fixture->arena,
                             &fixture->config, &fixture->error));
    assert_int_equal(fixture->config.max_batch_size, -7);
}

static void strings_are_unescaped_and_joined(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "name: \"a\\n\\x41\\101\\u00e9\\U0001F600\\\"\" # \"no\"\n 'b\\'' \"\"\n"
                     "platform: \"\"");
    assert_true(is(fixture->config.name, "a\nAA\xc3\xa9\xf0\x9f\x98\x80\"b'"));
    assert_int_equal(fixture->config.platform.size, 0);
}

static void numbers_are_read(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "sequence_batching { direct { minimum_slot_utilization: 0.5f } "
                     "max_sequence_idle_microseconds: 18446744073709551615 "
                     "control_input { control { fp32_false_true: [-inf, nan, 1e3] } } }");
    const struct inference_model_sequence_batching *batching = fixture->config.sequence_batching;
    assert_true(batching->direct->minimum_slot_utilization == 0.5f);
    assert_true(batching->max_sequence_idle_microseconds == UINT64_MAX);
    const float *numbers = batching->control_input.items[0].control.items[0].fp32_false_true.items;
    assert_true(isinf(numbers[0]) && numbers[0] < 0 && isnan(numbers[1]) && numbers[2] == 1000.0f);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, "name: 'm'\n  max_batchsize: 8",
            "line 2, column 3: unknown field 'max_batchsize'; did you mean 'max_batch_size'?");
    refuses(fixture, "zzzzzzzzzz: 1", "line 1, column 1: unknown field 'zzzzzzzzzz'");
    refuses(fixture, "input { data_type: TYPE_FP23 }",
            "line 1, column 20: 'data_type' has no value 'TYPE_FP23'; did you mean 'TYPE_FP32'?");
    refuses(fixture, "max_batch_size: 2147483648",
            "line 1, column 17: 'max_batch_size' must be an integer that it can hold, not "
            "'2147483648'");
    refuses(fixture, "max_batch_size: 1.5",
            "line 1, column 17: 'max_batch_size' must be an integer that it can hold, not '1.5'");
    refuses(fixture, "max_batch_size: 09",
            "line 1, column 17: 'max_batch_size' must be an integer that it can hold, not '09'");
    refuses(fixture, "model_transaction_policy { decoupled: yes }",
            "line 1, column 39: 'decoupled' must be true or false, not 'yes'");
    refuses(fixture, "name: m", "line 1, column 7: 'name' must be a string in quotes");
    refuses(fixture, "name 'm'", "line 1, column 6: ':' is missing after 'name'");
    refuses(fixture, "max_batch_size: ", "line 1, column 17: 'max_batch_size' has no value");
    refuses(fixture, "[x]: 1", "line 1, column 1: the name of a field is expected");
}

static void broken_structure_is_refused(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, "input { name: 'x'", "line 1, column 18: '}' is missing");
    refuses(fixture, "input < name: 'x' }", "line 1, column 19: the name of a field is expected");
    refuses(fixture, "}", "line 1, column 1: the name of a field is expected");
    refuses(fixture, "input [ { } { } ]", "line 1, column 13: ']' is missing");
    refuses(fixture, "input { dims: [ 1 2 ] }", "line 1, column 19: ']' is missing");
    refuses(fixture, "input: 5", "line 1, column 8: 'input' must be a message: input { … }");
    refuses(fixture, "name: 'a' name: 'b'", "line 1, column 11: 'name' is given twice");
    refuses(fixture, "max_batch_size: 0 max_batch_size: 0",
            "line 1, column 19: 'max_batch_size' is given twice");
    refuses(fixture, "dynamic_batching { } ensemble_scheduling { }",
            "line 1, column 22: 'ensemble_scheduling' excludes another choice that is given");
}

static void broken_strings_are_refused(void **state)
{
    struct fixture *fixture = *state;
    refuses(fixture, "name: 'a", "line 1, column 7: the string has no end on its line");
    refuses(fixture, "name: 'a\n'", "line 1, column 7: the string has no end on its line");
    refuses(fixture, "name: 'a\\", "line 1, column 7: the string has a bad escape");
    refuses(fixture, "name: '\\q'", "line 1, column 7: the string has a bad escape");
    refuses(fixture, "name: '\\777'", "line 1, column 7: the string has a bad escape");
    refuses(fixture, "name: '\\ud800'", "line 1, column 7: the string has a bad escape");
    refuses(fixture, "name: '\\u12'", "line 1, column 7: the string has a bad escape");
    assert_false(read_text(fixture, "name: '\xff'"));
    assert_non_null(strstr(fixture->error.message, "'name' is not UTF-8"));
}

/* A message that contains itself, which none of our files declares. */
struct nest {
    struct nest *nest;
};
static const struct pb_message nest_pb;
static const struct pb_field nest_fields[] = {
    {.number = 1, .type = PB_MESSAGE, .name = {"n", 1}, .message = &nest_pb}};
static const struct pb_message nest_pb = {.name = {"Nest", 4},
                                          .fields = nest_fields,
                                          .field_count = 1,
                                          .dense = 1,
                                          .size_bytes = sizeof(struct nest)};

static void nesting_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    static char text[3 * 100];
    struct nest nest = {NULL};
    memset(text, ' ', sizeof text);
    for (size_t i = 0; i < sizeof text; i += 3)
        text[i] = 'n', text[i + 1] = '{';
    assert_false(pb_text_read(&nest_pb, (struct span){text, sizeof text}, &fixture->arena, &nest,
                              &fixture->error));
    assert_string_equal(fixture->error.message, "line 1, column 191: messages nest too deep");
}

static void the_arena_limits_it(void **state)
{
    struct fixture *fixture = *state;
    arena_fini(&fixture->arena);
    arena_init(&fixture->arena, 64, 256);
    assert_false(read_text(fixture, "input {} input {} input {} input {}"));
    assert_int_equal(fixture->error.code, ERROR_RESOURCE_EXHAUSTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_config_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_the_empty_message, setup, teardown),
        cmocka_unit_test_setup_teardown(defaults_stay_unless_given, setup, teardown),
        cmocka_unit_test_setup_teardown(strings_are_unescaped_and_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said_with_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_structure_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_strings_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(nesting_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(the_arena_limits_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
