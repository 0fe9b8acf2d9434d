/* /tensord/v1/models/{model}/rollout: which version answers requests that name none; shown, set and
 * given back to the config. */
#include "api/gate.h"
#include "api/routes.h"
#include "codec/json.h"
#include "codec/json_writer.h"

/* ---- showing ---- */

static void put_key_u64(struct json_writer *json, struct span key, uint64_t number)
{
    json_put_member_u64(json, key, number);
}

static const struct version *find_version(const struct model *model, uint64_t number)
{
    for (size_t i = 0; i < model->version_count; i++) {
        if (model->versions[i]->number == number)
            return model->versions[i];
    }
    return NULL;
}

static void put_version(struct json_writer *json, const struct model *model, uint64_t number,
                        uint32_t weight)
{
    const struct version *version = find_version(model, number);
    const char *state = version ? version_state_name(version_state(version)) : "missing";
    json_put_object(json);
    put_key_u64(json, SPAN("version"), number);
    put_key_u64(json, SPAN("weight"), weight);
    json_put_member_double(json, SPAN("share"), version ? routing_share(model, version) : 0);
    json_put_member_string(json, SPAN("state"), span_of(state));
    put_key_u64(json, SPAN("requests"),
                version ? version->statistics.metrics.success.count +
                              version->statistics.metrics.fail.count
                        : 0);
    json_put_object_end(json);
}

static uint32_t weight_of(const struct rollout *rollout, uint64_t number)
{
    for (size_t i = 0; i < rollout->weight_count; i++) {
        if (rollout->weights[i].version == number)
            return rollout->weights[i].weight;
    }
    return 0;
}

/* Those with weights that are not there, too. */
static void put_versions(struct json_writer *json, const struct model *model)
{
    const struct rollout *now = &model->routing.now;
    json_put_key(json, SPAN("versions"));
    json_put_array(json);
    for (size_t i = 0; i < model->version_count; i++)
        put_version(json, model, model->versions[i]->number,
                    weight_of(now, model->versions[i]->number));
    for (size_t i = 0; i < now->weight_count; i++) {
        if (!find_version(model, now->weights[i].version))
            put_version(json, model, now->weights[i].version, now->weights[i].weight);
    }
    json_put_array_end(json);
}

static void put_shadow(struct json_writer *json, const struct rollout *now)
{
    json_put_key(json, SPAN("shadow"));
    if (!now->shadow) {
        json_put_null(json);
        return;
    }
    json_put_object(json);
    put_key_u64(json, SPAN("version"), now->shadow);
    json_put_member_double(json, SPAN("share"), (double)now->shadow_share / (double)ROLLOUT_WHOLE);
    json_put_object_end(json);
}

static void show(struct api_call *call, const struct model *model)
{
    const struct routing *routing = &model->routing;
    static const struct rollout nothing = {.weight_count = 0};
    struct json_writer json;
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_member_string(&json, SPAN("name"), model->name);
    json_put_member_string(&json, SPAN("from"),
                           routing->set                                ? SPAN("api")
                           : rollout_equal(&routing->config, &nothing) ? SPAN("default")
                                                                       : SPAN("config"));
    put_versions(&json, model);
    json_put_key(&json, SPAN("sticky"));
    if (routing->now.sticky[0])
        json_put_string(&json, span_of(routing->now.sticky));
    else
        json_put_null(&json);
    put_shadow(&json, &routing->now);
    json_put_object_end(&json);
    reply_json(call, 200);
}

/* ---- setting ---- */

static void read_weight(struct json *json, struct span key, struct rollout_weight *ret_weight)
{
    uint64_t version, weight;
    if (!span_to_u64(key, &version))
        json_fail(json, "'%.*s' is no version", SPAN_ARGS(key));
    else if (json_u64(json, &weight)) {
        if (weight > ROLLOUT_MAX_WEIGHT)
            json_fail(json, "a weight is 0 to %d", ROLLOUT_MAX_WEIGHT);
        *ret_weight = (struct rollout_weight){version, (uint32_t)weight};
    }
}

static size_t read_weights(struct json *json, struct rollout_weight *weights)
{
    struct span key;
    size_t count = 0;
    json_enter_object(json);
    while (json_next_key(json, &key)) {
        if (count == ROLLOUT_MAX_VERSIONS)
            json_fail(json, "more than %d weights", ROLLOUT_MAX_VERSIONS);
        else
            read_weight(json, key, &weights[count++]);
    }
    return count;
}

/* {"weights": {"1": 95, "2": 5}} */
static bool set(const struct api_call *call, struct model *model, struct error *ret_error)
{
    struct rollout_weight weights[ROLLOUT_MAX_VERSIONS] = {{0}};
    struct json json;
    struct span key;
    size_t count = 0;
    json_init(&json, buf_span(&call->body), JSON_MAX_DEPTH, &call->exchange->arena, ret_error);
    json_enter_object(&json);
    while (json_next_key(&json, &key)) {
        if (span_equal(key, SPAN("weights")))
            count = read_weights(&json, weights);
        else
            json_fail(&json, "unknown key '%.*s': there is 'weights'", SPAN_ARGS(key));
    }
    if (!json_end(&json))
        return false;
    return count ? routing_set(model, weights, count, ret_error)
                 : error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'weights' must name a version; DELETE goes back to the config's");
}

void serve_rollout(struct api_call *call)
{
    struct error error = {.code = ERROR_OK};
    enum http_method method = call->exchange->request.method;
    struct model *model = call_model(call, call->model, &error);
    bool good = model != NULL;
    if (good && method == HTTP_PUT)
        good = set(call, model, &error);
    else if (good && method == HTTP_DELETE)
        routing_reset(model);
    if (method == HTTP_PUT || method == HTTP_DELETE)
        audit_call(&call->api->gate->audit, call, "rollout", call->model, good ? NULL : &error);
    if (good)
        show(call, model);
    else
        reply_error(call, &error);
}
