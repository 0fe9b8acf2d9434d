/* GET /tensord/v1/models: what is served, in which state and how busy, for people and scripts. */
#include "api/routes.h"
#include "base/clock.h"
#include "codec/json_writer.h"
#include "serving/generation.h"

#include <time.h>

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

/* The processors of each worker that there may be, where they have their own. */
static void put_cpuset(struct json_writer *json, const struct generation *generation)
{
    json_put_key(json, SPAN("cpuset"));
    json_put_array(json);
    for (size_t i = 0; generation && generation->placement.cpus && i <= generation->further_count;
         i++) {
        char text[CPU_LIST_TEXT_BYTES];
        json_put_string(json, span_of(cpu_list_text(&generation->placement.cpus[i], text)));
    }
    json_put_array_end(json);
}

static void put_version(struct json_writer *json, const struct version *version)
{
    const struct schema *schema = version_schema(version);
    struct model_metrics measured = version_metrics(version);
    json_put_object(json);
    json_put_member_string(json, SPAN("name"), version->model->name);
    json_put_member_u64(json, SPAN("version"), version->number);
    json_put_member_string(json, SPAN("state"),
                           span_of(version_state_name(version_state(version))));
    json_put_member_string(json, SPAN("reason"), span_of(version_reason(version)));
    json_put_member_string(json, SPAN("format"), span_of(version->format));
    json_put_member_string(json, SPAN("engine"), schema ? schema->engine : SPAN(""));
    json_put_member_double(json, SPAN("progress"), version_progress(version));
    json_put_member_u64(json, SPAN("workers"), measured.workers);
    json_put_member_u64(json, SPAN("workers_ready"), measured.workers_ready);
    json_put_member_u64(json, SPAN("workers_wanted"), measured.workers_wanted);
    put_cpuset(json, version->current);
    uint64_t memory_bytes =
        measured.memory_bytes ? measured.memory_bytes : measured.tensor_committed_bytes;
    json_put_member_u64(json, SPAN("memory_bytes"), memory_bytes + measured.device_bytes);
    json_put_member_u64(json, SPAN("requests_running"), measured.running);
    json_put_member_u64(json, SPAN("requests_waiting"), measured.pending);
    json_put_member_u64(json, SPAN("batch_rows"), measured.batch_rows);
    json_put_member_u64(json, SPAN("slots"), measured.slots);
    json_put_member_double(json, SPAN("row_ms"), (double)measured.row_ns / 1e6);
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
