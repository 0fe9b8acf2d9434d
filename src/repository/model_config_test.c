/* Unit tests of repository/model_config.h. */
#include "repository/model_config.h"

#include "codec/model_config.pb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct error error;
    struct model_config config;
    char folder[64];
};

static int setup(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    arena_init(&fixture.arena, 4096, 1 << 22);
    snprintf(fixture.folder, sizeof fixture.folder, "/tmp/tensord-config-XXXXXX");
    *state = &fixture;
    return mkdtemp(fixture.folder) ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    for (size_t i = 0; model_config_names[i]; i++) {
        snprintf(path, sizeof path, "%s/%s", fixture->folder, model_config_names[i]);
        unlink(path);
    }
    arena_fini(&fixture->arena);
    return rmdir(fixture->folder);
}

static bool read_config(struct fixture *fixture, const char *text)
{
    return model_config_read(MODEL_CONFIG_PBTXT, span_of(text), &fixture->arena, &fixture->config,
                             &fixture->error);
}

static void accepts(struct fixture *fixture, const char *text)
{
    if (!read_config(fixture, text))
        fail_msg("%s", fixture->error.message);
}

static void refuses(struct fixture *fixture, const char *text, enum error_code code,
                    const char *what)
{
    assert_false(read_config(fixture, text));
    assert_int_equal(fixture->error.code, code);
    if (!strstr(fixture->error.message, what))
        fail_msg("\"%s\" does not say \"%s\"", fixture->error.message, what);
}

static bool is(struct span span, const char *text)
{
    return span_equal(span, span_of(text));
}

static void an_empty_config_says_nothing(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "");
    assert_int_equal(fixture->config.engine.size, 0);
    assert_int_equal(fixture->config.max_batch_size, -1);
    assert_int_equal(fixture->config.input_count, 0);
    assert_int_equal(fixture->config.instance_count, 0);
    assert_true(is(fixture->config.device, "cpu"));
    assert_null(fixture->config.queue);
}

/* What has no use here is carried along, too. */
static void all_that_a_file_says_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct inference_model_config kept = {0};
    accepts(fixture, "metric_tags { key: 'team' value: 'vision' } optimization { priority: 1 }");
    assert_true(pb_decode(&inference_model_config_pb, fixture->config.written, &fixture->arena,
                          &kept, &fixture->error));
    assert_true(is(kept.metric_tags.items[0].value, "vision"));
    assert_int_equal(kept.optimization->priority, INFERENCE_MODEL_OPTIMIZATION_POLICY_PRIORITY_MAX);
    assert_int_equal(kept.max_batch_size, 0);
}

static void both_formats_give_the_same(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {
        [MODEL_CONFIG_PBTXT] =
            "max_batch_size: 4 input { name: 'x' data_type: TYPE_STRING dims: 3 }",
        [MODEL_CONFIG_YAML] =
            "max_batch_size: 4\ninput: [{name: x, data_type: TYPE_STRING, dims: [3]}]",
    };
    for (enum model_config_format format = 0; format <= MODEL_CONFIG_YAML; format++) {
        assert_true(model_config_read(format, span_of(texts[format]), &fixture->arena,
                                      &fixture->config, &fixture->error));
        assert_int_equal(fixture->config.input_count, 1);
        const struct tensor_info *input = &fixture->config.inputs[0];
        assert_true(is(input->name, "x"));
        assert_int_equal(input->datatype, TENSORD_BYTES);
        assert_int_equal(input->shape.ndim, 2);
        assert_int_equal(input->shape.dims[0], -1);
        assert_int_equal(input->shape.dims[1], 3);
    }
}

