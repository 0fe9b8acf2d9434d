/* Replicas: a worker process, its channel, and how much it has to do; see replica.h. */
#include "serving/replica.h"

#include "base/unset.h"
#include "serving/batch.h"
#include "serving/calls.h"
#include "serving/filler.h"
#include "serving/generation_workers.h"
#include "serving/inference_internal.h"
#include "serving/kept.h"
#include "serving/measure.h"
#include "serving/pipeline_request.h"
#include "serving/stateful.h"
#include "telemetry/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    AHEAD_NS = 200000,    /* work that may wait inside the worker, beyond its slots: hides the
                             channel's latency */
    MAX_EXECUTIONS = 256, /* with the worker at once */
    REASON_BYTES = 160,
    LARGEST_GUESS = 16, /* of the memory's limit: no more is kept free for unforeseen outputs */
};

struct execution {
    uint64_t id;
    struct schedule_run run;
    uint64_t stuck_round; /* of deadlock.h, the last in which it was found stuck */
};

struct replica {
    struct generation *generation;
    struct worker_process process;
    struct channel *channel;   /* NULL once the process has ended, and for a pipeline */
    struct pipeline *pipeline; /* stands in the process's place; NULL: there is one */
    bool preparing;            /* there is no process yet: its environment is found or built */
    struct loop_task given_up; /* while it was */
    bool probe;
    bool loaded;
    bool stopping;
    bool replaced; /* it was killed for the sake of another one */
    uint64_t started_ns;
    struct execution executions[MAX_EXECUTIONS]; /* with the worker, oldest first */
    size_t execution_count;
    uint64_t next_execution;
    uint64_t compute_ns;        /* of one execution, a moving average */
    struct channel_stats stats; /* as it last said */
    struct list calls;          /* nested ones that its model makes */
    struct kept_list kept;      /* memory of answered requests that its model still looks at */
    struct error failure;       /* why it could not load, or what it did wrong */
    struct timer grace;
    struct timer load;           /* until it has loaded */
    size_t place;                /* among the model's workers, for what it runs on */
    struct sequence_worker seat; /* places of sequences */
    bool seated;
};

static struct serving *serving_of(const struct replica *replica)
{
    return replica->generation->version->model->serving;
}

/* What a generation that is not ready waits for. */
static void note(struct generation *generation, const char *what)
{
    if (!generation->state.retired)
        version_note(generation->version, "%s", what);
}

static void say(const struct replica *replica, enum log_level level, struct span line)
{
    version_say(replica->generation->version, level, line);
}

/* ---- the channel's events ---- */

/* Another try would take as long: the model is given up. */
static void load_too_long(struct timer *timer)
{
    struct replica *replica = list_entry(timer, struct replica, load);
    limit_hit(LIMIT_load_timeout_ms);
    replica_kill(replica, "it has not loaded within %llu ms",
                 (unsigned long long)serving_of(replica)->options.load_timeout_ms);
    replica->failure.code = ERROR_DEADLINE_EXCEEDED;
}

static void expect_load(struct replica *replica)
{
    struct serving *serving = serving_of(replica);
    if (serving->options.load_timeout_ms)
        timer_start(&replica->load, serving->loop, serving->options.load_timeout_ms, load_too_long);
}

static void on_loading(void *owner, double done)
{
    struct generation *generation = ((struct replica *)owner)->generation;
    expect_load(owner);
    if (generation->replica != owner)
        return; /* while another serves */
    generation->progress = done;
    if (!generation->state.retired)
        version_note(generation->version, "loading, %.0f %%", done * 100);
}

static void on_ready(void *owner, const struct schema *schema)
{
    struct replica *replica = owner;
    timer_stop(&replica->load);
    replica->generation->version->statistics.metrics.loads += !replica->probe;
    if (!replica->probe)
        replica->generation->version->statistics.metrics.load_ns =
            loop_now_ns(serving_of(replica)->loop) - replica->started_ns;
    replica->loaded = true;
    generation_loaded(replica->generation, replica, schema, &replica->stats);
}

static void on_failed(void *owner, const struct error *error)
{
    struct replica *replica = owner;
    replica->failure = *error;
    replica_stop(replica);
}

