/* gRPC metadata: of the server and of a model. */
#include "api/grpc_call.h"
#include "api/metadata.h"
#include "api/model_config.h"
#include "base/tensor.h"
#include "codec/inference.pb.h"

void grpc_server_metadata(struct api_call *call, const void *message)
{
    size_t count;
    const struct span *extensions = server_extensions(call->api, &count);
    struct inference_server_metadata_response response = {
        .name = span_of(call->api->server_id),
        .version = SPAN(TENSORD_VERSION),
        .extensions = {.count = (uint32_t)count, .items = (struct span *)(uintptr_t)extensions},
    };
    grpc_call_reply(call, &inference_server_metadata_response_pb, &response);
}

static struct inference_model_metadata_response_tensor_metadata *
list_infos(struct arena *arena, const struct tensor_info *infos, size_t count)
{
    struct inference_model_metadata_response_tensor_metadata *list =
        arena_calloc(arena, count, sizeof *list);
    for (size_t i = 0; list && i < count; i++) {
        list[i].name = infos[i].name;
        list[i].datatype = span_of(datatype_name(infos[i].datatype));
        list[i].shape.count = infos[i].shape.ndim;
        list[i].shape.items = (int64_t *)(uintptr_t)infos[i].shape.dims;
    }
    return list;
}

static struct span *list_versions(struct arena *arena, const struct model *model,
                                  uint32_t *ret_count)
{
    struct span *list = arena_calloc(arena, model->version_count, sizeof *list);
    uint32_t count = 0;
    for (size_t i = 0; list && i < model->version_count; i++) {
        if (!version_ready(model->versions[i]))
            continue;
        char *number = arena_printf(arena, "%llu", (unsigned long long)model->versions[i]->number);
        list[count++] = span_of(number);
    }
    *ret_count = count;
    return list;
}

void grpc_model_metadata(struct api_call *call, const void *message)
{
    const struct inference_model_metadata_request *request = message;
    struct arena *arena = &call->exchange->arena;
    struct error error;
    call->model = request->name;
    call->version = request->version.size ? request->version : (struct span){NULL, 0};
    struct version *version = call_version(call, &error);
    const struct schema *schema = version ? described_schema(version, &error) : NULL;
    if (!schema) {
        grpc_call_fail(call, &error);
        return;
    }
    struct inference_model_metadata_response response = {.name = version->model->name,
                                                         .platform = schema->platform};
    response.versions.items = list_versions(arena, version->model, &response.versions.count);
    response.inputs.items = list_infos(arena, schema->inputs, schema->input_count);
    response.inputs.count = response.inputs.items ? (uint32_t)schema->input_count : 0;
    response.outputs.items = list_infos(arena, schema->outputs, schema->output_count);
    response.outputs.count = response.outputs.items ? (uint32_t)schema->output_count : 0;
    grpc_call_reply(call, &inference_model_metadata_response_pb, &response);
}

void grpc_model_config(struct api_call *call, const void *message)
{
    const struct inference_model_config_request *request = message;
    struct error error;
    call->model = request->name;
    call->version = request->version.size ? request->version : (struct span){NULL, 0};
    struct version *version = call_version(call, &error);
    const struct inference_model_config *config =
        version ? completed_config(version, &call->exchange->arena, &error) : NULL;
    if (!config) {
        grpc_call_fail(call, &error);
        return;
    }
    struct inference_model_config_response response = {
        .config = (struct inference_model_config *)(uintptr_t)config};
    grpc_call_reply(call, &inference_model_config_response_pb, &response);
}
