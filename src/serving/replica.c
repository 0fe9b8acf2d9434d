/* Replicas: a worker process from its start to its end; see replica.h. */
#include "serving/calls.h"
#include "serving/generation_workers.h"
#include "serving/inference_internal.h"
#include "serving/pipeline_request.h"
#include "serving/replica_internal.h"
#include "serving/server_pool.h"
#include "serving/stateful.h"
#include "telemetry/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REASON_BYTES = 160 };

/* What a generation that is not ready waits for. */
static void note(struct generation *generation, const char *what)
{
    if (!generation->state.retired)
        version_note(generation->version, "%s", what);
}

/* ---- its end ---- */

/* It has no process, or none any more. */
static void finish(struct replica *replica, const char *reason)
{
    struct generation *generation = replica->generation;
    struct serving *serving = replica_serving(replica);
    struct error error = replica->failure;
    if (error.code == ERROR_OK)
        error_set(&error, ERROR_INTERNAL, "%s", reason);
    if (!replica->stopping && !(replica->probe && replica->loaded)) { /* else it was asked to end */
        struct model_metrics *counts = &generation->version->statistics.metrics;
        replica->replaced ? counts->worker_replacements++ : counts->worker_crashes++;
        version_say(generation->version, LOG_ERROR, span_of(error.message));
    }
    uint64_t lived_ms = (loop_now_ns(serving->loop) - replica->started_ns) / CLOCK_NS_PER_MS;
    timer_stop(&replica->grace);
    loop_undefer(&replica->given_up);
    timer_stop(&replica->load);
    generation_ref(generation); /* answering may drop all others */
    uint64_t not_begun = replica_not_begun(replica);
    replica_end_executions(replica);
    calls_forget(&replica->calls, NULL);
    kept_forget(&replica->kept);
    if (replica->seated)
        stateful_remove_worker(generation->stateful, &replica->seat);
    if (replica->channel)
        replica_fail_requests(replica, error.message, not_begun);
    if (generation->pool)
        server_pool_lost(generation->pool, error.message);
    channel_close(replica->channel);
    pipeline_close(replica->pipeline);
    serving->live_workers--;
    placement_leave(&generation->placement, replica->place);
    generation_lost(generation, replica, replica->loaded, lived_ms, &error);
    free(replica);
    generation_unref(generation);
    generation_unref(generation); /* the replica's own */
    serving_look_stopped(serving);
}

static void on_ended(struct worker_process *process, bool started, const char *reason)
{
    finish(list_entry(process, struct replica, process), reason);
}

/* ---- its process ---- */

/* The worker that keeps a managed server has a line beside the channel. */
static bool start_keeper(struct replica *replica, const struct worker_spec *spec,
                         struct error *ret_error)
{
    struct generation *generation = replica->generation;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "a socket: %s",
                         strerrordesc_np(errno));
    bool started = server_pool_open(generation->pool, pair[0], ret_error) &&
                   spawner_start_server(replica_serving(replica)->spawner, &replica->process, spec,
                                        channel_fds(replica->channel), pair[1], ret_error);
    close(pair[1]);
    if (!started)
        server_pool_close(generation->pool);
    return started;
}

static bool start_process(struct replica *replica, struct error *ret_error)
{
    struct serving *serving = replica_serving(replica);
    struct generation *generation = replica->generation;
    replica->started_ns = loop_now_ns(serving->loop);
    struct worker_spec spec = generation->spec;
    placement_limit(&generation->placement, replica->place, &spec.limits);
    bool started = generation->pool ? start_keeper(replica, &spec, ret_error)
                                    : spawner_start(serving->spawner, &replica->process, &spec,
                                                    channel_fds(replica->channel), ret_error);
    if (!started)
        return false;
    bool awaited = !generation->replica || generation->replica == replica; /* else another serves */
    if (awaited && generation == generation->version->current && !generation->version->note[0])
        note(generation, "its worker starts"); /* else that says more: why it is started again */
    replica_expect_load(replica);
    return true;
}

/* ---- its environment ---- */

static void on_interpreter(struct environment_use *use, struct span interpreter,
                           const struct error *error)
{
    struct generation *generation = list_entry(use, struct generation, environment);
    struct replica *replica = generation->replica;
    assert(replica && replica->preparing);
    replica->preparing = false;
    generation->version->note[0] = '\0';
    generation->spec.interpreter = interpreter;
    if (error) {
        replica->failure = *error;
        replica->stopping = true; /* it was no crash */
    }
    if (error || !start_process(replica, &replica->failure))
        finish(replica, replica->failure.message);
}

static void on_noted(struct environment_use *use, const char *what)
{
    note(list_entry(use, struct generation, environment), what);
}

static void on_building(struct environment_use *use, struct span line)
{
    const struct generation *generation = list_entry(use, struct generation, environment);
    version_say(generation->version, LOG_INFO, line);
    if (!generation->state.retired)
        version_note(generation->version, "building its environment: %.*s", SPAN_ARGS(line));
}

