/* Unit tests of questions and answers about the repository. */
#include "repository/scan_bytes.h"

#include "repository/model_config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct tensor_info inputs[] = {
    {.name = {"x", 1}, .datatype = TENSORD_FP32, .shape = {.ndim = 2, .dims = {-1, 4}}},
    {.name = {"y", 1}, .datatype = TENSORD_BYTES, .optional = true},
};
static struct parameter parameters[] = {{.key = {"key", 3}, .value = {"value", 5}}};
static const struct schedule_policy queue = {
    .preferred_rows = {2, 8},
    .preferred_count = 2,
    .delay_ns = UINT64_MAX,
    .preserve_order = true,
    .grace_ns = 7,
    .max_running = 6,
    .needs = {{"memory", true, 4}, {"licence", false, 1}},
    .need_count = 2,
    .share_priority = 3,
    .levels = 7,
    .default_level = 3,
    .rules = {{0, 9, 10, true, POLICY_DELAY}, {2, 0, UINT64_MAX, false, POLICY_REJECT}},
    .rule_count = 2,
};
static struct cpu_list cpus[] = {{{5}}, {{[15] = UINT64_C(1) << 63}}};
static uint32_t gpus[] = {0, 31};
static struct model_labels labels[] = {{{"x", 1}, {"l.txt", 5}, {"cat\ndog", 7}}};
static struct shaped_tensor shaped[] = {
    {.name = {"x", 1}, .client = {2, {-1, 1}}, .model = {1, {-1}}}};
static const struct model_config config = {
    .engine = {"onnx", 4},
    .file = {"a.onnx", 6},
    .max_batch_size = -1,
    .inputs = inputs,
    .input_count = 2,
    .outputs = inputs,
    .output_count = 1,
    .shaping = {.tensors = shaped, .tensor_count = 1},
    .parameters = parameters,
    .parameter_count = 1,
    .instance_count = 3,
    .workers = {1, 4, 60},
    .placement = {true, cpus, 2, gpus, 2},
    .device = {"cuda:0", 6},
    .queue = &queue,
    .caches = true,
    .labels = labels,
    .label_count = 1,
    .written = {"\n\1m\40\0", 5},
};

static void write_scan(struct buf *buf)
{
    static const struct error error = {.code = ERROR_UNIMPLEMENTED, .message = "no"};
    struct repository_version versions[] = {
        {.model = SPAN("m"),
         .version = INT64_MAX,
         .path = SPAN("/r/m/1"),
         .root = SPAN("/r/m"),
         .fingerprint = UINT64_MAX,
         .size_bytes = 7,
         .renamed_in = true,
         .doubled = true,
         .config = &config},
        {.model = SPAN("n"),
         .version = 1,
         .complete = true,
         .unreadable = true,
         .config = model_config_default(),
         .error = &error},
    };
    const struct repository_scan scan = {
        .root = SPAN("/r"), .versions = versions, .version_count = 2};
    buf_init(buf, 1 << 20);
    scan_answer_write(&scan, buf);
    assert_true(buf_ok(buf));
}

