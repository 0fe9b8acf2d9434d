/* model.yaml: what is read can be encoded and decoded. */
#include "codec/model_config.pb.h"
#include "codec/model_sections.pb.h"
#include "repository/model_yaml.h"

#include "failing_allocation.h"

#include <assert.h>

enum { ARENA_BYTES = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct inference_model_config config = {0}, again;
    struct tensord_model_sections sections = {0};
    const struct model_yaml_target targets[] = {{&inference_model_config_pb, &config},
                                                {&tensord_model_sections_pb, &sections}};
    struct arena arena;
    struct error error = {0};
    struct buf buf;
    arena_init(&arena, 4096, ARENA_BYTES);
    buf_init(&buf, ARENA_BYTES);
    if (model_yaml_read(targets, 2, (struct span){(const char *)data, size}, &arena, &error)) {
        assert(pb_encode(&inference_model_config_pb, &config, &buf));
        assert(pb_decode(&inference_model_config_pb, buf_span(&buf), &arena, &again, &error) ||
               error.code == ERROR_RESOURCE_EXHAUSTED);
    } else {
        assert(error.code != ERROR_OK && error.message[0]);
    }
    buf_fini(&buf);
    arena_fini(&arena);
    config = (struct inference_model_config){0};
    sections = (struct tensord_model_sections){0};
    arena_init(&arena, 256, ARENA_BYTES);
    failing_allocation_begin(data, size);
    model_yaml_read(targets, 2, (struct span){(const char *)data, size}, &arena, &error);
    failing_allocation_end();
    arena_fini(&arena);
    return 0;
}
