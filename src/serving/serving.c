/* Models that are loaded, unloaded and replaced, and the end of it all; see serving.h. */
#include "serving/serving.h"

#include "serving/generation.h"
#include "serving/load_waiters.h"
#include "serving/pipeline.h"
#include "serving/registry.h"
#include "serving/shadow.h"

#include <assert.h>

static void environments_stopped(struct environments *environments)
{
    serving_look_stopped(list_entry(environments, struct serving, environments));
}

void serving_init(struct serving *serving, struct loop *loop, struct spawner_client *spawner,
                  const struct serving_options *options)
{
    *serving = (struct serving){.loop = loop, .spawner = spawner, .options = *options};
    map_init(&serving->models);
    limiter_init(&serving->limiter);
    deadlock_init(&serving->deadlock);
    if (!reuse_init(&serving->reuse, options->cache_bytes, options->cache_entry_bytes))
        log_error("serving", "no random numbers: answers are not kept");
    list_init(&serving->pipelines);
    list_init(&serving->shadows);
    routing_kept_init(&serving->routing_kept);
    environments_init(&serving->environments, loop, spawner, &options->environments);
    residence_init(&serving->residence, loop, options->residency_trace_fd);
    serving->environments.stopped = environments_stopped;
}

/* ---- generations come and go ---- */

static void replace_current(struct version *version)
{
    struct generation *next = version->next;
    version->next = NULL;
    generation_retire(&version->current);
    version->current = next;
    reuse_changed(&version->model->serving->reuse);
}

static void next_failed(struct version *version)
{
    error_set(&version->files_error, version->next->failure.code, "its newer files failed: %s",
              version->next->failure.message);
    registry_say(version, LOG_ERROR, version->files_error.message);
    generation_retire(&version->next);
}

static void settled_well(struct version *version, const struct generation *generation)
{
    if (generation->state.phase != GENERATION_COLD) {
        registry_say(version, LOG_INFO,
                     generation->state.phase == GENERATION_READY ? "ready" : "probed");
        return;
    }
    version_note(version, "asleep: there was no room in memory");
    registry_say(version, LOG_INFO, version->note);
}

void version_settle(struct version *version, struct generation *generation)
{
    struct serving *serving = version->model->serving;
    bool failed = generation_has_failed(generation);
    version->note[0] = '\0';
    if (generation == version->next && failed) {
        next_failed(version);
    } else if (failed) {
        registry_say(version, LOG_ERROR, generation->failure.message);
    } else {
        if (generation == version->next)
            replace_current(version);
        settled_well(version, generation);
    }
    if (serving->settled)
        serving->settled(serving->context, version);
    pipelines_settled(serving, version);
    load_waiters_look(version->model);
    list_each(link, &serving->pipelines) /* which may have waited for this one */
    {
        const struct pipeline *pipeline = list_entry(link, struct pipeline, link);
        load_waiters_look(pipeline->generation->version->model);
    }
}

void version_renew(struct version *version)
{
    struct serving *serving = version->model->serving;
    if (!version->present)
        return;
    if (version->current && generation_has_failed(version->current))
        generation_retire(&version->current);
    version->files_error = (struct error){.code = ERROR_OK};
    version->fingerprint = 0;
    serving->rescan(serving->context);
}

/* ---- loaded and unloaded ---- */

void model_load(struct model *model, struct model_waiter *waiter)
{
    model->wanted = true;
    for (size_t i = 0; i < model->version_count; i++) {
        struct version *version = model->versions[i];
        if (version->current && generation_has_failed(version->current))
            generation_retire(&version->current); /* try again */
        else if (version->current && generation_is_asleep(version->current))
            generation_start(version->current, false);
        if (version->files_error.code != ERROR_OK)
            version->fingerprint = 0; /* look at the config again */
        version->files_error = (struct error){.code = ERROR_OK};
    }
    if (waiter)
        list_add(&model->waiters, &waiter->link);
    model->awaited_scan = model->serving->rescan(model->serving->context);
}

bool serving_load(struct serving *serving, struct span name, struct model_waiter *waiter,
                  struct error *ret_error)
{
    struct model *model = registry_make_model(serving, name);
    if (!model)
        return error_no_memory(ret_error);
    model->urged = true;
    model_load(model, waiter);
    return true;
}

void serving_leave_load(struct serving *serving, struct span name, uint64_t override)
{
    struct model *model = map_get(&serving->models, name);
    if (model)
        model->left_override = override;
}

void model_unwant(struct model *model)
{
    for (size_t i = 0; i < model->version_count; i++) {
        if (version_ready(model->versions[i]))
            return;
    }
    model->wanted = model->urged = false;
    for (size_t i = 0; i < model->version_count; i++)
        model->versions[i]->fingerprint = 0;
    model->unloaded_scan = model->serving->rescan(model->serving->context);
}

void model_unload(struct model *model)
{
    model->wanted = model->urged = false;
    model->awaited_scan = model->left_override = 0;
    for (size_t i = 0; i < model->version_count; i++) {
        generation_retire(&model->versions[i]->next);
        generation_retire(&model->versions[i]->current);
        version_note(model->versions[i], "unloaded");
        model->versions[i]->fingerprint = 0;
    }
    model->unloaded_scan = model->serving->rescan(model->serving->context);
    load_waiters_look(model);
}

bool serving_is_loading(const struct serving *serving)
{
    struct map_slot slot;
    size_t position = 0;
    while (map_next(&serving->models, &position, &slot)) {
        const struct model *model = slot.value;
        for (size_t i = 0; i < model->version_count; i++) {
            const struct version *version = model->versions[i];
            if (version->next || (model->wanted && version_is_busy(version_state(version))))
                return true;
        }
    }
    return false;
}

/* ---- drained and stopped ---- */

void serving_drain(struct serving *serving)
{
    serving->draining = true;
    shadow_cancel_all(serving);
}

bool serving_takes_requests(const struct serving *serving, struct error *ret_error)
{
    return !serving->draining ||
           error_set(ret_error, ERROR_UNAVAILABLE,
                     "the server is shutting down and has stopped accepting new requests");
}

void serving_inference_began(struct serving *serving)
{
    serving->inferences++;
}

void serving_inference_ended(struct serving *serving)
{
    assert(serving->inferences > 0);
    if (--serving->inferences == 0 && serving->draining)
        serving->drained(serving->context);
}

void serving_stop(struct serving *serving)
{
    struct map_slot slot;
    size_t position = 0;
    serving->draining = serving->stopping = true;
    environments_stop(&serving->environments);
    while (map_next(&serving->models, &position, &slot)) {
        struct model *model = slot.value;
        for (size_t i = 0; i < model->version_count; i++) {
            generation_retire(&model->versions[i]->next);
            generation_retire(&model->versions[i]->current);
        }
    }
}

bool serving_is_stopped(const struct serving *serving)
{
    return serving->live_workers == 0 && !environments_busy(&serving->environments);
}

void serving_look_stopped(struct serving *serving)
{
    if (serving->stopping && serving_is_stopped(serving))
        serving->stopped(serving->context);
}

void serving_fini(struct serving *serving)
{
    registry_fini(serving);
    routing_kept_fini(&serving->routing_kept);
    learned_fini(&serving->learned);
    environments_fini(&serving->environments);
    residence_fini(&serving->residence);
    deadlock_fini(&serving->deadlock);
    response_cache_fini(&serving->reuse.cache);
}