/* They cross to another process as strings that have none. */
static void strings_have_no_nul(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"name: 'a\\000b'",
                                        "input { name: 'x\\000' data_type: TYPE_FP32 dims: 1 }",
                                        "parameters { key: '\\000' value { string_value: 'v' } }"};
    static const char *const documents[] = {"backend: \"a\\0b\"", "python: {version: \"3\\0\"}",
                                            "parameters: {\"k\\0\": {string_value: v}}",
                                            "steps: [{model: m, input: {\"X\\0\": a}}]"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refuses(fixture, texts[i], ERROR_INVALID_ARGUMENT, "has a NUL character");
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        assert_false(model_config_read(MODEL_CONFIG_YAML, span_of(documents[i]), &fixture->arena,
                                       &fixture->config, &fixture->error));
        assert_non_null(strstr(fixture->error.message, "has a NUL character"));
    }
}

static void the_batch_dimension_is_there_when_batches_are(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "max_batch_size: 0 output { name: 'y' data_type: TYPE_FP16 dims: [2, -1] }");
    assert_int_equal(fixture->config.max_batch_size, 0);
    assert_int_equal(fixture->config.outputs[0].shape.ndim, 2);
    assert_int_equal(fixture->config.outputs[0].shape.dims[0], 2);
    accepts(fixture, "max_batch_size: 1 output { name: 'y' data_type: TYPE_FP16 }");
    assert_int_equal(fixture->config.outputs[0].shape.ndim, 1);
}

static void engines_are_named_by_backend_or_platform(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "backend: 'onnxruntime'");
    assert_true(is(fixture->config.engine, "onnx"));
    accepts(fixture, "platform: 'onnxruntime_onnx'");
    assert_true(is(fixture->config.engine, "onnx"));
    accepts(fixture, "platform: 'onnxruntime_onnx' backend: 'onnxruntime'");
    accepts(fixture, "platform: 'pytorch_libtorch'");
    assert_true(is(fixture->config.engine, "pytorch"));
    accepts(fixture, "platform: 'tensorflow_savedmodel'");
    assert_true(is(fixture->config.engine, "tensorflow"));
    accepts(fixture, "backend: 'identity'");
    assert_true(is(fixture->config.engine, "identity"));
    refuses(fixture, "platform: 'caffe2_netdef'", ERROR_INVALID_ARGUMENT, "'caffe2_netdef'");
    refuses(fixture, "platform: 'onnxruntime_onnx' backend: 'python'", ERROR_INVALID_ARGUMENT,
            "does not fit");
}

#define EXECUTION_ENVIRONMENT(path)                                                                \
    "backend: 'python' parameters { key: 'EXECUTION_ENV_PATH' value { string_value: '" path "' } " \
    "}"

static void environments_that_are_there_are_named(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, EXECUTION_ENVIRONMENT("/opt/env"));
    assert_true(is(fixture->config.python.interpreter, "/opt/env"));
    accepts(fixture, EXECUTION_ENVIRONMENT("$$TRITON_MODEL_DIRECTORY/env"));
    assert_true(is(fixture->config.python.interpreter, "$$TRITON_MODEL_DIRECTORY/env"));
    refuses(fixture, EXECUTION_ENVIRONMENT("env"), ERROR_INVALID_ARGUMENT, "absolute path");
    refuses(fixture, EXECUTION_ENVIRONMENT("/opt/env.tar.gz"), ERROR_UNIMPLEMENTED, "archive");
}

static void queues_are_as_the_config_says(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "max_batch_size: 8 dynamic_batching { preferred_batch_size: [8, 4, 8] "
                     "priority_levels: 3 default_priority_level: 2 "
                     "default_queue_policy { max_queue_size: 5 allow_timeout_override: true } "
                     "priority_queue_policy { key: 3 value { timeout_action: DELAY "
                     "default_timeout_microseconds: 7 } } }");
    const struct schedule_policy *queue = fixture->config.queue;
    assert_int_equal(queue->preferred_count, 2);
    assert_int_equal(queue->preferred_rows[0], 4);
    assert_int_equal(queue->preferred_rows[1], 8);
    assert_int_equal(queue->levels, 3);
    assert_int_equal(queue->default_level, 2);
    assert_int_equal(queue->rule_count, 2);
    assert_int_equal(queue->rules[0].level, 0);
    assert_int_equal(queue->rules[0].queue_size, 5);
    assert_true(queue->rules[0].override);
    assert_int_equal(queue->rules[1].level, 3);
    assert_int_equal(queue->rules[1].timeout_ns, 7000);
    assert_int_equal(queue->rules[1].action, POLICY_DELAY);
    accepts(fixture, "dynamic_batching { preserve_ordering: true "
                     "max_queue_delay_microseconds: 18446744073709551615 }");
    assert_true(fixture->config.queue->preserve_order);
    assert_true(fixture->config.queue->delay_ns == UINT64_MAX);
}