static void a_scan_comes_back(void **state)
{
    struct repository_scan scan = {0};
    struct error error;
    struct buf buf;
    write_scan(&buf);
    arena_init(&scan.arena, 4096, 1 << 20);
    assert_true(scan_answer_read(buf_span(&buf), &scan, &error));
    assert_true(span_equal(scan.root, SPAN("/r")) && scan.version_count == 2);
    const struct repository_version *m = &scan.versions[0], *n = &scan.versions[1];
    assert_true(span_equal(m->model, SPAN("m")) && m->version == INT64_MAX);
    assert_true(span_equal(m->path, SPAN("/r/m/1")) && span_equal(m->root, SPAN("/r/m")));
    assert_true(m->fingerprint == UINT64_MAX && m->size_bytes == 7 && m->renamed_in);
    assert_true(!m->complete && !m->unreadable && !m->error && m->doubled && !n->doubled);
    assert_true(span_equal(m->config->engine, SPAN("onnx")));
    assert_true(m->config->max_batch_size == -1 && !n->config->queue);
    assert_memory_equal(m->config->queue, &queue, sizeof queue);
    assert_true(m->config->inputs[0].shape.dims[1] == 4 && m->config->inputs[1].optional);
    assert_true(span_equal(m->config->parameters[0].value, SPAN("value")));
    assert_true(m->config->instance_count == 3);
    assert_true(m->config->placement.all_cpus);
    assert_int_equal(m->config->placement.cpus_count, 2);
    assert_memory_equal(m->config->placement.cpus, cpus, sizeof cpus);
    assert_int_equal(m->config->placement.gpu_count, 2);
    assert_memory_equal(m->config->placement.gpus, gpus, sizeof gpus);
    assert_int_equal(m->config->shaping.tensor_count, 1);
    assert_true(span_equal(m->config->shaping.tensors[0].name, SPAN("x")));
    assert_memory_equal(&m->config->workers, &config.workers, sizeof config.workers);
    assert_true(m->config->caches && !m->config->coalesces);
    assert_true(m->config->label_count == 1 && !n->config->label_count);
    assert_true(span_equal(m->config->labels[0].text, labels[0].text));
    assert_true(span_equal(m->config->written, config.written) && !n->config->written.size);
    assert_true(n->complete && n->unreadable && n->config == model_config_default());
    assert_int_equal(n->error->code, ERROR_UNIMPLEMENTED);
    assert_string_equal(n->error->message, "no");
    repository_scan_fini(&scan);
    buf_fini(&buf);
}

static void an_error_comes_back(void **state)
{
    const struct error sent = {.code = ERROR_NOT_FOUND, .message = "cannot read the repository"};
    struct repository_scan scan = {0};
    struct error error;
    struct buf buf;
    buf_init(&buf, 1024);
    scan_answer_write_error(&sent, &buf);
    arena_init(&scan.arena, 4096, 1 << 20);
    assert_false(scan_answer_read(buf_span(&buf), &scan, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_string_equal(error.message, sent.message);
    repository_scan_fini(&scan);
    buf_fini(&buf);
}

static void assert_refused(struct span bytes)
{
    struct repository_scan scan = {0};
    struct error error;
    arena_init(&scan.arena, 4096, 1 << 20);
    assert_false(scan_answer_read(bytes, &scan, &error));
    assert_int_equal(error.code, ERROR_INTERNAL);
    repository_scan_fini(&scan);
}

static void what_is_cut_or_longer_is_refused(void **state)
{
    struct buf buf;
    write_scan(&buf);
    for (size_t size = 0; size < buf.size; size++)
        assert_refused((struct span){buf.data, size});
    buf_append_char(&buf, '\0');
    assert_refused(buf_span(&buf));
    buf_fini(&buf);
}

static void a_name_that_is_no_text_is_refused(void **state)
{
    struct buf buf;
    write_scan(&buf);
    char *name = memmem(buf.data, buf.size, "\1\0\0\0\0\0\0\0m", 9);
    assert_non_null(name);
    name[8] = (char)0xff;
    assert_refused(buf_span(&buf));
    buf_fini(&buf);
}

static void a_question_comes_back(void **state)
{
    const struct scan_question asked = {
        .renamed_in = {SPAN("a.onnx"), SPAN("b")},
        .renamed_count = 2,
        .overrides = {{SPAN("m"), SPAN("{}"), SPAN("/f"), .number = 7, .may_bring_code = true}},
        .override_count = 1,
    };
    struct scan_question read;
    struct buf buf;
    buf_init(&buf, 1024);
    scan_question_write(&asked, &buf);
    assert_true(scan_question_read(buf_span(&buf), &read));
    assert_true(read.renamed_count == 2 && span_equal(read.renamed_in[1], SPAN("b")));
    assert_true(read.override_count == 1 && span_equal(read.overrides[0].config, SPAN("{}")) &&
                span_equal(read.overrides[0].folder, SPAN("/f")) && read.overrides[0].number == 7 &&
                read.overrides[0].may_bring_code);
    assert_false(scan_question_read((struct span){buf.data, buf.size - 1}, &read));
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scan_comes_back),
        cmocka_unit_test(an_error_comes_back),
        cmocka_unit_test(what_is_cut_or_longer_is_refused),
        cmocka_unit_test(a_name_that_is_no_text_is_refused),
        cmocka_unit_test(a_question_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
