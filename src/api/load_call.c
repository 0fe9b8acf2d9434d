/* Waiting for a load; see load_call.h. */
#include "api/load_call.h"

struct load_call {
    struct model_waiter waiter;
    struct api_call *call;
    void (*done)(struct api_call *call, const struct error *error);
};

static void settled(struct model_waiter *waiter, const struct error *error)
{
    struct load_call *load = list_entry(waiter, struct load_call, waiter);
    load->done(load->call, error);
}

static void stop_waiting(struct api_call *call)
{
    struct load_call *load = call->waiting;
    list_remove(&load->waiter.link);
}

void load_call_begin(struct api_call *call, struct span name,
                     void (*done)(struct api_call *call, const struct error *error))
{
    struct error error;
    struct model *model = serving_model(call->api->serving, name, NULL);
    struct load_call *load = arena_calloc(&call->exchange->arena, 1, sizeof *load);
    if (!model || !load) {
        error_set(&error, load ? ERROR_INVALID_ARGUMENT : ERROR_RESOURCE_EXHAUSTED,
                  "failed to load '%.*s', failed to poll from model repository", SPAN_ARGS(name));
        done(call, &error);
        return;
    }
    load->call = call;
    load->done = done;
    load->waiter.settled = settled;
    call->waiting = load;
    call->closed = stop_waiting;
    model_load(model, &load->waiter);
}
