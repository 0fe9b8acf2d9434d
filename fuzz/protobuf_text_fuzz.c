/* Text format: what is read can be encoded and decoded. */
#include "codec/model_config.pb.h"
#include "codec/protobuf_text.h"

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
    if (pb_text_read(&inference_model_config_pb, (struct span){(const char *)data, size}, &arena,
                     &config, &error)) {
        assert(pb_encode(&inference_model_config_pb, &config, &buf));
        assert(pb_decode(&inference_model_config_pb, buf_span(&buf), &arena, &again, &error) ||
               error.code == ERROR_RESOURCE_EXHAUSTED);
    } else {
        assert(error.code != ERROR_OK && error.message[0]);
    }
    buf_fini(&buf);
    arena_fini(&arena);
    return 0;
}
