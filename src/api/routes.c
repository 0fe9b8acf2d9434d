/* The table of routes and the matching of paths; see routes.h. Triton matches paths in full, so a
 * trailing slash is not found. */
#include "api/routes.h"

static const struct route table[] = {
    {HTTP_POST, "/v2/models/{model}/infer", SCOPE_INFER, NULL, begin_infer},
    {HTTP_POST, "/v2/models/{model}/versions/{version}/infer", SCOPE_INFER, NULL, begin_infer},
    {HTTP_POST, "/v2/models/{model}/infer_stream", SCOPE_INFER, NULL, begin_infer_stream},
    {HTTP_POST, "/v2/models/{model}/versions/{version}/infer_stream", SCOPE_INFER, NULL,
     begin_infer_stream},
    {HTTP_POST, "/v2/models/{model}/generate", SCOPE_INFER, NULL, begin_generate},
    {HTTP_POST, "/v2/models/{model}/versions/{version}/generate", SCOPE_INFER, NULL,
     begin_generate},
    {HTTP_POST, "/v2/models/{model}/generate_stream", SCOPE_INFER, NULL, begin_generate_stream},
    {HTTP_POST, "/v2/models/{model}/versions/{version}/generate_stream", SCOPE_INFER, NULL,
     begin_generate_stream},
    {HTTP_POST, "/v1/models/{model}:predict", SCOPE_INFER, NULL, begin_predict},
    {HTTP_POST, "/v1/models/{model}/versions/{version}:predict", SCOPE_INFER, NULL, begin_predict},
    {HTTP_POST, "/v1/models/{model}:explain", SCOPE_INFER, serve_explain, NULL},
    {HTTP_GET, "/v1/models", SCOPE_READ, serve_v1_models, NULL},
    {HTTP_GET, "/v1/models/{model}", SCOPE_READ, serve_v1_model, NULL},
    {HTTP_GET, "/v2/health/live", SCOPE_OPEN, serve_server_live, NULL},
    {HTTP_GET, "/v2/health/ready", SCOPE_OPEN, serve_server_ready, NULL},
    {HTTP_GET, "/metrics", SCOPE_READ, serve_metrics, NULL},
    {HTTP_GET, "/v2/models/stats", SCOPE_READ, serve_statistics, NULL},
    {HTTP_GET, "/v2/models/{model}/stats", SCOPE_READ, serve_statistics, NULL},
    {HTTP_GET, "/v2/models/{model}/versions/{version}/stats", SCOPE_READ, serve_statistics, NULL},
    {HTTP_GET, "/v2/models/{model}/ready", SCOPE_READ, serve_model_ready, NULL},
    {HTTP_GET, "/v2/models/{model}/versions/{version}/ready", SCOPE_READ, serve_model_ready, NULL},
    {HTTP_GET, "/v2/models/{model}", SCOPE_READ, serve_model_metadata, NULL},
    {HTTP_GET, "/v2/models/{model}/versions/{version}", SCOPE_READ, serve_model_metadata, NULL},
    {HTTP_GET, "/v2/models/{model}/config", SCOPE_READ, serve_model_config, NULL},
    {HTTP_GET, "/v2/models/{model}/versions/{version}/config", SCOPE_READ, serve_model_config,
     NULL},
    {HTTP_GET, "/v2/models", SCOPE_READ, serve_model_list, NULL},
    {HTTP_GET, "/v2", SCOPE_READ, serve_server_metadata, NULL},
    {HTTP_GET, "/v2/docs", SCOPE_READ, serve_docs, NULL},
    {HTTP_GET, "/v2/docs/dataplane.json", SCOPE_READ, serve_openapi, NULL},
    {HTTP_GET, "/v2/models/{model}/docs", SCOPE_READ, serve_docs, NULL},
    {HTTP_GET, "/v2/models/{model}/docs/dataplane.json", SCOPE_READ, serve_openapi, NULL},
    {HTTP_GET, "/v2/models/{model}/versions/{version}/docs", SCOPE_READ, serve_docs, NULL},
    {HTTP_GET, "/v2/models/{model}/versions/{version}/docs/dataplane.json", SCOPE_READ,
     serve_openapi, NULL},
    {HTTP_POST, "/v2/repository/index", SCOPE_READ, serve_repository_index, NULL},
    {HTTP_POST, "/v2/repository/models/{model}/load", SCOPE_DEPLOY, serve_repository_load, NULL},
    {HTTP_POST, "/v2/repository/models/{model}/unload", SCOPE_DEPLOY, serve_repository_unload,
     NULL},
    {HTTP_GET, "/v2/trace/setting", SCOPE_READ, serve_trace_setting, NULL},
    {HTTP_POST, "/v2/trace/setting", SCOPE_ADMIN, serve_trace_setting, NULL},
    {HTTP_GET, "/v2/models/{model}/trace/setting", SCOPE_READ, serve_trace_setting, NULL},
    {HTTP_POST, "/v2/models/{model}/trace/setting", SCOPE_DEPLOY, serve_trace_setting, NULL},
    {HTTP_GET, "/v2/logging", SCOPE_READ, serve_log_settings, NULL},
    {HTTP_POST, "/v2/logging", SCOPE_ADMIN, serve_log_settings, NULL},
    {HTTP_GET, "/v2/systemsharedmemory/status", SCOPE_INFER, serve_system_memory_status, NULL},
    {HTTP_GET, "/v2/systemsharedmemory/region/{region}/status", SCOPE_INFER,
     serve_system_memory_status, NULL},
    {HTTP_POST, "/v2/systemsharedmemory/region/{region}/register", SCOPE_INFER,
     serve_system_memory_register, NULL},
    {HTTP_POST, "/v2/systemsharedmemory/region/{region}/unregister", SCOPE_INFER,
     serve_system_memory_unregister, NULL},
    {HTTP_POST, "/v2/systemsharedmemory/unregister", SCOPE_INFER, serve_system_memory_unregister,
     NULL},
    {HTTP_GET, "/v2/cudasharedmemory/status", SCOPE_INFER, serve_cuda_memory_status, NULL},
    {HTTP_GET, "/v2/cudasharedmemory/region/{region}/status", SCOPE_INFER, serve_cuda_memory_status,
     NULL},
    {HTTP_POST, "/v2/cudasharedmemory/region/{region}/register", SCOPE_INFER,
     serve_cuda_memory_register, NULL},
    {HTTP_POST, "/v2/cudasharedmemory/region/{region}/unregister", SCOPE_INFER,
     serve_cuda_memory_unregister, NULL},
    {HTTP_POST, "/v2/cudasharedmemory/unregister", SCOPE_INFER, serve_cuda_memory_unregister, NULL},
    {HTTP_POST, "/tensord/v1/blobs/missing", SCOPE_DEPLOY, serve_blobs_missing, NULL},
    {HTTP_PUT, "/tensord/v1/blobs/{sha256}", SCOPE_DEPLOY, NULL, begin_blob_upload},
    {HTTP_GET, "/tensord/v1/blobs/{sha256}", SCOPE_DEPLOY, serve_blob, NULL},
    {HTTP_GET, "/tensord/v1/models", SCOPE_READ, serve_models, NULL},
    {HTTP_PUT, "/tensord/v1/models/{model}", SCOPE_DEPLOY, serve_push, NULL},
    {HTTP_GET, "/tensord/v1/models/{model}", SCOPE_DEPLOY, serve_manifest, NULL},
    {HTTP_DELETE, "/tensord/v1/models/{model}", SCOPE_DEPLOY, serve_removal, NULL},
    {HTTP_GET, "/tensord/v1/models/{model}/events", SCOPE_DEPLOY, serve_events, NULL},
    {HTTP_GET, "/tensord/v1/models/{model}/logs", SCOPE_DEPLOY, serve_logs, NULL},
    {HTTP_GET, "/tensord/v1/models/{model}/rollout", SCOPE_READ, serve_rollout, NULL},
    {HTTP_PUT, "/tensord/v1/models/{model}/rollout", SCOPE_DEPLOY, serve_rollout, NULL},
    {HTTP_DELETE, "/tensord/v1/models/{model}/rollout", SCOPE_DEPLOY, serve_rollout, NULL},
    {HTTP_GET, "/tensord/v1/models/{model}/diff", SCOPE_READ, serve_diff, NULL},
    {HTTP_GET, "/tensord/v1/environments", SCOPE_ADMIN, serve_environments, NULL},
    {HTTP_DELETE, "/tensord/v1/environments", SCOPE_ADMIN, serve_environment_removal, NULL},
    {HTTP_GET, "/tensord/v1/servers/{model}/{path}", SCOPE_INFER, NULL, begin_proxy},
    {HTTP_POST, "/tensord/v1/servers/{model}/{path}", SCOPE_INFER, NULL, begin_proxy},
    {HTTP_PUT, "/tensord/v1/servers/{model}/{path}", SCOPE_INFER, NULL, begin_proxy},
    {HTTP_PATCH, "/tensord/v1/servers/{model}/{path}", SCOPE_INFER, NULL, begin_proxy},
    {HTTP_DELETE, "/tensord/v1/servers/{model}/{path}", SCOPE_INFER, NULL, begin_proxy},
    {HTTP_OPTIONS, "/tensord/v1/servers/{model}/{path}", SCOPE_INFER, NULL, begin_proxy},
    {HTTP_GET, "/", SCOPE_OPEN, serve_alive, NULL},
};