static void queues_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"max_batch_size: 4 dynamic_batching { preferred_batch_size: 5 }", "larger than"},
        {"dynamic_batching { preferred_batch_size: 0 }", "1 or above"},
        {"dynamic_batching { preferred_batch_size: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17] }",
         "at most 16"},
        {"dynamic_batching { priority_levels: 2 }", "'default_priority_level'"},
        {"dynamic_batching { priority_levels: 2 default_priority_level: 3 }", "(2)"},
        {"dynamic_batching { priority_levels: 1000000 default_priority_level: 3 }", "at most 1000"},
        {"dynamic_batching { priority_levels: 2 default_priority_level: 1 preserve_ordering: true "
         "}",
         "one priority level"},
        {"dynamic_batching { priority_levels: 2 default_priority_level: 1 "
         "priority_queue_policy { key: 3 value { } } }",
         "not for 3"},
        {"dynamic_batching { preserve_ordering: true default_queue_policy { timeout_action: DELAY "
         "} }",
         "DELAY"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(*state, cases[i].text, ERROR_INVALID_ARGUMENT, cases[i].sentence);
}

static void scheduling_and_parameters_are_taken(void **state)
{
    struct fixture *fixture = *state;
    accepts(fixture, "dynamic_batching { max_queue_delay_microseconds: 50 } "
                     "parameters { key: 'a' value { string_value: 'b' } } "
                     "default_model_filename: 'm.onnx' "
                     "instance_group [ { count: 2 }, { count: 3 kind: KIND_CPU } ]");
    assert_int_equal(fixture->config.queue->delay_ns, 50000);
    assert_int_equal(fixture->config.parameter_count, 1);
    assert_true(is(fixture->config.parameters[0].key, "a"));
    assert_true(is(fixture->config.parameters[0].value, "b"));
    assert_true(is(fixture->config.file, "m.onnx"));
    assert_int_equal(fixture->config.instance_count, 5);
    accepts(fixture, "instance_group { kind: KIND_GPU gpus: 1 }");
    assert_true(is(fixture->config.device, "cuda:1"));
    accepts(fixture, "instance_group { kind: KIND_GPU }");
    assert_true(is(fixture->config.device, "cuda:0"));
}

static void impossible_values_are_refused(void **state)
{
    struct fixture *fixture = *state;
    enum error_code code = ERROR_INVALID_ARGUMENT;
    refuses(fixture, "max_batch_size: -1", code, "'max_batch_size' must be 0 or above");
    refuses(fixture, "input { data_type: TYPE_FP32 dims: 1 }", code, "must have a name");
    refuses(fixture, "input { name: 'x' dims: 1 }", code, "data_type is missing in 'x'");
    refuses(fixture, "input { name: 'x' data_type: TYPE_FP32 }", code, "dims are missing in 'x'");
    refuses(fixture, "input { name: 'x' data_type: TYPE_FP32 dims: 0 }", code, "dims must be");
    refuses(fixture, "input { name: 'x' data_type: TYPE_FP32 dims: -2 }", code, "dims must be");
    refuses(fixture,
            "input { name: 'x' data_type: TYPE_FP32 "
            "dims: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1] }",
            code, "too many dims in 'x'");
    refuses(fixture,
            "input [ { name: 'x' data_type: TYPE_FP32 dims: 1 }, "
            "{ name: 'x' data_type: TYPE_FP32 dims: 1 } ]",
            code, "two tensors with the name 'x'");
    refuses(fixture, "instance_group { count: -1 }", code, "instance_group");
    refuses(fixture, "instance_group [ { count: 1000 }, { count: 1000 } ]", code, "0 to 1024");
    refuses(fixture, "instance_group { gpus: -1 }", code, "'gpus'");
    refuses(fixture, "default_model_filename: '../m.onnx'", code, "default_model_filename");
    refuses(fixture, "default_model_filename: '..'", code, "default_model_filename");
    refuses(fixture, "default_model_filename: 'a\\000b'", code, "default_model_filename");
}

