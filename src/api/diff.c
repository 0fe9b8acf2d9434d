/* GET /tensord/v1/models/{model}/diff: how the answers of a model's shadow differ from those that
 * clients got. */
#include "api/routes.h"
#include "base/clock.h"
#include "codec/json_writer.h"
#include "serving/shadow.h"

static void put_number(struct json_writer *json, struct span key, uint64_t number)
{
    json_put_key(json, key);
    json_put_u64(json, number);
}

static void put_double(struct json_writer *json, struct span key, double number)
{
    json_put_key(json, key);
    json_put_double(json, number);
}

/* What a worker says may be no text. */
static void put_text(struct json_writer *json, struct span key, const char *text)
{
    json_put_key(json, key);
    if (!json_put_string(json, span_of(text)))
        json_put_string(json, SPAN("?"));
}

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
        put_number(json, span_of(names[i]), report->skipped[i]);
    json_put_object_end(json);
}

/* Of the time with a worker. */
static void put_side(struct json_writer *json, struct span key, const struct summary *durations,
                     uint64_t answered, uint64_t failed)
{
    json_put_key(json, key);
    json_put_object(json);
    put_number(json, SPAN("answered"), answered);
    put_number(json, SPAN("failed"), failed);
    put_double(json, SPAN("p50_ms"), (double)summary_quantile(durations, 0.5) / 1e6);
    put_double(json, SPAN("p99_ms"), (double)summary_quantile(durations, 0.99) / 1e6);
    json_put_object_end(json);
}

static void put_tensor(struct json_writer *json, const struct shadow_tensor *tensor)
{
    json_put_object(json);
    put_text(json, SPAN("name"), tensor->name);
    put_text(json, SPAN("datatype"), datatype_name(tensor->datatype));
    put_number(json, SPAN("answers"), tensor->answers);
    put_number(json, SPAN("different"), tensor->different);
    put_number(json, SPAN("incomparable"), tensor->incomparable);
    put_number(json, SPAN("elements"), tensor->elements);
    put_number(json, SPAN("unequal"), tensor->unequal);
    put_double(json, SPAN("max_absolute"), tensor->max_absolute);
    put_double(json, SPAN("max_relative"), tensor->max_relative);
    json_put_object_end(json);
}

static void put_report(struct json_writer *json, const struct shadow_report *report)
{
    put_double(json, SPAN("seconds"),
               report->since_ns ? (double)(clock_now_ns() - report->since_ns) / 1e9 : 0);
    put_number(json, SPAN("copied"), report->copied);
    put_number(json, SPAN("equal"), report->equal);
    put_number(json, SPAN("different"), report->different);
    put_skipped(json, report);
    put_side(json, SPAN("primary"), &report->primary, report->answered, report->primary_failed);
    put_side(json, SPAN("shadow"), &report->shadow, report->shadow_answered, report->failed);
    put_text(json, SPAN("last_failure"), report->failure);
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
    json_put_key(&json, SPAN("name"));
    json_put_string(&json, model->name);
    put_number(&json, SPAN("version"), model->routing.now.shadow);
    put_report(&json, report ? report : &nothing);
    json_put_object_end(&json);
    reply_json(call, 200);
}
