/* The repository extension over REST: index, load, unload. */
#include "api/load_call.h"
#include "api/routes.h"
#include "base/tensor.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "push/loads.h"

#include <stdio.h>

enum { READ_AT_ONCE_BYTES = 1 << 20 };

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

/* A load being read: on a thread when it is long, as one is that brings files. */
struct load_read {
    struct loop_work work;
    struct api_call *call;
    struct load_wish wish;
    bool good;
    struct error error;
    bool gone; /* the client has, meanwhile */
};

/* The parameters of a load: its config, as text, and files. */
static bool read_parameters(struct json *json, struct load_wish *wish, struct error *ret_error)
{
    struct span parameter, content;
    json_enter_object(json);
    while (json_next_key(json, &parameter)) {
        if (span_equal(parameter, SPAN("config")))
            json_string(json, &wish->config);
        else if (!load_brings_file(parameter))
            return load_parameter_unknown(parameter, ret_error);
        else if (json_string(json, &content) &&
                 !load_wish_add_file(wish, parameter, content, true, ret_error))
            return false;
    }
    return json_ok(json);
}

/* {"wait": false}: the load is a hint. {"parameters": {…}} is Triton's. */
static bool read_load(struct load_wish *wish, struct error *ret_error)
{
    struct json json;
    struct span key, body = buf_span(&wish->message);
    if (!span_trim(body).size)
        return true;
    json_init(&json, body, JSON_MAX_DEPTH, &wish->arena, ret_error);
    json_enter_object(&json);
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

static void read_thread(struct loop_work *work)
{
    struct load_read *read = list_entry(work, struct load_read, work);
    read->good = read_load(&read->wish, &read->error);
}

static void have_read(struct load_read *read)
{
    if (read->good && !read->gone) {
        load_call_begin(read->call, read->call->model, &read->wish, loaded);
        return;
    }
    load_wish_fini(&read->wish);
    if (!read->gone)
        reply_error(read->call, &read->error);
}

static void read_done(struct loop_work *work)
{
    struct load_read *read = list_entry(work, struct load_read, work);
    struct http_exchange *exchange = read->call->exchange;
    if (!read->gone)
        read->call->closed = NULL;
    have_read(read);
    http_unref(exchange);
}

static void read_left(struct api_call *call)
{
    struct load_read *read = call->waiting;
    read->gone = true;
}

void serve_repository_load(struct api_call *call)
{
    struct load_read *read = arena_calloc(&call->exchange->arena, 1, sizeof *read);
    struct error error;
    if (!read) {
        error_no_memory(&error);
        reply_error(call, &error);
        return;
    }
    read->call = call;
    load_wish_init(&read->wish, call);
    if (read->wish.message.size <= READ_AT_ONCE_BYTES) {
        read_thread(&read->work);
        have_read(read);
    } else if (loop_work_start(http_loop(call->exchange), &read->work, read_thread, read_done,
                               &read->error)) {
        call->waiting = read;
        call->closed = read_left;
        http_ref(call->exchange);
    } else {
        have_read(read);
    }
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