static void what_is_not_done_here_is_said(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {
        "sequence_batching { iterative_sequence: true }",
        "model_operations { op_library_filename: 'x.so' }",
        "model_repository_agents { agents { } }",
        "input { name: 'x' data_type: TYPE_FP32 dims: 1 is_shape_tensor: true }",
        "output { name: 'x' data_type: TYPE_FP32 dims: 1 is_shape_tensor: true }",
        "instance_group { kind: KIND_GPU gpus: [0, 1] }",
        "instance_group [ { kind: KIND_GPU }, { kind: KIND_CPU } ]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refuses(fixture, texts[i], ERROR_UNIMPLEMENTED, "not supported by this version");
}

static bool read_yaml(struct fixture *fixture, const char *text)
{
    return model_config_read(MODEL_CONFIG_YAML, span_of(text), &fixture->arena, &fixture->config,
                             &fixture->error);
}

static void workers_are_a_number_or_bounds(void **state)
{
    struct fixture *fixture = *state;
    const struct model_workers *workers = &fixture->config.workers;
    assert_true(read_yaml(fixture, "max_batch_size: 1"));
    assert_int_equal(workers->max, 0);
    assert_true(read_yaml(fixture, "workers: 3"));
    assert_true(workers->min == 3 && workers->max == 3);
    assert_true(read_yaml(fixture, "workers: {max: 4}"));
    assert_true(workers->min == 1 && workers->max == 4 && workers->idle_s == MODEL_WORKER_IDLE_S);
    assert_true(read_yaml(fixture, "workers: {min: 2, max: 4, idle_after_s: 5}"));
    assert_true(workers->min == 2 && workers->max == 4 && workers->idle_s == 5);
}

static void workers_have_processors_and_gpus(void **state)
{
    struct fixture *fixture = *state;
    const struct model_placement *placement = &fixture->config.placement;
    assert_true(read_yaml(fixture, "workers: 2"));
    assert_true(!placement->all_cpus && !placement->cpus_count && !placement->gpu_count);
    assert_true(read_yaml(fixture, "cpuset: 0-3,8"));
    assert_int_equal(placement->cpus_count, 1);
    assert_int_equal(placement->cpus[0].words[0], 0x10f);
    assert_true(read_yaml(fixture, "cpuset: all"));
    assert_true(placement->all_cpus && !placement->cpus_count);
    assert_true(read_yaml(fixture, "cpuset: {each: [0-3, '64']}"));
    assert_int_equal(placement->cpus_count, 2);
    assert_int_equal(placement->cpus[1].words[1], 1);
    assert_true(read_yaml(fixture, "gpus: [1, 31]"));
    assert_true(placement->gpu_count == 2 && placement->gpus[1] == 31);
    assert_true(span_equal(fixture->config.device, SPAN("cuda:0")));
}

static void workers_that_cannot_be_are_refused(void **state)
{
    static const char *const texts[][2] = {
        {"workers: 0", "1 to 128"},
        {"workers: 129", "1 to 128"},
        {"workers: {min: 2}", "'workers.min' needs a 'workers.max'"},
        {"workers: {min: 3, max: 2}", "'workers.min' is more than 'workers.max'"},
        {"workers: {count: 2, max: 3}", "'workers' is a number, or has 'min' and 'max'"},
        {"workers: many", "line 1: 'workers' must be an integer that it can hold, not 'many'"},
        {"workers: 2\nserver: app --port {port}", "'server' excludes 'workers'"},
        {"workers: 2\nsteps: [{model: a}]", "a pipeline excludes 'workers'"},
        {"cpuset: 2-1", "'cpuset' names processors, such as 0-3,8, below 1024, or 'all'; not"},
        {"cpuset: ''", "or has a list 'each'"},
        {"cpuset: {shared: 0, each: ['1']}", "or has a list 'each'"},
        {"cpuset: {each: [0, all]}", "not 'all'"},
        {"cpuset: all\nsteps: [{model: a}]", "a pipeline excludes 'cpuset' and 'gpus'"},
        {"gpus: [0, 32]", "'gpus' lists the numbers of GPUs, 0 to 31"},
        {"gpus: [0]\ninstance_group: [{gpus: [0]}]", "'gpus' excludes 'instance_group' on a GPU"},
        {"gpus: [0]\nsandbox: {gpu: [0]}", "'gpus' excludes"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_false(read_yaml(fixture, texts[i][0]));
        if (!strstr(fixture->error.message, texts[i][1]))
            fail_msg("\"%s\" does not say \"%s\"", fixture->error.message, texts[i][1]);
    }
}

/* ---- files ---- */

static void write_file(struct fixture *fixture, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    FILE *file = fopen(path, "w");
    if (!file)
        abort();
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool load(struct fixture *fixture, const struct model_config **ret_config)
{
    return model_config_load(fixture->folder, &fixture->arena, ret_config, &fixture->error);
}

static void a_folder_without_config_has_the_default(void **state)
{
    const struct model_config *config;
    assert_true(load(*state, &config));
    assert_ptr_equal(config, model_config_default());
}

static void either_file_is_loaded_but_not_both(void **state)
{
    struct fixture *fixture = *state;
    const struct model_config *config;
    write_file(fixture, "model.yaml", "max_batch_size: 3\n");
    assert_true(load(fixture, &config));
    assert_int_equal(config->max_batch_size, 3);
    write_file(fixture, "config.pbtxt", "max_batch_size: 4\n");
    assert_false(load(fixture, &config));
    assert_string_equal(fixture->error.message, "model.yaml: there is another config");
}

static void errors_name_the_file(void **state)
{
    struct fixture *fixture = *state;
    const struct model_config *config;
    write_file(fixture, "config.pbtxt", "\nnaem: 'x'");
    assert_false(load(fixture, &config));
    assert_string_equal(fixture->error.message, "config.pbtxt: line 2, column 1: unknown field "
                                                "'naem'; did you mean 'name'?");
}

static void links_stay_in_the_folder(void **state)
{
    struct fixture *fixture = *state;
    const struct model_config *config;
    char path[128];
    snprintf(path, sizeof path, "%s/config.pbtxt", fixture->folder);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_false(load(fixture, &config));
    assert_string_equal(fixture->error.message, "config.pbtxt: a link out of the model's folder");
}

static void large_and_odd_files_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct model_config *config;
    char path[128];
    write_file(fixture, "config.pbtxt", "");
    snprintf(path, sizeof path, "%s/config.pbtxt", fixture->folder);
    assert_int_equal(truncate(path, MODEL_CONFIG_MAX_BYTES + 1), 0);
    assert_false(load(fixture, &config));
    assert_string_equal(fixture->error.message, "config.pbtxt: larger than 1 MiB");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(".", path), 0);
    assert_false(load(fixture, &config));
    assert_false(model_config_load("/nowhere/at/all", &fixture->arena, &config, &fixture->error));
}

static void what_is_scheduled_stands_in_a_section_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    assert_true(model_config_read(MODEL_CONFIG_YAML,
                                  SPAN("scheduling: {cancel_grace_ms: 500, max_running: 3}"),
                                  &fixture->arena, &fixture->config, &fixture->error));
    assert_int_equal(fixture->config.queue->grace_ns, 500000000);
    assert_int_equal(fixture->config.queue->max_running, 3);
    assert_int_equal(fixture->config.queue->levels, 0);
    assert_false(model_config_read(MODEL_CONFIG_YAML,
                                   SPAN("scheduling: {cancel_grace_ms: 86400001}"), &fixture->arena,
                                   &fixture->config, &fixture->error));
    assert_non_null(strstr(fixture->error.message, "cancel_grace_ms"));
}

