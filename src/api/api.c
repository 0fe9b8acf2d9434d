/* The entrance of the APIs: which protocol, which route. */
#include "api/api.h"

#include "api/coding.h"
#include "api/gate.h"
#include "api/grpc_call.h"
#include "api/routes.h"
#include "base/unset.h"

bool api_is_ready(const struct api *api)
{
    return api->serving->scanned && !api->leaving;
}

static void refuse(struct api_call *call, bool is_grpc, const struct error *error)
{
    call->exchange->handler = &call_drop_handler;
    if (is_grpc)
        grpc_end(call->exchange, error);
    else
        reply_error(call, error);
}

/* RFC 9110 §15.5.6: which methods there are is said. */
static void refuse_path(struct api_call *call, bool is_grpc, const struct error *error)
{
    if (error->code == ERROR_METHOD_NOT_ALLOWED)
        call_add_field(call, SPAN("allow"), route_methods(call));
    refuse(call, is_grpc, error);
}

static void begin_plain(struct api_call *call)
{
    if (call->route->begin)
        call->route->begin(call);
    else
        call_collect(call, call->api->max_json_bytes);
}

/* A managed server looks at codings itself, and a blob is what its SHA-256 says. */
static void begin_rest(struct api_call *call)
{
    struct error error UNSET;
    enum coding coding = CODING_IDENTITY;
    bool proxied = call->route->begin == begin_proxy;
    if (!proxied && !coding_of_body(&call->exchange->request, &coding, &error)) {
        call_add_field(call, SPAN("accept-encoding"), "gzip, deflate");
        refuse(call, false, &error);
    } else if (coding == CODING_IDENTITY) {
        begin_plain(call);
    } else if (call->route->begin == begin_blob_upload) {
        error_set(&error, ERROR_UNSUPPORTED_MEDIA,
                  "send the file as it is, without a "
                  "Content-Encoding");
        refuse(call, false, &error);
    } else {
        coding_receive(call, coding,
                       call->route->begin ? call->api->max_body_bytes : call->api->max_json_bytes,
                       begin_plain);
    }
}

/* First the route, so that the gate knows what is asked for, then the gate, then the route's turn.
 */
void api_request(struct http_server *server, struct http_exchange *exchange)
{
    struct error error UNSET, missing UNSET;
    struct api *api = server->context;
    struct api_call *call = call_new(api, exchange);
    if (!call)
        return;
    bool is_grpc = exchange->request.version == 2 && grpc_is_call(&exchange->request);
    const struct grpc_route *grpc_route = is_grpc ? grpc_route_find(exchange->request.path) : NULL;
    enum scope scope = SCOPE_READ;
    if (is_grpc && !grpc_route)
        error_set(&missing, ERROR_UNIMPLEMENTED, "unknown service or method");
    if (!is_grpc)
        call->route = route_find(&exchange->request, call, &missing);
    if (grpc_route || call->route)
        scope = grpc_route ? grpc_route->scope : call->route->scope;
    switch (gate_ask(api->gate, call, scope, &error)) {
    case GATE_CLOSED:
        refuse(call, is_grpc, &error);
        break;
    case GATE_PREFLIGHT:
        reply_empty(call, 204);
        break;
    case GATE_OPEN:
        if (grpc_route)
            grpc_call_begin(call, grpc_route);
        else if (call->route)
            begin_rest(call);
        else
            refuse_path(call, is_grpc, &missing);
        break;
    }
}
