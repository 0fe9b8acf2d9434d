/* The extensions for clients' shared memory over REST: status, register, unregister. */
#include "api/routes.h"
#include "api/shared_memory.h"
#include "codec/json.h"
#include "codec/json_writer.h"

/* ---- system ---- */

static void put_region(struct json_writer *json, const struct region_status *status)
{
    json_put_object(json);
    json_put_member_string(json, SPAN("name"), status->name);
    json_put_member_string(json, SPAN("key"), status->key);
    json_put_member_u64(json, SPAN("offset"), status->offset);
    json_put_member_u64(json, SPAN("byte_size"), status->size_bytes);
    json_put_object_end(json);
}

void serve_system_memory_status(struct api_call *call)
{
    const struct regions *regions = call->api->regions;
    struct json_writer json;
    struct region_status status;
    struct list_link *position = NULL;
    struct error error;
    json_writer_init(&json, &call->reply);
    json_put_array(&json);
    if (!call->region.data) {
        while (regions_next(regions, call->caller, &position, &status))
            put_region(&json, &status);
    } else if (regions_status(regions, call->caller, call->region, &status, &error)) {
        put_region(&json, &status);
    } else {
        buf_clear(&call->reply);
        reply_error(call, &error);
        return;
    }
    json_put_array_end(&json);
    reply_json(call, 200);
}

static void reply_done(struct api_call *call, const struct error *error)
{
    if (error->code == ERROR_OK)
        reply_empty(call, 200);
    else
        reply_error(call, error);
}

static bool read_wish(struct api_call *call, struct region_wish *ret_wish, struct error *ret_error)
{
    struct json json;
    struct span key, body = span_trim(buf_span(&call->body));
    bool sized = false;
    *ret_wish = (struct region_wish){.name = call->region};
    json_init(&json, body.size ? body : SPAN("{}"), JSON_MAX_DEPTH, &call->exchange->arena,
              ret_error);
    json_enter_object(&json);
    while (json_next_key(&json, &key)) {
        if (span_equal(key, SPAN("key")))
            json_string(&json, &ret_wish->key);
        else if (span_equal(key, SPAN("offset")))
            json_u64(&json, &ret_wish->offset);
        else if (span_equal(key, SPAN("byte_size")))
            sized = json_u64(&json, &ret_wish->size_bytes);
        else
            json_skip(&json, NULL);
    }
    if (!json_end(&json))
        return false;
    return (ret_wish->key.data && sized) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "Shared memory register request has no '%s' field",
                     ret_wish->key.data ? "byte_size" : "key");
}

void serve_system_memory_register(struct api_call *call)
{
    struct region_wish wish;
    struct error error;
    if (!shared_memory_is_allowed(call, &error) || !read_wish(call, &wish, &error))
        reply_error(call, &error);
    else
        shared_memory_register(call, &wish, reply_done);
}

void serve_system_memory_unregister(struct api_call *call)
{
    struct error error = {.code = ERROR_OK};
    shared_memory_unregister(call, call->region, &error);
    reply_done(call, &error);
}

/* ---- CUDA ---- */

void serve_cuda_memory_status(struct api_call *call)
{
    struct error error;
    if (call->region.data) {
        cuda_memory_status(call->region, &error);
        reply_error(call, &error);
        return;
    }
    buf_append(&call->reply, SPAN("[]"));
    reply_json(call, 200);
}

void serve_cuda_memory_register(struct api_call *call)
{
    struct error error;
    if (shared_memory_is_allowed(call, &error))
        cuda_memory_register(call->region, &error);
    reply_error(call, &error);
}

void serve_cuda_memory_unregister(struct api_call *call)
{
    struct error error = {.code = ERROR_OK};
    shared_memory_is_allowed(call, &error);
    reply_done(call, &error);
}
