/* Unit tests of worker/worker_spec.h: there and back, and broken bytes refused. */
#include "worker/worker_spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct tensor_info inputs[] = {
    {.name = {"x", 1}, .datatype = TENSORD_FP32, .shape = {2, {-1, 16}}, .optional = true},
    {.name = {"ids", 3}, .datatype = TENSORD_INT64, .shape = {0, {0}}},
};
static const struct parameter parameters[] = {{.key = {"threads", 7}, .value = {"4", 1}},
                                              {.key = {"", 0}, .value = {"", 0}}};
static struct span command[] = {{"serve", 5}, {"{port}", 6}};
static struct parameter variables[] = {{.key = {"A", 1}, .value = {"b", 1}}};
static struct warm_up_input warm_up_inputs[] = {
    {.name = {"x", 1}, .datatype = TENSORD_FP32, .shape = {1, {2}}, .data = WARM_UP_ZERO},
    {.name = {"ids", 3}, .data = WARM_UP_FILE, .file = {"ids", 3}, .bytes = {"\0\1\2", 3}}};
static struct warm_up warm_ups[] = {{{"w", 1}, 4, 5, warm_up_inputs, 2}};
static const struct worker_spec example = {
    .path = {"/srv/models/iris/1/model.onnx", 29},
    .root = {"/srv/models/iris", 16},
    .name = {"iris", 4},
    .version = UINT64_MAX,
    .engine = {"onnx", 4},
    .inputs = inputs,
    .input_count = 2,
    .parameters = parameters,
    .parameter_count = 2,
    .max_batch_size = -1,
    .may_batch = true,
    .threads = 3,
    .interpreter = {"/usr/bin/python3", 16},
    .keep_limit_bytes = 1 << 20,
    .concurrency = 2,
    .device = {"cpu", 3},
    .warm_ups = {warm_ups, 1},
    .probe = true,
    .server = {.command = command,
               .command_count = 2,
               .environment = variables,
               .environment_count = 1,
               .health = {"/health", 7},
               .port = 80,
               .connections = 4,
               .start_timeout_s = 5,
               .idle_after_s = 6,
               .answer_timeout_s = 7,
               .network = true},
};

static void comes_back_as_it_was(void **state)
{
    struct buf buf;
    struct arena arena;
    struct worker_spec back;
    buf_init(&buf, WORKER_SPEC_MAX_BYTES);
    arena_init(&arena, 1024, 1 << 20);
    assert_true(worker_spec_write(&example, &buf));
    assert_true(worker_spec_read(buf_span(&buf), &arena, &back, NULL));
    assert_true(span_equal(back.path, example.path));
    assert_true(span_equal(back.root, example.root));
    assert_true(span_equal(back.name, example.name));
    assert_true(back.version == UINT64_MAX);
    assert_true(span_equal(back.engine, example.engine));
    assert_int_equal(back.input_count, 2);
    assert_true(span_equal(back.inputs[0].name, inputs[0].name));
    assert_int_equal(back.inputs[0].datatype, TENSORD_FP32);
    assert_memory_equal(&back.inputs[0].shape, &inputs[0].shape, sizeof(struct shape));
    assert_true(back.inputs[0].optional && !back.inputs[1].optional);
    assert_int_equal(back.output_count, 0);
    assert_int_equal(back.parameter_count, 2);
    assert_true(span_equal(back.parameters[0].value, SPAN("4")));
    assert_int_equal(back.max_batch_size, -1);
    assert_true(back.may_batch && back.probe);
    assert_int_equal(back.threads, 3);
    assert_int_equal(back.concurrency, 2);
    assert_int_equal(back.keep_limit_bytes, 1 << 20);
    assert_true(span_equal(back.interpreter, SPAN("/usr/bin/python3")));
    assert_true(span_equal(back.device, SPAN("cpu")));
    assert_int_equal(back.warm_ups.count, 1);
    const struct warm_up *warm_up = &back.warm_ups.items[0];
    assert_true(warm_up->rows == 4 && warm_up->times == 5 && warm_up->input_count == 2);
    assert_int_equal(warm_up->inputs[0].shape.dims[0], 2);
    assert_true(span_equal(warm_up->inputs[1].bytes, warm_up_inputs[1].bytes));
    assert_int_equal(back.server.command_count, 2);
    assert_true(span_equal(back.server.command[1], SPAN("{port}")));
    assert_int_equal(back.server.environment_count, 1);
    assert_true(span_equal(back.server.environment[0].value, SPAN("b")));
    assert_true(span_equal(back.server.health, SPAN("/health")));
    assert_int_equal(back.server.port, 80);
    assert_int_equal(back.server.connections, 4);
    assert_int_equal(back.server.start_timeout_s, 5);
    assert_int_equal(back.server.idle_after_s, 6);
    assert_int_equal(back.server.answer_timeout_s, 7);
    assert_true(back.server.network);
    arena_fini(&arena);
    buf_fini(&buf);
}

static void refuses_every_cut_and_every_addition(void **state)
{
    struct buf buf;
    buf_init(&buf, WORKER_SPEC_MAX_BYTES);
    assert_true(worker_spec_write(&example, &buf));
    size_t size = buf.size;
    assert_true(buf_append_char(&buf, '\0'));
    for (size_t cut = 0; cut <= size + 1; cut++) {
        struct arena arena;
        struct worker_spec back;
        struct error error;
        if (cut == size)
            continue;
        char *exact = malloc(cut ? cut : 1);
        memcpy(exact, buf.data, cut);
        arena_init(&arena, 1024, 1 << 20);
        assert_false(worker_spec_read((struct span){exact, cut}, &arena, &back, &error));
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        arena_fini(&arena);
        free(exact);
    }
    buf_fini(&buf);
}

/* Any byte may be wrong; what is read must stay within the bytes, and never be asserted about. */
static void survives_any_wrong_byte(void **state)
{
    struct buf buf;
    buf_init(&buf, WORKER_SPEC_MAX_BYTES);
    assert_true(worker_spec_write(&example, &buf));
    for (size_t i = 0; i < buf.size; i++) {
        struct arena arena;
        struct worker_spec back;
        arena_init(&arena, 1024, 1 << 20);
        buf.data[i] = (char)~buf.data[i];
        if (worker_spec_read(buf_span(&buf), &arena, &back, NULL))
            assert_true(back.input_count <= TENSOR_MAX_PER_REQUEST);
        buf.data[i] = (char)~buf.data[i];
        arena_fini(&arena);
    }
    buf_fini(&buf);
}

static void bounds_what_is_written(void **state)
{
    struct buf buf;
    struct worker_spec many = example;
    buf_init(&buf, WORKER_SPEC_MAX_BYTES);
    many.parameter_count = WORKER_SPEC_MAX_PARAMETERS + 1;
    assert_false(worker_spec_write(&many, &buf));
    buf_fini(&buf);
    buf_init(&buf, 64);
    assert_false(worker_spec_write(&example, &buf));
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(refuses_every_cut_and_every_addition),
        cmocka_unit_test(survives_any_wrong_byte),
        cmocka_unit_test(bounds_what_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
