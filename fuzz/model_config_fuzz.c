/* A model's config, as text (first byte 'y': YAML, else protobuf's text format), to what the server
 * makes of it: what is accepted is sound, what is not is said why. */
#include "repository/model_config.h"
#include "repository/model_rollout.h"
#include "repository/model_steps.h"

#include "failing_allocation.h"

#include <assert.h>

enum { ARENA_BYTES = 1 << 22 };

static void check_tensors(const struct tensor_info *infos, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert(infos[i].name.size && infos[i].datatype != TENSORD_INVALID);
        assert(infos[i].shape.ndim <= TENSOR_MAX_DIMS);
        for (uint32_t d = 0; d < infos[i].shape.ndim; d++)
            assert(infos[i].shape.dims[d] >= -1);
    }
}

/* They go to the front, and on to a worker, as bytes. */
static void check_warm_ups(const struct warm_ups *warm_ups)
{
    struct warm_ups other, copy;
    struct arena arena;
    struct buf buf, again;
    buf_init(&buf, ARENA_BYTES);
    buf_init(&again, ARENA_BYTES);
    arena_init(&arena, 4096, ARENA_BYTES);
    warm_ups_write(warm_ups, &buf);
    struct unpack unpack = {.rest = buf_span(&buf), .arena = &arena};
    warm_ups_read(&unpack, &other);
    assert(buf_ok(&buf) && unpack_end(&unpack));
    assert(warm_ups_copy(&arena, &other, &copy));
    warm_ups_write(&copy, &again);
    assert(span_equal(buf_span(&buf), buf_span(&again)));
    arena_fini(&arena);
    buf_fini(&again);
    buf_fini(&buf);
}

/* It goes to the front as bytes, and is there what it was. */
static void check_steps(const struct pipeline_graph *graph)
{
    struct pipeline_graph other;
    struct arena arena;
    struct buf buf, again;
    buf_init(&buf, ARENA_BYTES);
    buf_init(&again, ARENA_BYTES);
    arena_init(&arena, 4096, ARENA_BYTES);
    model_steps_pack(graph, &buf);
    struct unpack unpack = {.rest = buf_span(&buf), .arena = &arena};
    model_steps_unpack(&unpack, &other);
    assert(buf_ok(&buf) && unpack_end(&unpack));
    model_steps_pack(&other, &again);
    assert(span_equal(buf_span(&buf), buf_span(&again)));
    arena_fini(&arena);
    buf_fini(&again);
    buf_fini(&buf);
}

static void check_rollout(const struct rollout *rollout)
{
    struct rollout other;
    struct arena arena;
    struct buf buf;
    buf_init(&buf, ARENA_BYTES);
    arena_init(&arena, 4096, ARENA_BYTES);
    model_rollout_pack(rollout, &buf);
    struct unpack unpack = {.rest = buf_span(&buf), .arena = &arena};
    model_rollout_unpack(&unpack, &other);
    assert(buf_ok(&buf) && unpack_end(&unpack) && rollout_equal(rollout, &other));
    arena_fini(&arena);
    buf_fini(&buf);
}

static bool read_config(char format, struct span text, struct arena *arena,
                        struct model_config *config)
{
    struct error error = {0};
    arena_init(arena, 4096, ARENA_BYTES);
    bool good = model_config_read(format == 'y' ? MODEL_CONFIG_YAML : MODEL_CONFIG_PBTXT, text,
                                  arena, config, &error);
    assert(good || (error.code != ERROR_OK && error.message[0]));
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_config config;
    struct arena arena;
    if (size < 1)
        return 0;
    struct span text = {(const char *)data + 1, size - 1};
    if (read_config((char)data[0], text, &arena, &config)) {
        assert(config.max_batch_size >= -1 && config.device.size);
        check_tensors(config.inputs, config.input_count);
        check_tensors(config.outputs, config.output_count);
        assert(!config.engine.size == !model_config_backend(config.engine).size);
        check_warm_ups(&config.warm_ups);
        if (config.pipeline)
            check_steps(config.pipeline);
        if (config.rollout)
            check_rollout(config.rollout);
    }
    arena_fini(&arena);
    failing_allocation_begin(data, size);
    read_config((char)data[0], text, &arena, &config);
    failing_allocation_end();
    arena_fini(&arena);
    return 0;
}
