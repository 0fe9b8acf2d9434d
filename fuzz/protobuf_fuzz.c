/* Protobuf messages: what is decoded and encoded again decodes to the same. The first byte of the
 * input chooses the message. */
#include "codec/grpc_health_v1_health.pb.h"
#include "codec/grpc_reflection_v1_reflection.pb.h"
#include "codec/inference.pb.h"

#include <assert.h>

enum { ARENA_BYTES = 1 << 22, STRUCT_BYTES = 1024 };

static const struct pb_message *const messages[] = {
    &inference_model_infer_request_pb,
    &inference_model_infer_response_pb,
    &inference_model_stream_infer_response_pb,
    &inference_model_config_pb,
    &inference_model_statistics_response_pb,
    &inference_model_metadata_response_pb,
    &inference_repository_model_load_request_pb,
    &inference_repository_index_response_pb,
    &inference_system_shared_memory_status_response_pb,
    &inference_log_settings_request_pb,
    &grpc_health_v1_health_check_response_pb,
    &grpc_reflection_v1_server_reflection_request_pb,
    &grpc_reflection_v1_server_reflection_response_pb,
};

/* Decodes and encodes; false when it is refused. */
static bool again(const struct pb_message *table, struct span bytes, struct buf *ret_bytes)
{
    union {
        void *alignment;
        char bytes[STRUCT_BYTES];
    } message;
    struct arena arena;
    struct error error;
    assert(table->size_bytes <= sizeof message);
    arena_init(&arena, 4096, ARENA_BYTES);
    bool ok = pb_decode(table, bytes, &arena, &message, &error);
    if (ok) {
        assert(pb_encode(table, &message, ret_bytes));
        assert(ret_bytes->size == pb_encoded_size(table, &message));
    }
    arena_fini(&arena);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const struct pb_message *table = messages[data[0] % (sizeof messages / sizeof *messages)];
    struct buf first, second;
    buf_init(&first, ARENA_BYTES);
    buf_init(&second, ARENA_BYTES);
    if (again(table, (struct span){(const char *)data + 1, size - 1}, &first)) {
        assert(again(table, buf_span(&first), &second));
        assert(span_equal(buf_span(&first), buf_span(&second)));
    }
    buf_fini(&first);
    buf_fini(&second);
    return 0;
}