enum { COUNT = sizeof table / sizeof *table, SHA256_CHARS = 64 };

const struct route *route_table(size_t *ret_count)
{
    *ret_count = COUNT;
    return table;
}

/* Takes the next segment, "/x", off a path; the slash is not part of it. */
static struct span take_segment(struct span *path)
{
    size_t end = 1;
    while (end < path->size && path->data[end] != '/')
        end++;
    struct span segment = {path->data + 1, end - 1};
    *path = span_after(*path, end);
    return segment;
}

/* Whether a segment is what the pattern's `{name}` stands for, with what follows the brace behind
 * it, as in "{model}:predict"; fills in *ret_value. */
static bool takes(struct span pattern, struct span name, struct span got, struct span *ret_value)
{
    if (!span_starts_with(pattern, name))
        return false;
    struct span suffix = span_after(pattern, name.size);
    if (got.size < suffix.size || !span_equal(span_after(got, got.size - suffix.size), suffix))
        return false;
    *ret_value = (struct span){got.data, got.size - suffix.size};
    return true;
}

static bool matches(const char *pattern_text, struct span path, struct api_call *call)
{
    struct span pattern = span_of(pattern_text);
    struct span model = {0}, version = {0}, sha256 = {0}, region = {0};
    while (pattern.size && path.size && path.data[0] == '/' &&
           !span_equal(pattern, SPAN("/{path}"))) {
        struct span expected = take_segment(&pattern), got = take_segment(&path);
        bool taken = takes(expected, SPAN("{model}"), got, &model) ||
                     takes(expected, SPAN("{version}"), got, &version) ||
                     takes(expected, SPAN("{region}"), got, &region) ||
                     (got.size == SHA256_CHARS && takes(expected, SPAN("{sha256}"), got, &sha256));
        if (!taken && !span_equal(expected, got))
            return false;
    }
    bool takes_rest = span_equal(pattern, SPAN("/{path}"));
    if ((!takes_rest && (pattern.size || path.size)) || (model.data && !model.size) ||
        (region.data && !region.size))
        return false;
    call->rest = takes_rest ? path : (struct span){NULL, 0};
    call->model = model;
    call->version = version;
    call->sha256 = sha256;
    call->region = region;
    return true;
}

