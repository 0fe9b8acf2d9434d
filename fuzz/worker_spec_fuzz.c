/* worker_spec as bytes: the input itself, and a sound one that the input edits. What is read must
 * be written back the same. */
#include "worker/worker_spec.h"

#include "edits.h"
#include "failing_allocation.h"
#include "shaping_sample.h"

#include <assert.h>

enum { ARENA_BYTES = 8 << 20 };

static void write_sample(struct buf *buf)
{
    static const struct tensor_info inputs[] = {
        {.name = SPAN("x"), .datatype = TENSORD_FP32, .shape = {2, {-1, 3}}},
        {.name = SPAN("y"), .datatype = TENSORD_BYTES, .shape = {1, {1}}, .optional = true},
        {.name = SPAN("n"), .datatype = TENSORD_INT32, .shape = {1, {-1}}},
    };
    static const struct parameter parameters[] = {{.key = SPAN("a"), .value = SPAN("b")}};
    static struct span command[] = {SPAN("serve"), SPAN("{port}")};
    static struct parameter variables[] = {{.key = SPAN("A"), .value = SPAN("b")}};
    static struct warm_up_input warm_up_inputs[] = {{.name = SPAN("x"),
                                                     .datatype = TENSORD_FP32,
                                                     .shape = {1, {3}},
                                                     .data = WARM_UP_FILE,
                                                     .file = SPAN("f"),
                                                     .bytes = SPAN("0123456789ab")}};
    static struct warm_up warm_ups[] = {{SPAN("w"), 1, 2, warm_up_inputs, 1}};
    const struct worker_spec spec = {
        .path = SPAN("/m/iris.onnx"),
        .root = SPAN("/m"),
        .name = SPAN("iris"),
        .version = 1,
        .engine = SPAN("onnx"),
        .inputs = inputs,
        .input_count = 3,
        .outputs = inputs,
        .output_count = 1,
        .shaping = shaping_sample(),
        .parameters = parameters,
        .parameter_count = 1,
        .max_batch_size = -1,
        .may_batch = true,
        .device = SPAN("cpu"),
        .warm_ups = {warm_ups, 1},
        .server = {.command = command,
                   .command_count = 2,
                   .environment = variables,
                   .environment_count = 1,
                   .health = SPAN("/health"),
                   .network = true},
    };
    assert(worker_spec_write(&spec, buf));
}

/* What was filled up is cut back to what it was. */
static void check_padding(const struct padding *padding)
{
    enum { SMALL_DIMS = 5, FROM = 3, TO = 5, MOST_BYTES = 1 << SMALL_DIMS << 6 };
    static const char bytes[MOST_BYTES] = "any bytes will do";
    char element[8], padded[MOST_BYTES], again[MOST_BYTES];
    struct shape shape = {.ndim = padding->dim + 1};
    assert(padding_size(padding, FROM) >= FROM);
    if (padding->dim >= SMALL_DIMS)
        return;
    for (uint32_t i = 0; i < padding->dim; i++)
        shape.dims[i] = 2;
    for (int type = TENSORD_INVALID + 1; type < TENSORD_DATATYPE_COUNT; type++) {
        enum tensord_datatype datatype = (enum tensord_datatype)type;
        if (datatype == TENSORD_BYTES || !padding_element(padding, datatype, element))
            continue;
        shape.dims[padding->dim] = FROM;
        padding_fill(padding, datatype, &shape, TO, bytes, padded);
        shape.dims[padding->dim] = TO;
        size_t size = (size_t)(padding_cut(padding, datatype, &shape, FROM, padded, again) - again);
        assert(size <= sizeof bytes && memcmp(bytes, again, size) == 0);
    }
}

/* A copy says the same; a model that has what is named is shown otherwise, others are refused. */
static void check_shaping(const struct worker_spec *spec, struct arena *arena)
{
    struct shaping copy;
    struct error error = {0};
    struct buf buf, again;
    struct schema schema = {.input_count = spec->input_count, .output_count = spec->output_count};
    buf_init(&buf, WORKER_SPEC_MAX_BYTES);
    buf_init(&again, WORKER_SPEC_MAX_BYTES);
    bool copied = shaping_copy(arena, &spec->shaping, &copy);
    shaping_write(&spec->shaping, &buf);
    shaping_write(&copy, &again);
    assert(copied && span_equal(buf_span(&buf), buf_span(&again)));
    for (size_t i = 0; i < copy.padding_count; i++)
        check_padding(&copy.paddings[i]);
    schema.inputs = arena_calloc(arena, spec->input_count, sizeof *schema.inputs);
    schema.outputs = arena_calloc(arena, spec->output_count, sizeof *schema.outputs);
    assert(schema.inputs && schema.outputs);
    for (size_t i = 0; i < spec->input_count; i++)
        schema.inputs[i] = spec->inputs[i];
    for (size_t i = 0; i < spec->output_count; i++)
        schema.outputs[i] = spec->outputs[i];
    assert(shaping_show(&copy, &schema, &error) || error.code != ERROR_OK);
    buf_fini(&again);
    buf_fini(&buf);
}

static void check(struct span bytes)
{
    struct arena arena;
    struct buf buf;
    struct worker_spec spec;
    arena_init(&arena, 4096, ARENA_BYTES);
    buf_init(&buf, 2 * WORKER_SPEC_MAX_BYTES);
    if (worker_spec_read(bytes, &arena, &spec, NULL)) {
        assert(worker_spec_write(&spec, &buf));
        assert(span_equal(bytes, buf_span(&buf)));
        check_shaping(&spec, &arena);
    }
    buf_fini(&buf);
    arena_fini(&arena);
    arena_init(&arena, 64, ARENA_BYTES);
    failing_allocation_begin((const uint8_t *)bytes.data, bytes.size);
    worker_spec_read(bytes, &arena, &spec, NULL);
    failing_allocation_end();
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf sample;
    if (size > WORKER_SPEC_MAX_BYTES)
        return 0;
    buf_init(&sample, WORKER_SPEC_MAX_BYTES);
    write_sample(&sample);
    sample.size = edits_apply(sample.data, sample.size, data, size);
    check(buf_span(&sample));
    check((struct span){(const char *)data, size});
    buf_fini(&sample);
    return 0;
}
