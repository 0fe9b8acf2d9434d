/* gRPC health: the protocol's own readiness calls and grpc.health.v1's Check, which Kubernetes
 * probes. Watch is grpc_watch.c's. */
#include "api/grpc_call.h"
#include "codec/grpc_health_v1_health.pb.h"
#include "codec/inference.pb.h"

void grpc_server_live(struct api_call *call, const void *message)
{
    struct inference_server_live_response response = {.live = true};
    grpc_call_reply(call, &inference_server_live_response_pb, &response);
}

void grpc_server_ready(struct api_call *call, const void *message)
{
    struct inference_server_ready_response response = {.ready = api_is_ready(call->api)};
    grpc_call_reply(call, &inference_server_ready_response_pb, &response);
}

void grpc_model_ready(struct api_call *call, const void *message)
{
    const struct inference_model_ready_request *request = message;
    struct error error;
    call->model = request->name;
    call->version = request->version.size ? request->version : (struct span){NULL, 0};
    struct version *version = call_version(call, &error);
    struct inference_model_ready_response response = {.ready = version && version_ready(version)};
    grpc_call_reply(call, &inference_model_ready_response_pb, &response);
}

bool grpc_health_knows(struct span service)
{
    return !service.size || span_equal(service, SPAN("inference.GRPCInferenceService"));
}

void grpc_health_check(struct api_call *call, const void *message)
{
    const struct grpc_health_v1_health_check_request *request = message;
    struct grpc_health_v1_health_check_response response = {
        .status = api_is_ready(call->api) ? GRPC_HEALTH_V1_HEALTH_CHECK_RESPONSE_SERVING
                                          : GRPC_HEALTH_V1_HEALTH_CHECK_RESPONSE_NOT_SERVING};
    struct error error;
    if (!grpc_health_knows(request->service)) {
        error_set(&error, ERROR_NOT_FOUND, "unknown service");
        grpc_call_fail(call, &error);
        return;
    }
    grpc_call_reply(call, &grpc_health_v1_health_check_response_pb, &response);
}
