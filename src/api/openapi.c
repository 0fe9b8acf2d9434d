/* Writing OpenAPI documents; see openapi.h. */
#include "api/openapi.h"

#include "api/example.h"
#include "api/openapi_embedded.h"
#include "api/routes.h"
#include "codec/json_writer.h"

#include <stdio.h>

enum { EXAMPLE_BYTES = 32 << 10 }; /* longer ones are left out */

void openapi_say(struct buf *out, const char *text)
{
    size_t size = strlen(text);
    char *to = buf_reserve(out, size);
    for (size_t i = 0; to && i < size; i++)
        to[i] = text[i] == '\'' ? '"' : text[i];
    out->size += to ? size : 0;
}

void openapi_string(struct buf *out, struct span string)
{
    struct json_writer json;
    json_writer_init(&json, out);
    if (!json_put_string(&json, string))
        json_put_string(&json, SPAN("?"));
}

/* ---- paths ---- */

static bool is_safe(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void put_percent_encoded(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (is_safe(text.data[i]))
            buf_append_char(out, text.data[i]);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)text.data[i]);
    }
}

static bool has(const char *path, const char *part)
{
    return strstr(path, part) != NULL;
}

/* Whether the document is about that path. */
static bool is_about(const struct openapi_subject *subject, const char *path)
{
    struct span text = span_of(path);
    if (!subject->model.data)
        return true;
    if (!span_starts_with(text, SPAN("/v2/models/{model}")) &&
        !span_starts_with(text, SPAN("/v1/models/{model}")))
        return false;
    return has(path, "{version}") == (subject->version != 0);
}

/* The path as the document's key: what is known of it stands there. */
static void put_path(struct buf *out, const struct openapi_subject *subject, const char *path)
{
    buf_append_char(out, '"');
    while (*path) {
        if (subject->model.data && span_starts_with(span_of(path), SPAN("{model}"))) {
            put_percent_encoded(out, subject->model);
            path += strlen("{model}");
        } else if (subject->version && span_starts_with(span_of(path), SPAN("{version}"))) {
            buf_printf(out, "%llu", (unsigned long long)subject->version);
            path += strlen("{version}");
        } else {
            buf_append_char(out, *path++);
        }
    }
    buf_append_char(out, '"');
}

/* ---- operations ---- */

static const struct {
    const char *name, *schema;
} path_parameters[] = {
    {"model", "{'type':'string','minLength':1}"},
    {"version", "{'type':'integer','minimum':1,'maximum':9223372036854775807}"},
    {"sha256", "{'$ref':'#/components/schemas/Digest'}"},
    {"region", "{'type':'string','minLength':1,'description':'Of 255 bytes at most.'}"},
    {"path", "{'type':'string'}"},
};

static void put_parameters(struct buf *out, const struct openapi_subject *subject,
                           const struct route *route, const struct operation *operation)
{
    bool any = false;
    openapi_say(out, ",'parameters':[");
    for (size_t i = 0; i < sizeof path_parameters / sizeof *path_parameters; i++) {
        const char *name = path_parameters[i].name;
        char segment[16];
        snprintf(segment, sizeof segment, "{%s}", name);
        if (!has(route->path, segment) || (subject->model.data && i < 2))
            continue;
        openapi_say(out, any ? ",{'name':" : "{'name':");
        openapi_string(out, span_of(name));
        openapi_say(out, ",'in':'path','required':true,'schema':");
        openapi_say(out, path_parameters[i].schema);
        openapi_say(out, "}");
        any = true;
    }
    if (operation->parameters) {
        openapi_say(out, any ? "," : "");
        buf_append(out, span_of(operation->parameters));
    }
    openapi_say(out, "]");
}

/* The example of a request to the model, when there is one that is not too long. */
static void put_example(struct buf *out, const struct openapi_subject *subject,
                        const struct operation *operation)
{
    static const struct {
        const char *request;
        void (*write)(struct buf *to, const struct schema *schema);
    } examples[] = {{"InferRequest", example_write},
                    {"GenerateRequest", example_write_generate},
                    {"PredictRequest", example_write_predict}};
    struct buf example;
    for (size_t i = 0; subject->schema && i < sizeof examples / sizeof *examples; i++) {
        if (strcmp(operation->request, examples[i].request) != 0)
            continue;
        buf_init(&example, EXAMPLE_BYTES);
        examples[i].write(&example, subject->schema);
        if (buf_ok(&example)) {
            openapi_say(out, ",'example':");
            buf_append(out, buf_span(&example));
        }
        buf_fini(&example);
    }
}

static void put_reference(struct buf *out, const char *schema)
{
    openapi_say(out, "{'schema':{'$ref':'#/components/schemas/");
    openapi_say(out, schema);
    openapi_say(out, "'}");
}

static void put_request(struct buf *out, const struct openapi_subject *subject,
                        const struct operation *operation)
{
    if (!operation->request)
        return;
    openapi_say(out, ",'requestBody':{'required':");
    openapi_say(out, operation->optional_body ? "false,'content':{" : "true,'content':{");
    openapi_string(out,
                   span_of(operation->request_type ? operation->request_type : "application/json"));
    openapi_say(out, ":");
    put_reference(out, operation->request);
    put_example(out, subject, operation);
    openapi_say(out, "}");
    if (operation->binary) {
        openapi_say(out, ",'application/octet-stream':");
        put_reference(out, "Binary");
        openapi_say(out, "}");
    }
    openapi_say(out, "}}");
}

