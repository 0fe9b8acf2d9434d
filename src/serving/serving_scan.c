/* A scan of the repository is taken in; see serving_apply in serving.h. */
#include "serving/serving.h"

#include "repository/repository.h"
#include "serving/generation.h"
#include "serving/load_waiters.h"
#include "serving/pipeline.h"
#include "serving/registry.h"

#include <stdio.h>

/* New or changed files: a new generation takes the version's place as soon as it can serve. */
static void take_in(struct version *version, const struct repository_version *found)
{
    struct serving *serving = version->model->serving;
    struct error error, before = version->files_error;
    version->files_error = (struct error){.code = ERROR_OK};
    version->load_line = version->model->log.last;
    struct generation *generation = generation_new(version, found, &error);
    if (!generation) {
        if (strcmp(error.message, before.message) != 0)
            registry_say(version, LOG_ERROR, error.message);
        version->files_error = error;
        version->fingerprint = 0; /* the next look tries again */
        return;
    }
    generation_retire(&version->next);
    if (version_state(version) == VERSION_READY)
        version->next = generation;
    else
        generation_retire(&version->current), version->current = generation;
    bool lazy = serving->options.load == LOAD_LAZY && generation == version->current;
    generation_start(generation, lazy);
}

/* Its files were others meanwhile, which could not be served, and are again what is: as when a
 * mistake in a config is taken back. */
static bool is_served(const struct version *version, const struct repository_version *found)
{
    return version->fingerprint && version->files_error.code != ERROR_OK && !found->error &&
           !version->next && version->current && !generation_has_failed(version->current) &&
           version->current->fingerprint == found->fingerprint;
}

/* An unload took with it what a load gave. What lies there without that is no change that would
 * have it loaded again. */
static void know_unloaded(struct version *version, const struct repository_version *found,
                          uint64_t scan_number)
{
    const struct model *model = version->model;
    if (!model->wanted && !version->fingerprint && scan_number >= model->unloaded_scan)
        version->fingerprint = found->fingerprint;
}

static void apply_version(struct version *version, const struct repository_version *found,
                          uint64_t scan_number)
{
    struct model *model = version->model;
    bool changed = version->fingerprint != found->fingerprint;
    version->present = version->seen = true;
    version->held = false;
    version->unreadable = found->unreadable;
    version->complete = found->complete;
    version->code = found->code;
    if (found->doubled && !version->doubled)
        registry_say(version, LOG_WARNING, version_left_out);
    version->doubled = found->doubled;
    snprintf(version->format, sizeof version->format, "%.*s", SPAN_ARGS(found->format));
    if (!found->complete)
        return;
    if (changed && version->fingerprint && model->serving->options.load != LOAD_EXPLICIT)
        model->wanted = true; /* an unload by the API sticks until the files change */
    know_unloaded(version, found, scan_number);
    if (scan_number < model->awaited_scan)
        return; /* it was begun before the load, which may have given something else */
    if (!model->wanted || (!changed && version->current))
        return;
    if (!changed && version->files_error.code != ERROR_OK)
        return;
    if (is_served(version, found)) {
        version->files_error = (struct error){.code = ERROR_OK};
        version->fingerprint = found->fingerprint;
        return;
    }
    version->fingerprint = found->fingerprint;
    if (!found->error) {
        take_in(version, found);
        return;
    }
    version->files_error = *found->error;
    registry_say(version, LOG_ERROR, found->error->message);
}

/* It is wanted, does not run, and cannot be looked into: the next look that finds it readable loads
 * it. */
static void wait_until_readable(struct version *version, const struct error *why)
{
    version->files_error = *why;
    version->fingerprint = 0;
}

/* Nobody can say what has become of its files: what runs goes on. False when nothing was known of
 * it. */
static bool keep_versions(struct model *model, const struct repository_version *unreadable)
{
    bool known = false;
    for (size_t i = 0; i < model->version_count; i++) {
        struct version *version = model->versions[i];
        if (unreadable->version && unreadable->version != version->number)
            continue;
        if (!version->unreadable)
            registry_say(version, LOG_ERROR, unreadable->error->message);
        version->seen = version->unreadable = known = true;
        version->held = false;
        if (model->wanted && !version->current)
            wait_until_readable(version, unreadable->error);
    }
    return known;
}

/* False when the model may have gone with it. */
static bool drop(struct version *version)
{
    bool last = version->model->version_count == 1;
    version->present = version->complete = version->held = false;
    version->generations++; /* it must not go while we look at it */
    generation_retire(&version->next);
    generation_retire(&version->current);
    version->generations--;
    registry_free_if_gone(version);
    return !last;
}

/* A load may be to blame that has brought other versions: if it fails, these are there again. */
static void drop_unseen(struct model *model)
{
    for (size_t i = model->version_count; i-- > 0;) {
        struct version *version = model->versions[i];
        if (version->seen)
            continue;
        version->held = version->current && (model->urged || !list_empty(&model->waiters));
        if (!version->held && !drop(version))
            return;
    }
}

void model_drop_held(struct model *model)
{
    for (size_t i = model->version_count; i-- > 0;) {
        if (model->versions[i]->held && !drop(model->versions[i]))
            return;
    }
}

/* Nothing of the scan has been looked at. */
static void forget_seen(struct serving *serving)
{
    struct map_slot slot;
    for (size_t position = 0; map_next(&serving->models, &position, &slot);) {
        const struct model *model = slot.value;
        for (size_t i = 0; i < model->version_count; i++)
            model->versions[i]->seen = false;
    }
}

void serving_apply(struct serving *serving, const struct repository_scan *scan)
{
    if (serving->stopping)
        return;
    forget_seen(serving);
    for (size_t i = 0; i < scan->version_count; i++) {
        const struct repository_version *found = &scan->versions[i];
        struct model *model = registry_make_model(serving, found->model);
        if (model && found->unreadable && keep_versions(model, found))
            continue;
        uint64_t number = found->unreadable && !found->version ? 1 : found->version;
        struct version *version = model ? registry_make_version(model, number) : NULL;
        if (version)
            apply_version(version, found, scan->number);
        else
            log_error("serving", "no memory for a model's entry");
        if (version && found->complete && !found->error) /* else its config may say nothing */
            routing_configure(model, found->rollout);
    }
    serving->scanned = true;
    serving->scan_number = scan->number;
    /* Dropping a model changes the map: start over after each that has gone. */
    for (size_t position = 0, before = serving->models.count;;) {
        struct map_slot slot;
        if (!map_next(&serving->models, &position, &slot))
            break;
        struct model *model = slot.value;
        drop_unseen(model);
        if (serving->models.count == before) {
            routing_check(model);
            load_waiters_look(model);
            registry_free_if_empty(model);
        }
        if (serving->models.count != before)
            position = 0, before = serving->models.count;
    }
    pipelines_scanned(serving);
}

static bool is_loading(const struct model *model)
{
    for (size_t i = 0; i < model->version_count; i++) {
        const struct version *version = model->versions[i];
        if (version->next || (version->current && generation_is_settling(&version->current->state)))
            return true;
    }
    return false;
}

void serving_unreadable(struct serving *serving)
{
    struct map_slot slot;
    size_t position = 0;
    while (map_next(&serving->models, &position, &slot)) {
        struct model *model = slot.value;
        struct error error;
        error_set(&error, ERROR_UNAVAILABLE,
                  "failed to load '%.*s', failed to poll from model repository",
                  SPAN_ARGS(model->name));
        if (!is_loading(model)) /* else its end is told, well or not */
            load_waiters_tell(model, &error);
    }
}
