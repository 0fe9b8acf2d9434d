/* The engine onnx with a real ONNX Runtime, on models made here. Skipped where there is none:
 * TENSORD_ONNXRUNTIME, or the tree's .venv, is where it is looked for. */
#include "engine_try.h"
#include "onnx/api.h"
#include "onnx/model_make.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct tensord_engine *engine;
static char folder[] = "/tmp/tensord-onnx-XXXXXX";
static char path[64];

/* A model as the tests use it. */
struct loaded {
    void *model;
    struct tensord_description description;
};

static struct tensord_source source_of(const char *file)
{
    return (struct tensord_source){.size = sizeof(struct tensord_source),
                                   .path = file,
                                   .name = "model",
                                   .version = 1,
                                   .max_batch_size = -1,
                                   .threads = 1,
                                   .device = "cpu"};
}

static enum tensord_status load_source(const struct tensord_source *source, struct loaded *ret)
{
    *ret = (struct loaded){.description.size = sizeof ret->description};
    return engine->load(engine_try_host(), source, &ret->description, &ret->model);
}

static struct loaded load(const char *file)
{
    struct loaded loaded;
    struct tensord_source source = source_of(file);
    enum tensord_status status = load_source(&source, &loaded);
    if (status != TENSORD_OK)
        fail_msg("%s", engine_try_reason());
    return loaded;
}

static void assert_refused(const struct tensord_source *source, enum tensord_status status,
                           const char *reason)
{
    struct loaded loaded;
    assert_int_equal(load_source(source, &loaded), status);
    if (!strstr(engine_try_reason(), reason) || strstr(engine_try_reason(), folder))
        fail_msg("not the reason: %s", engine_try_reason());
}

static void run(const struct loaded *loaded, struct try_execution *execution,
                const struct tensord_tensor *inputs, size_t count)
{
    try_execution_init(execution, inputs, count);
    engine->execute(loaded->model, &execution->tensord);
    assert_int_equal(execution->answers, 1);
}

static void run_well(const struct loaded *loaded, struct try_execution *execution,
                     const struct tensord_tensor *inputs, size_t count)
{
    run(loaded, execution, inputs, count);
    if (execution->status != TENSORD_OK)
        fail_msg("%s", execution->reason);
}

static void assert_tensor(const struct try_execution *execution, uint32_t index, const void *data,
                          size_t size, uint32_t ndim, const int64_t *shape)
{
    const struct tensord_tensor *output = try_output(execution, index);
    assert_non_null(output);
    assert_int_equal(output->size_bytes, size);
    assert_int_equal(output->ndim, ndim);
    if (ndim)
        assert_memory_equal(output->shape, shape, ndim * sizeof *shape);
    if (size)
        assert_memory_equal(output->data, data, size);
}

/* ---- tests ---- */

static void every_datatype_comes_back(void **state)
{
    static const struct {
        enum tensord_datatype datatype;
        int ort;
        size_t size;
    } rows[] = {
        {TENSORD_BOOL, ORT_BOOL, 1},     {TENSORD_UINT8, ORT_UINT8, 1},
        {TENSORD_UINT16, ORT_UINT16, 2}, {TENSORD_UINT32, ORT_UINT32, 4},
        {TENSORD_UINT64, ORT_UINT64, 8}, {TENSORD_INT8, ORT_INT8, 1},
        {TENSORD_INT16, ORT_INT16, 2},   {TENSORD_INT32, ORT_INT32, 4},
        {TENSORD_INT64, ORT_INT64, 8},   {TENSORD_FP16, ORT_FLOAT16, 2},
        {TENSORD_FP32, ORT_FLOAT, 4},    {TENSORD_FP64, ORT_DOUBLE, 8},
        {TENSORD_BF16, ORT_BFLOAT16, 2},
    };
    _Alignas(64) unsigned char data[2 * 3 * 8];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = i % 2;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        make_identity(path, rows[i].ort, "batch,3");
        struct loaded loaded = load(path);
        assert_int_equal(loaded.description.inputs[0].datatype, rows[i].datatype);
        /* Twice: the second time the output is written in place. */
        for (int64_t rows_given = 1; rows_given <= 2; rows_given++) {
            struct tensord_tensor input = {.datatype = rows[i].datatype,
                                           .ndim = 2,
                                           .shape = {rows_given, 3},
                                           .data = data,
                                           .size_bytes = (size_t)rows_given * 3 * rows[i].size};
            struct try_execution execution;
            run_well(&loaded, &execution, &input, 1);
            assert_tensor(&execution, 0, data, input.size_bytes, 2, input.shape);
            try_execution_fini(&execution);
        }
        engine->unload(loaded.model);
    }
}

