/* The repository extension over gRPC: index, load, unload. */
#include "api/grpc_call.h"
#include "api/load_call.h"
#include "codec/inference.pb.h"

enum { SHOWN_BYTES = 200 };
enum { BOOL_PARAM = 1, STRING_PARAM = 3, BYTES_PARAM = 4 }; /* of a parameter's value */

static size_t count_versions(const struct api_call *call)
{
    size_t position = 0, count = 0;
    for (const struct model *model; (model = call_next_model(call, &position));)
        count += model->version_count;
    return count;
}

static void fill(struct arena *arena, const struct version *version,
                 struct inference_repository_index_response_model_index *entry)
{
    char *number = arena_printf(arena, "%llu", (unsigned long long)version->number);
    entry->name = version->model->name;
    entry->version = span_of(number);
    entry->state = span_of(version_state_index_name(version_state(version)));
    entry->reason = span_of(version_reason(version));
}

void grpc_repository_index(struct api_call *call, const void *message)
{
    const struct inference_repository_index_request *request = message;
    struct arena *arena = &call->exchange->arena;
    struct inference_repository_index_response response = {0};
    struct error error;
    size_t position = 0, count = count_versions(call);
    response.models.items = arena_calloc(arena, count, sizeof *response.models.items);
    if (!response.models.items) {
        error_no_memory(&error);
        grpc_call_fail(call, &error);
        return;
    }
    for (const struct model *model; (model = call_next_model(call, &position));) {
        for (size_t i = 0; i < model->version_count; i++) {
            if (!request->ready || version_ready(model->versions[i]))
                fill(arena, model->versions[i], &response.models.items[response.models.count++]);
        }
    }
    grpc_call_reply(call, &inference_repository_index_response_pb, &response);
}

static void loaded(struct api_call *call, const struct error *error)
{
    struct inference_repository_model_load_response response = {0};
    if (error->code == ERROR_OK)
        grpc_call_reply(call, &inference_repository_model_load_response_pb, &response);
    else
        grpc_call_fail(call, error);
}

static bool wrong_kind(struct span name, const char *expected, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "invalid value type for load parameter '%.*s', expected %s",
                     (int)(name.size < SHOWN_BYTES ? name.size : SHOWN_BYTES), name.data, expected);
}

static bool read_parameter(struct span name,
                           const struct inference_model_repository_parameter *value,
                           struct load_wish *wish, struct error *ret_error)
{
    uint32_t which = value ? value->which_parameter_choice : 0;
    if (load_brings_file(name))
        return which == BYTES_PARAM
                   ? load_wish_add_file(wish, name, value->bytes_param, false, ret_error)
                   : wrong_kind(name, "bytes_param", ret_error);
    if (span_equal(name, SPAN("wait"))) {
        wish->wait = which != BOOL_PARAM || value->bool_param;
        return true;
    }
    if (!span_equal(name, SPAN("config")))
        return load_parameter_unknown(name, ret_error);
    if (which != STRING_PARAM)
        return wrong_kind(name, "string", ret_error);
    wish->config = value->string_param;
    return true;
}

/* The parameters of a load: `wait`, which false makes a hint of it, `config`, and files. */
static bool read_load(const struct inference_repository_model_load_request *request,
                      struct load_wish *wish, struct error *ret_error)
{
    for (size_t i = 0; i < request->parameters.count; i++) {
        if (!read_parameter(request->parameters.items[i].key, request->parameters.items[i].value,
                            wish, ret_error))
            return false;
    }
    return true;
}

void grpc_repository_load(struct api_call *call, const void *message)
{
    const struct inference_repository_model_load_request *request = message;
    struct load_wish wish;
    struct error error;
    load_wish_init(&wish, call);
    if (read_load(request, &wish, &error)) {
        load_call_begin(call, request->model_name, &wish, loaded);
    } else {
        load_wish_fini(&wish);
        grpc_call_fail(call, &error);
    }
}

void grpc_repository_unload(struct api_call *call, const void *message)
{
    const struct inference_repository_model_unload_request *request = message;
    struct inference_repository_model_unload_response response = {0};
    struct error error;
    bool dependents = false;
    for (size_t i = 0; i < request->parameters.count; i++) {
        const struct inference_model_repository_parameter *value =
            request->parameters.items[i].value;
        if (span_equal(request->parameters.items[i].key, SPAN("unload_dependents")) && value &&
            value->which_parameter_choice == BOOL_PARAM)
            dependents = value->bool_param;
    }
    if (unload_call(call, request->model_name, dependents, &error))
        grpc_call_reply(call, &inference_repository_model_unload_response_pb, &response);
    else
        grpc_call_fail(call, &error);
}