static void on_response(void *owner, struct channel_request *request,
                        const struct channel_response *response)
{
    struct replica *replica = owner;
    struct inference *inference = list_entry(request, struct inference, request);
    struct generation *generation = replica->generation;
    uint64_t used = 0;
    for (size_t i = 0; i < response->output_count; i++)
        used += response->outputs[i].extent.size + TENSOR_ALIGNMENT;
    uint64_t faded = generation->output_bytes - generation->output_bytes / 64;
    uint64_t most = generation->admission.limit_bytes / LARGEST_GUESS;
    used = used < most ? used : most;
    generation->output_bytes = used > faded ? used : faded;
    if (response->final)
        calls_forget(&replica->calls, inference);
    if (inference->fills) {
        if (response->kept)
            replica_kill(replica, "it keeps the memory of a row without a request");
        if (response->final)
            filler_free(inference);
        return;
    }
    if (response->kept && !kept_add(&replica->kept, inference, response->id))
        replica_kill(replica, "it keeps too much of its requests' memory");
    inference_answer(inference, response);
    if (response->final)
        residence_rest(generation);
}

static void end_execution(struct replica *replica, size_t at, bool failed)
{
    struct execution *ended = &replica->executions[at];
    schedule_end(&replica->generation->schedule, &ended->run, failed, clock_now_ns());
    generation_return_resources(replica->generation);
    memmove(ended, ended + 1, (--replica->execution_count - at) * sizeof *ended);
}

static void on_executed(void *owner, uint64_t execution, uint64_t compute_ns)
{
    struct replica *replica = owner;
    size_t at = 0;
    while (at < replica->execution_count && replica->executions[at].id != execution)
        at++;
    if (at == replica->execution_count)
        return; /* there is no such: a lie, which frees no slot */
    end_execution(replica, at, replica->generation->schema->streams); /* its clients set the pace */
    replica->compute_ns = replica->compute_ns - replica->compute_ns / 8 + compute_ns / 8;
    if (replica->generation->state.queued)
        generation_dispatch(replica->generation);
    if (replica->generation->shrinks)
        generation_staff(replica->generation);
    residence_rest(replica->generation);
}

static bool on_need_room(void *owner, struct channel_request *request, uint64_t size,
                         struct extent *ret_extent, struct error *ret_error)
{
    if (list_entry(request, struct inference, request)->fills)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "nobody looks at this row");
    return inference_take_extra(list_entry(request, struct inference, request), size, ret_extent,
                                ret_error);
}

static void on_call(void *owner, const struct channel_call *call)
{
    struct replica *replica = owner;
    calls_begin(&replica->calls, replica->channel, call,
                list_entry(call->parent, struct inference, request));
}

static void on_log(void *owner, enum tensord_log_level level, struct span line)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR};
    say(owner, level <= TENSORD_LOG_ERROR ? levels[level] : LOG_ERROR, line);
}

static bool on_released(void *owner, uint64_t id)
{
    struct replica *replica = owner;
    return kept_release(&replica->kept, id);
}

static void on_stats(void *owner, const struct channel_stats *stats)
{
    struct replica *replica = owner;
    replica->stats = *stats;
    if (replica->loaded && !replica->probe)
        residence_measured(replica->generation, stats);
}

static void on_broken(void *owner, const char *reason)
{
    replica_kill(owner, "it broke the rules of its channel (%s)", reason);
}

static const struct channel_events events = {
    .loading = on_loading,
    .ready = on_ready,
    .failed = on_failed,
    .response = on_response,
    .executed = on_executed,
    .need_room = on_need_room,
    .call = on_call,
    .log = on_log,
    .stats = on_stats,
    .released = on_released,
    .broken = on_broken,
};

/* ---- the process ---- */

/* INTERRUPTED is UNAVAILABLE without an invitation to come back, which programs would follow. */
static void fail_request(const struct replica *replica, struct inference *inference,
                         const char *reason)
{
    struct channel_response response = {.final = true};
    if (replica->seated)
        stateful_broken_off(inference, reason, &response.error);
    else
        error_set(&response.error, ERROR_INTERRUPTED,
                  "the worker of model '%.*s' ended (%s); the request may be sent again",
                  SPAN_ARGS(replica->generation->spec.name), reason);
    inference_answer(inference, &response);
}

/* Answers what was with the worker: it may be sent again, by the client who knows whether that is
 * safe; where the worker was good and it is known to be safe, it is sent again from here. */
static void fail_requests(struct replica *replica, const char *reason)
{
    struct channel_request *request;
    size_t position = 0;
    while ((request = channel_next_request(replica->channel, &position))) {
        struct inference *inference = list_entry(request, struct inference, request);
        request->channel = NULL;
        if (inference->fills)
            filler_free(inference);
        else if (!replica->replaced || !generation_repeat(replica->generation, inference))
            fail_request(replica, inference, reason);
    }
}