/* The first row whose path matches; others with this very text belong to it. NULL without one. */
static const struct route *find_path(struct span path, struct api_call *call)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (matches(table[i].path, path, call))
            return &table[i];
    }
    return NULL;
}

const struct route *route_find(const struct http_request *request, struct api_call *call,
                               struct error *ret_error)
{
    const struct route *path_known = find_path(request->path, call);
    for (size_t i = 0; path_known && i < COUNT; i++) {
        bool method_fits = table[i].method == request->method ||
                           (table[i].method == HTTP_GET && request->method == HTTP_HEAD);
        if (method_fits && strcmp(table[i].path, path_known->path) == 0)
            return &table[i];
    }
    error_set(ret_error, path_known ? ERROR_METHOD_NOT_ALLOWED : ERROR_NOT_FOUND, "%s",
              error_text(path_known ? ERROR_METHOD_NOT_ALLOWED : ERROR_NOT_FOUND));
    return NULL;
}

const char *route_methods(struct api_call *call)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET, HEAD", [HTTP_POST] = "POST",       [HTTP_PUT] = "PUT",
        [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS", [HTTP_PATCH] = "PATCH",
    };
    const char *list = NULL;
    const struct route *known = find_path(call->exchange->request.path, call);
    for (size_t i = 0; known && i < COUNT; i++) {
        if (strcmp(table[i].path, known->path) != 0)
            continue;
        const char *name = names[table[i].method];
        list = list ? arena_printf(&call->exchange->arena, "%s, %s", list, name) : name;
    }
    return list;
}
