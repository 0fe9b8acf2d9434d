/* The extensions for clients' shared memory over gRPC: status, register, unregister. */
#include "api/grpc_call.h"
#include "api/shared_memory.h"
#include "codec/inference.pb.h"

typedef struct inference_system_shared_memory_status_response_region_status region_message;
typedef struct inference_string_system_shared_memory_status_response_region_status_entry
    region_entry;

/* ---- system ---- */

static bool fill(struct arena *arena, const struct region_status *status, region_entry *entry)
{
    region_message *message = arena_calloc(arena, 1, sizeof *message);
    if (!message)
        return false;
    *message = (region_message){status->name, status->key, status->offset, status->size_bytes};
    *entry = (region_entry){status->name, message};
    return true;
}

/* All of the caller's regions, or the one that is named. */
static bool list_regions(struct api_call *call, struct span name, region_entry *entries,
                         uint32_t *ret_count, struct error *ret_error)
{
    const struct regions *regions = call->api->regions;
    struct arena *arena = &call->exchange->arena;
    struct region_status status;
    struct list_link *position = NULL;
    *ret_count = 0;
    if (name.size) {
        if (!regions_status(regions, call->caller, name, &status, ret_error))
            return false;
        *ret_count = 1;
        return fill(arena, &status, entries) || error_no_memory(ret_error);
    }
    while (regions_next(regions, call->caller, &position, &status)) {
        if (!fill(arena, &status, &entries[(*ret_count)++]))
            return error_no_memory(ret_error);
    }
    return true;
}

void grpc_system_memory_status(struct api_call *call, const void *message)
{
    const struct inference_system_shared_memory_status_request *request = message;
    struct inference_system_shared_memory_status_response response = {0};
    struct error error;
    region_entry *entries =
        arena_calloc(&call->exchange->arena, call->api->regions->count + 1, sizeof *entries);
    bool listed = entries
                      ? list_regions(call, request->name, entries, &response.regions.count, &error)
                      : error_no_memory(&error);
    response.regions.items = entries;
    if (listed)
        grpc_call_reply(call, &inference_system_shared_memory_status_response_pb, &response);
    else
        grpc_call_fail(call, &error);
}

static void registered(struct api_call *call, const struct error *error)
{
    const struct inference_system_shared_memory_register_response response = {0};
    if (error->code == ERROR_OK)
        grpc_call_reply(call, &inference_system_shared_memory_register_response_pb, &response);
    else
        grpc_call_fail(call, error);
}

void grpc_system_memory_register(struct api_call *call, const void *message)
{
    const struct inference_system_shared_memory_register_request *request = message;
    const struct region_wish wish = {.name = request->name,
                                     .key = request->key,
                                     .offset = request->offset,
                                     .size_bytes = request->byte_size};
    shared_memory_register(call, &wish, registered);
}

void grpc_system_memory_unregister(struct api_call *call, const void *message)
{
    const struct inference_system_shared_memory_unregister_request *request = message;
    const struct inference_system_shared_memory_unregister_response response = {0};
    struct error error;
    if (shared_memory_unregister(call, request->name, &error))
        grpc_call_reply(call, &inference_system_shared_memory_unregister_response_pb, &response);
    else
        grpc_call_fail(call, &error);
}

/* ---- CUDA ---- */

void grpc_cuda_memory_status(struct api_call *call, const void *message)
{
    const struct inference_cuda_shared_memory_status_request *request = message;
    const struct inference_cuda_shared_memory_status_response response = {0};
    struct error error;
    if (!request->name.size) {
        grpc_call_reply(call, &inference_cuda_shared_memory_status_response_pb, &response);
        return;
    }
    cuda_memory_status(request->name, &error);
    grpc_call_fail(call, &error);
}

void grpc_cuda_memory_register(struct api_call *call, const void *message)
{
    const struct inference_cuda_shared_memory_register_request *request = message;
    struct error error;
    cuda_memory_register(request->name, &error);
    grpc_call_fail(call, &error);
}

void grpc_cuda_memory_unregister(struct api_call *call, const void *message)
{
    const struct inference_cuda_shared_memory_unregister_response response = {0};
    struct error error;
    if (shared_memory_is_allowed(call, &error))
        grpc_call_reply(call, &inference_cuda_shared_memory_unregister_response_pb, &response);
    else
        grpc_call_fail(call, &error);
}