static void strings_come_back(void **state)
{
    static unsigned char data[] = "\5\0\0\0h\0llo\0\0\0\0\2\0\0\0\xff/\1\0\0\0x";
    make_identity(path, ORT_STRING, "batch,2");
    struct loaded loaded = load(path);
    struct tensord_tensor input = {.datatype = TENSORD_BYTES,
                                   .ndim = 2,
                                   .shape = {2, 2},
                                   .data = data,
                                   .size_bytes = sizeof data - 1};
    struct try_execution execution;
    run_well(&loaded, &execution, &input, 1);
    assert_tensor(&execution, 0, data, sizeof data - 1, 2, input.shape);
    try_execution_fini(&execution);

    input.shape[0] = 0;
    input.size_bytes = 0;
    run_well(&loaded, &execution, &input, 1);
    assert_tensor(&execution, 0, NULL, 0, 2, input.shape);
    try_execution_fini(&execution);

    input.shape[0] = 1; /* the second element says more than there is */
    input.size_bytes = 12;
    run(&loaded, &execution, &input, 1);
    assert_int_equal(execution.status, TENSORD_INVALID_ARGUMENT);
    try_execution_fini(&execution);
    engine->unload(loaded.model);
}

static void shapes_and_symbols_are_described(void **state)
{
    make_identity(path, ORT_FLOAT, "batch,?,3");
    struct loaded loaded = load(path);
    const struct tensord_tensor_info *input = &loaded.description.inputs[0];
    assert_string_equal(loaded.description.platform, "onnxruntime_onnx");
    assert_int_equal(loaded.description.input_count, 1);
    assert_int_equal(loaded.description.output_count, 1);
    assert_in_range(loaded.description.concurrency, 1, 4);
    assert_string_equal(input->name, "INPUT");
    assert_int_equal(input->ndim, 3);
    assert_int_equal(input->shape[0], -1);
    assert_int_equal(input->shape[1], -1);
    assert_int_equal(input->shape[2], 3);
    assert_string_equal(input->symbols[0], "batch");
    assert_null(input->symbols[1]);
    assert_false(input->optional);
    engine->unload(loaded.model);
}

static void tensors_without_elements_and_scalars_pass(void **state)
{
    float one = 1;
    struct try_execution execution;
    make_identity(path, ORT_FLOAT, "batch,3");
    struct loaded loaded = load(path);
    struct tensord_tensor empty = {.datatype = TENSORD_FP32, .ndim = 2, .shape = {0, 3}};
    for (int i = 0; i < 2; i++) {
        run_well(&loaded, &execution, &empty, 1);
        assert_tensor(&execution, 0, NULL, 0, 2, empty.shape);
        try_execution_fini(&execution);
    }
    engine->unload(loaded.model);

    make_identity(path, ORT_FLOAT, "");
    loaded = load(path);
    assert_int_equal(loaded.description.inputs[0].ndim, 0);
    struct tensord_tensor scalar = {.datatype = TENSORD_FP32, .data = &one, .size_bytes = 4};
    for (int i = 0; i < 2; i++) {
        run_well(&loaded, &execution, &scalar, 1);
        assert_tensor(&execution, 0, &one, 4, 0, NULL);
        try_execution_fini(&execution);
    }
    engine->unload(loaded.model);
}

