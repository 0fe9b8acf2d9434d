/* The entrance of the APIs: which protocol, which route. */
#include "api/api.h"

#include "api/grpc_call.h"
#include "api/routes.h"
#include "base/unset.h"

bool api_is_ready(const struct api *api)
{
    return api->serving->scanned && !api->leaving;
}

static void refuse(struct http_exchange *exchange, const struct error *error)
{
    exchange->handler = &call_drop_handler;
    reply_error_to(exchange, error);
}

static void rest_request(struct api *api, struct http_exchange *exchange)
{
    struct error error UNSET;
    struct api_call *call = call_new(api, exchange);
    if (!call)
        return;
    call->route = route_find(&exchange->request, call, &error);
    if (!call->route)
        refuse(exchange, &error);
    else if (call->route->begin)
        call->route->begin(call);
    else
        call_collect(call, api->max_json_bytes);
}

void api_request(struct http_server *server, struct http_exchange *exchange)
{
    if (exchange->request.version == 2 && grpc_is_call(&exchange->request))
        grpc_call_begin(server->context, exchange);
    else
        rest_request(server->context, exchange);
}
