/* What environments there are, and removing those that no model uses: a builder is asked, which
 * alone may look there. */
#include "api/gate.h"
#include "api/query.h"
#include "api/routes.h"
#include "base/unset.h"
#include "environments/environment.h"

/* A call that waits for the builder; the exchange is held until that has ended. */
struct folder_call {
    struct environments_ask ask;
    struct api_call *call;
    struct span hash;
    bool removes;
    bool gone; /* the client has */
};

static void folder_closed(struct api_call *call)
{
    ((struct folder_call *)call->waiting)->gone = true;
}

static void note(const struct folder_call *folder, const struct error *error)
{
    if (folder->removes)
        audit_call(&folder->call->api->gate->audit, folder->call, "remove environment",
                   folder->hash.size ? folder->hash : SPAN("unused"), error);
}

static void folder_done(struct environments_ask *ask, struct span answer, const struct error *error)
{
    struct folder_call *folder = list_entry(ask, struct folder_call, ask);
    struct api_call *call = folder->call;
    struct http_exchange *exchange = call->exchange;
    note(folder, error);
    if (!folder->gone) {
        call->closed = NULL;
        if (error)
            reply_error(call, error);
        else if (buf_append(&call->reply, answer))
            reply_json(call, 200);
        else
            reply_error(call, &(struct error){.code = ERROR_RESOURCE_EXHAUSTED,
                                              .message = "out of memory"});
    }
    http_unref(exchange);
}

static void begin(struct api_call *call, bool removes)
{
    struct error error UNSET;
    struct environments *environments = &call->api->serving->environments;
    struct folder_call *folder = arena_calloc(&call->exchange->arena, 1, sizeof *folder);
    if (!folder) {
        error_no_memory(&error);
        reply_error(call, &error);
        return;
    }
    *folder = (struct folder_call){.ask.done = folder_done, .call = call, .removes = removes};
    if (removes)
        folder->hash = query_value(&call->exchange->request, SPAN("hash"));
    bool asked = removes ? environments_remove(environments, &folder->ask, folder->hash, &error)
                         : environments_list(environments, &folder->ask, &error);
    if (!asked) {
        note(folder, &error);
        reply_error(call, &error);
        return;
    }
    call->waiting = folder;
    call->closed = folder_closed;
    http_ref(call->exchange);
}

void serve_environments(struct api_call *call)
{
    begin(call, false);
}

void serve_environment_removal(struct api_call *call)
{
    begin(call, true);
}