/* Y = X + BIAS, where BIAS may be left out; Z = X transposed. */
static void make_two_outputs(const char *bias_file)
{
    static const float bias[] = {10, 20};
    struct pb graph = {0};
    pb_text(&graph, 2, "graph");
    make_node(&graph, "Add", "", "X BIAS", "Y", NULL);
    make_node(&graph, "Transpose", "", "X", "Z", NULL);
    make_tensor(&graph, "BIAS", ORT_FLOAT, "2", bias, sizeof bias, bias_file);
    make_value(&graph, 11, "X", ORT_FLOAT, "batch,2");
    if (!bias_file)
        make_value(&graph, 11, "BIAS", ORT_FLOAT, "2");
    make_value(&graph, 12, "Y", ORT_FLOAT, "batch,2");
    make_value(&graph, 12, "Z", ORT_FLOAT, "2,batch");
    make_model(&graph, path);
}

static void optional_inputs_have_defaults(void **state)
{
    float x[] = {1, 2}, bias[] = {5, 6};
    const int64_t shape[] = {1, 2};
    struct try_execution execution;
    make_two_outputs(NULL);
    struct loaded loaded = load(path);
    assert_int_equal(loaded.description.input_count, 2);
    assert_false(loaded.description.inputs[0].optional);
    assert_true(loaded.description.inputs[1].optional);
    struct tensord_tensor inputs[] = {
        {.index = 0,
         .datatype = TENSORD_FP32,
         .ndim = 2,
         .shape = {1, 2},
         .data = x,
         .size_bytes = 8},
        {.index = 1,
         .datatype = TENSORD_FP32,
         .ndim = 1,
         .shape = {2},
         .data = bias,
         .size_bytes = 8},
    };
    run_well(&loaded, &execution, inputs, 1);
    assert_tensor(&execution, 0, (float[]){11, 22}, 8, 2, shape);
    try_execution_fini(&execution);
    run_well(&loaded, &execution, inputs, 2);
    assert_tensor(&execution, 0, (float[]){6, 8}, 8, 2, shape);
    try_execution_fini(&execution);
    engine->unload(loaded.model);
}

static void only_wanted_outputs_are_made(void **state)
{
    float x[] = {1, 2};
    struct try_execution execution;
    make_two_outputs(NULL);
    struct loaded loaded = load(path);
    struct tensord_tensor input = {
        .datatype = TENSORD_FP32, .ndim = 2, .shape = {1, 2}, .data = x, .size_bytes = 8};
    for (uint64_t wanted = 0; wanted < 4; wanted++) {
        try_execution_init(&execution, &input, 1);
        execution.tensord.wanted_outputs = wanted;
        engine->execute(loaded.model, &execution.tensord);
        assert_int_equal(execution.status, TENSORD_OK);
        assert_int_equal(try_output(&execution, 0) != NULL, (wanted & 1) != 0);
        assert_int_equal(try_output(&execution, 1) != NULL, (wanted & 2) != 0);
        try_execution_fini(&execution);
    }
    engine->unload(loaded.model);
}

static void external_data_is_found(void **state)
{
    float x[] = {1, 2}, bias[] = {100, 200};
    char data_path[80];
    struct try_execution execution;
    snprintf(data_path, sizeof data_path, "%s/model.data", folder);
    FILE *file = fopen(data_path, "wb");
    if (!file)
        abort();
    assert_int_equal(fwrite(bias, 1, sizeof bias, file), sizeof bias);
    fclose(file);
    make_two_outputs("model.data");
    struct loaded loaded = load(folder); /* the folder: its only *.onnx is the model */
    struct tensord_tensor input = {
        .datatype = TENSORD_FP32, .ndim = 2, .shape = {1, 2}, .data = x, .size_bytes = 8};
    run_well(&loaded, &execution, &input, 1);
    assert_tensor(&execution, 0, (float[]){101, 202}, 8, 2, input.shape);
    try_execution_fini(&execution);
    engine->unload(loaded.model);
    unlink(data_path);
    struct tensord_source source = source_of(path);
    assert_refused(&source, TENSORD_INVALID_ARGUMENT, "model.data");
}

