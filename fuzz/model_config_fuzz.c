/* A model's config, as text (first byte 'y': YAML, else protobuf's text format), to what the server
 * makes of it: what is accepted is sound, what is not is said why. */
#include "repository/model_config.h"
#include "repository/model_engine.h"
#include "repository/model_queue.h"
#include "repository/model_rollout.h"
#include "repository/model_sequences.h"
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

/* Parts of a config cross between processes: written, read as what was written, written again as
 * the same bytes. */
struct crossing {
    struct buf buf, again;
    struct arena arena;
    struct unpack unpack;
};

static void crossing_begin(struct crossing *crossing)
{
    buf_init(&crossing->buf, ARENA_BYTES);
    buf_init(&crossing->again, ARENA_BYTES);
    arena_init(&crossing->arena, 4096, ARENA_BYTES);
}

/* The reader of what has been written. */
static struct unpack *crossing_read(struct crossing *crossing)
{
    assert(buf_ok(&crossing->buf));
    crossing->unpack = (struct unpack){.rest = buf_span(&crossing->buf), .arena = &crossing->arena};
    return &crossing->unpack;
}

static void crossing_end(struct crossing *crossing)
{
    assert(unpack_end(&crossing->unpack));
    assert(span_equal(buf_span(&crossing->buf), buf_span(&crossing->again)));
    arena_fini(&crossing->arena);
    buf_fini(&crossing->again);
    buf_fini(&crossing->buf);
}

static void check_warm_ups(const struct warm_ups *warm_ups)
{
    struct warm_ups other, copy;
    struct crossing crossing;
    crossing_begin(&crossing);
    warm_ups_write(warm_ups, &crossing.buf);
    warm_ups_read(crossing_read(&crossing), &other);
    assert(warm_ups_copy(&crossing.arena, &other, &copy));
    warm_ups_write(&copy, &crossing.again);
    crossing_end(&crossing);
}

static void check_shaping(const struct shaping *shaping)
{
    struct shaping other, copy;
    struct crossing crossing;
    crossing_begin(&crossing);
    shaping_write(shaping, &crossing.buf);
    shaping_read(crossing_read(&crossing), &other);
    assert(shaping_copy(&crossing.arena, &other, &copy));
    shaping_write(&copy, &crossing.again);
    crossing_end(&crossing);
}

static void check_sequences(const struct model_sequences *sequences)
{
    struct model_sequences other;
    struct crossing crossing;
    assert(sequences->control_count <= MODEL_MAX_CONTROLS);
    crossing_begin(&crossing);
    model_sequences_pack(sequences, &crossing.buf);
    model_sequences_unpack(crossing_read(&crossing), &other);
    const struct model_sequences *copy = model_sequences_copy(&crossing.arena, &other);
    assert(copy);
    model_sequences_pack(copy, &crossing.again);
    crossing_end(&crossing);
}

static void check_steps(const struct pipeline_graph *graph)
{
    struct pipeline_graph other;
    struct crossing crossing;
    crossing_begin(&crossing);
    model_steps_pack(graph, &crossing.buf);
    model_steps_unpack(crossing_read(&crossing), &other);
    model_steps_pack(&other, &crossing.again);
    crossing_end(&crossing);
}

static void check_queue(const struct schedule_policy *policy)
{
    struct schedule_policy other;
    struct crossing crossing;
    crossing_begin(&crossing);
    model_queue_pack(policy, &crossing.buf);
    model_queue_unpack(crossing_read(&crossing), &other);
    model_queue_pack(&other, &crossing.again);
    crossing_end(&crossing);
}

/* Those that are listed are served, whatever there is; else as many as are said, from above. */
static void check_versions(const struct model_versions *versions)
{
    for (size_t i = 0; i < versions->count; i++)
        assert(model_versions_serve(versions, (uint64_t)versions->numbers[i], SIZE_MAX));
    assert(versions->count || model_versions_serve(versions, 1, 0));
    assert(versions->count || !versions->latest ||
           !model_versions_serve(versions, 1, versions->latest));
}

static void check_rollout(const struct rollout *rollout)
{
    struct rollout other;
    struct crossing crossing;
    crossing_begin(&crossing);
    model_rollout_pack(rollout, &crossing.buf);
    model_rollout_unpack(crossing_read(&crossing), &other);
    assert(rollout_equal(rollout, &other));
    model_rollout_pack(&other, &crossing.again);
    crossing_end(&crossing);
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
        assert(!config.engine.size == !model_engine_backend(config.engine).size);
        check_warm_ups(&config.warm_ups);
        check_shaping(&config.shaping);
        if (config.sequences)
            check_sequences(config.sequences);
        if (config.pipeline)
            check_steps(config.pipeline);
        if (config.queue)
            check_queue(config.queue);
        check_versions(config.versions);
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
