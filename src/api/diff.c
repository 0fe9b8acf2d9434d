/* GET /tensord/v1/models/{model}/diff: how the answers of a model's shadow differ from those that
 * clients got. */
#include "api/routes.h"
#include "base/clock.h"
#include "codec/json_writer.h"
#include "serving/shadow.h"

static void put_skipped(struct json_writer *json, const struct shadow_report *report)
{
    static const char *const names[] = {
        [SHADOW_NOT_READY] = "not_ready",
        [SHADOW_BUSY] = "busy",
        [SHADOW_TOO_LARGE] = "too_large",
        [SHADOW_SEVERAL] = "several_answers",
    };
    json_put_key(json, SPAN("skipped"));
    json_put_object(json);
    for (size_t i = 0; i < SHADOW_SKIP_COUNT; i++)
        json_put_member_u64(json, span_of(names[i]), report->skipped[i]);
    json_put_object_end(json);
}

/* Of the time with a worker. */
static void put_side(struct json_writer *json, struct span key, const struct summary *durations,
                     uint64_t answered, uint64_t failed)
{
    json_put_key(json, key);
    json_put_object(json);
    json_put_member_u64(json, SPAN("answered"), answered);
    json_put_member_u64(json, SPAN("failed"), failed);
    json_put_member_double(json, SPAN("p50_ms"), (double)summary_quantile(durations, 0.5) / 1e6);
    json_put_member_double(json, SPAN("p99_ms"), (double)summary_quantile(durations, 0.99) / 1e6);
    json_put_object_end(json);
}

static void put_tensor(struct json_writer *json, const struct shadow_tensor *tensor)
{
    json_put_object(json);
    json_put_member_string(json, SPAN("name"), span_of(tensor->name));
    json_put_member_string(json, SPAN("datatype"), span_of(datatype_name(tensor->datatype)));
    json_put_member_u64(json, SPAN("answers"), tensor->answers);
    json_put_member_u64(json, SPAN("different"), tensor->different);
    json_put_member_u64(json, SPAN("incomparable"), tensor->incomparable);
    json_put_member_u64(json, SPAN("elements"), tensor->elements);
    json_put_member_u64(json, SPAN("unequal"), tensor->unequal);
    json_put_member_double(json, SPAN("max_absolute"), tensor->max_absolute);
    json_put_member_double(json, SPAN("max_relative"), tensor->max_relative);
    json_put_object_end(json);
}

static void put_report(struct json_writer *json, const struct shadow_report *report)
{
    json_put_member_double(json, SPAN("seconds"),
                           report->since_ns ? (double)(clock_now_ns() - report->since_ns) / 1e9
                                            : 0);
    json_put_member_u64(json, SPAN("copied"), report->copied);
    json_put_member_u64(json, SPAN("equal"), report->equal);
    json_put_member_u64(json, SPAN("different"), report->different);
    put_skipped(json, report);
    put_side(json, SPAN("primary"), &report->primary, report->answered, report->primary_failed);
    put_side(json, SPAN("shadow"), &report->shadow, report->shadow_answered, report->failed);
    json_put_member_string(json, SPAN("last_failure"), span_of(report->failure));
    json_put_key(json, SPAN("tensors"));
    json_put_array(json);
    for (size_t i = 0; i < report->tensor_count; i++)
        put_tensor(json, &report->tensors[i]);
    json_put_array_end(json);
}

void serve_diff(struct api_call *call)
{
    static const struct shadow_report nothing = {.version = 0};
    struct error error;
    struct json_writer json;
    const struct model *model = call_model(call, call->model, &error);
    if (model && !model->routing.now.shadow) {
        error_set(&error, ERROR_NOT_FOUND,
                  "model '%.*s' has no shadow: 'rollout: {shadow: 2}' in its model.yaml makes "
                  "version 2 one",
                  SPAN_ARGS(model->name));
        model = NULL;
    }
    if (!model) {
        reply_error(call, &error);
        return;
    }
    const struct shadow_report *report = shadow_report_of(model);
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_member_string(&json, SPAN("name"), model->name);
    json_put_member_u64(&json, SPAN("version"), model->routing.now.shadow);
    put_report(&json, report ? report : &nothing);
    json_put_object_end(&json);
    reply_json(call, 200);
}