static void bad_files_are_refused_with_the_reason(void **state)
{
    struct tensord_source source = source_of(path);
    make_identity(path, ORT_FLOAT, "batch,3");
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size / 2), 0);
    assert_refused(&source, TENSORD_INVALID_ARGUMENT, "");
    assert_int_equal(truncate(path, 0), 0);
    assert_refused(&source, TENSORD_INVALID_ARGUMENT, "");
    unlink(path);
    assert_refused(&source, TENSORD_INVALID_ARGUMENT, "");

    struct pb graph = {0};
    pb_text(&graph, 2, "graph");
    make_node(&graph, "NoSuchOperator", "nowhere", "X", "Y", NULL);
    make_value(&graph, 11, "X", ORT_FLOAT, "1");
    make_value(&graph, 12, "Y", ORT_FLOAT, "1");
    make_model(&graph, path);
    assert_refused(&source, TENSORD_UNSUPPORTED, "NoSuchOperator");
}

static void sequences_are_refused_by_name(void **state)
{
    struct pb graph = {0}, tensor = {0}, element = {0}, sequence = {0}, type = {0}, value = {0};
    struct tensord_source source = source_of(path);
    pb_text(&graph, 2, "graph");
    make_node(&graph, "SequenceConstruct", "", "X", "PARTS", NULL);
    make_value(&graph, 11, "X", ORT_FLOAT, "2");
    pb_number(&tensor, 1, ORT_FLOAT);
    pb_message(&element, 1, &tensor);
    pb_message(&sequence, 1, &element);
    pb_message(&type, 4, &sequence);
    pb_text(&value, 1, "PARTS");
    pb_message(&value, 2, &type);
    pb_message(&graph, 12, &value);
    make_model(&graph, path);
    struct loaded loaded;
    assert_int_equal(load_source(&source, &loaded), TENSORD_UNSUPPORTED);
    assert_non_null(strstr(engine_try_reason(), "output 'PARTS' is a sequence"));
}

static void a_config_must_agree(void **state)
{
    make_identity(path, ORT_FLOAT, "batch,3");
    struct tensord_tensor_info info = {
        .name = "INPUT", .datatype = TENSORD_FP32, .ndim = 1, .shape = {3}};
    struct tensord_source source = source_of(path);
    struct loaded loaded;
    source.inputs = &info;
    source.input_count = 1;
    source.max_batch_size = 8;
    assert_int_equal(load_source(&source, &loaded), TENSORD_OK);
    engine->unload(loaded.model);
    source.max_batch_size = 0;
    assert_refused(&source, TENSORD_INVALID_ARGUMENT, "the shape [3], the model has [-1,3]");
    source.max_batch_size = 8;
    info.datatype = TENSORD_INT64;
    assert_refused(&source, TENSORD_INVALID_ARGUMENT,
                   "'INPUT' is INT64, the model that it is FP32");
    info.name = "IMAGE";
    assert_refused(&source, TENSORD_INVALID_ARGUMENT,
                   "input 'IMAGE', which the model has not; it has 'INPUT'");
}

static void parameters_and_devices_are_checked(void **state)
{
    static const struct {
        const char *key, *value, *reason; /* NULL: accepted */
        enum tensord_status status;
    } rows[] = {
        {"intra_op_thread_count", "2", NULL, TENSORD_OK},
        {"intra_op_thread_count", "0", "must be 1 to 1024", TENSORD_INVALID_ARGUMENT},
        {"execution_mode", "1", NULL, TENSORD_OK},
        {"execution_mode", "x", "not 'x'", TENSORD_INVALID_ARGUMENT},
        {"graph_optimization_level", "basic", NULL, TENSORD_OK},
        {"graph_optimization_level", "2", "off, basic", TENSORD_INVALID_ARGUMENT},
        {"enable_mem_arena", "0", NULL, TENSORD_OK},
        {"enable_mem_pattern", "0", NULL, TENSORD_OK},
        {"session.intra_op.allow_spinning", "1", NULL, TENSORD_OK},
        {"something_else", "1", NULL, TENSORD_OK},
        {"execution_accelerators", "openvino", "onnxruntime-openvino", TENSORD_UNSUPPORTED},
        {"execution_accelerators", "abacus", "'abacus' is no accelerator",
         TENSORD_INVALID_ARGUMENT},
    };
    make_identity(path, ORT_FLOAT, "batch,3");
    struct tensord_source source = source_of(path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tensord_parameter parameter = {rows[i].key, rows[i].value};
        struct loaded loaded;
        source.parameters = &parameter;
        source.parameter_count = 1;
        if (rows[i].reason) {
            assert_refused(&source, rows[i].status, rows[i].reason);
            continue;
        }
        assert_int_equal(load_source(&source, &loaded), TENSORD_OK);
        engine->unload(loaded.model);
    }
    source.parameter_count = 0;
    source.device = "abacus:0";
    assert_refused(&source, TENSORD_UNSUPPORTED, "no device 'abacus:0'");
}

