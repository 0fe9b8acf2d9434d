/* GET /tensord/v1/models: what is served, in which state and how busy, for people and scripts. */
#include "api/routes.h"
#include "base/clock.h"
#include "codec/json_writer.h"

#include <time.h>

/* What a worker says may be no text. */
static void put_text(struct json_writer *json, struct span key, struct span text)
{
    json_put_key(json, key);
    if (!json_put_string(json, text))
        json_put_string(json, SPAN("?"));
}

static void put_number(struct json_writer *json, struct span key, uint64_t number)
{
    json_put_key(json, key);
    json_put_u64(json, number);
}

static void put_idle(struct json_writer *json, uint64_t last_inference_ms)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / (CLOCK_NS_PER_S / 1000);
    json_put_key(json, SPAN("idle_seconds"));
    if (!last_inference_ms)
        json_put_null(json);
    else
        json_put_double(
            json, now_ms > last_inference_ms ? (double)(now_ms - last_inference_ms) / 1000 : 0);
}

static void put_version(struct json_writer *json, const struct version *version)
{
    const struct schema *schema = version_schema(version);
    struct model_metrics measured = version_metrics(version);
    json_put_object(json);
    json_put_key(json, SPAN("name"));
    json_put_string(json, version->model->name);
    put_number(json, SPAN("version"), version->number);
    put_text(json, SPAN("state"), span_of(version_state_name(version_state(version))));
    put_text(json, SPAN("reason"), span_of(version_reason(version)));
    put_text(json, SPAN("format"), span_of(version->format));
    put_text(json, SPAN("engine"), schema ? schema->engine : SPAN(""));
    json_put_key(json, SPAN("progress"));
    json_put_double(json, version_progress(version));
    put_number(json, SPAN("workers"), measured.workers);
    put_number(json, SPAN("workers_ready"), measured.workers_ready);
    put_number(json, SPAN("workers_wanted"), measured.workers_wanted);
    uint64_t memory_bytes =
        measured.memory_bytes ? measured.memory_bytes : measured.tensor_committed_bytes;
    put_number(json, SPAN("memory_bytes"), memory_bytes + measured.device_bytes);
    put_number(json, SPAN("requests_running"), measured.running);
    put_number(json, SPAN("requests_waiting"), measured.pending);
    put_number(json, SPAN("batch_rows"), measured.batch_rows);
    put_number(json, SPAN("slots"), measured.slots);
    json_put_key(json, SPAN("row_ms"));
    json_put_double(json, (double)measured.row_ns / 1e6);
    put_idle(json, measured.last_inference_ms);
    json_put_object_end(json);
}

void serve_models(struct api_call *call)
{
    struct json_writer json;
    size_t position = 0;
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_key(&json, SPAN("models"));
    json_put_array(&json);
    for (const struct model *model; (model = call_next_model(call, &position));) {
        for (size_t i = 0; i < model->version_count; i++)
            put_version(&json, model->versions[i]);
    }
    json_put_array_end(&json);
    json_put_object_end(&json);
    reply_json(call, 200);
}
