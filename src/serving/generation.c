/* The life of a generation: events go to its state machine (generation_state.h), and what that says
 * is done here. Its requests are in generation_queue.c. */
#include "serving/generation.h"

#include "repository/repository.h"
#include "serving/batch.h"
#include "serving/generation_spec.h"
#include "serving/generation_workers.h"
#include "serving/labels.h"
#include "serving/pipeline.h"
#include "serving/queue_policy.h"
#include "serving/replica.h"
#include "serving/server_pool.h"
#include "serving/stateful.h"

#include <assert.h>
#include <stdlib.h>

enum { SPEC_BYTES = 16 << 20, DEFAULT_OUTPUT_BYTES = 4096 };

static struct serving *serving_of(const struct generation *generation)
{
    return generation->version->model->serving;
}

bool generation_is_asleep(const struct generation *generation)
{
    enum generation_phase phase = generation->state.phase;
    return phase == GENERATION_COLD || phase == GENERATION_PROBED || phase == GENERATION_RESTING;
}

bool generation_has_failed(const struct generation *generation)
{
    return generation->state.phase == GENERATION_FAILED ||
           generation->state.phase == GENERATION_REJECTED;
}

/* ---- events and what is done about them ---- */

static void act(struct generation *generation, struct generation_action action,
                const struct error *error);

static void on_retry(struct timer *timer)
{
    struct generation *generation = list_entry(timer, struct generation, retry);
    generation->version->statistics.metrics.worker_restarts++;
    generation_notice(generation, GENERATION_TIME);
}

/* Whether a worker's end is worth another try. */
static enum generation_end kind_of_end(bool loaded, const struct error *error)
{
    if (!loaded && error->code == ERROR_UNAVAILABLE)
        return GENERATION_END_TOO_SOON;
    if (loaded && error->code == ERROR_CANCELLED)
        return GENERATION_END_REPLACED;
    if (loaded || error->code == ERROR_INTERNAL || error->code == ERROR_RESOURCE_EXHAUSTED)
        return GENERATION_END_DIED;
    return GENERATION_END_REFUSED;
}

static void start_worker(struct generation *generation, bool probe)
{
    struct error error;
    generation->replica = replica_start(generation, probe, &error);
    if (generation->replica)
        generation_watch(generation);
    else
        generation_lost(generation, NULL, false, 0, &error);
}

static void give_up(struct generation *generation, const struct error *error)
{
    assert(error);
    struct error refusal;
    generation->failure = *error;
    generation_failed_error(generation, &refusal);
    generation_refuse(generation, &refusal);
    if (generation->replica) {
        residence_leave(generation);
        replica_stop(generation->replica);
    }
    if (!generation->state.retired)
        version_settle(generation->version, generation);
}

/* One that is to take another's place waits until as many workers serve as are wanted. */
void generation_settle(struct generation *generation)
{
    const struct version *version = generation->version;
    generation_dispatch(generation);
    if (generation->pool)
        server_pool_rest(generation->pool);
    if (!generation->state.retired &&
        (version->next != generation || generation_workers_settled(generation)))
        version_settle(generation->version, generation);
}

static void perform(struct generation *generation, struct generation_action action,
                    const struct error *error)
{
    switch (action.deed) {
    case GENERATION_NOTHING:
        break;
    case GENERATION_START_PROBE:
    case GENERATION_START_WORKER:
        start_worker(generation, action.deed == GENERATION_START_PROBE);
        break;
    case GENERATION_ASK_ROOM:
        residence_ask(generation);
        break;
    case GENERATION_LEAVE_ROOM:
        residence_unask(generation);
        break;
    case GENERATION_REFUSE:
        generation_refuse(generation, error);
        generation_settle(generation);
        break;
    case GENERATION_STOP_WORKER:
        residence_leave(generation);
        replica_stop(generation->replica);
        break;
    case GENERATION_START_TIMER:
        timer_start(&generation->retry, serving_of(generation)->loop, action.after_ms, on_retry);
        break;
    case GENERATION_STOP_TIMER:
        timer_stop(&generation->retry);
        break;
    case GENERATION_SETTLE:
        generation_settle(generation);
        break;
    case GENERATION_GIVE_UP:
        give_up(generation, error);
        break;
    }
}

