/* The trace extension; see trace_settings.h. */
#include "api/trace_settings.h"

#include <stdio.h>

void trace_settings_show(const struct serving *serving, const struct model *model,
                         struct trace_shown shown[TRACE_SETTINGS])
{
    const struct trace_setting setting =
        trace_setting_merge(&serving->tracer->setting, model ? &model->trace : NULL);
    static const struct span names[TRACE_SETTINGS] = {SPAN("trace_level"), SPAN("trace_rate"),
                                                      SPAN("trace_count"), SPAN("log_frequency"),
                                                      SPAN("trace_file"),  SPAN("trace_mode")};
    for (size_t i = 0; i < TRACE_SETTINGS; i++)
        shown[i] = (struct trace_shown){.name = names[i]};
    shown[0].list = true;
    shown[0].value = setting.on ? SPAN("TIMESTAMPS") : SPAN("OFF");
    snprintf(shown[1].text, TRACE_VALUE_BYTES, "%llu",
             (unsigned long long)trace_setting_rate(&setting));
    shown[1].value = span_of(shown[1].text);
    snprintf(shown[2].text, TRACE_VALUE_BYTES, "%lld", (long long)setting.count);
    shown[2].value = span_of(shown[2].text);
    shown[3].value = SPAN("0");
    shown[4].value = SPAN("");
    shown[5].value = SPAN("opentelemetry");
}

void trace_change_begin(struct trace_change *change, struct serving *serving, struct model *model)
{
    *change = (struct trace_change){
        .tracer = serving->tracer,
        .model = model,
        .setting = model ? model->trace : serving->tracer->setting,
    };
}

void trace_change_commit(struct trace_change *change)
{
    if (change->model)
        change->model->trace = change->setting;
    else
        change->tracer->setting = change->setting;
}

/* ---- one setting each ---- */

static bool set_level(struct trace_change *change, const struct span *values, size_t count,
                      struct error *ret_error)
{
    bool on = false;
    for (size_t i = 0; i < count; i++) {
        if (span_equal(values[i], SPAN("TENSORS")))
            return error_set(ret_error, ERROR_UNIMPLEMENTED,
                             "trace level TENSORS is not supported: traces tell times, not data");
        if (!span_equal(values[i], SPAN("TIMESTAMPS")) && !span_equal(values[i], SPAN("OFF")))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "unknown trace level '%.*s'",
                             SPAN_ARGS(values[i]));
        on = on || values[i].data[0] == 'T';
    }
    if (on && !change->tracer->available)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "there is nowhere to send traces: start the server with --trace-endpoint");
    change->setting.has_on = count > 0 || !change->model;
    change->setting.on = count ? on : change->tracer->starting.on;
    return true;
}

static bool set_rate(struct trace_change *change, const struct span *values, size_t count,
                     struct error *ret_error)
{
    uint64_t rate = 0;
    if (count && (!span_to_u64(values[0], &rate) || rate == 0 || rate > TRACE_RATE_MAX))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "trace_rate is 1 to 4294967295: one request in so many is traced");
    change->setting.has_ratio = count > 0 || !change->model;
    change->setting.ratio = count ? 1 / (double)rate : change->tracer->starting.ratio;
    return true;
}

static bool set_count(struct trace_change *change, const struct span *values, size_t count,
                      struct error *ret_error)
{
    uint64_t number = 0;
    bool unlimited = count && span_equal(values[0], SPAN("-1"));
    if (count && !unlimited && (!span_to_u64(values[0], &number) || number > INT64_MAX))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "trace_count is the number of requests still to be traced, or -1");
    change->setting.has_count = count > 0 || !change->model;
    change->setting.count = count && !unlimited ? (int64_t)number : -1;
    return true;
}

/* What is as it is: its one value is accepted. */
static bool set_fixed(struct span name, const struct span *values, size_t count, const char *only,
                      struct error *ret_error)
{
    if (!count || (only && span_equal(values[0], span_of(only))))
        return true;
    return error_set(ret_error, ERROR_UNIMPLEMENTED,
                     "%.*s cannot be set: traces are sent to the OpenTelemetry collector that the "
                     "server was started with",
                     SPAN_ARGS(name));
}

bool trace_change_set(struct trace_change *change, struct span name, const struct span *values,
                      size_t count, struct error *ret_error)
{
    if (span_equal(name, SPAN("trace_level")))
        return set_level(change, values, count, ret_error);
    if (count > 1)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%.*s' has one value",
                         SPAN_ARGS(name));
    if (span_equal(name, SPAN("trace_rate")))
        return set_rate(change, values, count, ret_error);
    if (span_equal(name, SPAN("trace_count")))
        return set_count(change, values, count, ret_error);
    if (span_equal(name, SPAN("log_frequency")))
        return set_fixed(name, values, count, "0", ret_error);
    if (span_equal(name, SPAN("trace_file")))
        return set_fixed(name, values, count, NULL, ret_error);
    if (span_equal(name, SPAN("trace_mode")))
        return set_fixed(name, values, count, "opentelemetry", ret_error);
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "unknown trace setting '%.*s'",
                     SPAN_ARGS(name));
}
