/* The trace and logging extensions over REST. Each answer shows all settings. */
#include "api/gate.h"
#include "api/log_settings.h"
#include "api/routes.h"
#include "api/trace_settings.h"
#include "codec/json.h"
#include "codec/json_writer.h"

enum { MAX_VALUES = 8 };

/* ---- traces ---- */

/* The call's model; NULL, with the error untouched, when it names none. False when there is no such
 * model. */
static bool find_model(struct api_call *call, struct model **ret_model, struct error *ret_error)
{
    *ret_model = NULL;
    if (!call->model.data)
        return true;
    *ret_model = call_model(call, call->model, ret_error);
    return *ret_model != NULL;
}

static void reply_trace_settings(struct api_call *call, const struct model *model)
{
    struct trace_shown shown[TRACE_SETTINGS];
    struct json_writer json;
    trace_settings_show(call->api->serving, model, shown);
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    for (size_t i = 0; i < TRACE_SETTINGS; i++) {
        json_put_key(&json, shown[i].name);
        if (shown[i].list)
            json_put_array(&json);
        json_put_string(&json, shown[i].value);
        if (shown[i].list)
            json_put_array_end(&json);
    }
    json_put_object_end(&json);
    reply_json(call, 200);
}

/* null, a string, or a list of strings. */
static size_t read_values(struct json *json, struct span values[MAX_VALUES])
{
    size_t count = 0;
    switch (json_peek(json)) {
    case JSON_NULL:
        json_null(json);
        break;
    case JSON_ARRAY:
        json_enter_array(json);
        while (json_next_element(json)) {
            if (count == MAX_VALUES)
                json_fail(json, "too many values");
            else if (json_string(json, &values[count]))
                count++;
        }
        if (count == 0)
            json_fail(json, "an empty list; null clears a setting");
        break;
    default:
        count = json_string(json, &values[0]);
    }
    return count;
}

static bool read_trace_changes(struct api_call *call, struct trace_change *change,
                               struct error *ret_error)
{
    struct json json;
    struct span key;
    json_init(&json, buf_span(&call->body), JSON_MAX_DEPTH, &call->exchange->arena, ret_error);
    json_enter_object(&json);
    while (json_next_key(&json, &key)) {
        struct span values[MAX_VALUES];
        size_t count = read_values(&json, values);
        if (json_ok(&json) && !trace_change_set(change, key, values, count, ret_error))
            return false;
    }
    return json_end(&json);
}

void serve_trace_setting(struct api_call *call)
{
    struct error error;
    struct model *model;
    struct trace_change change;
    bool good = find_model(call, &model, &error);
    if (good && call->exchange->request.method == HTTP_POST) {
        trace_change_begin(&change, call->api->serving, model);
        good = read_trace_changes(call, &change, &error);
        if (good)
            trace_change_commit(&change);
        audit_call(&call->api->gate->audit, call, "trace-setting",
                   model ? model->name : SPAN("server"), good ? NULL : &error);
    }
    if (good)
        reply_trace_settings(call, model);
    else
        reply_error(call, &error);
}

/* ---- the log ---- */

static void reply_log_settings(struct api_call *call)
{
    struct log_setting settings[LOG_SETTINGS];
    struct json_writer json;
    log_settings_show(settings);
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    for (size_t i = 0; i < LOG_SETTINGS; i++) {
        json_put_key(&json, settings[i].name);
        if (settings[i].kind == LOG_SETTING_BOOL)
            json_put_bool(&json, settings[i].flag);
        else if (settings[i].kind == LOG_SETTING_NUMBER)
            json_put_u64(&json, settings[i].number);
        else
            json_put_string(&json, settings[i].text);
    }
    json_put_object_end(&json);
    reply_json(call, 200);
}

static void read_log_setting(struct json *json, struct log_setting *setting)
{
    switch (json_peek(json)) {
    case JSON_BOOL:
        setting->kind = LOG_SETTING_BOOL;
        json_bool(json, &setting->flag);
        break;
    case JSON_NUMBER:
        setting->kind = LOG_SETTING_NUMBER;
        json_u64(json, &setting->number);
        break;
    case JSON_STRING:
        setting->kind = LOG_SETTING_TEXT;
        json_string(json, &setting->text);
        break;
    default:
        json_fail(json, "a log setting is true, false, a number or a text");
    }
}

static bool read_log_changes(struct api_call *call, struct log_change *change,
                             struct error *ret_error)
{
    struct json json;
    struct span key;
    json_init(&json, buf_span(&call->body), JSON_MAX_DEPTH, &call->exchange->arena, ret_error);
    json_enter_object(&json);
    while (json_next_key(&json, &key)) {
        struct log_setting setting = {.name = key};
        read_log_setting(&json, &setting);
        if (json_ok(&json) && !log_change_set(change, &setting, ret_error))
            return false;
    }
    return json_end(&json);
}

void serve_log_settings(struct api_call *call)
{
    struct error error;
    struct log_change change;
    if (call->exchange->request.method == HTTP_POST) {
        log_change_begin(&change);
        bool good = read_log_changes(call, &change, &error);
        audit_call(&call->api->gate->audit, call, "log-settings", SPAN("server"),
                   good ? NULL : &error);
        if (!good) {
            reply_error(call, &error);
            return;
        }
        log_change_commit(&change);
    }
    reply_log_settings(call);
}