/* error: why it is given up, where that may come of it. */
static void act(struct generation *generation, struct generation_action action,
                const struct error *error)
{
    generation_ref(generation); /* the version may let go of it meanwhile */
    perform(generation, action, error);
    /* -Wanalyzer-use-after-free: it is held */
    assert(!generation->replica == !generation_has_worker(&generation->state));
    assert(timer_running(&generation->retry) == generation_has_timer(&generation->state));
    generation_staff(generation);
    if (generation->state.phase != GENERATION_READY)
        generation_withdraw_claim(generation);
    generation_unref(generation);
}

void generation_break(struct generation *generation, const char *what)
{
    if (generation->replica)
        replica_kill(generation->replica, "%s", what);
}

void generation_notice(struct generation *generation, enum generation_event event)
{
    act(generation, generation_step(&generation->state, event), NULL);
}

void generation_start(struct generation *generation, bool probe)
{
    generation_notice(generation, probe ? GENERATION_PROBE : GENERATION_LOAD);
}

/* A model's schema, with the shapes that clients see. */
static struct schema *shaped_schema(const struct generation *generation,
                                    const struct schema *schema, struct error *ret_error)
{
    struct schema *shaped = schema_copy(schema);
    if (!shaped)
        error_no_memory(ret_error);
    else if (shaping_show(&generation->spec.shaping, shaped, ret_error))
        return shaped;
    schema_free(shaped);
    return NULL;
}

/* Makes the schema that clients see, where that is not all. */
static bool show(struct generation *generation, struct error *ret_error)
{
    if (!generation->stateful && !generation->spec.shaping.batch_input_count)
        return true;
    generation->shown = schema_shown(generation->schema);
    return generation->shown || error_no_memory(ret_error);
}

static bool take_schema(struct generation *generation, const struct schema *schema,
                        struct error *ret_error)
{
    struct schema *shaped = shaped_schema(generation, schema, ret_error);
    if (!shaped)
        return false;
    if (generation->schema) {
        /* Requests were checked against the first one, and answers point into it. */
        bool same = schema_same_tensors(generation->schema, shaped);
        schema_free(shaped);
        return same || error_set(ret_error, ERROR_UNAVAILABLE,
                                 "its inputs and outputs are not what they were: the files have "
                                 "changed");
    }
    generation->schema = shaped;
    if (generation->stateful && !stateful_bind(generation->stateful, generation->schema, ret_error))
        return false;
    if (!show(generation, ret_error))
        return false;
    generation_set_model(generation, schema->joins ? schema->max_batch_size : 0,
                         schema->concurrency);
    generation_check_queue(generation);
    return true;
}

void generation_loaded(struct generation *generation, struct replica *replica,
                       const struct schema *schema, const struct channel_stats *stats)
{
    struct error error;
    struct generation_worker *worker = generation_worker_with(generation, replica);
    bool fit = take_schema(generation, schema, &error);
    enum generation_event event = fit ? GENERATION_LOADED : GENERATION_UNFIT;
    if (worker) {
        generation_worker_loaded(worker, event, &error);
        residence_loaded(generation, stats);
        residence_measured(generation, stats);
        return;
    }
    act(generation, generation_step(&generation->state, event), &error);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the replica's reference is still there */
    if (generation->state.phase == GENERATION_READY || generation->state.phase == GENERATION_PROBED)
        residence_loaded(generation, stats);
}

void generation_no_room(struct generation *generation, bool too_large, const struct error *error)
{
    enum generation_event event = too_large ? GENERATION_TOO_LARGE : GENERATION_CROWDED;
    act(generation, generation_step(&generation->state, event), error);
}

