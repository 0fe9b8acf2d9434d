/* Loading and unloading; see load_call.h. */
#include "api/load_call.h"

#include "api/gate.h"

struct load_call {
    struct model_waiter waiter;
    struct api_call *call;
    struct span name;
    void (*done)(struct api_call *call, const struct error *error);
};

static void note(const struct api_call *call, const char *action, struct span name,
                 const struct error *error)
{
    audit_call(&call->api->gate->audit, call, action, name, error);
}

static void settled(struct model_waiter *waiter, const struct error *error)
{
    struct load_call *load = list_entry(waiter, struct load_call, waiter);
    load->call->closed = NULL;
    note(load->call, "load", load->name, error);
    load->done(load->call, error);
}

static void stop_waiting(struct api_call *call)
{
    struct load_call *load = call->waiting;
    struct error error;
    list_remove(&load->waiter.link);
    error_set(&error, ERROR_CANCELLED, "begun; the client did not wait for the result");
    note(call, "load", load->name, &error);
}

/* It has ended already, well or not. */
static void end(struct api_call *call, struct span name, const struct error *error,
                void (*done)(struct api_call *call, const struct error *error))
{
    note(call, "load", name, error);
    done(call, error);
}

void load_call_begin(struct api_call *call, struct span name, bool wait,
                     void (*done)(struct api_call *call, const struct error *error))
{
    struct error error;
    struct load_call *load = arena_calloc(&call->exchange->arena, 1, sizeof *load);
    if (!load || !arena_copy(&call->exchange->arena, name, &load->name)) {
        error_no_memory(&error);
        end(call, name, &error, done);
        return;
    }
    if (!name.size || !call_may_use(call, name)) {
        error_set(&error, ERROR_INVALID_ARGUMENT,
                  "failed to load '%.*s', failed to poll from model repository", SPAN_ARGS(name));
        end(call, name, &error, done);
        return;
    }
    bool waits = wait || !call_model(call, name, NULL); /* who is unknown may not exist */
    load->call = call;
    load->done = done;
    load->waiter.settled = settled;
    error.code = ERROR_OK;
    if (!serving_load(call->api->serving, name, waits ? &load->waiter : NULL, &error) || !waits) {
        end(call, name, &error, done);
        return;
    }
    call->waiting = load;
    call->closed = stop_waiting;
}

bool load_call_check(struct span parameter, struct error *ret_error)
{
    if (!span_equal(parameter, SPAN("config")) && !span_starts_with(parameter, SPAN("file:")))
        return true;
    return error_set(
        ret_error, ERROR_UNIMPLEMENTED,
        "the parameter '%.*s' of a load is not supported; put the config and files into "
        "the repository, or push them",
        SPAN_ARGS(parameter));
}

bool unload_call(struct api_call *call, struct span name, struct error *ret_error)
{
    struct model *model = call_model(call, name, ret_error);
    if (model)
        model_unload(model);
    note(call, "unload", name, model ? NULL : ret_error);
    return model != NULL;
}
