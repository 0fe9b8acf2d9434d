/* Unit tests of repository/model_sequences.h: what the section says, what is refused, and its way
 * as bytes. */
#include "repository/model_sequences.h"

#include "repository/config_fixture.h"

#include <stdio.h>

static const char full[] =
    "max_batch_size: 8\n"
    "input { name: \"x\" data_type: TYPE_FP32 dims: 4 }\n"
    "output { name: \"y\" data_type: TYPE_FP32 dims: 4 }\n"
    "output { name: \"shown\" data_type: TYPE_FP32 dims: 2 }\n"
    "sequence_batching {\n"
    "  max_sequence_idle_microseconds: 5\n"
    "  oldest { max_candidate_sequences: 3 preferred_batch_size: 4 max_queue_delay_microseconds: "
    "2000 }\n"
    "  control_input { name: \"s\" control { kind: CONTROL_SEQUENCE_START int32_false_true: [0, 7] "
    "} }\n"
    "  control_input { name: \"r\" control { kind: CONTROL_SEQUENCE_READY fp32_false_true: [0, 1] "
    "} }\n"
    "  control_input { name: \"e\" control { kind: CONTROL_SEQUENCE_END bool_false_true: [true, "
    "false] } }\n"
    "  control_input { name: \"c\" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_STRING "
    "} }\n"
    "  state { input_name: \"a\" output_name: \"b\" data_type: TYPE_FP32 dims: [-1, 2]\n"
    "    initial_state { name: \"i\" data_type: TYPE_FP32 dims: [3, 2] zero_data: true } }\n"
    "  state { input_name: \"t\" output_name: \"shown\" data_type: TYPE_FP32 dims: 2\n"
    "    initial_state { data_type: TYPE_FP32 dims: 2 data_file: \"f\" } }\n"
    "}\n";

static void expect_full(const struct model_sequences *sequences)
{
    const float one = 1;
    assert_int_equal(sequences->strategy, SEQUENCES_OLDEST);
    assert_int_equal(sequences->candidates, 3);
    assert_int_equal(sequences->idle_us, 5);
    assert_int_equal(sequences->control_count, 4);
    assert_int_equal(sequences->controls[0].datatype, TENSORD_INT32);
    assert_int_equal(sequences->controls[0].values[1], 7);
    assert_int_equal(sequences->controls[1].datatype, TENSORD_FP32);
    assert_memory_equal(&sequences->controls[1].values[1], &one, sizeof one);
    assert_int_equal(sequences->controls[2].kind, CONTROL_END);
    assert_int_equal(sequences->controls[2].values[0], 1);
    assert_int_equal(sequences->controls[2].values[1], 0);
    assert_int_equal(sequences->controls[3].datatype, TENSORD_BYTES);
    assert_int_equal(sequences->state_count, 2);
    assert_int_equal(sequences->states[0].shape.dims[0], -1);
    assert_int_equal(sequences->states[0].initial_shape.dims[0], 3);
    assert_false(sequences->states[0].shown);
    assert_true(sequences->states[1].shown);
    assert_true(span_equal(sequences->states[1].initial_file, SPAN("f")));
}

static void all_that_it_says(void **state)
{
    accepts_pbtxt(full);
    expect_full(config.sequences);
    assert_int_equal(config.queue->preferred_rows[0], 4);
    assert_int_equal(config.queue->delay_ns, 2000000);
    /* the engine is told of what clients are not */
    assert_int_equal(config.input_count, 7);
    assert_int_equal(config.output_count, 3);
    assert_true(span_equal(config.outputs[2].name, SPAN("b")));
    assert_int_equal(config.inputs[5].shape.ndim, 3);
}

static void it_crosses_as_bytes(void **state)
{
    struct buf buf;
    struct model_sequences again;
    accepts_pbtxt(full);
    config.sequences->states[1].initial = (struct span){"\0\1", 2};
    buf_init(&buf, 4096);
    model_sequences_pack(config.sequences, &buf);
    struct unpack unpack = {.rest = buf_span(&buf), .arena = &arena};
    model_sequences_unpack(&unpack, &again);
    assert_true(unpack_end(&unpack));
    expect_full(&again);
    assert_int_equal(again.states[1].initial.size, 2);
    expect_full(model_sequences_copy(&arena, &again));
    for (size_t size = 0; size < buf.size; size++) {
        unpack = (struct unpack){.rest = {buf.data, size}, .arena = &arena};
        model_sequences_unpack(&unpack, &again);
        assert_false(unpack_end(&unpack));
    }
    buf_fini(&buf);
}