/* It has no process, or none any more. */
static void finish(struct replica *replica, const char *reason)
{
    struct generation *generation = replica->generation;
    struct serving *serving = serving_of(replica);
    struct error error = replica->failure;
    if (error.code == ERROR_OK)
        error_set(&error, ERROR_INTERNAL, "%s", reason);
    if (!replica->stopping && !(replica->probe && replica->loaded)) { /* else it was asked to end */
        struct model_metrics *counts = &generation->version->statistics.metrics;
        replica->replaced ? counts->worker_replacements++ : counts->worker_crashes++;
        say(replica, LOG_ERROR, span_of(error.message));
    }
    uint64_t lived_ms = (loop_now_ns(serving->loop) - replica->started_ns) / CLOCK_NS_PER_MS;
    timer_stop(&replica->grace);
    loop_undefer(&replica->given_up);
    timer_stop(&replica->load);
    generation_ref(generation); /* answering may drop all others */
    while (replica->execution_count)
        end_execution(replica, replica->execution_count - 1, true);
    calls_forget(&replica->calls, NULL);
    kept_forget(&replica->kept);
    if (replica->seated)
        stateful_remove_worker(generation->stateful, &replica->seat);
    if (replica->channel)
        fail_requests(replica, error.message);
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
                   spawner_start_server(serving_of(replica)->spawner, &replica->process, spec,
                                        channel_fds(replica->channel), pair[1], ret_error);
    close(pair[1]);
    if (!started)
        server_pool_close(generation->pool);
    return started;
}

static bool start_process(struct replica *replica, struct error *ret_error)
{
    struct serving *serving = serving_of(replica);
    struct generation *generation = replica->generation;
    replica->started_ns = loop_now_ns(serving->loop);
    struct worker_spec spec = generation->spec;
    placement_limit(&generation->placement, replica->place, &spec.limits);
    bool started = generation->pool ? start_keeper(replica, &spec, ret_error)
                                    : spawner_start(serving->spawner, &replica->process, &spec,
                                                    channel_fds(replica->channel), ret_error);
    if (!started)
        return false;
    if (generation == generation->version->current && !generation->version->note[0])
        note(generation, "its worker starts"); /* else that says more: why it is started again */
    expect_load(replica);
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
    say(generation->replica, LOG_INFO, line);
    if (!generation->state.retired)
        version_note(generation->version, "building its environment: %.*s", SPAN_ARGS(line));
}

static void on_given_up(struct loop_task *task)
{
    struct replica *replica = list_entry(task, struct replica, given_up);
    if (!replica->pipeline || pipeline_stop(replica->pipeline))
        finish(replica, "stopped");
    else
        loop_defer(serving_of(replica)->loop, task); /* requests end first */
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
    environment_ask(&serving_of(replica)->environments, &generation->environment,
                    &generation->question, &environment_events);
    return true;
}

/* ---- a pipeline in the process's place ---- */

