/* The table of gRPC methods. */
#include "api/grpc_call.h"

#define INFERENCE "/inference.GRPCInferenceService/"

static const struct grpc_route table[] = {
    {INFERENCE "ModelInfer", SCOPE_INFER, NULL, grpc_infer_begin},
    {INFERENCE "ModelStreamInfer", SCOPE_INFER, NULL, grpc_stream_infer_begin},
    {INFERENCE "ServerLive", SCOPE_OPEN, grpc_server_live, NULL},
    {INFERENCE "ServerReady", SCOPE_OPEN, grpc_server_ready, NULL},
    {INFERENCE "ModelReady", SCOPE_READ, grpc_model_ready, NULL},
    {INFERENCE "ServerMetadata", SCOPE_READ, grpc_server_metadata, NULL},
    {INFERENCE "ModelMetadata", SCOPE_READ, grpc_model_metadata, NULL},
    {INFERENCE "ModelConfig", SCOPE_READ, grpc_model_config, NULL},
    {INFERENCE "RepositoryIndex", SCOPE_READ, grpc_repository_index, NULL},
    {INFERENCE "ModelStatistics", SCOPE_READ, grpc_model_statistics, NULL},
    {INFERENCE "TraceSetting", SCOPE_ADMIN, grpc_trace_setting, NULL},
    {INFERENCE "LogSettings", SCOPE_ADMIN, grpc_log_settings, NULL},
    {INFERENCE "RepositoryModelLoad", SCOPE_DEPLOY, grpc_repository_load, NULL},
    {INFERENCE "RepositoryModelUnload", SCOPE_DEPLOY, grpc_repository_unload, NULL},
    {INFERENCE "SystemSharedMemoryStatus", SCOPE_INFER, grpc_system_memory_status, NULL},
    {INFERENCE "SystemSharedMemoryRegister", SCOPE_INFER, grpc_system_memory_register, NULL},
    {INFERENCE "SystemSharedMemoryUnregister", SCOPE_INFER, grpc_system_memory_unregister, NULL},
    {INFERENCE "CudaSharedMemoryStatus", SCOPE_INFER, grpc_cuda_memory_status, NULL},
    {INFERENCE "CudaSharedMemoryRegister", SCOPE_INFER, grpc_cuda_memory_register, NULL},
    {INFERENCE "CudaSharedMemoryUnregister", SCOPE_INFER, grpc_cuda_memory_unregister, NULL},
    {"/grpc.health.v1.Health/Check", SCOPE_OPEN, grpc_health_check, NULL},
    {"/grpc.health.v1.Health/Watch", SCOPE_OPEN, grpc_health_watch, NULL},
    {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", SCOPE_READ, grpc_reflection,
     NULL},
    {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", SCOPE_READ, grpc_reflection,
     NULL},
};

enum { COUNT = sizeof table / sizeof *table };

const struct grpc_route *grpc_route_table(size_t *ret_count)
{
    *ret_count = COUNT;
    return table;
}

const struct grpc_route *grpc_route_find(struct span path)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (span_equal(path, span_of(table[i].path)))
            return &table[i];
    }
    return NULL;
}
