/* Generations; see generation.h. The queue is emptied in one place, dispatch(), at the end of a
 * loop turn, so that what arrives in one turn can be joined and one doorbell serves all of it. */
#include "serving/generation.h"

#include "base/unset.h"

#include "serving/batch.h"
#include "serving/inference_internal.h"
#include "serving/replica.h"
#include "telemetry/log.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SPEC_BYTES = 1 << 20,
    MAX_FAILURES = 6,  /* of a worker in a row; then the generation is given up */
    BACK_OFF_MS = 100, /* doubles with each failure after the first */
    BACK_OFF_MAX_MS = 30000,
    HEALTHY_MS = 10000,  /* a worker that lived so long starts the count anew */
    NO_MEMORY_MS = 10,   /* before another try to hand requests to an idle worker */
    REWRITE_MS = 1000,   /* before another look at files that are still being written */
    IDLE_TRIM_MS = 5000, /* before free memory goes back to the kernel */
    DEFAULT_OUTPUT_BYTES = 4096,
};

static struct serving *serving_of(const struct generation *generation)
{
    return generation->version->model->serving;
}

/* ---- life ---- */

static bool copy_infos(struct arena *arena, const struct tensor_info *from, size_t count,
                       const struct tensor_info **ret_copy)
{
    struct tensor_info *copy = arena_calloc(arena, count, sizeof *copy);
    if (!copy)
        return false;
    for (size_t i = 0; i < count; i++) {
        copy[i] = from[i];
        if (!arena_copy(arena, from[i].name, &copy[i].name))
            return false;
    }
    *ret_copy = copy;
    return true;
}

static bool copy_parameters(struct arena *arena, const struct model_config *config,
                            struct worker_spec *spec)
{
    struct parameter *copy = arena_calloc(arena, config->parameter_count, sizeof *copy);
    if (!copy)
        return false;
    for (size_t i = 0; i < config->parameter_count; i++) {
        if (!arena_copy(arena, config->parameters[i].key, &copy[i].key) ||
            !arena_copy(arena, config->parameters[i].value, &copy[i].value))
            return false;
    }
    spec->parameters = copy;
    spec->parameter_count = config->parameter_count;
    return true;
}

/* The path that an engine is given: the version's folder, or the file that the config names in it.
 */
static bool copy_path(struct arena *arena, const struct repository_version *found,
                      struct span *ret_path)
{
    struct span file = found->config->file;
    if (!file.size)
        return arena_copy(arena, found->path, ret_path);
    char *path = arena_printf(arena, "%.*s/%.*s", SPAN_ARGS(found->path), SPAN_ARGS(file));
    *ret_path = span_of(path);
    return path != NULL;
}

static bool copy_spec(struct generation *generation, const struct repository_version *found)
{
    struct arena *arena = &generation->arena;
    const struct model_config *config = found->config;
    struct worker_spec *spec = &generation->spec;
    *spec = (struct worker_spec){
        .version = found->version,
        .input_count = config->input_count,
        .output_count = config->output_count,
        .max_batch_size = config->max_batch_size,
        .may_batch = config->max_batch_size != 0,
        .threads = serving_of(generation)->options.threads,
        .concurrency = config->instance_count,
        .renamed_in = found->renamed_in,
    };
    return copy_path(arena, found, &spec->path) && arena_copy(arena, found->root, &spec->root) &&
           arena_copy(arena, found->model, &spec->name) &&
           arena_copy(arena, config->engine, &spec->engine) &&
           arena_copy(arena, config->device, &spec->device) &&
           copy_parameters(arena, config, spec) &&
           copy_infos(arena, config->inputs, config->input_count, &spec->inputs) &&
           copy_infos(arena, config->outputs, config->output_count, &spec->outputs);
}

static void dispatch(struct loop_task *task);

