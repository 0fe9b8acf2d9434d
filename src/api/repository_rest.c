/* The repository extension over REST: index, load, unload. */
#include "api/load_call.h"
#include "api/routes.h"
#include "base/tensor.h"
#include "codec/json.h"
#include "codec/json_writer.h"

#include <stdio.h>

/* Begins to read the object that the body is; false without a body, which is optional. */
static bool enter_body(struct api_call *call, struct json *json, struct error *ret_error)
{
    struct span body = buf_span(&call->body);
    if (!span_trim(body).size)
        return false;
    json_init(json, body, JSON_MAX_DEPTH, &call->exchange->arena, ret_error);
    json_enter_object(json);
    return true;
}

/* ---- index ---- */

static bool read_ready_only(struct api_call *call, bool *ret_ready_only, struct error *ret_error)
{
    struct json json;
    struct span key;
    if (!enter_body(call, &json, ret_error))
        return true;
    while (json_next_key(&json, &key)) {
        if (span_equal(key, SPAN("ready")))
            json_bool(&json, ret_ready_only);
        else
            json_skip(&json, NULL);
    }
    return json_end(&json);
}

static void put_version(struct json_writer *json, const struct version *version)
{
    enum version_state state = version_state(version);
    const struct schema *schema = version_schema(version);
    char number[24];
    json_put_object(json);
    json_put_member_string(json, SPAN("name"), version->model->name);
    json_put_key(json, SPAN("version"));
    snprintf(number, sizeof number, "%llu", (unsigned long long)version->number);
    json_put_string(json, span_of(number));
    json_put_member_string(json, SPAN("state"), span_of(version_state_index_name(state)));
    json_put_member_string(json, SPAN("reason"), span_of(version_reason(version)));
    if (schema) {
        json_put_member_string(json, SPAN("batching"), schema->batch_note);
        json_put_member_u64(json, SPAN("max_batch_size"), schema->max_batch_size);
        json_put_member_string(json, SPAN("engine"), schema->engine);
    }
    json_put_object_end(json);
}

void serve_repository_index(struct api_call *call)
{
    struct error error;
    struct json_writer json;
    size_t position = 0;
    bool ready_only = false;
    if (!read_ready_only(call, &ready_only, &error)) {
        reply_error(call, &error);
        return;
    }
    json_writer_init(&json, &call->reply);
    json_put_array(&json);
    for (const struct model *model; (model = call_next_model(call, &position));) {
        for (size_t i = 0; i < model->version_count; i++) {
            if (!ready_only || version_ready(model->versions[i]))
                put_version(&json, model->versions[i]);
        }
    }
    json_put_array_end(&json);
    reply_json(call, 200);
}

/* ---- load and unload ---- */

static void loaded(struct api_call *call, const struct error *error)
{
    if (error->code == ERROR_OK)
        reply_empty(call, 200);
    else
        reply_error(call, error);
}

/* The parameters of a load: its config, as text. */
static bool read_parameters(struct json *json, struct load_wish *wish, struct error *ret_error)
{
    struct span parameter;
    bool supported = true;
    json_enter_object(json);
    while (supported && json_next_key(json, &parameter)) {
        supported = load_call_check(parameter, ret_error);
        if (supported && span_equal(parameter, SPAN("config")))
            json_string(json, &wish->config);
        else if (supported)
            json_skip(json, NULL);
    }
    return supported && json_ok(json);
}

/* {"wait": false}: the load is a hint. {"parameters": {…}} is Triton's. */
static bool read_load(struct api_call *call, struct load_wish *wish, struct error *ret_error)
{
    struct json json;
    struct span key;
    if (!enter_body(call, &json, ret_error))
        return true;
    while (json_next_key(&json, &key)) {
        if (span_equal(key, SPAN("wait")))
            json_bool(&json, &wish->wait);
        else if (!span_equal(key, SPAN("parameters")))
            json_skip(&json, NULL);
        else if (!read_parameters(&json, wish, ret_error))
            return false;
    }
    return json_end(&json);
}

void serve_repository_load(struct api_call *call)
{
    struct error error;
    struct load_wish wish = {.wait = true};
    if (read_load(call, &wish, &error))
        load_call_begin(call, call->model, &wish, loaded);
    else
        reply_error(call, &error);
}

/* {"parameters": {"unload_dependents": true}} */
static bool read_unload(struct api_call *call, bool *ret_dependents, struct error *ret_error)
{
    struct json json;
    struct span key;
    if (!enter_body(call, &json, ret_error))
        return true;
    while (json_next_key(&json, &key)) {
        if (!span_equal(key, SPAN("parameters"))) {
            json_skip(&json, NULL);
            continue;
        }
        json_enter_object(&json);
        while (json_next_key(&json, &key)) {
            if (span_equal(key, SPAN("unload_dependents")))
                json_bool(&json, ret_dependents);
            else
                json_skip(&json, NULL);
        }
    }
    return json_end(&json);
}

void serve_repository_unload(struct api_call *call)
{
    struct error error;
    bool dependents = false;
    if (read_unload(call, &dependents, &error) &&
        unload_call(call, call->model, dependents, &error))
        reply_empty(call, 200);
    else
        reply_error(call, &error);
}
