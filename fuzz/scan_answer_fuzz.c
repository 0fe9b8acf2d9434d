/* Answers of the process that looks at the repository, and the questions to it: the input itself,
 * and a sound answer and question that the input edits. What is read must be written back the same.
 */
#include "repository/model_config.h"
#include "repository/model_sequences.h"
#include "repository/scan_bytes.h"

#include "edits.h"
#include "failing_allocation.h"
#include "shaping_sample.h"

#include <assert.h>

enum { MAX_BYTES = 1 << 20, ARENA_BYTES = 64 << 20 };

/* Of one meaning there is one form, but for errors: these are cut, and OK is none. */
static bool has_errors(const struct repository_scan *scan)
{
    for (size_t i = 0; i < scan->version_count; i++) {
        if (scan->versions[i].error)
            return true;
    }
    return false;
}

/* An answer that says why there is no other is read again as the same. */
static void check_error(const struct error *error)
{
    struct repository_scan scan = {.version_count = 0};
    struct error again;
    struct buf buf;
    buf_init(&buf, MAX_BYTES);
    scan_answer_write_error(error, &buf);
    assert(!scan_answer_read(buf_span(&buf), &scan, &again));
    assert(again.code == error->code && strcmp(again.message, error->message) == 0);
    buf_fini(&buf);
}

/* The question that such a process is asked. */
static void check_question(struct span bytes)
{
    static struct scan_question question;
    struct buf buf;
    buf_init(&buf, MAX_BYTES);
    if (scan_question_read(bytes, &question)) {
        scan_question_write(&question, &buf);
        assert(span_equal(bytes, buf_span(&buf)));
    }
    buf_fini(&buf);
}

/* A pipeline of one step; made once. */
static const struct pipeline_graph *sample_pipeline(void)
{
    static struct arena arena;
    static struct pipeline_graph graph;
    if (graph.order)
        return &graph;
    arena_init(&arena, 4096, 1 << 20);
    pipeline_graph_init(&graph, &arena);
    bool made = pipeline_add_step(&graph, SPAN("s"), SPAN("m"), -1, NULL) &&
                pipeline_add_input(&graph, SPAN("x"), SPAN("a"), NULL) &&
                pipeline_add_output(&graph, SPAN("y"), SPAN("b"), NULL) &&
                pipeline_add_condition(&graph, SPAN("c"), true, NULL) &&
                pipeline_add_each(&graph, SPAN("a"), 2, NULL) &&
                pipeline_graph_finish(&graph, NULL);
    assert(made);
    return &graph;
}

static void write_sample_question(struct buf *buf)
{
    static const struct scan_question question = {
        .renamed_in = {SPAN("a")},
        .renamed_count = 1,
        .overrides = {{.model = SPAN("b"),
                       .config = SPAN("{\"max_batch_size\": 4}"),
                       .number = 7,
                       .may_bring_code = true}},
        .override_count = 1,
    };
    scan_question_write(&question, buf);
    assert(buf_ok(buf));
}

static struct warm_up_input warm_up_inputs[] = {
    {.name = SPAN("x"), .datatype = TENSORD_FP32, .shape = {1, {3}}, .data = WARM_UP_RANDOM},
    {.name = SPAN("y"),
     .datatype = TENSORD_BOOL,
     .data = WARM_UP_FILE,
     .file = SPAN("f"),
     .bytes = SPAN("\0\1")},
};
static struct warm_up warm_ups[] = {
    {.name = SPAN("w"), .rows = 2, .times = 3, .inputs = warm_up_inputs, .input_count = 2},
};

static struct cpu_list cpus[] = {{{5}}, {{[15] = 1}}};
static uint32_t gpus[] = {0, 3};

static struct model_state states[] = {
    {.input = SPAN("i"),
     .output = SPAN("o"),
     .datatype = TENSORD_INT32,
     .shaped = true,
     .shape = {2, {-1, 2}},
     .initial_shape = {2, {1, 2}},
     .initial_file = SPAN("zeros"),
     .initial = SPAN("\0\0\0\0\0\0\0\0"),
     .shown = true},
};
static struct model_sequences sequences = {
    .strategy = SEQUENCES_DIRECT,
    .idle_us = 5,
    .least_percent = 50,
    .controls = {{SPAN("START"), CONTROL_START, TENSORD_INT32, {0, 1}},
                 {SPAN("ID"), CONTROL_ID, TENSORD_UINT64, {0}}},
    .control_count = 2,
    .states = states,
    .state_count = 1,
};

