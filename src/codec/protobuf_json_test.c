/* Unit tests of codec/protobuf_json.h. */
#include "codec/protobuf_json.h"

#include "codec/model_config.pb.h"
#include "codec/protobuf_text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The config of that text as JSON contains all of `parts`, which ends with NULL. */
static void assert_written(const char *text, const char *const *parts)
{
    struct inference_model_config config = {0};
    struct arena arena;
    struct error error;
    struct buf buf;
    struct json_writer json;
    arena_init(&arena, 4096, 1 << 20);
    buf_init(&buf, 1 << 20);
    json_writer_init(&json, &buf);
    if (!pb_text_read(&inference_model_config_pb, span_of(text), &arena, &config, &error))
        fail_msg("%s", error.message);
    assert_true(pb_json_write(&inference_model_config_pb, &config, &json));
    buf_append_char(&buf, '\0');
    for (; *parts; parts++) {
        if (!strstr(buf.data, *parts))
            fail_msg("%s is not in %s", *parts, buf.data);
    }
    buf_fini(&buf);
    arena_fini(&arena);
}

static void scalars_and_lists_are_written_when_empty(void **state)
{
    assert_written("", (const char *[]){"{\"name\":\"\",", "\"max_batch_size\":0,", "\"input\":[],",
                                        "\"parameters\":{},", "\"metric_tags\":{}", NULL});
}

static void what_is_not_set_is_left_out(void **state)
{
    struct inference_model_config config = {0};
    struct buf buf;
    struct json_writer json;
    buf_init(&buf, 1 << 20);
    json_writer_init(&json, &buf);
    assert_true(pb_json_write(&inference_model_config_pb, &config, &json));
    buf_append_char(&buf, '\0');
    assert_null(strstr(buf.data, "dynamic_batching"));
    assert_null(strstr(buf.data, "sequence_batching"));
    assert_null(strstr(buf.data, "version_policy"));
    buf_fini(&buf);
}

static void each_kind_of_value_has_its_spelling(void **state)
{
    assert_written(
        "name: 'm\\n' max_batch_size: 8 "
        "input { name: 'x' data_type: TYPE_FP32 dims: -1 dims: 4 optional: true } "
        "dynamic_batching { max_queue_delay_microseconds: 9007199254740993 "
        "  priority_queue_policy { key: 2 value { max_queue_size: 7 timeout_action: DELAY } } } "
        "parameters { key: 'a' value { string_value: 'b' } } metric_tags { key: 'k' value: 'v' } "
        "instance_group [ { count: 1 kind: KIND_CPU }, { count: 2, gpus: [ 0, 1 ] } ] "
        "model_metrics { metric_control { histogram_options { buckets: [ 0.5, inf ] } } }",
        (const char *[]){"\"name\":\"m\\n\"", "\"max_batch_size\":8",
                         ("{\"name\":\"x\",\"data_type\":\"TYPE_FP32\",\"format\":\"FORMAT_NONE\","
                          "\"dims\":[-1,4],"),
                         "\"optional\":true", "\"max_queue_delay_microseconds\":9007199254740993",
                         "\"priority_queue_policy\":{\"2\":{\"timeout_action\":\"DELAY\",",
                         "\"max_queue_size\":7}}",
                         "\"parameters\":{\"a\":{\"string_value\":\"b\"}}",
                         "\"metric_tags\":{\"k\":\"v\"}", "\"gpus\":[0,1]", "\"kind\":\"KIND_CPU\"",
                         "\"buckets\":[0.5,\"Infinity\"]", NULL});
}

static void of_a_choice_the_one_that_is_set_is_written(void **state)
{
    assert_written("sequence_batching { oldest { max_candidate_sequences: 3 } } "
                   "model_warmup { inputs { key: 'x' value { zero_data: true } } }",
                   (const char *[]){"\"sequence_batching\":{\"max_sequence_idle_microseconds\":0,",
                                    "\"oldest\":{\"max_candidate_sequences\":3,",
                                    "\"dims\":[],\"zero_data\":true}", NULL});
}

static void an_unknown_number_of_an_enum_is_a_number(void **state)
{
    struct inference_model_output output = {.data_type = 99};
    struct buf buf;
    struct json_writer json;
    buf_init(&buf, 4096);
    json_writer_init(&json, &buf);
    assert_true(pb_json_write(&inference_model_output_pb, &output, &json));
    buf_append_char(&buf, '\0');
    assert_non_null(strstr(buf.data, "\"data_type\":99"));
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_and_lists_are_written_when_empty),
        cmocka_unit_test(what_is_not_set_is_left_out),
        cmocka_unit_test(each_kind_of_value_has_its_spelling),
        cmocka_unit_test(of_a_choice_the_one_that_is_set_is_written),
        cmocka_unit_test(an_unknown_number_of_an_enum_is_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
