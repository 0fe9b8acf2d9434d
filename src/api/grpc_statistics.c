/* inference.GRPCInferenceService/ModelStatistics. */
#include "api/grpc_call.h"
#include "api/statistics.h"
#include "codec/inference.pb.h"

struct building {
    struct arena *arena;
    struct inference_model_statistics_response response;
    size_t capacity;
    bool failed; /* there is no memory */
};

static struct inference_statistic_duration *put_duration(struct building *building,
                                                         struct duration duration)
{
    struct inference_statistic_duration *message =
        arena_calloc(building->arena, 1, sizeof *message);
    building->failed = building->failed || !message;
    if (message)
        *message =
            (struct inference_statistic_duration){.count = duration.count, .ns = duration.ns};
    return message;
}

static struct inference_infer_statistics *put_inferences(struct building *building,
                                                         const struct model_metrics *of)
{
    struct inference_infer_statistics *message = arena_calloc(building->arena, 1, sizeof *message);
    building->failed = building->failed || !message;
    if (!message)
        return NULL;
    message->success = put_duration(building, of->success);
    message->fail = put_duration(building, of->fail);
    message->queue = put_duration(building, of->queue);
    message->compute_input = put_duration(building, of->input);
    message->compute_infer = put_duration(building, of->compute);
    message->compute_output = put_duration(building, of->output);
    message->cache_hit = put_duration(building, of->cache_hit);
    message->cache_miss = put_duration(building, of->cache_miss);
    return message;
}

static void put_batches(struct building *building, const struct version_statistics *statistics,
                        struct inference_model_statistics *message)
{
    size_t count = statistics->batch_count;
    message->batch_stats.items =
        arena_calloc(building->arena, count, sizeof *message->batch_stats.items);
    building->failed = building->failed || !message->batch_stats.items;
    for (size_t i = 0; i < count && message->batch_stats.items; i++) {
        const struct batch_statistics *batch = &statistics->batches[i];
        message->batch_stats.items[i] = (struct inference_infer_batch_statistics){
            .batch_size = batch->rows,
            .compute_input = put_duration(building, batch->input),
            .compute_infer = put_duration(building, batch->compute),
            .compute_output = put_duration(building, batch->output),
        };
        message->batch_stats.count++;
    }
}

static struct inference_infer_response_statistics *
make_response(struct building *building, const struct response_statistics *of)
{
    struct inference_infer_response_statistics *message =
        arena_calloc(building->arena, 1, sizeof *message);
    building->failed = building->failed || !message;
    if (!message)
        return NULL;
    message->compute_infer = put_duration(building, statistics_response_compute(of));
    message->compute_output = put_duration(building, (struct duration){of->success.count, 0});
    message->success = put_duration(building, of->success);
    message->fail = put_duration(building, of->fail);
    message->empty_response = put_duration(building, of->empty);
    message->cancel = put_duration(building, of->cancel);
    return message;
}

static void put_responses(struct building *building, const struct version_statistics *statistics,
                          struct inference_model_statistics *message)
{
    size_t count = statistics->response_count;
    message->response_stats.items =
        arena_calloc(building->arena, count, sizeof *message->response_stats.items);
    building->failed = building->failed || !message->response_stats.items;
    for (size_t i = 0; i < count && message->response_stats.items; i++) {
        char *place = arena_printf(building->arena, "%zu", i);
        building->failed = building->failed || !place;
        message->response_stats.items[message->response_stats.count++] =
            (struct inference_string_infer_response_statistics_entry){
                .key = span_of(place ? place : ""),
                .value = make_response(building, &statistics->responses[i]),
            };
    }
}

static void put_memory(struct building *building, const struct model_metrics *of,
                       struct inference_model_statistics *message)
{
    message->memory_usage.items =
        arena_calloc(building->arena, 2, sizeof *message->memory_usage.items);
    building->failed = building->failed || !message->memory_usage.items;
    if (!message->memory_usage.items)
        return;
    if (of->tensor_committed_bytes)
        message->memory_usage.items[message->memory_usage.count++] =
            (struct inference_memory_usage){.type = SPAN("CPU"),
                                            .byte_size = of->tensor_committed_bytes};
    if (of->device_bytes)
        message->memory_usage.items[message->memory_usage.count++] =
            (struct inference_memory_usage){.type = SPAN("GPU"), .byte_size = of->device_bytes};
}

static void put_version(void *context, const struct version *version)
{
    struct building *building = context;
    const struct model_metrics now = version_metrics(version);
    char *number = arena_printf(building->arena, "%llu", (unsigned long long)version->number);
    void *items = building->response.model_stats.items;
    bool grown =
        number && arena_grow(building->arena, &items, building->response.model_stats.count,
                             &building->capacity, sizeof(struct inference_model_statistics));
    building->failed = building->failed || !grown;
    if (!grown)
        return;
    building->response.model_stats.items = items;
    struct inference_model_statistics *message =
        &building->response.model_stats.items[building->response.model_stats.count++];
    *message = (struct inference_model_statistics){
        .name = version->model->name,
        .version = span_of(number),
        .last_inference = now.last_inference_ms,
        .inference_count = now.rows,
        .execution_count = now.executions,
        .inference_stats = put_inferences(building, &now),
    };
    put_batches(building, &version->statistics, message);
    put_responses(building, &version->statistics, message);
    put_memory(building, &now, message);
}

void grpc_model_statistics(struct api_call *call, const void *message)
{
    const struct inference_model_statistics_request *request = message;
    struct building building = {.arena = &call->exchange->arena};
    struct error error;
    call->model = request->name.size ? request->name : (struct span){NULL, 0};
    call->version = request->version.size ? request->version : (struct span){NULL, 0};
    bool good = statistics_each(call, put_version, &building, &error);
    if (good && building.failed)
        good = error_no_memory(&error);
    if (good)
        grpc_call_reply(call, &inference_model_statistics_response_pb, &building.response);
    else
        grpc_call_fail(call, &error);
}