static void bad_input_fails_and_the_next_is_answered(void **state)
{
    float x[] = {1, 2, 3, 4};
    struct try_execution execution;
    make_identity(path, ORT_FLOAT, "batch,3");
    struct loaded loaded = load(path);
    struct tensord_tensor input = {
        .datatype = TENSORD_FP32, .ndim = 2, .shape = {1, 4}, .data = x, .size_bytes = 16};
    run(&loaded, &execution, &input, 1);
    assert_int_equal(execution.status, TENSORD_INVALID_ARGUMENT);
    assert_non_null(strstr(execution.reason, "INPUT"));
    try_execution_fini(&execution);
    input.shape[1] = 3;
    input.size_bytes = 12;
    run_well(&loaded, &execution, &input, 1);
    try_execution_fini(&execution);
    engine->unload(loaded.model);
}

/* Y = how often the loop ran, N times. */
static void make_loop(void)
{
    static const int64_t one = 1, zero = 0;
    static const unsigned char yes = 1;
    struct pb body = {0}, attribute = {0}, attributes = {0}, graph = {0};
    pb_text(&body, 2, "body");
    make_node(&body, "Identity", "", "go_on", "still", NULL);
    make_node(&body, "Add", "", "before one", "after", NULL);
    make_tensor(&body, "one", ORT_INT64, "", &one, sizeof one, NULL);
    make_value(&body, 11, "round", ORT_INT64, "");
    make_value(&body, 11, "go_on", ORT_BOOL, "");
    make_value(&body, 11, "before", ORT_INT64, "");
    make_value(&body, 12, "still", ORT_BOOL, "");
    make_value(&body, 12, "after", ORT_INT64, "");
    pb_text(&attribute, 1, "body");
    pb_message(&attribute, 6, &body);
    pb_number(&attribute, 20, 5); /* GRAPH */
    pb_message(&attributes, 5, &attribute);
    pb_text(&graph, 2, "graph");
    make_node(&graph, "Loop", "", "N yes zero", "Y", &attributes);
    make_tensor(&graph, "yes", ORT_BOOL, "", &yes, sizeof yes, NULL);
    make_tensor(&graph, "zero", ORT_INT64, "", &zero, sizeof zero, NULL);
    make_value(&graph, 11, "N", ORT_INT64, "");
    make_value(&graph, 12, "Y", ORT_INT64, "");
    make_model(&graph, path);
}

struct thread {
    pthread_t id;
    const struct loaded *loaded;
    struct try_execution execution;
};

static void *execute_thread(void *context)
{
    struct thread *thread = context;
    engine->execute(thread->loaded->model, &thread->execution.tensord);
    return NULL;
}

static void a_running_loop_is_cancelled(void **state)
{
    int64_t rounds = INT64_MAX;
    make_loop();
    struct loaded loaded = load(path);
    struct tensord_tensor input = {.datatype = TENSORD_INT64, .data = &rounds, .size_bytes = 8};
    struct thread thread = {.loaded = &loaded};
    try_execution_init(&thread.execution, &input, 1);
    assert_int_equal(pthread_create(&thread.id, NULL, execute_thread, &thread), 0);
    /* Whether it has begun or not: the engine sees either the flag or the call. */
    atomic_store(&thread.execution.cancelled, true);
    engine->cancel(loaded.model, &thread.execution.tensord);
    pthread_join(thread.id, NULL);
    assert_int_equal(thread.execution.answers, 1);
    assert_int_equal(thread.execution.status, TENSORD_CANCELLED);
    try_execution_fini(&thread.execution);

    rounds = 5;
    struct try_execution next;
    run_well(&loaded, &next, &input, 1);
    assert_tensor(&next, 0, &rounds, 8, 0, NULL);
    try_execution_fini(&next);
    engine->unload(loaded.model);
}