static void write_sample(struct buf *buf)
{
    static struct tensor_info infos[] = {
        {.name = SPAN("x"), .datatype = TENSORD_FP32, .shape = {2, {-1, 3}}}};
    static struct parameter parameters[] = {{.key = SPAN("a"), .value = SPAN("b")}};
    static struct span requirements[] = {SPAN("numpy")};
    static struct model_labels labels[] = {{SPAN("y"), SPAN("l.txt"), SPAN("cat\ndog")}};
    static struct span command[] = {SPAN("serve"), SPAN("{port}")};
    static const struct schedule_policy queue = {
        .preferred_rows = {4, 8},
        .preferred_count = 2,
        .levels = 2,
        .rules = {{.level = 1, .queue_size = 9, .action = POLICY_DELAY}},
        .rule_count = 1,
        .needs = {{.name = "disk", .global = true, .count = 2}},
        .need_count = 1,
    };
    static const struct rollout rollout = {.weights = {{1, 95}, {2, 5}},
                                           .weight_count = 2,
                                           .sticky = "x-user",
                                           .shadow = 3,
                                           .shadow_share = ROLLOUT_WHOLE};
    const struct model_config config = {
        .pipeline = sample_pipeline(),
        .sequences = &sequences,
        .warm_ups = {warm_ups, 1},
        .shaping = shaping_sample(),
        .queue = &queue,
        .workers = {.min = 1, .max = 2, .idle_s = 60},
        .placement = {true, cpus, 2, gpus, 2},
        .residency = {.idle_after_s = 60, .memory_mib = 64},
        .engine = SPAN("onnx"),
        .labels = labels,
        .label_count = 1,
        .written = SPAN("\n\1m\40\0"),
        .max_batch_size = 8,
        .inputs = infos,
        .input_count = 1,
        .outputs = infos,
        .output_count = 1,
        .parameters = parameters,
        .parameter_count = 1,
        .device = SPAN("cpu"),
        .python = {.requirements = requirements, .requirement_count = 1},
        .server = {.command = command,
                   .command_count = 2,
                   .environment = parameters,
                   .environment_count = 1},
    };
    static const struct error error = {.code = ERROR_INVALID_ARGUMENT, .message = "it is wrong"};
    struct repository_version versions[] = {
        {.model = SPAN("a"),
         .version = 1,
         .path = SPAN("/m/a"),
         .root = SPAN("/m"),
         .complete = true},
        {.model = SPAN("b"), .version = 2, .path = SPAN("/m/b"), .root = SPAN("/m/b")},
        {.model = SPAN("c"), .version = 1, .unreadable = true},
    };
    versions[0].config = &config;
    versions[0].rollout = &rollout;
    versions[1].config = versions[2].config = model_config_default();
    versions[2].error = &error;
    scan_answer_write(
        &(struct repository_scan){.root = SPAN("/m"), .versions = versions, .version_count = 3},
        buf);
    assert(buf_ok(buf));
}

static void check_answer(struct span bytes)
{
    struct repository_scan scan = {.version_count = 0};
    struct error error = {.code = ERROR_OK};
    struct buf buf;
    arena_init(&scan.arena, 4096, ARENA_BYTES);
    buf_init(&buf, 2 * MAX_BYTES);
    bool good = scan_answer_read(bytes, &scan, &error);
    if (!good)
        check_error(&error);
    if (good && !has_errors(&scan)) {
        scan_answer_write(&scan, &buf);
        assert(buf_ok(&buf));
        assert(span_equal(bytes, buf_span(&buf)));
    }
    buf_fini(&buf);
    repository_scan_fini(&scan);
    scan = (struct repository_scan){.version_count = 0};
    arena_init(&scan.arena, 128, ARENA_BYTES);
    failing_allocation_begin((const uint8_t *)bytes.data, bytes.size);
    if (scan_answer_read(bytes, &scan, NULL))
        assert(scan.version_count == 0 || scan.versions);
    failing_allocation_end();
    repository_scan_fini(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    struct buf sample, question;
    if (size > MAX_BYTES)
        return 0;
    buf_init(&sample, MAX_BYTES);
    buf_init(&question, MAX_BYTES);
    write_sample(&sample);
    write_sample_question(&question);
    sample.size = edits_apply(sample.data, sample.size, data, size);
    question.size = edits_apply(question.data, question.size, data, size);
    check_answer(buf_span(&sample));
    check_answer(bytes);
    check_question(buf_span(&question));
    check_question(bytes);
    buf_fini(&question);
    buf_fini(&sample);
    return 0;
}
