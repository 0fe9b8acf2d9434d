/* A model's load in the head of its answers; see load_report.h. */
#include "api/load_report.h"

#include "serving/generation.h"
#include "serving/measure.h"

/* How much of what runs well at once is asked for; data NULL while that is not known. */
static const char *utilization(struct arena *arena, const struct model_metrics *now)
{
    uint64_t at_once;
    if (!now->row_ns || __builtin_mul_overflow(now->slots, now->batch_rows, &at_once) || !at_once)
        return NULL;
    return arena_printf(arena, "%.3f", (double)(now->running + now->pending) / (double)at_once);
}

/* Apart: its large locals are cleared when it is entered, which most requests need not pay for. */
__attribute__((noinline)) static void tell(struct api_call *call, bool as_json)
{
    struct arena *arena = &call->exchange->arena;
    struct model_metrics now = {.pending = 0};
    generation_measure(call->inference->generation, &now);
    const char *share = utilization(arena, &now);
    unsigned long long running = now.running, waiting = now.pending;
    const char *text =
        as_json ? arena_printf(arena,
                               "JSON {%s%s%s\"named_metrics\":{\"num_requests_running\":%llu,"
                               "\"num_requests_waiting\":%llu}}",
                               share ? "\"application_utilization\":" : "", share ? share : "",
                               share ? "," : "", running, waiting)
                : arena_printf(arena,
                               "TEXT %s%s%snamed_metrics.num_requests_running=%llu, "
                               "named_metrics.num_requests_waiting=%llu",
                               share ? "application_utilization=" : "", share ? share : "",
                               share ? ", " : "", running, waiting);
    call_add_field(call, SPAN("endpoint-load-metrics"), text);
}

void load_report_tell(struct api_call *call)
{
    struct span format = http_field(&call->exchange->request, SPAN("endpoint-load-metrics-format"));
    bool as_json = span_equal_nocase(format, SPAN("json"));
    if ((as_json || span_equal_nocase(format, SPAN("text"))) && call->inference &&
        call->inference->generation)
        tell(call, as_json);
}