static void answers_are_reused_where_the_config_says_so(void **state)
{
    struct fixture *fixture = *state;
    assert_true(read_yaml(fixture, "max_batch_size: 0"));
    assert_false(fixture->config.caches || fixture->config.coalesces);
    assert_true(read_yaml(fixture, "response_cache: {enable: true}\nscheduling: {coalesce: true}"));
    assert_true(fixture->config.caches && fixture->config.coalesces);
    accepts(fixture, "response_cache { enable: false }");
    assert_false(fixture->config.caches);
    refuses(fixture, "response_cache { enable: true } model_transaction_policy { decoupled: true }",
            ERROR_INVALID_ARGUMENT, "only single answers are kept");
    assert_false(read_yaml(fixture, "server: serve\nresponse_cache: {enable: true}"));
    assert_non_null(strstr(fixture->error.message, "'response_cache'"));
    assert_false(read_yaml(fixture, "server: serve\nscheduling: {coalesce: true}"));
    assert_non_null(strstr(fixture->error.message, "'scheduling.coalesce'"));
}

static void what_executions_need_of_shared_resources(void **state)
{
    struct fixture *fixture = *state;
    const char *both = "instance_group [ { rate_limiter { priority: 2 resources [ { name: 'R1' "
                       "count: 4 }, { name: 'R2' global: true count: 2 } ] } } ]";
    accepts(fixture, both);
    const struct schedule_policy *policy = fixture->config.queue;
    assert_int_equal(policy->share_priority, 2);
    assert_int_equal(policy->need_count, 2);
    assert_string_equal(policy->needs[1].name, "R2");
    assert_true(policy->needs[1].global && !policy->needs[0].global);
    assert_int_equal(policy->needs[0].count, 4);
    enum error_code code = ERROR_INVALID_ARGUMENT;
    refuses(fixture, "instance_group { rate_limiter { resources { count: 1 } } }", code, "a name");
    refuses(fixture, "instance_group { rate_limiter { resources { name: 'a:b' count: 1 } } }", code,
            "without ':'");
    refuses(
        fixture,
        "instance_group [ { count: 1 }, { rate_limiter { resources { name: 'a' count: 1 } } } ]",
        ERROR_UNIMPLEMENTED, "different rate limiters");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_config_says_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(both_formats_give_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(all_that_a_file_says_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(strings_have_no_nul, setup, teardown),
        cmocka_unit_test_setup_teardown(the_batch_dimension_is_there_when_batches_are, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(engines_are_named_by_backend_or_platform, setup, teardown),
        cmocka_unit_test_setup_teardown(environments_that_are_there_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_scheduled_stands_in_a_section_of_its_own, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(answers_are_reused_where_the_config_says_so, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_executions_need_of_shared_resources, setup, teardown),
        cmocka_unit_test_setup_teardown(queues_are_as_the_config_says, setup, teardown),
        cmocka_unit_test_setup_teardown(queues_that_make_no_sense_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(scheduling_and_parameters_are_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(impossible_values_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_done_here_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(workers_are_a_number_or_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(workers_have_processors_and_gpus, setup, teardown),
        cmocka_unit_test_setup_teardown(workers_that_cannot_be_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_without_config_has_the_default, setup, teardown),
        cmocka_unit_test_setup_teardown(either_file_is_loaded_but_not_both, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_name_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(links_stay_in_the_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(large_and_odd_files_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
