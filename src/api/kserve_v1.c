/* KServe's protocol v1: the list of models, one of them, and :explain, which no engine of ours can
 * do. (:predict is an inference like any other: predict_form.c.)
 *
 * OpenAI's clients look for the list at the same path; both read what they know of one body. */
#include "api/routes.h"
#include "codec/json_writer.h"

/* What OpenAI's clients know of a model. */
static void put_openai(struct json_writer *json, struct span name)
{
    json_put_member_string(json, SPAN("id"), name);
    json_put_member_string(json, SPAN("object"), SPAN("model"));
    json_put_key(json, SPAN("created"));
    json_put_i64(json, 0); /* nobody knows */
    json_put_member_string(json, SPAN("owned_by"), SPAN("tensord"));
}

void serve_v1_models(struct api_call *call)
{
    struct json_writer json;
    const struct model *model;
    size_t position = 0;
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_key(&json, SPAN("models"));
    json_put_array(&json);
    while ((model = call_next_model(call, &position)))
        json_put_string(&json, model->name);
    json_put_array_end(&json);
    json_put_member_string(&json, SPAN("object"), SPAN("list"));
    json_put_key(&json, SPAN("data"));
    json_put_array(&json);
    for (position = 0; (model = call_next_model(call, &position));) {
        json_put_object(&json);
        put_openai(&json, model->name);
        json_put_object_end(&json);
    }
    json_put_array_end(&json);
    json_put_object_end(&json);
    reply_json(call, 200);
}

/* KServe's clients look at the status, and take any body of 200 for ready. */
void serve_v1_model(struct api_call *call)
{
    struct error error;
    struct json_writer json;
    const struct version *version = call_version(call, &error);
    if (!version || (!version_ready(version) && !version_not_ready(version, &error))) {
        reply_error(call, &error);
        return;
    }
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_member_string(&json, SPAN("name"), version->model->name);
    json_put_member_bool(&json, SPAN("ready"), true);
    put_openai(&json, version->model->name);
    json_put_object_end(&json);
    reply_json(call, 200);
}

void serve_explain(struct api_call *call)
{
    struct error error;
    if (call_version(call, &error))
        error_set(&error, ERROR_UNIMPLEMENTED,
                  "explanations are not supported: serve a model that returns them, and call "
                  ":predict");
    reply_error(call, &error);
}
