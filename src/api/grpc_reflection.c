/* gRPC reflection, v1 and v1alpha, which are alike on the wire: the descriptors of our .proto
 * files, for grpcurl and its like. */
#include "api/grpc_call.h"
#include "codec/grpc_reflection_v1_reflection.pb.h"

enum { GRPC_NOT_FOUND = 5, GRPC_UNIMPLEMENTED = 12, MAX_FILES = 64 };

static void not_found(struct grpc_reflection_v1_server_reflection_response *response,
                      struct grpc_reflection_v1_error_response *error, int32_t code,
                      struct span sentence)
{
    *error =
        (struct grpc_reflection_v1_error_response){.error_code = code, .error_message = sentence};
    response->which_message_response = 7;
    response->error_response = error;
}

static bool listed(const struct pb_file *const *files, size_t count, const struct pb_file *file)
{
    for (size_t i = 0; i < count; i++) {
        if (files[i] == file)
            return true;
    }
    return false;
}

/* The file and all that it imports, each once. The list is its own queue. */
static size_t with_dependencies(const struct pb_file *file, const struct pb_file *files[MAX_FILES])
{
    size_t count = 0;
    files[count++] = file;
    for (size_t i = 0; i < count; i++) {
        for (size_t d = 0; d < files[i]->dependency_count && count < MAX_FILES; d++) {
            if (!listed(files, count, files[i]->dependencies[d]))
                files[count++] = files[i]->dependencies[d];
        }
    }
    return count;
}

static void reply_file(struct api_call *call,
                       struct grpc_reflection_v1_server_reflection_response *response,
                       const struct pb_file *file)
{
    const struct pb_file *files[MAX_FILES];
    struct span descriptors[MAX_FILES];
    struct grpc_reflection_v1_file_descriptor_response found = {.file_descriptor_proto.items =
                                                                    descriptors};
    struct grpc_reflection_v1_error_response missing;
    if (file) {
        size_t count = with_dependencies(file, files);
        for (size_t i = 0; i < count; i++)
            descriptors[i] = files[i]->descriptor;
        found.file_descriptor_proto.count = (uint32_t)count;
        response->which_message_response = 4;
        /* cppcheck-suppress autoVariables ; the response is encoded before this returns */
        response->file_descriptor_response = &found;
    } else {
        not_found(response, &missing, GRPC_NOT_FOUND, SPAN("no such file or symbol"));
    }
    grpc_call_reply(call, &grpc_reflection_v1_server_reflection_response_pb, response);
}

static void reply_services(struct api_call *call,
                           struct grpc_reflection_v1_server_reflection_response *response)
{
    struct grpc_reflection_v1_service_response services[MAX_FILES];
    struct grpc_reflection_v1_list_service_response list = {.service.items = services};
    for (size_t f = 0; f < pb_file_count; f++) {
        for (size_t s = 0; s < pb_files[f]->service_count && list.service.count < MAX_FILES; s++)
            services[list.service.count++].name = pb_files[f]->services[s]->name;
    }
    response->which_message_response = 6;
    /* cppcheck-suppress autoVariables ; the response is encoded before this returns */
    response->list_services_response = &list;
    grpc_call_reply(call, &grpc_reflection_v1_server_reflection_response_pb, response);
}

void grpc_reflection(struct api_call *call, const void *message)
{
    const struct grpc_reflection_v1_server_reflection_request *request = message;
    struct grpc_reflection_v1_error_response unknown;
    struct grpc_reflection_v1_server_reflection_response response = {
        .valid_host = request->host,
        .original_request =
            (struct grpc_reflection_v1_server_reflection_request *)(uintptr_t)request,
    };
    switch (request->which_message_request) {
    case 3:
        reply_file(call, &response, pb_file_of_name(request->file_by_filename));
        break;
    case 4:
        reply_file(call, &response, pb_file_of_symbol(request->file_containing_symbol));
        break;
    case 7:
        reply_services(call, &response);
        break;
    default: /* extensions: proto3 has none */
        not_found(&response, &unknown, GRPC_UNIMPLEMENTED, SPAN("no extensions here"));
        grpc_call_reply(call, &grpc_reflection_v1_server_reflection_response_pb, &response);
    }
}