struct generation *generation_new(struct version *version, const struct repository_version *found,
                                  struct error *ret_error)
{
    struct generation *generation = calloc(1, sizeof *generation);
    if (!generation) {
        error_no_memory(ret_error);
        return NULL;
    }
    generation->version = version;
    version->generations++;
    generation->references = 1;
    generation->fingerprint = found->fingerprint;
    generation->output_bytes = DEFAULT_OUTPUT_BYTES;
    generation->dispatch.run = dispatch;
    list_init(&generation->queue);
    arena_init(&generation->arena, 1024, SPEC_BYTES);
    bool copied = copy_spec(generation, found);
    if (!copied)
        error_no_memory(ret_error);
    else
        generation->memory =
            tensor_memory_new(serving_of(generation)->options.memory_limit_bytes, ret_error);
    if (!generation->memory) {
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

/* Once retired, only its replica may still hold it, and requests that were abandoned: then nobody
 * waits for an answer and the worker can go. */
static void stop_when_unused(struct generation *generation)
{
    if (generation->retired && generation->replica &&
        generation->references - generation->abandoned == 1)
        replica_stop(generation->replica);
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

void generation_unref(struct generation *generation)
{
    assert(generation->references > 0);
    if (--generation->references > 0) {
        stop_when_unused(generation);
        return;
    }
    assert(!generation->replica && list_empty(&generation->queue));
    timer_stop(&generation->retry);
    timer_stop(&generation->idle);
    loop_undefer(&generation->dispatch);
    tensor_memory_free(generation->memory);
    schema_free(generation->schema);
    arena_fini(&generation->arena);
    version_release(generation->version);
    free(generation);
}

void generation_retire(struct generation *generation)
{
    assert(!generation->retired);
    generation->retired = true;
    if (!generation->queued)
        timer_stop(&generation->retry);
    generation_unref(generation);
}

/* ---- loading ---- */

static void retry(struct timer *timer)
{
    struct generation *generation = list_entry(timer, struct generation, retry);
    generation->version->statistics.metrics.worker_restarts++;
    generation_start(generation, false);
}

static void refuse_queue(struct generation *generation, const struct error *error)
{
    list_each(link, &generation->queue)
    {
        list_remove(link);
        inference_refuse(list_entry(link, struct inference, link), error);
    }
    generation->queued = 0;
}

/* What requests for a failed model are answered. */
static void failed_error(const struct generation *generation, struct error *ret_error)
{
    error_set(ret_error, ERROR_UNAVAILABLE, "model '%.*s' has failed: %s",
              SPAN_ARGS(generation->spec.name), generation->failure.message);
}

static void give_up(struct generation *generation, const struct error *error)
{
    struct error refusal;
    generation->state = GENERATION_FAILED;
    generation->failure = *error;
    failed_error(generation, &refusal);
    refuse_queue(generation, &refusal);
    version_settle(generation->version, generation);
}

void generation_start(struct generation *generation, bool probe)
{
    struct error error;
    timer_stop(&generation->retry);
    if (generation->replica)
        return;
    generation->replica = replica_start(generation, probe, &error);
    if (!generation->replica)
        give_up(generation, &error);
    else if (generation->state != GENERATION_READY)
        generation->state = GENERATION_LOADING;
}

bool generation_loaded(struct generation *generation, const struct schema *schema)
{
    struct error error;
    if (!generation->schema) {
        generation->schema = schema_copy(schema);
        error_no_memory(&error);
    } else if (!schema_same_tensors(generation->schema, schema)) {
        /* Requests were checked against the first one, and answers point into it. */
        error_set(&error, ERROR_UNAVAILABLE,
                  "its inputs and outputs are not what they were: the files have changed");
        give_up(generation, &error);
        return false;
    }
    if (!generation->schema) {
        give_up(generation, &error);
        return false;
    }
    bool probed = generation->spec.probe;
    generation->state = probed ? GENERATION_COLD : GENERATION_READY;
    version_settle(generation->version, generation);
    loop_defer(serving_of(generation)->loop, &generation->dispatch);
    return true;
}

static uint64_t back_off_ms(unsigned failures)
{
    uint64_t wait =
        failures < 2 ? 0 : (uint64_t)BACK_OFF_MS << (failures - 2 < 16 ? failures - 2 : 16);
    return wait < BACK_OFF_MAX_MS ? wait : BACK_OFF_MAX_MS;
}

static bool wanted(const struct generation *generation)
{
    return !generation->retired || generation->queued > 0;
}

void generation_lost(struct generation *generation, bool loaded, uint64_t lived_ms,
                     const struct error *error)
{
    struct serving *serving = serving_of(generation);
    generation->replica = NULL;
    if (serving->stopping || !wanted(generation) || generation->state == GENERATION_FAILED)
        return;
    if (generation->state == GENERATION_COLD) { /* it was probed, and that is done */
        loop_defer(serving->loop, &generation->dispatch);
        return;
    }
    if (!loaded && error->code == ERROR_UNAVAILABLE) { /* still being written */
        version_note(generation->version, "%s", error->message);
        timer_start(&generation->retry, serving->loop, REWRITE_MS, retry);
        return;
    }
    bool crashed = loaded || error->code == ERROR_INTERNAL;
    generation->failures = lived_ms >= HEALTHY_MS ? 1 : generation->failures + 1;
    if (!crashed || generation->failures >= MAX_FAILURES) {
        give_up(generation, error);
        return;
    }
    version_note(generation->version, "restarting after its worker ended: %s", error->message);
    timer_start(&generation->retry, serving->loop, back_off_ms(generation->failures), retry);
}

/* ---- requests ---- */

static void trim(struct timer *timer)
{
    tensor_memory_trim(list_entry(timer, struct generation, idle)->memory);
}

void generation_submit(struct generation *generation, struct inference *inference)
{
    struct serving *serving = serving_of(generation);
    struct error error UNSET;
    error.code = ERROR_OK;
    timer_start(&generation->idle, serving->loop, IDLE_TRIM_MS, trim);
    if (generation->state == GENERATION_FAILED)
        failed_error(generation, &error);
    else if (generation->queued >= serving->options.queue_limit) {
        limit_hit(LIMIT_queue_limit);
        error_set(&error, ERROR_UNAVAILABLE, "Exceeds maximum queue size");
    } else if (generation->schema)
        inference_check(inference, &error);
    if (error.code != ERROR_OK) {
        inference_refuse(inference, &error);
        return;
    }
    list_add(&generation->queue, &inference->link);
    generation->queued++;
    /* COLD, or retired when its worker ended and nothing waited: then nobody has restarted it. */
    if (!generation->replica && !timer_running(&generation->retry))
        generation_start(generation, false);
    loop_defer(serving->loop, &generation->dispatch);
}

/* Room for the outputs of a request: what the schema says, or what outputs needed lately. */
static uint64_t room_for(const struct generation *generation, const struct inference *inference)
{
    const struct schema *schema = generation->schema;
    uint64_t room = 0;
    for (size_t i = 0; i < schema->output_count; i++) {
        struct shape shape = schema->outputs[i].shape;
        uint64_t size;
        if (schema->max_batch_size && shape.ndim && shape.dims[0] < 0 && inference->input_count)
            shape.dims[0] = inference->inputs[0].shape.dims[0];
        if (schema->outputs[i].datatype == TENSORD_BYTES ||
            !shape_size_bytes(&shape, schema->outputs[i].datatype, &size) || size > UINT32_MAX)
            return generation->output_bytes;
        room += (size + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
    }
    return room;
}

/* Fills in what the channel needs of a request that leaves the queue. */
static bool prepare(struct generation *generation, struct inference *inference,
                    struct error *ret_error)
{
    struct channel_request *request = &inference->request;
    struct channel_request *const alone = request;
    uint64_t room = room_for(generation, inference);
    request->inputs = inference->inputs;
    request->input_count = inference->input_count;
    request->parameters = inference->parameters;
    request->parameter_count = inference->parameter_count;
    request->deadline_ns = inference->deadline_ns;
    request->credits = 1;
    if (!channel_fitting(&alone, 1))
        return error_set(ret_error, ERROR_TOO_LARGE,
                         "the request's parameters are longer than a worker can be sent");
    return request->grant.size || !room ||
           tensor_memory_alloc(generation->memory, room, &request->grant, ret_error);
}

/* Prepares each request of a batch and refuses those that cannot go. Returns how many are left. */
static size_t prepare_batch(struct generation *generation, struct inference **batch, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct error error;
        if (prepare(generation, batch[i], &error))
            batch[kept++] = batch[i];
        else
            inference_refuse(batch[i], &error);
    }
    return kept;
}

/* Requests that came while the model was loading are checked now that its schema is known. */
static void check_queue(struct generation *generation)
{
    list_each(link, &generation->queue)
    {
        struct inference *inference = list_entry(link, struct inference, link);
        struct error error;
        if (inference->request.wanted_outputs || inference_check(inference, &error))
            continue;
        list_remove(link);
        generation->queued--;
        inference_refuse(inference, &error);
    }
}

static void put_back(struct generation *generation, struct inference **batch, size_t count)
{
    while (count-- > 0) {
        list_insert_first(&generation->queue, &batch[count]->link);
        generation->queued++;
    }
}

static void dispatch_again(struct timer *timer)
{
    struct generation *generation = list_entry(timer, struct generation, retry);
    loop_defer(serving_of(generation)->loop, &generation->dispatch);
}

static void dispatch(struct loop_task *task)
{
    struct generation *generation = list_entry(task, struct generation, dispatch);
    struct inference *batch[BATCH_MAX_REQUESTS] UNSET;
    if (list_empty(&generation->queue))
        return;
    if (!generation->replica && generation->state == GENERATION_COLD)
        generation_start(generation, false);
    if (!generation->replica || !generation->schema)
        return;
    if (!generation->queue_checked)
        check_queue(generation);
    generation->queue_checked = true;
    generation->dispatched_ns = clock_now_ns();
    while (replica_has_room(generation->replica)) {
        size_t count = batch_take(&generation->queue, generation->schema->max_batch_size, batch);
        if (count == 0)
            return;
        generation->queued -= count;
        count = prepare_batch(generation, batch, count);
        size_t fitting = replica_fitting(batch, count);
        put_back(generation, batch + fitting, count - fitting);
        count = fitting;
        if (count && !replica_execute(generation->replica, batch, count)) {
            put_back(generation, batch, count);
            if (!replica_busy(
                    generation->replica)) /* no memory, and no answer will bring us back */
                timer_start(&generation->retry, serving_of(generation)->loop, NO_MEMORY_MS,
                            dispatch_again);
            return;
        }
    }
}
