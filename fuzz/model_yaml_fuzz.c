/* model.yaml: what is read can be encoded and decoded. */
#include "codec/model_config.pb.h"
#include "repository/model_yaml.h"

#include "failing_allocation.h"

#include <assert.h>

enum { ARENA_BYTES = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct inference_model_config config = {0}, again;
    struct arena arena;
    struct error error = {0};
    struct buf buf;
    arena_init(&arena, 4096, ARENA_BYTES);
    buf_init(&buf, ARENA_BYTES);
    if (model_yaml_read(&inference_model_config_pb, (struct span){(const char *)data, size}, &arena,
                        &config, &error)) {
        assert(pb_encode(&inference_model_config_pb, &config, &buf));
        assert(pb_decode(&inference_model_config_pb, buf_span(&buf), &arena, &again, &error) ||
               error.code == ERROR_RESOURCE_EXHAUSTED);
    } else {
        assert(error.code != ERROR_OK && error.message[0]);
    }
    buf_fini(&buf);
    arena_fini(&arena);
    config = (struct inference_model_config){0};
    arena_init(&arena, 256, ARENA_BYTES);
    failing_allocation_begin(data, size);
    model_yaml_read(&inference_model_config_pb, (struct span){(const char *)data, size}, &arena,
                    &config, &error);
    failing_allocation_end();
    arena_fini(&arena);
    return 0;
}