/* Says what is waited for. */
static void note_retry(struct version *version, enum generation_end how, const struct error *error)
{
    if (how == GENERATION_END_DIED || how == GENERATION_END_REPLACED)
        version_note(version, "restarting after its worker ended: %s", error->message);
    else
        version_note(version, "%s", error->message); /* its files are still being written */
}

static void first_lost(struct generation *generation, enum generation_end how, uint64_t lived_ms,
                       const struct error *error)
{
    generation->replica = NULL;
    residence_worker_ended(generation);
    struct generation_action action = generation_ended(&generation->state, how, lived_ms);
    if (action.deed == GENERATION_START_TIMER && !generation->state.retired)
        note_retry(generation->version, how, error);
    act(generation, action, error);
}

void generation_lost(struct generation *generation, const struct replica *replica, bool loaded,
                     uint64_t lived_ms, const struct error *error)
{
    enum generation_end how = kind_of_end(loaded, error);
    struct generation_worker *worker = generation_worker_with(generation, replica);
    if (!worker && generation->state.phase == GENERATION_READY)
        worker = generation_workers_promote(generation);
    if (generation_workers_live(generation) <= (replica != NULL) &&
        tensor_memory_excess_bytes(generation->memory))
        tensor_memory_reclaim(generation->memory);
    if (worker)
        generation_worker_lost(worker, how, lived_ms, error);
    else
        first_lost(generation, how, lived_ms, error);
}

/* ---- life ---- */

static bool make_pool(struct generation *generation, struct error *ret_error)
{
    generation->pool = calloc(1, sizeof *generation->pool);
    if (!generation->pool)
        return error_no_memory(ret_error);
    server_pool_init(generation->pool, generation);
    return true;
}

/* The same inputs give the same outputs, and nothing else happens: it is data of a known format. */
static bool is_repeatable(const struct repository_version *found)
{
    return !found->code && found->runtime != RUNTIME_SERVER && format_named(found->format);
}

/* Where somebody has said how many run at once, so many do. Executions of code may wait for each
 * other, too. */
static bool learns_slots(const struct generation *generation,
                         const struct repository_version *found)
{
    return generation->repeatable && found->config->instance_count == 0 &&
           found->config->workers.max <= 1;
}

static bool make_plan(struct generation *generation, const struct pipeline_graph *graph,
                      struct error *ret_error)
{
    generation->plan = pipeline_plan_new(&generation->arena, graph);
    return generation->plan || error_no_memory(ret_error);
}

static bool make_stateful(struct generation *generation, const struct model_sequences *sequences,
                          struct error *ret_error)
{
    generation->stateful = stateful_new(generation, sequences, ret_error);
    generation->schedule.goes = stateful_may_go;
    return generation->stateful != NULL;
}

