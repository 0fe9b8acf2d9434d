/* The API's own documents: OpenAPI as JSON, and a page that shows it. MLServer's paths. */
#include "api/metadata.h"
#include "api/openapi.h"
#include "api/openapi_embedded.h"
#include "api/routes.h"

/* The server's, or that of the path's model, whose schema must be known. */
static bool find_subject(const struct api_call *call, struct openapi_subject *ret_subject,
                         struct error *ret_error)
{
    *ret_subject = (struct openapi_subject){.version = 0};
    if (!call->model.data)
        return true;
    const struct version *version = call_version(call, ret_error);
    const struct schema *schema = version ? described_schema(version, ret_error) : NULL;
    if (!schema)
        return false;
    *ret_subject = (struct openapi_subject){.model = version->model->name,
                                            .version = call->version.data ? version->number : 0,
                                            .schema = schema};
    return true;
}

void serve_openapi(struct api_call *call)
{
    struct error error;
    struct openapi_subject subject;
    if (!find_subject(call, &subject, &error)) {
        reply_error(call, &error);
        return;
    }
    openapi_write(&call->reply, &subject);
    reply_json(call, 200);
}

void serve_docs(struct api_call *call)
{
    /* Nothing is loaded from anywhere, and nothing is sent but to this server. */
    static const struct http_field fields[] = {
        {SPAN("content-type"), SPAN("text/html; charset=utf-8")},
        {SPAN("content-security-policy"),
         SPAN("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
              "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")}};
    static const struct iovec page = {(void *)(uintptr_t)docs_page, sizeof docs_page - 1};
    struct error error;
    struct openapi_subject subject;
    if (find_subject(call, &subject, &error)) {
        http_send(call->exchange, 200, fields, 2, &page, 1);
        return;
    }
    reply_error(call, &error);
}
