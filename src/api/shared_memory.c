/* Registering clients' shared memory; see shared_memory.h. */
#include "api/shared_memory.h"

#include "api/gate.h"

/* A call that waits for its region. The exchange is held until that is there, whether or not the
 * client waits. */
struct region_call {
    struct region_wish wish;
    struct api_call *call;
    void (*done)(struct api_call *call, const struct error *error);
    bool gone; /* the client has */
};

static void note(const struct api_call *call, const char *action, struct span name,
                 const struct error *error)
{
    audit_call(&call->api->gate->audit, call, action, name, error);
}

bool shared_memory_is_allowed(const struct api_call *call, struct error *ret_error)
{
    return call->api->regions_allowed ||
           error_set(ret_error, ERROR_UNIMPLEMENTED,
                     "Client shared memory is disabled. Start the server with "
                     "'--allow-client-shm=infer' to enable it for whoever may use models.");
}

/* Whoever registers a region has the server read and write what its own user may. */
static bool may_register(const struct api_call *call, struct error *ret_error)
{
    enum scope scope = call->api->regions_scope;
    return shared_memory_is_allowed(call, ret_error) &&
           (scope_allows(call->scopes, scope) ||
            error_set(ret_error, ERROR_PERMISSION_DENIED,
                      "shared memory is for callers with the scope '%s' (--allow-client-shm)",
                      scope_name(scope)));
}

static void gone(struct api_call *call)
{
    struct region_call *waiting = call->waiting;
    waiting->gone = true;
}

static void registered(struct region_wish *wish, const struct error *error)
{
    struct region_call *waiting = list_entry(wish, struct region_call, wish);
    struct api_call *call = waiting->call;
    struct http_exchange *exchange = call->exchange;
    note(call, "register memory", wish->key, error);
    if (!waiting->gone) {
        call->closed = NULL;
        waiting->done(call, error);
    }
    http_unref(exchange);
}

static struct region_call *waiting_call(struct api_call *call, const struct region_wish *wish)
{
    struct arena *arena = &call->exchange->arena;
    struct region_call *waiting = arena_calloc(arena, 1, sizeof *waiting);
    if (!waiting || !arena_copy(arena, wish->name, &waiting->wish.name) ||
        !arena_copy(arena, wish->key, &waiting->wish.key))
        return NULL;
    waiting->call = call;
    waiting->wish.offset = wish->offset;
    waiting->wish.size_bytes = wish->size_bytes;
    waiting->wish.owner = call->caller;
    waiting->wish.done = registered;
    return waiting;
}

void shared_memory_register(struct api_call *call, const struct region_wish *wish,
                            void (*done)(struct api_call *call, const struct error *error))
{
    struct error error;
    struct region_call *waiting = waiting_call(call, wish);
    bool begun = waiting ? may_register(call, &error) &&
                               regions_register(call->api->regions, &waiting->wish, &error)
                         : error_no_memory(&error);
    if (!begun) {
        note(call, "register memory", wish->key, &error);
        done(call, &error);
        return;
    }
    waiting->done = done; /* -Wanalyzer-null-dereference: what has begun is there */
    call->waiting = waiting;
    call->closed = gone;
    http_ref(call->exchange);
}

bool shared_memory_unregister(struct api_call *call, struct span name, struct error *ret_error)
{
    struct regions *regions = call->api->regions;
    bool good = may_register(call, ret_error) &&
                (name.size ? regions_unregister(regions, call->caller, name, ret_error)
                           : regions_unregister_all(regions, call->caller, ret_error));
    note(call, "unregister memory", name, good ? NULL : ret_error);
    return good;
}

bool cuda_memory_register(struct span name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "failed to register CUDA shared memory region: '%.*s', GPUs not supported",
                     SPAN_ARGS(name));
}

bool cuda_memory_status(struct span name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_NOT_FOUND, "Unable to find cuda shared memory region: '%.*s'",
                     SPAN_ARGS(name));
}