static void put_response(struct buf *out, const struct operation *operation)
{
    openapi_say(out, "{'description':");
    openapi_string(out, span_of(operation->summary));
    if (operation->response) {
        openapi_say(out, ",'content':{");
        openapi_string(
            out, span_of(operation->response_type ? operation->response_type : "application/json"));
        openapi_say(out, ":");
        put_reference(out, operation->response);
        openapi_say(out, "}");
        if (operation->binary) {
            openapi_say(out, ",");
            openapi_string(out, span_of(operation->binary_type ? operation->binary_type
                                                               : "application/octet-stream"));
            openapi_say(out, ":");
            put_reference(out, operation->binary);
            openapi_say(out, "}");
        }
        openapi_say(out, "}");
    }
    openapi_say(out, "}");
}

static void put_responses(struct buf *out, const struct route *route,
                          const struct operation *operation)
{
    static const char *const errors[] = {"400", "404", "413", "429", "503"};
    openapi_say(out, ",'responses':{");
    openapi_string(out, span_of(operation->status ? operation->status : "200"));
    openapi_say(out, ":");
    put_response(out, operation);
    if (operation->also) {
        openapi_say(out, ",");
        openapi_string(out, span_of(operation->also));
        openapi_say(out, ":");
        put_response(out, operation);
    }
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        openapi_say(out, ",");
        openapi_string(out, span_of(errors[i]));
        openapi_say(out, ":{'$ref':'#/components/responses/Error'}");
    }
    if (route->scope != SCOPE_OPEN)
        openapi_say(out, ",'401':{'$ref':'#/components/responses/Error'},"
                         "'403':{'$ref':'#/components/responses/Error'}");
    openapi_say(out, ",'default':{'$ref':'#/components/responses/Error'}}");
}

/* Who comes over loopback may read and infer without a token. */
static void put_security(struct buf *out, enum scope scope)
{
    openapi_say(out, ",'security':[");
    if (scope == SCOPE_READ || scope == SCOPE_INFER)
        openapi_say(out, "{},");
    if (scope != SCOPE_OPEN) {
        openapi_say(out, "{'token':[");
        openapi_string(out, span_of(scope_name(scope)));
        openapi_say(out, "]}");
    }
    openapi_say(out, "]");
}

static void put_id(struct buf *out, const struct route *route, const struct operation *operation)
{
    openapi_say(out, "'operationId':'");
    openapi_say(out, operation->id);
    if (has(route->path, "{version}"))
        openapi_say(out, "OfVersion");
    else if (operation->of_server && has(route->path, "{model}"))
        openapi_say(out, "OfModel");
    else if (operation->of_server && has(route->path, "{region}"))
        openapi_say(out, "OfRegion");
    openapi_say(out, "','summary':");
    openapi_string(out, span_of(operation->summary));
}

static void put_operation(struct buf *out, const struct openapi_subject *subject,
                          const struct route *route)
{
    static const char *const names[] = {
        [HTTP_GET] = "'get':{",       [HTTP_POST] = "'post':{",       [HTTP_PUT] = "'put':{",
        [HTTP_DELETE] = "'delete':{", [HTTP_OPTIONS] = "'options':{", [HTTP_PATCH] = "'patch':{",
    };
    const struct operation *operation = operation_find(route);
    if (!operation)
        return;
    openapi_say(out, names[route->method]);
    put_id(out, route, operation);
    put_parameters(out, subject, route, operation);
    put_request(out, subject, operation);
    put_responses(out, route, operation);
    put_security(out, route->scope);
    openapi_say(out, "}");
}

/* ---- the whole ---- */

static void put_paths(struct buf *out, const struct openapi_subject *subject)
{
    size_t count;
    bool any = false;
    const struct route *routes = route_table(&count);
    for (size_t i = 0; i < count; i++) {
        const char *path = routes[i].path;
        size_t first = 0;
        while (strcmp(routes[first].path, path) != 0)
            first++;
        if (first < i || !is_about(subject, path))
            continue;
        openapi_say(out, any ? "," : "");
        put_path(out, subject, path);
        openapi_say(out, ":{");
        for (size_t j = i; j < count; j++) {
            if (strcmp(routes[j].path, path) != 0)
                continue;
            openapi_say(out, j > i ? "," : "");
            put_operation(out, subject, &routes[j]);
        }
        openapi_say(out, "}");
        any = true;
    }
}

static void put_info(struct buf *out, const struct openapi_subject *subject)
{
    openapi_say(out, "{'openapi':'3.1.0','info':{'title':");
    openapi_string(out, subject->model.data ? subject->model : SPAN("tensord"));
    openapi_say(out, ",'version':'" TENSORD_VERSION "','description':");
    openapi_string(out, subject->model.data
                            ? SPAN("A model that tensord serves. Its requests may also go over "
                                   "gRPC: inference.GRPCInferenceService.")
                            : SPAN("Models behind the Open Inference Protocol, KServe's protocol "
                                   "v1, and tensord's own calls. Each model has a document of its "
                                   "own, /v2/models/MODEL/docs/dataplane.json."));
    openapi_say(out, "},'servers':[{'url':'/'}],'paths':{");
}

void openapi_write(struct buf *out, const struct openapi_subject *subject)
{
    put_info(out, subject);
    put_paths(out, subject);
    openapi_say(out, "},'components':{'schemas':{");
    buf_append(out, span_of(openapi_shared_schemas));
    openapi_say(out, ",");
    if (subject->model.data)
        openapi_put_model(out, subject->model, subject->schema);
    else
        buf_append(out, span_of(openapi_generic_schemas));
    openapi_say(out, "},'responses':{'Error':{'description':'It did not work; the body says why. "
                     "503 and 429 may come with Retry-After.','content':{'application/json':{"
                     "'schema':{'$ref':'#/components/schemas/Error'}}}}},"
                     "'securitySchemes':{'token':{'type':'http','scheme':'bearer','description':"
                     "'A token of `tensord token create`.'}}}}");
}