/* Starts the process, or what has to be done first. */
static bool prepare(struct replica *replica, struct error *ret_error)
{
    static const struct environment_events environment_events = {on_interpreter, on_noted,
                                                                 on_building};
    struct generation *generation = replica->generation;
    if (!generation->question.python || environment_is_ready(&generation->environment))
        return start_process(replica, ret_error);
    replica->preparing = true;
    environment_ask(&replica_serving(replica)->environments, &generation->environment,
                    &generation->question, &environment_events);
    return true;
}

/* ---- a pipeline in the process's place ---- */

static void on_steps_ready(void *owner, const struct schema *schema)
{
    struct replica *replica = owner;
    replica_has_loaded(replica, schema);
    if (replica->probe && !replica->stopping)
        replica_stop(replica);
}

static void on_steps_failed(void *owner, const struct error *error)
{
    struct replica *replica = owner;
    replica->failure = *error;
    replica->stopping = true; /* it was no crash */
    finish(replica, error->message);
}

static void on_steps_ended(void *owner, struct pipeline_request *request,
                           const struct inference_outputs *outputs, const struct error *error)
{
    struct replica *replica = owner;
    struct generation *generation = replica->generation;
    const struct channel_times times = {.compute_ns = pipeline_request_ns(request)};
    struct execution *ended =
        executions_find(&replica->executions, pipeline_request_execution(request));
    assert(ended);
    replica_end_execution(replica, ended, !outputs);
    if (generation->state.queued)
        generation_dispatch(generation);
    inference_answer_steps(pipeline_request_inference(request), outputs, error, &times);
}

static const struct pipeline_events pipeline_events = {on_steps_ready, on_steps_failed,
                                                       on_steps_ended};

static bool start_pipeline(struct replica *replica, struct error *ret_error)
{
    struct generation *generation = replica->generation;
    replica->pipeline = pipeline_open(generation, &pipeline_events, replica, ret_error);
    return replica->pipeline != NULL;
}

/* ---- its start ---- */

static void on_given_up(struct loop_task *task)
{
    struct replica *replica = list_entry(task, struct replica, given_up);
    if (!replica->pipeline || pipeline_stop(replica->pipeline))
        finish(replica, "stopped");
    else
        loop_defer(replica_serving(replica)->loop, task); /* requests end first */
}

static bool start_channel(struct replica *replica, struct error *ret_error)
{
    replica->channel = channel_open(replica_serving(replica)->loop, replica->generation->memory,
                                    &replica_channel_events, replica, ret_error);
    if (!replica->channel)
        return false;
    if (prepare(replica, ret_error))
        return true;
    channel_close(replica->channel);
    return false;
}

struct replica *replica_start(struct generation *generation, bool probe, struct error *ret_error)
{
    struct serving *serving = generation->version->model->serving;
    struct replica *replica = calloc(1, sizeof *replica);
    if (!replica) {
        error_no_memory(ret_error);
        return NULL;
    }
    replica->generation = generation;
    replica->place = placement_take(&generation->placement);
    replica->probe = generation->spec.probe = probe;
    replica->started_ns = loop_now_ns(serving->loop);
    replica->given_up.run = on_given_up;
    replica->compute_ns = REPLICA_ONE_AHEAD_NS; /* until it has been seen to be less */
    replica->process.ended = on_ended;
    list_init(&replica->calls);
    kept_init(&replica->kept, generation);
    if (!(generation->plan ? start_pipeline(replica, ret_error)
                           : start_channel(replica, ret_error))) {
        placement_leave(&generation->placement, replica->place);
        free(replica);
        return NULL;
    }
    generation_ref(generation);
    serving->live_workers++;
    return replica;
}

/* ---- asked, or made, to end ---- */

void replica_kill(struct replica *replica, const char *format, ...)
{
    char reason[REASON_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    error_set(&replica->failure, ERROR_INTERNAL, "stopped: %s", reason);
    if (replica->preparing || replica->pipeline)
        replica_stop(replica);
    else
        spawner_kill(replica_serving(replica)->spawner, &replica->process);
}

void replica_replace(struct replica *replica)
{
    if (replica->replaced || replica->stopping || !replica->loaded)
        return; /* it ends already */
    replica->replaced = true;
    replica_kill(
        replica, "a cancelled request did not end within %llu ms",
        (unsigned long long)(replica->generation->schedule.policy.grace_ns / CLOCK_NS_PER_MS));
    replica->failure.code = ERROR_CANCELLED;
}

static void grace_over(struct timer *timer)
{
    struct replica *replica = list_entry(timer, struct replica, grace);
    spawner_kill(replica_serving(replica)->spawner, &replica->process);
}

void replica_stop(struct replica *replica)
{
    struct serving *serving = replica_serving(replica);
    if (replica->stopping)
        return;
    replica->stopping = true;
    if (replica->pipeline) {
        loop_defer(serving->loop, &replica->given_up);
        return;
    }
    if (replica->preparing) {
        environment_leave(&replica->generation->environment);
        loop_defer(serving->loop, &replica->given_up);
        return;
    }
    channel_stop(replica->channel);
    timer_start(&replica->grace, serving->loop, serving->options.stop_grace_ms, grace_over);
}

void replica_measure(const struct replica *replica, struct model_metrics *to)
{
    to->workers += !replica->pipeline;
    to->running +=
        replica->pipeline ? replica->executions.count : channel_request_count(replica->channel);
    to->device_bytes += replica->stats.device_memory_bytes;
}
