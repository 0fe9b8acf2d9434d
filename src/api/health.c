/* Health: live, ready, and a model's readiness. Triton's clients look at the status, KServe's also
 * at the body. */
#include "api/routes.h"

static void reply_flag(struct api_call *call, const char *name, bool value)
{
    buf_printf(&call->reply, "{\"%s\":%s}", name, value ? "true" : "false");
    reply_json(call, value ? 200 : 400);
}

void serve_server_live(struct api_call *call)
{
    reply_flag(call, "live", true);
}

void serve_server_ready(struct api_call *call)
{
    reply_flag(call, "ready", api_is_ready(call->api));
}

void serve_model_ready(struct api_call *call)
{
    struct error error;
    struct version *version = call_version(call, &error);
    if (version && version_ready(version)) {
        reply_flag(call, "ready", true);
        return;
    }
    if (version)
        error_set(&error, ERROR_INVALID_ARGUMENT, "Model version not ready");
    reply_error(call, &error);
}

void serve_alive(struct api_call *call)
{
    buf_printf(&call->reply, "{\"status\":\"alive\"}");
    reply_json(call, 200);
}
