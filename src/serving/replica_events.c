/* What a worker says on its channel, and what follows; see replica_internal.h. */
#include "serving/batch.h"
#include "serving/calls.h"
#include "serving/filler.h"
#include "serving/generation_workers.h"
#include "serving/inference_internal.h"
#include "serving/replica_internal.h"
#include "telemetry/log.h"

enum {
    LARGEST_GUESS = 16
}; /* of the memory's limit: no more is kept free for unforeseen outputs */

/* Another try would take as long: the model is given up. */
static void load_too_long(struct timer *timer)
{
    struct replica *replica = list_entry(timer, struct replica, load);
    limit_hit(LIMIT_load_timeout_ms);
    replica_kill(replica, "it has not loaded within %llu ms",
                 (unsigned long long)replica_serving(replica)->options.load_timeout_ms);
    replica->failure.code = ERROR_DEADLINE_EXCEEDED;
}

void replica_expect_load(struct replica *replica)
{
    struct serving *serving = replica_serving(replica);
    if (serving->options.load_timeout_ms)
        timer_start(&replica->load, serving->loop, serving->options.load_timeout_ms, load_too_long);
}

static void on_loading(void *owner, double done)
{
    struct generation *generation = ((struct replica *)owner)->generation;
    replica_expect_load(owner);
    if (generation->replica != owner)
        return; /* while another serves */
    generation->progress = done;
    if (!generation->state.retired)
        version_note(generation->version, "loading, %.0f %%", done * 100);
}

void replica_has_loaded(struct replica *replica, const struct schema *schema)
{
    struct generation *generation = replica->generation;
    struct model_metrics *counts = &generation->version->statistics.metrics;
    timer_stop(&replica->load);
    if (!replica->probe) {
        counts->loads++;
        counts->load_ns = loop_now_ns(replica_serving(replica)->loop) - replica->started_ns;
    }
    replica->loaded = true;
    generation_loaded(generation, replica, schema, &replica->stats);
}

static void on_ready(void *owner, const struct schema *schema)
{
    replica_has_loaded(owner, schema);
}

static void on_failed(void *owner, const struct error *error)
{
    struct replica *replica = owner;
    replica->failure = *error;
    replica_stop(replica);
}

/* What outputs take is remembered as the most of lately, and fades. */
static void learn_output_bytes(struct generation *generation,
                               const struct channel_response *response)
{
    uint64_t used = 0;
    for (size_t i = 0; i < response->output_count; i++)
        used += response->outputs[i].extent.size + TENSOR_ALIGNMENT;
    uint64_t faded = generation->output_bytes - generation->output_bytes / 64;
    uint64_t most = generation->admission.limit_bytes / LARGEST_GUESS;
    used = used < most ? used : most;
    generation->output_bytes = used > faded ? used : faded;
}

/* By its client or its deadline, of which the worker may know first. One that was ahead of its turn
 * ends as in the queue. */
static void note_cancelled(struct replica *replica, struct inference *inference,
                           enum error_code code)
{
    struct execution *execution = executions_find(&replica->executions, inference->execution);
    if (execution)
        execution->cancelled++;
    if (code == ERROR_CANCELLED && inference->execution >= replica_not_begun(replica))
        inference->times.executed_ns = 0;
}

/* Its turn came in the worker, too late for it to be answered in time. */
static bool was_given_up(const struct inference *inference, const struct channel_response *response)
{
    return response->error.code == ERROR_CANCELLED && !inference->cancelled &&
           inference->entry.deadline_ns != CLOCK_NEVER && !response->times.compute_ns;
}

static void on_response(void *owner, struct channel_request *request,
                        const struct channel_response *response)
{
    struct replica *replica = owner;
    struct inference *inference = list_entry(request, struct inference, request);
    struct generation *generation = replica->generation;
    learn_output_bytes(generation, response);
    if (response->final)
        calls_forget(&replica->calls, inference);
    if (response->final && (inference->cancelled || response->error.code == ERROR_CANCELLED))
        note_cancelled(replica, inference, response->error.code);
    if (inference->fills) {
        if (response->kept)
            replica_kill(replica, "it keeps the memory of a row without a request");
        if (response->final)
            filler_free(inference);
        return;
    }
    if (response->kept && !kept_add(&replica->kept, inference, response->id))
        replica_kill(replica, "it keeps too much of its requests' memory");
    struct channel_response too_late = {.final = true};
    if (response->final && was_given_up(inference, response)) {
        generation_too_late(generation, inference, &too_late.error);
        inference->times.executed_ns = 0;
        response = &too_late;
    }
    inference_answer(inference, response);
    if (response->final)
        residence_rest(generation);
}

static void on_executed(void *owner, uint64_t execution, uint64_t compute_ns)
{
    struct replica *replica = owner;
    struct execution *ended = executions_find(&replica->executions, execution);
    if (!ended)
        return; /* there is no such: a lie, which frees no slot */
    bool streams = replica->generation->schema->streams; /* its clients set the pace */
    bool cancelled = ended->cancelled > 0 && ended->cancelled >= ended->run.requests;
    replica_end_execution(replica, ended, streams || cancelled);
    if (!cancelled)
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
    replica->generation->calls_others = true;
    calls_begin(&replica->calls, replica->channel, call,
                list_entry(call->parent, struct inference, request));
}

static void on_log(void *owner, enum tensord_log_level level, struct span line)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR};
    const struct replica *replica = owner;
    version_say(replica->generation->version,
                level <= TENSORD_LOG_ERROR ? levels[level] : LOG_ERROR, line);
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

const struct channel_events replica_channel_events = {
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
