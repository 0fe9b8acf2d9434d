/* Metadata: of the server, of a model, and the list of models that KServe's clients ask for. */
#include "api/metadata.h"

#include "api/routes.h"
#include "base/tensor.h"
#include "codec/json_writer.h"

#include <stdio.h>

static const struct span extensions[] = {{"binary_tensor_data", 18},
                                         {"classification", 14},
                                         {"model_configuration", 19},
                                         {"model_repository", 16},
                                         {"model_repository(unload_dependents)", 35},
                                         {"parameters", 10},
                                         {"statistics", 10},
                                         {"sequence", 8},
                                         {"trace", 5},
                                         {"logging", 7},
                                         {"system_shared_memory", 20}}; /* the last: see below */

const struct span *server_extensions(const struct api *api, size_t *ret_count)
{
    *ret_count = sizeof extensions / sizeof *extensions - !api->regions_allowed;
    return extensions;
}

const struct schema *described_schema(const struct version *version, struct error *ret_error)
{
    const struct schema *schema = version_schema(version);
    if (!schema)
        version_not_ready(version, ret_error);
    return schema;
}

void serve_server_metadata(struct api_call *call)
{
    struct json_writer json;
    size_t count;
    const struct span *list = server_extensions(call->api, &count);
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_member_string(&json, SPAN("name"), span_of(call->api->server_id));
    json_put_member_string(&json, SPAN("version"), SPAN(TENSORD_VERSION));
    json_put_key(&json, SPAN("extensions"));
    json_put_array(&json);
    for (size_t i = 0; i < count; i++)
        json_put_string(&json, list[i]);
    json_put_array_end(&json);
    json_put_object_end(&json);
    reply_json(call, 200);
}

static void put_infos(struct json_writer *json, struct span key, const struct tensor_info *infos,
                      size_t count)
{
    json_put_key(json, key);
    json_put_array(json);
    for (size_t i = 0; i < count; i++) {
        json_put_object(json);
        json_put_member_string(json, SPAN("name"), infos[i].name);
        json_put_member_string(json, SPAN("datatype"), span_of(datatype_name(infos[i].datatype)));
        json_put_key(json, SPAN("shape"));
        json_put_array(json);
        for (uint32_t d = 0; d < infos[i].shape.ndim; d++)
            json_put_i64(json, infos[i].shape.dims[d]);
        json_put_array_end(json);
        json_put_object_end(json);
    }
    json_put_array_end(json);
}

static void put_versions(struct json_writer *json, const struct model *model)
{
    json_put_key(json, SPAN("versions"));
    json_put_array(json);
    for (size_t i = 0; i < model->version_count; i++) {
        char number[24];
        if (!version_ready(model->versions[i]))
            continue;
        snprintf(number, sizeof number, "%llu", (unsigned long long)model->versions[i]->number);
        json_put_string(json, span_of(number));
    }
    json_put_array_end(json);
}

void serve_model_metadata(struct api_call *call)
{
    struct error error;
    struct json_writer json;
    struct version *version = call_version(call, &error);
    const struct schema *schema = version ? described_schema(version, &error) : NULL;
    if (!schema) {
        reply_error(call, &error);
        return;
    }
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_member_string(&json, SPAN("name"), version->model->name);
    put_versions(&json, version->model);
    json_put_member_string(&json, SPAN("platform"), schema->platform);
    put_infos(&json, SPAN("inputs"), schema->inputs, schema->input_count);
    put_infos(&json, SPAN("outputs"), schema->outputs, schema->output_count);
    json_put_object_end(&json);
    reply_json(call, 200);
}

void serve_model_list(struct api_call *call)
{
    struct json_writer json;
    size_t position = 0;
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    json_put_key(&json, SPAN("models"));
    json_put_array(&json);
    for (const struct model *model; (model = call_next_model(call, &position));)
        json_put_string(&json, model->name);
    json_put_array_end(&json);
    json_put_object_end(&json);
    reply_json(call, 200);
}