/* Runs small executions, as many as `most`, beside one that does not end, until the engine has said
 * so many lines. */
static bool meet_until_said(const struct loaded *loaded, struct thread *endless, unsigned lines,
                            int most)
{
    int64_t forever = INT64_MAX, rounds = 5;
    struct tensord_tensor endless_input = {
        .datatype = TENSORD_INT64, .data = &forever, .size_bytes = 8};
    struct tensord_tensor input = {.datatype = TENSORD_INT64, .data = &rounds, .size_bytes = 8};
    endless->loaded = loaded;
    try_execution_init(&endless->execution, &endless_input, 1);
    assert_int_equal(pthread_create(&endless->id, NULL, execute_thread, endless), 0);
    bool said = false;
    for (int i = 0, after = 0; i < most && after < 100; i++) { /* the last in the narrow session */
        struct try_execution next;
        run_well(loaded, &next, &input, 1);
        assert_tensor(&next, 0, &rounds, 8, 0, NULL);
        try_execution_fini(&next);
        said = engine_try_log_count() >= lines;
        after += said;
    }
    atomic_store(&endless->execution.cancelled, true);
    engine->cancel(loaded->model, &endless->execution.tensord);
    pthread_join(endless->id, NULL);
    try_execution_fini(&endless->execution);
    return said;
}

static void executions_that_meet_have_their_share_of_the_threads(void **state)
{
    const struct tensord_parameter threads = {.key = "intra_op_thread_count", .value = "2"};
    make_loop();
    struct tensord_source source = source_of(path);
    struct thread endless = {0};
    struct loaded loaded;
    source.concurrency = 2;
    source.threads = 2;
    unsigned lines = engine_try_log_count();
    assert_int_equal(load_source(&source, &loaded), TENSORD_OK);
    assert_true(meet_until_said(&loaded, &endless, lines + 1, 1000000));
    engine->unload(loaded.model);

    source.parameters = &threads; /* the config says how many, whoever meets */
    source.parameter_count = 1;
    lines = engine_try_log_count();
    assert_int_equal(load_source(&source, &loaded), TENSORD_OK);
    assert_false(meet_until_said(&loaded, &endless, lines + 1, 1000));
    engine->unload(loaded.model);
}

static void a_model_that_has_become_another_is_not_loaded_again(void **state)
{
    make_loop();
    struct tensord_source source = source_of(path);
    struct thread endless = {0};
    struct loaded loaded;
    source.concurrency = 2;
    source.threads = 2;
    unsigned lines = engine_try_log_count();
    assert_int_equal(load_source(&source, &loaded), TENSORD_OK);
    make_identity(path, ORT_INT64, "");
    assert_false(meet_until_said(&loaded, &endless, lines + 1, 1000));
    engine->unload(loaded.model);
}

static void *many_rounds(void *context)
{
    struct thread *thread = context;
    for (int64_t i = 0; i < 50; i++) {
        struct tensord_tensor input = {.datatype = TENSORD_INT64, .data = &i, .size_bytes = 8};
        try_execution_init(&thread->execution, &input, 1);
        engine->execute(thread->loaded->model, &thread->execution.tensord);
        const struct tensord_tensor *output = try_output(&thread->execution, 0);
        if (!output || memcmp(output->data, &i, sizeof i) != 0)
            abort();
        try_execution_fini(&thread->execution);
    }
    return NULL;
}