static void little_will_do(void **state)
{
    accepts_pbtxt("sequence_batching { state { input_name: \"a\" output_name: \"b\" } }");
    assert_int_equal(config.sequences->strategy, SEQUENCES_ANY);
    assert_int_equal(config.sequences->idle_us, MODEL_SEQUENCE_IDLE_US);
    assert_false(config.sequences->states[0].shaped);
    assert_int_equal(config.input_count, 0);
    accepts_pbtxt("sequence_batching { direct { minimum_slot_utilization: 0.5 } }");
    assert_int_equal(config.sequences->strategy, SEQUENCES_DIRECT);
    assert_int_equal(config.sequences->least_percent, 50);
}

static void what_cannot_be_is_refused(void **state)
{
    static const char *const texts[][2] = {
        {"control_input { name: \"x\" }", "one 'control'"},
        {"control_input { control { kind: CONTROL_SEQUENCE_END bool_false_true: [false, true] } }",
         "has a name"},
        {"control_input { name: \"x\" control { kind: CONTROL_SEQUENCE_END } }", "with two values"},
        {"control_input { name: \"x\" control { bool_false_true: [true] fp32_false_true: 1 } }",
         "with two values"},
        {"control_input { name: \"x\" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_FP32 "
         "} }",
         "CONTROL_SEQUENCE_CORRID has a data_type"},
        {"control_input { name: \"x\" control { bool_false_true: [false, true] } }"
         "control_input { name: \"y\" control { bool_false_true: [false, true] } }",
         "of the same kind"},
        {"state { input_name: \"a\" }", "an 'input_name' and an 'output_name'"},
        {"state { input_name: \"a\" output_name: \"b\" dims: 0 }", "dims must be -1 or above 0"},
        {"state { input_name: \"a\" output_name: \"b\" use_growable_memory: true }",
         "'use_growable_memory'"},
        {"state { input_name: \"a\" output_name: \"b\" } state { input_name: \"a\" output_name: "
         "\"c\" }",
         "the same input or output"},
        {"state { input_name: \"a\" output_name: \"b\" initial_state { zero_data: true dims: -1 } "
         "}",
         "dims of 1 or above"},
        {"state { input_name: \"a\" output_name: \"b\" dims: 2 initial_state { zero_data: true "
         "dims: 3 } }",
         "other dims"},
        {"state { input_name: \"a\" output_name: \"b\" data_type: TYPE_FP32"
         " initial_state { zero_data: true dims: 3 data_type: TYPE_INT8 } }",
         "another data_type"},
        {"state { input_name: \"a\" output_name: \"b\" initial_state { dims: 3 } }",
         "'zero_data: true' or"},
        {"state { input_name: \"a\" output_name: \"b\" initial_state { dims: 3 data_file: \"../x\" "
         "} }",
         "without a path"},
        {"state { input_name: \"a\" output_name: \"b\" initial_state { zero_data: true }"
         " initial_state { zero_data: true } }",
         "more than one 'initial_state'"},
        {"oldest { max_candidate_sequences: -1 }", "'max_candidate_sequences' is 1 to"},
        {"oldest { max_candidate_sequences: 65537 }", "'max_candidate_sequences' is 1 to"},
        {"oldest { preferred_batch_size: -1 }", "each 'preferred_batch_size'"},
        {"direct { minimum_slot_utilization: 1.5 }", "0 to 1"},
        {"iterative_sequence: true", "'iterative_sequence'"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[512];
        snprintf(text, sizeof text, "sequence_batching { %s }", texts[i][0]);
        refuses_pbtxt(text, texts[i][1]);
    }
}

static void what_it_excludes(void **state)
{
    static const char *const texts[] = {
        "response_cache { enable: true } sequence_batching { }",
        "max_batch_size: 65 sequence_batching { direct { } }",
        "platform: \"ensemble\" sequence_batching { } ensemble_scheduling { }",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refuses_pbtxt(texts[i], "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(all_that_it_says), ARENA_TEST(it_crosses_as_bytes),
        ARENA_TEST(little_will_do),   ARENA_TEST(what_cannot_be_is_refused),
        ARENA_TEST(what_it_excludes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
