/* What an engine calls while it runs: answers, cancellation, logs; and how an execution ends. Its
 * outputs and its calls to other models have files of their own. */
#include "worker/host_private.h"

#include "base/clock.h"
#include "worker/memory_use.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOG_LINE_BYTES = 4096, STATS_EVERY_S = 5 };

/* log, progress and reason are told without an execution: a process has one host at a time. */
static struct host *the_host;
static _Thread_local char last_reason[HOST_REASON_BYTES];

/* ---- words ---- */

__attribute__((format(printf, 2, 3))) static enum tensord_status
on_reason(enum tensord_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_reason, sizeof last_reason, format, arguments);
    va_end(arguments);
    return status;
}

const char *host_reason(enum tensord_status status)
{
    static const char *const defaults[] = {
        [TENSORD_OK] = "",
        [TENSORD_INVALID_ARGUMENT] = "the model does not accept this",
        [TENSORD_UNAVAILABLE] = "a resource is missing now",
        [TENSORD_UNSUPPORTED] = "not supported",
        [TENSORD_INTERNAL] = "the engine failed without a reason",
        [TENSORD_CANCELLED] = "the request was cancelled",
    };
    if (last_reason[0])
        return last_reason;
    return defaults[status <= TENSORD_CANCELLED ? status : TENSORD_INTERNAL];
}

void host_log_line(struct host *host, enum tensord_log_level level, struct span line)
{
    struct record_writer writer;
    host_record(host, &writer, RECORD_LOG);
    record_put(&writer, &(struct record_log){level, (uint32_t)line.size},
               sizeof(struct record_log));
    record_put_string(&writer, line);
    host_send_or_drop(host, &writer); /* logging never blocks an engine */
}

