/* The front's end, step by step; see drain.h. */
#include "cmd/drain.h"

#include "telemetry/log.h"

static void enter(struct drain *drain, enum drain_step step);

static void time_over(struct timer *timer)
{
    struct drain *drain = list_entry(timer, struct drain, timer);
    switch (drain->step) {
    case DRAIN_RETIRING:
    case DRAIN_LEAVING:
        enter(drain, DRAIN_FINISHING);
        break;
    case DRAIN_FINISHING:
    case DRAIN_CLOSING:
        log_warning("front", "%zu connections and %zu requests are cut: their time is over",
                    drain->http->conn_count, drain->api->serving->inferences);
        drain->step = DRAIN_STOPPING;
        drain->ended(); /* the spawner ends the workers */
        break;
    case DRAIN_SERVING:
    case DRAIN_STOPPING:
        break;
    }
}

static void enter(struct drain *drain, enum drain_step step)
{
    drain->step = step;
    switch (step) {
    case DRAIN_SERVING:
        break;
    case DRAIN_RETIRING:
        drain->stop_listening();
        api_end_watches(drain->api); /* the other front tells */
        http_server_retire(drain->http);
        timer_start(&drain->timer, drain->loop, drain->timeout_ms, time_over);
        break;
    case DRAIN_LEAVING:
        drain->api->leaving = true;
        api_tell_watches(drain->api);
        timer_start(&drain->timer, drain->loop, drain->delay_ms, time_over);
        break;
    case DRAIN_FINISHING:
        drain->api->leaving = true;
        api_tell_watches(drain->api);
        timer_start(&drain->timer, drain->loop, drain->timeout_ms, time_over);
        serving_drain(drain->api->serving);
        break;
    case DRAIN_CLOSING:
        drain->stop_listening();
        api_end_streams(drain->api);
        api_end_watches(drain->api);
        http_server_drain(drain->http);
        break;
    case DRAIN_STOPPING:
        timer_stop(&drain->timer);
        drain->stop_listening();
        serving_stop(drain->api->serving);
        break;
    }
    drain_look(drain);
}

/* The step's own work is done: on to the next. */
static void look(struct loop_task *task)
{
    struct drain *drain = list_entry(task, struct drain, look);
    const struct serving *serving = drain->api->serving;
    if (drain->step == DRAIN_RETIRING && drain->http->conn_count == 0)
        enter(drain, DRAIN_FINISHING);
    else if (drain->step == DRAIN_LEAVING && drain->delay_ms == 0)
        enter(drain, DRAIN_FINISHING);
    else if (drain->step == DRAIN_FINISHING && serving->inferences == 0)
        enter(drain, DRAIN_CLOSING);
    else if (drain->step == DRAIN_CLOSING && drain->http->conn_count == 0)
        enter(drain, DRAIN_STOPPING);
    else if (drain->step == DRAIN_STOPPING && serving_is_stopped(serving))
        drain->ended();
}

/* In a turn of its own: between two owners a connection is in no list for a moment. */
void drain_look(struct drain *drain)
{
    loop_defer(drain->loop, &drain->look);
}

void drain_init(struct drain *drain)
{
    drain->step = DRAIN_SERVING;
    drain->look.run = look;
}

void drain_begin(struct drain *drain)
{
    if (drain->step > DRAIN_RETIRING)
        return;
    log_info("front", "stopping: requests that run may finish");
    enter(drain, DRAIN_LEAVING);
}

void drain_retire(struct drain *drain)
{
    if (drain->step != DRAIN_SERVING)
        return;
    log_info("front", "retiring: another front serves");
    enter(drain, DRAIN_RETIRING);
}
