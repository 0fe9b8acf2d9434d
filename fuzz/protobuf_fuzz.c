/* Protobuf messages: what is decoded and encoded again decodes to the same. The first byte of the
 * input chooses the message. */
#include "codec/grpc_health_v1_health.pb.h"
#include "codec/grpc_reflection_v1_reflection.pb.h"
#include "codec/inference.pb.h"

#include "failing_allocation.h"

#include <assert.h>

enum { ARENA_BYTES = 1 << 22, STRUCT_BYTES = 1024 };

/* The kinds of numbers that none of our files uses, alone and repeated. */
struct numbers {
    int32_t sint32;
    int64_t sint64;
    uint32_t fixed32;
    int64_t sfixed64;
    double number;
    struct {
        uint32_t count;
        int64_t *items;
    } sint64s;
    struct {
        uint32_t count;
        float *items;
    } floats;
};
#define NUMBER_FIELD(NUMBER, TYPE, MEMBER, REPEATED)                                               \
    {.number = NUMBER,                                                                             \
     .type = TYPE,                                                                                 \
     .repeated = REPEATED,                                                                         \
     .offset = offsetof(struct numbers, MEMBER),                                                   \
     .name = {#MEMBER, sizeof #MEMBER - 1}}
static const struct pb_field number_fields[] = {
    NUMBER_FIELD(1, PB_SINT32, sint32, false),   NUMBER_FIELD(2, PB_SINT64, sint64, false),
    NUMBER_FIELD(3, PB_FIXED32, fixed32, false), NUMBER_FIELD(5, PB_SFIXED64, sfixed64, false),
    NUMBER_FIELD(9, PB_DOUBLE, number, false),   NUMBER_FIELD(10, PB_SINT64, sint64s, true),
    NUMBER_FIELD(1000, PB_FLOAT, floats, true),
};
static const struct pb_message numbers_pb = {.name = {"Numbers", 7},
                                             .fields = number_fields,
                                             .field_count = 7,
                                             .dense = 3,
                                             .size_bytes = sizeof(struct numbers)};

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
    &numbers_pb,
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

static void decode_without_memory(const struct pb_message *table, const uint8_t *data, size_t size)
{
    union {
        void *alignment;
        char bytes[STRUCT_BYTES];
    } message;
    struct arena arena;
    arena_init(&arena, 128, ARENA_BYTES);
    failing_allocation_begin(data, size);
    pb_decode(table, (struct span){(const char *)data, size}, &arena, &message, NULL);
    failing_allocation_end();
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const struct pb_message *table = messages[data[0] % (sizeof messages / sizeof *messages)];
    struct buf first, second;
    for (size_t i = 0; i < table->field_count; i++)
        assert(pb_field_of_name(table, table->fields[i].name) == &table->fields[i]);
    assert(!pb_field_of_name(table, SPAN("")));
    buf_init(&first, ARENA_BYTES);
    buf_init(&second, ARENA_BYTES);
    if (again(table, (struct span){(const char *)data + 1, size - 1}, &first)) {
        assert(again(table, buf_span(&first), &second));
        assert(span_equal(buf_span(&first), buf_span(&second)));
    }
    buf_fini(&first);
    buf_fini(&second);
    decode_without_memory(table, data + 1, size - 1);
    return 0;
}