__attribute__((format(printf, 2, 3))) static void on_log(enum tensord_log_level level,
                                                         const char *format, ...)
{
    char line[LOG_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (size >= 0 && level <= TENSORD_LOG_ERROR)
        host_log_line(the_host, level, span_of(line));
}

static void on_progress(double done)
{
    struct record_writer writer;
    if (!(done >= 0 && done <= 1))
        return;
    host_record(the_host, &writer, RECORD_LOADING);
    record_put(&writer, &(struct record_loading){.parts_per_million = (uint32_t)(done * 1e6)},
               sizeof(struct record_loading));
    host_send_or_drop(the_host, &writer);
}

/* ---- answers ---- */

static void drop_outputs(struct host_execution *execution)
{
    for (size_t i = 0; i < execution->output_count; i++) {
        if (execution->outputs[i].is_copy)
            free(execution->outputs[i].data);
    }
    execution->output_count = 0;
}

void host_execution_free(struct host_execution *execution)
{
    drop_outputs(execution);
    for (size_t i = 0; execution->copies && i < execution->tensord.input_count; i++)
        free(execution->copies[i]);
    struct arena arena = execution->arena;
    arena_fini(&arena);
}

bool host_request_has_room(struct host_request *request, size_t count)
{
    if (count <= request->output_capacity)
        return true;
    struct channel_tensor *outputs =
        arena_alloc(&request->execution->arena, count * sizeof *outputs);
    if (!outputs)
        return false;
    request->outputs = outputs;
    request->output_capacity = count;
    return true;
}

/* Puts the outputs of the only request, or each request's rows, where send_response finds them. */
static void deal_outputs(struct host_execution *execution)
{
    if (host_is_joined(execution))
        host_batch_scatter(execution);
    else
        host_batch_pass_on(execution);
}

static void send_response(struct host_request *request, bool final, enum tensord_status status)
{
    const struct host_execution *execution = request->execution;
    struct host *host = execution->host;
    if (status == TENSORD_OK)
        status = request->status;
    struct span reason = status == TENSORD_OK ? SPAN("") : span_of(host_reason(status));
    size_t output_count = status == TENSORD_OK ? request->output_count : 0;
    struct record_writer writer;
    host_record(host, &writer, RECORD_RESPONSE);
    const struct record_response head = {.request = request->id,
                                         .final = final,
                                         .status = status,
                                         .message_size = (uint32_t)reason.size,
                                         .output_count = (uint32_t)output_count,
                                         .kept = final && host_keeps(execution),
                                         .input_ns = execution->input_ns,
                                         .compute_ns = execution->compute_ns,
                                         .output_ns = execution->output_ns};
    record_put(&writer, &head, sizeof head);
    record_put_string(&writer, reason);
    for (size_t i = 0; i < output_count; i++)
        record_put_tensor(&writer, &request->outputs[i], (struct span){0});
    host_send(host, &writer, !final);
    request->output_count = 0;
}

void host_send_stats(struct host *host)
{
    struct record_writer writer;
    struct memory_use use = {0};
    uint64_t (*device_bytes)(void *) = host->engine->device_memory_bytes;
    memory_use_look(&use); /* zero: not known */
    const struct record_stats stats = {device_bytes ? device_bytes(host->model) : 0, use.bytes,
                                       use.most_bytes};
    host_record(host, &writer, RECORD_STATS);
    record_put(&writer, &stats, sizeof stats);
    host_send(host, &writer, false);
    atomic_store_explicit(&host->stats_due_ns, clock_now_ns() + STATS_EVERY_S * CLOCK_NS_PER_S,
                          memory_order_relaxed);
}

/* Looking takes time where much is mapped: it is done by one thread, now and then. */
static void send_stats_when_due(struct host *host, uint64_t now_ns)
{
    uint64_t due_ns = atomic_load_explicit(&host->stats_due_ns, memory_order_relaxed);
    if (now_ns >= due_ns &&
        atomic_compare_exchange_strong_explicit(&host->stats_due_ns, &due_ns,
                                                now_ns + STATS_EVERY_S * CLOCK_NS_PER_S,
                                                memory_order_relaxed, memory_order_relaxed))
        host_send_stats(host);
}

/* Nobody finds the requests any more: the front may use their ids again once it has the answer. */
static void forget(struct host_execution *execution)
{
    struct host *host = execution->host;
    pthread_mutex_lock(&host->lock);
    for (size_t i = 0; i < execution->request_count; i++)
        host->requests[(uint32_t)execution->requests[i].id] = NULL;
    pthread_mutex_unlock(&host->lock);
}

/* Gives up the execution, whose answers have been sent. A cancellation that still runs frees it. */
static void release(struct host_execution *execution)
{
    struct host *host = execution->host;
    pthread_mutex_lock(&host->lock);
    execution->finished = true;
    bool may_free = !execution->cancelling;
    if (--host->live == 0 && host->stopping)
        pthread_cond_broadcast(&host->changed);
    pthread_mutex_unlock(&host->lock);
    if (may_free)
        host_execution_free(execution);
}

/* Ends the execution with its final answers. An inline engine's reader rings the doorbell later,
 * for all that it has answered. */
static void finish(struct host_execution *execution, enum tensord_status status)
{
    struct host *host = execution->host;
    if (execution->ended)
        *execution->ended = true;
    if (execution->trial) {
        pthread_mutex_lock(&host->lock);
        execution->status = status;
        execution->finished = true;
        pthread_cond_broadcast(&host->changed);
        pthread_mutex_unlock(&host->lock);
        return;
    }
    uint64_t now_ns = clock_now_ns();
    if (execution->started_ns)
        execution->compute_ns = now_ns - execution->started_ns;
    if (status == TENSORD_OK)
        deal_outputs(execution);
    if (host_is_joined(execution))
        execution->output_ns = clock_now_ns() - now_ns;
    forget(execution);
    for (size_t i = 0; i < execution->request_count; i++)
        send_response(&execution->requests[i], true, status);
    send_stats_when_due(host, now_ns);
    struct record_writer writer;
    const struct record_executed executed = {execution->id, execution->compute_ns};
    host_record(host, &writer, RECORD_EXECUTED);
    record_put(&writer, &executed, sizeof executed);
    host_send(host, &writer, !(host->engine->flags & TENSORD_ENGINE_INLINE));
    host_kept_sent(execution);
    release(execution);
}

/* Waits for a credit and takes it. False: nobody wants more. */
static bool take_credit(struct host *host, struct host_request *request)
{
    pthread_mutex_lock(&host->lock);
    while (request->credits == 0 && !request->cancelled && !host->stopping)
        host_wait(host);
    bool taken = request->credits > 0 && !request->cancelled && !host->stopping;
    if (taken) {
        request->credits--;
        request->unreturned++;
    }
    pthread_mutex_unlock(&host->lock);
    return taken;
}

/* Sends an answer that is not the last to every request that still wants it. */
static bool respond_more(struct host_execution *execution)
{
    bool anybody = false;
    if (execution->trial) {
        drop_outputs(execution);
        return true;
    }
    pthread_mutex_lock(&execution->lock);
    deal_outputs(execution);
    pthread_mutex_unlock(&execution->lock);
    for (size_t i = 0; i < execution->request_count; i++) {
        struct host_request *request = &execution->requests[i];
        if (request->status != TENSORD_OK || !take_credit(execution->host, request))
            continue;
        send_response(request, false, TENSORD_OK);
        anybody = true;
    }
    drop_outputs(execution);
    return anybody;
}

static bool on_respond(struct tensord_execution *tensord, bool final)
{
    if (!final)
        return respond_more(host_execution_of(tensord));
    finish(host_execution_of(tensord), TENSORD_OK);
    return true;
}

static void on_fail(struct tensord_execution *tensord, enum tensord_status status)
{
    finish(host_execution_of(tensord), status == TENSORD_OK ? TENSORD_INTERNAL : status);
}

static bool is_cancelled(struct host_execution *execution, uint64_t now_ns)
{
    struct host *host = execution->host;
    bool cancelled = true;
    if (execution->trial)
        return false;
    pthread_mutex_lock(&host->lock);
    for (size_t i = 0; i < execution->request_count; i++) {
        const struct host_request *request = &execution->requests[i];
        cancelled = cancelled && (request->cancelled || now_ns >= request->deadline_ns);
    }
    cancelled = cancelled || host->stopping;
    pthread_mutex_unlock(&host->lock);
    return cancelled;
}

static bool on_cancelled(const struct tensord_execution *tensord)
{
    return is_cancelled(host_execution_of(tensord), clock_now_ns());
}

void host_give_up(struct host_execution *execution)
{
    last_reason[0] = '\0';
    finish(execution, TENSORD_CANCELLED);
}

void host_execute(struct host *host, struct host_execution *execution)
{
    bool ended = false;
    uint64_t begun_ns = clock_now_ns();
    if (is_cancelled(execution, begun_ns + execution->needs_ns)) {
        host_give_up(execution);
        return;
    }
    last_reason[0] = '\0';
    if (!host_batch_gather(execution)) {
        finish(execution, TENSORD_UNAVAILABLE);
        return;
    }
    pthread_mutex_lock(&host->lock);
    execution->started = true;
    pthread_mutex_unlock(&host->lock);
    execution->started_ns = host_is_joined(execution) ? clock_now_ns() : begun_ns;
    execution->input_ns = execution->started_ns - begun_ns;
    bool async = host->engine->flags & TENSORD_ENGINE_ASYNC;
    if (!async)
        /* cppcheck-suppress autoVariables ; it has ended before this returns, or is asked no more
         */
        execution->ended = &ended;
    host->engine->execute(host->model, &execution->tensord);
    if (!async && !ended) {
        on_reason(TENSORD_INTERNAL, "the engine gave no answer");
        finish(execution, TENSORD_INTERNAL);
    }
}

/* ---- all of them ---- */

static bool on_may_keep(struct tensord_execution *tensord)
{
    return host_may_keep(host_execution_of(tensord));
}

static struct tensord_kept *on_keep(struct tensord_execution *tensord)
{
    return host_keep(host_execution_of(tensord));
}

void host_fill_calls(struct tensord_host *tensord)
{
    the_host = (struct host *)(void *)tensord;
    last_reason[0] = '\0';
    *tensord = (struct tensord_host){
        .size = sizeof *tensord,
        .log = on_log,
        .progress = on_progress,
        .reason = on_reason,
        .output = host_output,
        .output_input = host_output_input,
        .respond = on_respond,
        .fail = on_fail,
        .cancelled = on_cancelled,
        .call = host_call_model,
        .output_bytes = host_output_bytes,
        .room = host_output_room,
        .may_keep = on_may_keep,
        .keep = on_keep,
        .release = host_release,
    };
}
