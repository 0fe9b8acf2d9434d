/* Loading and unloading; see load_call.h. */
#include "api/load_call.h"

#include "api/gate.h"
#include "serving/pipeline.h"

struct load_call {
    struct model_waiter waiter;
    struct api_call *call;
    struct span name;
    uint64_t override; /* its config's number; 0: it has none */
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
    struct serving *serving = load->call->api->serving;
    load->call->closed = NULL;
    if (load->override && error->code != ERROR_OK)
        serving->end_override(serving->context, load->override);
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

/* The config of this load, or from now on the model's own again. False with the error. */
static bool take_config(struct api_call *call, struct load_call *load, const struct load_wish *wish,
                        struct error *ret_error)
{
    struct serving *serving = call->api->serving;
    uint64_t number = serving->override(serving->context, load->name, wish->config,
                                        scope_allows(call->scopes, SCOPE_CODE), ret_error);
    load->override = wish->config.size ? number : 0;
    return number > 0;
}

void load_call_begin(struct api_call *call, struct span name, const struct load_wish *wish,
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
    if (!take_config(call, load, wish, &error)) {
        end(call, name, &error, done);
        return;
    }
    bool waits = wish->wait || !call_model(call, name, NULL); /* who is unknown may not exist */
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
    if (!span_starts_with(parameter, SPAN("file:")))
        return true;
    return error_set(
        ret_error, ERROR_UNIMPLEMENTED,
        "the parameter '%.*s' of a load is not supported; put files into the repository, or push "
        "them",
        SPAN_ARGS(parameter));
}

/* Its own config again, whenever it is loaded next. */
static void unload(struct api_call *call, struct model *model)
{
    struct serving *serving = call->api->serving;
    serving->override(serving->context, model->name, SPAN(""), false, NULL);
    note(call, "unload", model->name, NULL);
    model_unload(model);
}

/* The models that a pipeline's steps use and that the caller may use, each once; a list in the
 * arena, since the pipeline goes. */
static size_t list_dependents(struct api_call *call, const struct model *pipeline,
                              struct model ***ret_list)
{
    struct model **list = NULL;
    size_t count = 0, capacity = 0;
    for (size_t v = 0; v < pipeline->version_count; v++) {
        const struct pipeline_plan *plan = pipeline_plan_of(pipeline->versions[v]);
        for (size_t i = 0; plan && i < plan->graph.step_count; i++) {
            struct model *model = call_model(call, plan->graph.steps[i].model, NULL);
            size_t at = 0;
            while (at < count && list[at] != model)
                at++;
            if (model && at == count && model != pipeline &&
                arena_grow(&call->exchange->arena, (void **)&list, count, &capacity, sizeof *list))
                list[count++] = model;
        }
    }
    *ret_list = list;
    return count;
}

bool unload_call(struct api_call *call, struct span name, bool dependents, struct error *ret_error)
{
    struct model *model = call_model(call, name, ret_error), **list;
    if (!model) {
        note(call, "unload", name, ret_error);
        return false;
    }
    size_t count = dependents ? list_dependents(call, model, &list) : 0;
    unload(call, model);
    for (size_t i = 0; i < count; i++)
        unload(call, list[i]);
    return true;
}
