/* inference.GRPCInferenceService/TraceSetting and LogSettings. */
#include "api/gate.h"
#include "api/grpc_call.h"
#include "api/log_settings.h"
#include "api/trace_settings.h"
#include "codec/inference.pb.h"

/* ---- traces ---- */

static void reply_trace_settings(struct api_call *call, const struct model *model)
{
    struct trace_shown shown[TRACE_SETTINGS];
    struct inference_trace_setting_response_setting_value values[TRACE_SETTINGS] = {0};
    struct inference_string_trace_setting_response_setting_value_entry entries[TRACE_SETTINGS];
    struct inference_trace_setting_response response = {
        .settings = {.items = entries, .count = TRACE_SETTINGS}};
    trace_settings_show(call->api->serving, model, shown);
    for (size_t i = 0; i < TRACE_SETTINGS; i++) {
        values[i].value.items = &shown[i].value;
        values[i].value.count = 1;
        entries[i] = (struct inference_string_trace_setting_response_setting_value_entry){
            shown[i].name, &values[i]};
    }
    grpc_call_reply(call, &inference_trace_setting_response_pb, &response);
}

void grpc_trace_setting(struct api_call *call, const void *message)
{
    const struct inference_trace_setting_request *request = message;
    struct error error;
    struct trace_change change;
    struct model *model = NULL;
    bool good = true;
    if (request->model_name.size) {
        model = call_model(call, request->model_name, &error);
        good = model != NULL;
    }
    if (good)
        trace_change_begin(&change, call->api->serving, model);
    for (uint32_t i = 0; i < request->settings.count && good; i++) {
        const struct inference_string_trace_setting_request_setting_value_entry *entry =
            &request->settings.items[i];
        good = trace_change_set(&change, entry->key, entry->value->value.items,
                                entry->value->value.count, &error);
    }
    if (request->settings.count)
        audit_call(&call->api->gate->audit, call, "trace-setting",
                   model ? model->name : SPAN("server"), good ? NULL : &error);
    if (!good) {
        grpc_call_fail(call, &error);
        return;
    }
    trace_change_commit(&change);
    reply_trace_settings(call, model);
}

/* ---- the log ---- */

static void reply_log_settings(struct api_call *call)
{
    struct log_setting settings[LOG_SETTINGS];
    struct inference_log_settings_response_setting_value values[LOG_SETTINGS];
    struct inference_string_log_settings_response_setting_value_entry entries[LOG_SETTINGS];
    struct inference_log_settings_response response = {
        .settings = {.items = entries, .count = LOG_SETTINGS}};
    log_settings_show(settings);
    for (size_t i = 0; i < LOG_SETTINGS; i++) {
        /* The numbers of the choices: bool_param, uint32_param, string_param. */
        values[i].which_parameter_choice = 1 + (uint32_t)settings[i].kind;
        if (settings[i].kind == LOG_SETTING_BOOL)
            values[i].bool_param = settings[i].flag;
        else if (settings[i].kind == LOG_SETTING_NUMBER)
            values[i].uint32_param = (uint32_t)settings[i].number;
        else
            values[i].string_param = settings[i].text;
        entries[i] = (struct inference_string_log_settings_response_setting_value_entry){
            settings[i].name, &values[i]};
    }
    grpc_call_reply(call, &inference_log_settings_response_pb, &response);
}

static struct log_setting
setting_of(const struct inference_string_log_settings_request_setting_value_entry *entry)
{
    struct log_setting setting = {.name = entry->key, .kind = LOG_SETTING_NONE};
    switch (entry->value->which_parameter_choice) {
    case 1:
        setting.kind = LOG_SETTING_BOOL;
        setting.flag = entry->value->bool_param;
        break;
    case 2:
        setting.kind = LOG_SETTING_NUMBER;
        setting.number = entry->value->uint32_param;
        break;
    case 3:
        setting.kind = LOG_SETTING_TEXT;
        setting.text = entry->value->string_param;
        break;
    default:
        break;
    }
    return setting;
}

void grpc_log_settings(struct api_call *call, const void *message)
{
    const struct inference_log_settings_request *request = message;
    struct error error;
    struct log_change change;
    bool good = true;
    log_change_begin(&change);
    for (uint32_t i = 0; i < request->settings.count && good; i++) {
        const struct log_setting setting = setting_of(&request->settings.items[i]);
        good = log_change_set(&change, &setting, &error);
    }
    if (request->settings.count)
        audit_call(&call->api->gate->audit, call, "log-settings", SPAN("server"),
                   good ? NULL : &error);
    if (!good) {
        grpc_call_fail(call, &error);
        return;
    }
    log_change_commit(&change);
    reply_log_settings(call);
}