struct generation *generation_new(struct version *version, const struct repository_version *found,
                                  struct error *ret_error)
{
    const struct serving_options *options = &version->model->serving->options;
    struct generation *generation = calloc(1, sizeof *generation);
    if (!generation) {
        error_no_memory(ret_error);
        return NULL;
    }
    generation->version = version;
    version->generations++;
    generation->references = 1;
    generation->fingerprint = found->fingerprint;
    generation->repeatable = is_repeatable(found);
    generation->idle_since_ns = loop_now_ns(version->model->serving->loop);
    generation->output_bytes = DEFAULT_OUTPUT_BYTES;
    struct schedule_policy policy;
    queue_policy(found->config->queue, options, learns_slots(generation, found), &policy);
    schedule_init(&generation->schedule, &policy, batch_joins);
    admission_init(&generation->admission, options->memory_limit_bytes);
    residence_add(generation, found);
    reuse_join(generation, found);
    arena_init(&generation->arena, 1024, SPEC_BYTES);
    bool copied =
        generation_spec_copy(&generation->arena, found, options, &generation->spec, ret_error) &&
        generation_question_copy(&generation->arena, found, &generation->question, ret_error) &&
        (arena_copy(&generation->arena, found->config->written, &generation->config) ||
         error_no_memory(ret_error)) &&
        labels_copy(&generation->arena, found->config, &generation->labels,
                    &generation->label_count, ret_error);
    struct model_workers workers = generation_workers_of(found);
    if (copied)
        copied = generation_workers_init(generation, &workers, ret_error) &&
                 placement_make(&generation->placement, &generation->arena,
                                &found->config->placement, workers.max, options, ret_error);
    if (copied)
        generation->spec.threads = placement_threads(&generation->placement, workers.min,
                                                     generation->spec.limits.cpu_percent, options);
    if (copied && generation->spec.server.command_count)
        copied = make_pool(generation, ret_error);
    if (copied && found->config->pipeline)
        copied = make_plan(generation, found->config->pipeline, ret_error);
    if (copied)
        copied = limiter_join(&version->model->serving->limiter, &generation->claim,
                              &generation->schedule.policy, generation->spec.device, ret_error);
    if (copied)
        generation->memory = tensor_memory_new(options->memory_limit_bytes, ret_error);
    if (generation->memory && found->config->sequences &&
        !make_stateful(generation, found->config->sequences, ret_error))
        copied = false;
    const struct serving *serving = version->model->serving;
    if (serving->hold_files)
        generation->held_files = serving->hold_files(serving->context, found->root);
    if (!generation->memory || !copied) {
        generation_unref(generation);
        return NULL;
    }
    return generation;
}

struct generation *generation_ref(struct generation *generation)
{
    generation->references++;
    return generation;
}

/* Once retired, only its workers may still hold it, and requests that were abandoned: then nobody
 * waits for an answer and the workers can go. */
static void stop_when_unused(struct generation *generation)
{
    if (!generation->state.retired || !generation->replica ||
        generation->references - generation->abandoned != generation_workers_live(generation))
        return;
    perform(generation, generation_step(&generation->state, GENERATION_UNUSED), NULL);
    generation_staff(generation);
}

void generation_abandon(struct generation *generation)
{
    generation->abandoned++;
    stop_when_unused(generation);
}

void generation_reclaim(struct generation *generation)
{
    assert(generation->abandoned > 0);
    generation->abandoned--;
}

static void destroy(struct generation *generation)
{
    assert(!generation->replica && generation->schedule.queue.count == 0);
    generation_keep_learned(generation);
    generation_withdraw_claim(generation);
    limiter_leave(&serving_of(generation)->limiter, &generation->claim);
    if (generation->pool)
        server_pool_fini(generation->pool);
    free(generation->pool);
    environment_leave(&generation->environment);
    residence_remove(generation);
    reuse_leave(generation);
    generation_workers_fini(generation);
    timer_stop(&generation->retry);
    timer_stop(&generation->watch);
    timer_stop(&generation->dispatch_again);
    fine_timer_stop(&generation->batch_wait);
    loop_undefer(&generation->dispatch);
    loop_undefer(&generation->admit);
    stateful_free(generation->stateful);
    loop_undefer(&generation->dispatch); /* what ended may have asked for it */
    loop_undefer(&generation->admit);
    tensor_memory_free(generation->memory);
    schema_free(generation->schema);
    schema_free(generation->shown);
    arena_fini(&generation->arena);
    if (generation->held_files)
        generation->version->model->serving->release_files(generation->held_files);
    version_release(generation->version);
    free(generation);
}

void generation_unref(struct generation *generation)
{
    assert(generation->references > 0);
    if (--generation->references == 0)
        destroy(generation);
    else
        stop_when_unused(generation);
}

void generation_retire(struct generation **place)
{
    struct generation *generation = *place;
    *place = NULL;
    if (!generation)
        return;
    assert(!generation->state.retired);
    reuse_retire(generation);
    generation_notice(generation, GENERATION_RETIRE);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the version's reference is still there */
    generation_workers_retire(generation);
    generation_unref(generation);
}
