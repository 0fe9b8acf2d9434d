/* Sampling; see trace_setting.h. */
#include "telemetry/trace_setting.h"

#include "telemetry/random.h"

struct trace_setting trace_setting_merge(const struct trace_setting *server,
                                         const struct trace_setting *own)
{
    struct trace_setting merged = *server;
    if (own && own->has_on)
        merged.on = own->on;
    if (own && own->has_ratio)
        merged.ratio = own->ratio;
    if (own && own->has_count)
        merged.count = own->count;
    return merged;
}

static bool is_zero(const uint8_t *id, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++)
        any |= id[i];
    return any == 0;
}

/* OpenTelemetry's TraceIdRatioBased: the last eight bytes of the id, as a number, against the
 * ratio. */
static bool is_chosen(const struct trace_context *context, double ratio)
{
    uint64_t number = 0;
    for (size_t i = TRACE_ID_BYTES - sizeof number; i < TRACE_ID_BYTES; i++)
        number = number << 8 | context->trace_id[i];
    return ratio >= 1 || (double)number < ratio * 0x1p64;
}

static void take_one(struct trace_setting *setting)
{
    if (setting->count > 0)
        setting->count--;
}

void trace_setting_decide(struct trace_setting *server, struct trace_setting *own, bool follow,
                          struct trace_context *context)
{
    if (context->decided)
        return;
    context->decided = true;
    struct trace_setting setting = trace_setting_merge(server, own);
    bool wanted = setting.on && setting.count != 0;
    if (wanted && is_zero(context->trace_id, TRACE_ID_BYTES))
        random_id(context->trace_id, TRACE_ID_BYTES);
    if (wanted && !(context->remote && follow))
        context->sampled = is_chosen(context, setting.ratio);
    context->sampled = wanted && context->sampled;
    if (!context->sampled)
        return;
    random_id(context->span_id, SPAN_ID_BYTES);
    take_one(own && own->has_count ? own : server);
}

uint64_t trace_setting_rate(const struct trace_setting *setting)
{
    double rate = setting->ratio > 0 ? 1 / setting->ratio + 0.5 : 0;
    return rate < (double)TRACE_RATE_MAX ? (uint64_t)rate : TRACE_RATE_MAX;
}