static void on_steps_ready(void *owner, const struct schema *schema)
{
    struct replica *replica = owner;
    on_ready(replica, schema);
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

static void end_execution_named(struct replica *replica, uint64_t id, bool failed)
{
    size_t at = 0;
    while (replica->executions[at].id != id)
        at++;
    end_execution(replica, at, failed);
}

static void on_steps_ended(void *owner, struct pipeline_request *request,
                           const struct inference_outputs *outputs, const struct error *error)
{
    struct replica *replica = owner;
    struct generation *generation = replica->generation;
    const struct channel_times times = {.compute_ns = pipeline_request_ns(request)};
    end_execution_named(replica, pipeline_request_execution(request), !outputs);
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

static bool start_channel(struct replica *replica, struct error *ret_error)
{
    replica->channel = channel_open(serving_of(replica)->loop, replica->generation->memory, &events,
                                    replica, ret_error);
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
    replica->compute_ns = AHEAD_NS; /* until it has been seen to be less */
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
        spawner_kill(serving_of(replica)->spawner, &replica->process);
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
    spawner_kill(serving_of(replica)->spawner, &replica->process);
}

void replica_stop(struct replica *replica)
{
    struct serving *serving = serving_of(replica);
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

/* ---- requests ---- */

static uint64_t slots_of(const struct replica *replica)
{
    uint64_t slots = replica->generation->schema->concurrency;
    return slots < MAX_EXECUTIONS ? slots : MAX_EXECUTIONS;
}

uint64_t replica_room(const struct replica *replica)
{
    const struct schema *schema = replica->generation->schema;
    uint64_t count = replica->execution_count;
    if (!replica->loaded || replica->stopping || replica->probe)
        return 0;
    uint64_t slots = slots_of(replica);
    if (count < slots)
        return slots - count;
    if (replica->pipeline)
        return 0;
    return count < MAX_EXECUTIONS && count * replica->compute_ns < AHEAD_NS && !schema->joins;
}

size_t replica_executions(const struct replica *replica)
{
    return replica->execution_count;
}

bool replica_requests(const struct replica *replica)
{
    return replica->execution_count > 0 ||
           (!replica->pipeline && channel_request_count(replica->channel) > 0);
}

/* ---- what waits for ever ---- */

static struct execution *execution_with(struct replica *replica, uint64_t id)
{
    for (size_t i = 0; i < replica->execution_count; i++) {
        if (replica->executions[i].id == id)
            return &replica->executions[i];
    }
    return NULL;
}

void replica_note_stuck(struct replica *replica, uint64_t execution, uint64_t round)
{
    struct execution *stuck = execution_with(replica, execution);
    if (stuck)
        stuck->stuck_round = round;
}

size_t replica_stuck_executions(const struct replica *replica, uint64_t round)
{
    size_t count = 0;
    if (replica->stopping || replica->failure.code != ERROR_OK)
        return 0;
    for (size_t i = 0; i < replica->execution_count; i++)
        count += replica->executions[i].stuck_round == round;
    return count;
}

bool replica_execution_is_stuck(const struct replica *replica, uint64_t execution, uint64_t round)
{
    size_t stuck = replica_stuck_executions(replica, round);
    for (size_t i = 0; i < replica->execution_count && stuck; i++) {
        if (replica->executions[i].id == execution)
            return replica->executions[i].stuck_round == round || stuck >= slots_of(replica);
    }
    return false;
}

size_t replica_fitting(struct inference *const *batch, size_t count)
{
    struct channel_request *requests[BATCH_MAX_REQUESTS] UNSET;
    assert(count <= BATCH_MAX_REQUESTS);
    for (size_t i = 0; i < count; i++)
        requests[i] = &batch[i]->request;
    return channel_fitting(requests, count);
}

static bool send_requests(struct replica *replica, struct inference *const *batch, size_t count)
{
    struct channel_request *requests[BATCH_MAX_REQUESTS] UNSET;
    for (size_t i = 0; i < count; i++)
        requests[i] = &batch[i]->request;
    return channel_execute(replica->channel, replica->next_execution, requests, count);
}

/* A pipeline's requests run alone: its steps are where they are joined. */
static bool begin_steps(struct replica *replica, struct inference *const *batch, size_t count)
{
    assert(count == 1);
    return pipeline_request_begin(replica->pipeline, batch[0], replica->next_execution);
}

bool replica_execute(struct replica *replica, struct inference *const *batch, size_t count,
                     uint64_t rows)
{
    struct generation *generation = replica->generation;
    assert(count > 0 && count <= BATCH_MAX_REQUESTS);
    if (!(replica->pipeline ? begin_steps(replica, batch, count)
                            : send_requests(replica, batch, count)))
        return false;
    struct inference *requests[BATCH_MAX_REQUESTS] UNSET; /* without rows that have none */
    size_t request_count = 0;
    for (size_t i = 0; i < count; i++) {
        batch[i]->state = INFERENCE_RUNNING;
        batch[i]->replica = replica;
        batch[i]->execution = replica->next_execution;
        if (batch[i]->turn.sequence)
            sequences_run(&batch[i]->turn);
        if (!batch[i]->fills)
            requests[request_count++] = batch[i];
    }
    measure_execute(requests, request_count);
    struct execution *started = &replica->executions[replica->execution_count++];
    started->id = replica->next_execution++;
    started->stuck_round = 0;
    schedule_start(&generation->schedule, &started->run, request_count, rows,
                   generation->dispatched_ns);
    generation_take_resources(generation);
    return true;
}

void replica_seat(struct replica *replica, bool closed)
{
    bool serves = replica->loaded && !replica->probe && !replica->stopping;
    replica->seat.closed = closed || !serves;
    if (replica->seated || !serves)
        return;
    replica->seated = true;
    stateful_add_worker(replica->generation->stateful, &replica->seat);
}

struct replica *replica_with_seat(struct sequence_worker *seat)
{
    return list_entry(seat, struct replica, seat);
}

bool replica_has_sequences(const struct replica *replica)
{
    return replica->seat.used > 0;
}

void replica_cancel(struct replica *replica, struct inference *inference)
{
    if (replica->pipeline) {
        pipeline_request_fail(inference->steps,
                              &(struct error){.code = ERROR_CANCELLED, .message = "cancelled"});
        return;
    }
    channel_cancel(replica->channel, &inference->request);
    calls_cancel(&replica->calls, inference);
}

void replica_measure(const struct replica *replica, struct model_metrics *to)
{
    to->workers += !replica->pipeline;
    to->running +=
        replica->pipeline ? replica->execution_count : channel_request_count(replica->channel);
    to->device_bytes += replica->stats.device_memory_bytes;
}
