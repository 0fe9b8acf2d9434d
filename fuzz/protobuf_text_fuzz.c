/* Text format: what is read can be encoded and decoded. */
#include "codec/inference.pb.h"
#include "codec/protobuf_text.h"

#include "failing_allocation.h"

#include <assert.h>

enum { ARENA_BYTES = 1 << 22 };

union message {
    struct inference_model_config config;
    struct inference_infer_tensor_contents contents; /* has a list of each kind of number */
};

static void read_text(const struct pb_message *table, struct span text, union message *message,
                      struct arena *arena)
{
    struct error error = {0};
    union message again;
    struct buf buf;
    buf_init(&buf, ARENA_BYTES);
    if (pb_text_read(table, text, arena, message, &error)) {
        assert(pb_encode(table, message, &buf));
        assert(pb_decode(table, buf_span(&buf), arena, &again, &error) ||
               error.code == ERROR_RESOURCE_EXHAUSTED);
    } else {
        assert(error.code != ERROR_OK && error.message[0]);
    }
    buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pb_message *const tables[] = {&inference_model_config_pb,
                                                      &inference_infer_tensor_contents_pb};
    struct span text = {(const char *)data, size};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        union message message = {0};
        struct arena arena;
        arena_init(&arena, 4096, ARENA_BYTES);
        read_text(tables[i], text, &message, &arena);
        arena_fini(&arena);
        message = (union message){0};
        arena_init(&arena, 256, ARENA_BYTES);
        failing_allocation_begin(data, size);
        pb_text_read(tables[i], text, &arena, &message, &(struct error){0});
        failing_allocation_end();
        arena_fini(&arena);
    }
    return 0;
}
