/* grpc.health.v1.Health/Watch: the server's health at once, and then whenever it changes.
 *
 * A client that does not read misses changes, never the last one: what is told next is how things
 * are when there is room for it. */
#include "api/grpc_call.h"
#include "base/unset.h"
#include "codec/grpc_health_v1_health.pb.h"

enum { UNTOLD = -1 };

/* In the exchange's arena. */
struct watch {
    struct list_link link; /* of api->watches */
    struct api_call *call;
    struct timer deadline;
    bool known;   /* the service that it asks for */
    int told;     /* the status that was told last */
    bool sending; /* and the client has not taken it yet */
    bool ending;  /* after that */
};

static int status_of(const struct watch *watch)
{
    if (!watch->known)
        return GRPC_HEALTH_V1_HEALTH_CHECK_RESPONSE_SERVICE_UNKNOWN;
    return api_is_ready(watch->call->api) ? GRPC_HEALTH_V1_HEALTH_CHECK_RESPONSE_SERVING
                                          : GRPC_HEALTH_V1_HEALTH_CHECK_RESPONSE_NOT_SERVING;
}

static void go_on(struct watch *watch)
{
    struct grpc_health_v1_health_check_response response = {.status = status_of(watch)};
    if (watch->sending)
        return;
    if (watch->told != response.status) {
        watch->told = response.status;
        watch->sending = true;
        grpc_call_reply(watch->call, &grpc_health_v1_health_check_response_pb, &response);
    } else if (watch->ending) {
        list_remove(&watch->link);
        grpc_call_end(watch->call);
    }
}

static void taken(struct api_call *call)
{
    struct watch *watch = call->waiting;
    watch->sending = false;
    go_on(watch);
}

static void leave(struct api_call *call)
{
    struct watch *watch = call->waiting;
    list_remove(&watch->link);
    timer_stop(&watch->deadline);
    call->api->watch_count--;
}

static void deadline_passed(struct timer *timer)
{
    struct watch *watch = list_entry(timer, struct watch, deadline);
    struct error error UNSET;
    list_remove(&watch->link);
    error_set(&error, ERROR_DEADLINE_EXCEEDED, "the deadline of the watch has passed");
    grpc_call_fail(watch->call, &error);
}

static void start_deadline(struct watch *watch, uint64_t deadline_ns)
{
    struct loop *loop = http_loop(watch->call->exchange);
    uint64_t now_ns = loop_now_ns(loop);
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    if (deadline_ns != CLOCK_NEVER)
        timer_start(&watch->deadline, loop, left_ns / CLOCK_NS_PER_MS + 1, deadline_passed);
}

/* False with the error when there may be no more. */
static bool check_count(const struct api *api, struct error *ret_error)
{
    if (api->watch_count < api->max_watches)
        return true;
    limit_hit(LIMIT_max_watches);
    return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                     "%zu clients watch the server's health already: call Check instead",
                     api->watch_count);
}

void grpc_health_watch(struct api_call *call, const void *message)
{
    const struct grpc_health_v1_health_check_request *request = message;
    struct api *api = call->api;
    struct error error UNSET;
    uint64_t deadline_ns = CLOCK_NEVER;
    struct watch *watch = arena_calloc(&call->exchange->arena, 1, sizeof *watch);
    if (!watch)
        error_no_memory(&error);
    if (!watch || !check_count(api, &error) || !grpc_call_deadline(call, &deadline_ns, &error)) {
        grpc_call_fail(call, &error);
        return;
    }
    watch->call = call;
    watch->known = grpc_health_knows(request->service);
    watch->told = UNTOLD;
    list_add(&api->watches, &watch->link);
    api->watch_count++;
    call->waiting = watch;
    call->closed = leave;
    start_deadline(watch, deadline_ns);
    grpc_call_goes_on(call, taken);
    go_on(watch);
}

void api_tell_watches(struct api *api)
{
    list_each(link, &api->watches) go_on(list_entry(link, struct watch, link));
}

void api_end_watches(struct api *api)
{
    list_each(link, &api->watches)
    {
        struct watch *watch = list_entry(link, struct watch, link);
        watch->ending = true;
        go_on(watch);
    }
}
