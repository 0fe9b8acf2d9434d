/* Statistics over REST; see statistics.h. */
#include "api/statistics.h"

#include "api/routes.h"
#include "codec/json_writer.h"
#include "serving/pipeline.h"

#include <stdio.h>

static void each_of_model(const struct model *model,
                          void (*each)(void *context, const struct version *version), void *context)
{
    for (size_t i = 0; i < model->version_count; i++)
        each(context, model->versions[i]);
}

bool statistics_each(const struct api_call *call,
                     void (*each)(void *context, const struct version *version), void *context,
                     struct error *ret_error)
{
    size_t position = 0;
    if (call->version.data) {
        const struct version *version = call_version(call, ret_error);
        if (version)
            each(context, version);
        return version != NULL;
    }
    if (call->model.data) {
        const struct model *model = call_model(call, call->model, ret_error);
        if (model)
            each_of_model(model, each, context);
        return model != NULL;
    }
    for (const struct model *model; (model = call_next_model(call, &position));)
        each_of_model(model, each, context);
    return true;
}

struct duration statistics_response_compute(const struct response_statistics *response)
{
    struct duration sum = response->success;
    sum.count += response->fail.count + response->empty.count;
    sum.ns += response->fail.ns + response->empty.ns;
    return sum;
}

static void put_duration(struct json_writer *json, struct span key, struct duration duration)
{
    json_put_key(json, key);
    json_put_object(json);
    json_put_member_u64(json, SPAN("count"), duration.count);
    json_put_member_u64(json, SPAN("ns"), duration.ns);
    json_put_object_end(json);
}

static void put_inferences(struct json_writer *json, const struct model_metrics *of)
{
    json_put_key(json, SPAN("inference_stats"));
    json_put_object(json);
    put_duration(json, SPAN("success"), of->success);
    put_duration(json, SPAN("fail"), of->fail);
    put_duration(json, SPAN("queue"), of->queue);
    put_duration(json, SPAN("compute_input"), of->input);
    put_duration(json, SPAN("compute_infer"), of->compute);
    put_duration(json, SPAN("compute_output"), of->output);
    put_duration(json, SPAN("cache_hit"), of->cache_hit);
    put_duration(json, SPAN("cache_miss"), of->cache_miss);
    json_put_object_end(json);
}

static void put_batches(struct json_writer *json, const struct version_statistics *statistics)
{
    json_put_key(json, SPAN("batch_stats"));
    json_put_array(json);
    for (size_t i = 0; i < statistics->batch_count; i++) {
        const struct batch_statistics *batch = &statistics->batches[i];
        json_put_object(json);
        json_put_member_u64(json, SPAN("batch_size"), batch->rows);
        put_duration(json, SPAN("compute_input"), batch->input);
        put_duration(json, SPAN("compute_infer"), batch->compute);
        put_duration(json, SPAN("compute_output"), batch->output);
        json_put_object_end(json);
    }
    json_put_array_end(json);
}

/* By the answer's place; what an answer took is the model's own time, since outputs are sent from
 * where they lie. */
static void put_responses(struct json_writer *json, const struct version_statistics *statistics)
{
    json_put_key(json, SPAN("response_stats"));
    json_put_object(json);
    for (size_t i = 0; i < statistics->response_count; i++) {
        const struct response_statistics *response = &statistics->responses[i];
        char place[24];
        snprintf(place, sizeof place, "%zu", i);
        json_put_key(json, span_of(place));
        json_put_object(json);
        put_duration(json, SPAN("compute_infer"), statistics_response_compute(response));
        put_duration(json, SPAN("compute_output"), (struct duration){response->success.count, 0});
        put_duration(json, SPAN("success"), response->success);
        put_duration(json, SPAN("fail"), response->fail);
        put_duration(json, SPAN("empty_response"), response->empty);
        put_duration(json, SPAN("cancel"), response->cancel);
        json_put_object_end(json);
    }
    json_put_object_end(json);
}

/* Of a pipeline's steps; what their models took stands with them. */
static void put_steps(struct json_writer *json, const struct pipeline_plan *plan)
{
    json_put_key(json, SPAN("step_stats"));
    json_put_array(json);
    for (size_t i = 0; i < plan->graph.step_count; i++) {
        const struct step_statistics *statistics = &plan->statistics[i];
        json_put_object(json);
        json_put_member_string(json, SPAN("name"), plan->graph.steps[i].name);
        json_put_member_string(json, SPAN("model"), plan->graph.steps[i].model);
        put_duration(json, SPAN("success"), statistics->success);
        put_duration(json, SPAN("fail"), statistics->fail);
        json_put_member_u64(json, SPAN("calls"), statistics->calls);
        json_put_member_u64(json, SPAN("skipped"), statistics->skipped);
        json_put_object_end(json);
    }
    json_put_array_end(json);
}

static void put_memory(struct json_writer *json, struct span type, uint64_t bytes)
{
    if (!bytes)
        return;
    json_put_object(json);
    json_put_member_string(json, SPAN("type"), type);
    json_put_member_u64(json, SPAN("id"), 0);
    json_put_member_u64(json, SPAN("byte_size"), bytes);
    json_put_object_end(json);
}

static void put_version(void *context, const struct version *version)
{
    struct json_writer *json = context;
    const struct model_metrics now = version_metrics(version);
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)version->number);
    json_put_object(json);
    json_put_member_string(json, SPAN("name"), version->model->name);
    json_put_member_string(json, SPAN("version"), span_of(number));
    json_put_member_u64(json, SPAN("last_inference"), now.last_inference_ms);
    json_put_member_u64(json, SPAN("inference_count"), now.rows);
    json_put_member_u64(json, SPAN("execution_count"), now.executions);
    put_inferences(json, &now);
    put_responses(json, &version->statistics);
    put_batches(json, &version->statistics);
    if (pipeline_plan_of(version))
        put_steps(json, pipeline_plan_of(version));
    json_put_key(json, SPAN("memory_usage"));
    json_put_array(json);
    put_memory(json, SPAN("CPU"), now.tensor_committed_bytes);
    put_memory(json, SPAN("GPU"), now.device_bytes);
    json_put_array_end(json);
    json_put_object_end(json);
}

void serve_statistics(struct api_call *call)
{
    struct json_writer json;
    struct error error;
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_key(&json, SPAN("model_stats"));
    json_put_array(&json);
    if (!statistics_each(call, put_version, &json, &error)) {
        reply_error(call, &error);
        return;
    }
    json_put_array_end(&json);
    json_put_object_end(&json);
    reply_json(call, 200);
}