static void four_run_at_once(void **state)
{
    make_loop();
    struct tensord_source source = source_of(path);
    struct thread threads[4];
    struct loaded loaded;
    source.concurrency = 4;
    source.threads = 2;
    assert_int_equal(load_source(&source, &loaded), TENSORD_OK);
    assert_int_equal(loaded.description.concurrency, 4);
    for (int i = 0; i < 4; i++) {
        threads[i].loaded = &loaded;
        assert_int_equal(pthread_create(&threads[i].id, NULL, many_rounds, &threads[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i].id, NULL);
    engine->unload(loaded.model);
}

/* The shape of Y is not what the model says: as many rows as X, but those that are not 0. */
static void a_model_that_lies_about_shapes_is_served(void **state)
{
    float x[] = {1, 0, 2, 0};
    const int64_t two[] = {1, 2};
    struct pb graph = {0};
    struct try_execution execution;
    pb_text(&graph, 2, "graph");
    make_node(&graph, "NonZero", "", "X", "Y", NULL);
    make_value(&graph, 11, "X", ORT_FLOAT, "n");
    make_value(&graph, 12, "Y", ORT_INT64, "1,n");
    make_model(&graph, path);
    struct loaded loaded = load(path);
    struct tensord_tensor input = {
        .datatype = TENSORD_FP32, .ndim = 1, .shape = {4}, .data = x, .size_bytes = 16};
    for (int i = 0; i < 3; i++) {
        run_well(&loaded, &execution, &input, 1);
        assert_tensor(&execution, 0, (int64_t[]){0, 2}, 16, 2, two);
        try_execution_fini(&execution);
    }
    engine->unload(loaded.model);

    /* True at first: the run that finds out fails, and asks for another try. */
    loaded = load(path);
    float full[] = {1, 1};
    input = (struct tensord_tensor){
        .datatype = TENSORD_FP32, .ndim = 1, .shape = {2}, .data = full, .size_bytes = 8};
    run_well(&loaded, &execution, &input, 1);
    try_execution_fini(&execution);
    full[1] = 0;
    run(&loaded, &execution, &input, 1);
    assert_int_equal(execution.status, TENSORD_UNAVAILABLE);
    try_execution_fini(&execution);
    run_well(&loaded, &execution, &input, 1);
    assert_tensor(&execution, 0, (int64_t[]){0}, 8, 2, (int64_t[]){1, 1});
    try_execution_fini(&execution);
    engine->unload(loaded.model);
}

static void models_are_matched_by_name(void **state)
{
    struct tensord_source source = source_of(path);
    make_identity(path, ORT_FLOAT, "batch,3");
    assert_int_equal(engine->match(&source), 95);
    source.path = folder;
    assert_int_equal(engine->match(&source), 95);
    source.path = "/etc/hostname";
    assert_int_equal(engine->match(&source), 0);
    source.config_engine = "onnxruntime";
    assert_int_equal(engine->match(&source), 100);
    source.path = path;
    source.config_engine = "identity";
    assert_int_equal(engine->match(&source), 0);
}

static int clean_up(void **state)
{
    unlink(path);
    rmdir(folder);
    return 0;
}

int main(int argc, char **argv)
{
    enum { SKIPPED = 77 };
    struct loaded loaded;
    if (argc != 2 || !mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/some.onnx", folder);
    engine = engine_try_open(argv[1]);
    make_identity(path, ORT_FLOAT, "batch,3");
    struct tensord_source source = source_of(path);
    if (load_source(&source, &loaded) == TENSORD_UNSUPPORTED) {
        fprintf(stderr, "skipped: %s\n", engine_try_reason());
        clean_up(NULL);
        return SKIPPED;
    }
    engine->unload(loaded.model);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_matched_by_name),
        cmocka_unit_test(shapes_and_symbols_are_described),
        cmocka_unit_test(every_datatype_comes_back),
        cmocka_unit_test(strings_come_back),
        cmocka_unit_test(tensors_without_elements_and_scalars_pass),
        cmocka_unit_test(optional_inputs_have_defaults),
        cmocka_unit_test(only_wanted_outputs_are_made),
        cmocka_unit_test(external_data_is_found),
        cmocka_unit_test(bad_files_are_refused_with_the_reason),
        cmocka_unit_test(sequences_are_refused_by_name),
        cmocka_unit_test(a_config_must_agree),
        cmocka_unit_test(parameters_and_devices_are_checked),
        cmocka_unit_test(bad_input_fails_and_the_next_is_answered),
        cmocka_unit_test(a_running_loop_is_cancelled),
        cmocka_unit_test(executions_that_meet_have_their_share_of_the_threads),
        cmocka_unit_test(a_model_that_has_become_another_is_not_loaded_again),
        cmocka_unit_test(four_run_at_once),
        cmocka_unit_test(a_model_that_lies_about_shapes_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
