/* The registry of models: scans of the repository go in, generations come and go; see serving.h. */
#include "serving/serving.h"

#include "repository/repository.h"
#include "serving/generation.h"
#include "serving/load_waiters.h"
#include "serving/pipeline.h"
#include "serving/shadow.h"
#include "telemetry/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PART_BYTES = 160 };

static void say(struct version *version, enum log_level level, const char *sentence)
{
    char part[PART_BYTES];
    snprintf(part, sizeof part, "model %.*s:%llu", SPAN_ARGS(version->model->name),
             (unsigned long long)version->number);
    log_write(level, part, "%s", sentence);
    model_log_add(&version->model->log, version->number, level, span_of(sentence));
}

/* Never left out by the log: the channel limits what a worker says (channel_inbox.c), and a pause
 * how often one dies. */
void version_say(struct version *version, enum log_level level, struct span line)
{
    char part[PART_BYTES];
    snprintf(part, sizeof part, "model %.*s:%llu", SPAN_ARGS(version->model->name),
             (unsigned long long)version->number);
    log_write_fields(level, part, NULL, NULL, 0, "%.*s", SPAN_ARGS(line));
    model_log_add(&version->model->log, version->number, level, line);
}

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

/* ---- versions and models ---- */

static void model_free_if_empty(struct model *model)
{
    if (model->version_count || !list_empty(&model->waiters))
        return;
    map_remove(&model->serving->models, model->name);
    routing_forget(model);
    shadow_forget(model);
    model_log_fini(&model->log);
    free(model->versions);
    free(model);
}

static void version_free_if_gone(struct version *version)
{
    struct model *model = version->model;
    if (version->present || version->current || version->next || version->generations)
        return;
    size_t at = 0;
    while (model->versions[at] != version)
        at++;
    model->version_count--;
    memmove(&model->versions[at], &model->versions[at + 1],
            (model->version_count - at) * sizeof *model->versions);
    measure_fini(&version->statistics);
    free(version);
    model_free_if_empty(model);
}

void version_release(struct version *version)
{
    assert(version->generations > 0);
    version->generations--;
    version_free_if_gone(version);
}

void version_note(struct version *version, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(version->note, sizeof version->note, format, args);
    va_end(args);
}

static struct model *model_make(struct serving *serving, struct span name)
{
    struct model *model = map_get(&serving->models, name);
    if (model)
        return model;
    model = calloc(1, sizeof *model + name.size);
    if (!model)
        return NULL;
    char *copy = memcpy(model + 1, name.data, name.size);
    model->serving = serving;
    model->name = (struct span){copy, name.size};
    model->wanted = serving->options.load != LOAD_EXPLICIT;
    list_init(&model->waiters);
    model_log_init(&model->log);
    if (map_set(&serving->models, model->name, model))
        return model;
    free(model);
    return NULL;
}

static bool make_room(struct model *model)
{
    if (model->version_count < model->version_capacity)
        return true;
    size_t capacity = model->version_capacity ? model->version_capacity * 2 : 4;
    struct version **versions = realloc(model->versions, capacity * sizeof(struct version *));
    if (!versions)
        return false;
    model->versions = versions;
    model->version_capacity = capacity;
    return true;
}

/* The model's version of that number, made when it is new; in ascending order. */
static struct version *version_make(struct model *model, uint64_t number)
{
    size_t at = 0;
    while (at < model->version_count && model->versions[at]->number < number)
        at++;
    if (at < model->version_count && model->versions[at]->number == number)
        return model->versions[at];
    struct version *version = make_room(model) ? calloc(1, sizeof *version) : NULL;
    if (!version)
        return NULL;
    version->model = model;
    version->number = number;
    measure_init(&version->statistics, model->serving->options.summaries,
                 model->serving->options.series_limit);
    memmove(&model->versions[at + 1], &model->versions[at],
            (model->version_count - at) * sizeof *model->versions);
    model->versions[at] = version;
    model->version_count++;
    return version;
}

/* ---- generations come and go ---- */

static void retire(struct generation **generation)
{
    struct generation *old = *generation;
    *generation = NULL;
    if (old)
        generation_retire(old);
}

static void replace_current(struct version *version)
{
    struct generation *next = version->next;
    version->next = NULL;
    retire(&version->current);
    version->current = next;
    reuse_changed(&version->model->serving->reuse);
}

static void next_failed(struct version *version)
{
    error_set(&version->files_error, version->next->failure.code, "its newer files failed: %s",
              version->next->failure.message);
    say(version, LOG_ERROR, version->files_error.message);
    retire(&version->next);
}

static void settled_well(struct version *version, const struct generation *generation)
{
    if (generation->state.phase != GENERATION_COLD) {
        say(version, LOG_INFO, generation->state.phase == GENERATION_READY ? "ready" : "probed");
        return;
    }
    version_note(version, "asleep: there was no room in memory");
    say(version, LOG_INFO, version->note);
}

void version_settle(struct version *version, struct generation *generation)
{
    struct serving *serving = version->model->serving;
    bool failed = generation_has_failed(generation);
    version->note[0] = '\0';
    if (generation == version->next && failed) {
        next_failed(version);
    } else if (failed) {
        say(version, LOG_ERROR, generation->failure.message);
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
        retire(&version->current);
    version->files_error = (struct error){.code = ERROR_OK};
    version->fingerprint = 0;
    serving->rescan(serving->context);
}

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
            say(version, LOG_ERROR, error.message);
        version->files_error = error;
        version->fingerprint = 0; /* the next look tries again */
        return;
    }
    retire(&version->next);
    if (version_state(version) == VERSION_READY)
        version->next = generation;
    else
        retire(&version->current), version->current = generation;
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
    version->unreadable = found->unreadable;
    version->complete = found->complete;
    version->code = found->code;
    if (found->doubled && !version->doubled)
        say(version, LOG_WARNING, version_left_out);
    version->doubled = found->doubled;
    snprintf(version->format, sizeof version->format, "%.*s", SPAN_ARGS(found->format));
    if (!found->complete)
        return;
    if (changed && version->fingerprint && model->serving->options.load != LOAD_EXPLICIT)
        model->wanted = true; /* an unload by the API sticks until the files change */
    know_unloaded(version, found, scan_number);
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
    say(version, LOG_ERROR, found->error->message);
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
            say(version, LOG_ERROR, unreadable->error->message);
        version->seen = version->unreadable = known = true;
        if (model->wanted && !version->current)
            wait_until_readable(version, unreadable->error);
    }
    return known;
}

static void drop_unseen(struct model *model)
{
    for (size_t i = model->version_count; i-- > 0;) {
        struct version *version = model->versions[i];
        if (version->seen)
            continue;
        version->present = version->complete = false;
        version->generations++; /* it must not go while we look at it */
        retire(&version->next);
        retire(&version->current);
        bool last = model->version_count == 1;
        version->generations--;
        version_free_if_gone(version);
        if (last)
            return; /* the model may have gone with it */
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
        struct model *model = model_make(serving, found->model);
        if (model && found->unreadable && keep_versions(model, found))
            continue;
        uint64_t number = found->unreadable && !found->version ? 1 : found->version;
        struct version *version = model ? version_make(model, number) : NULL;
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
            model_free_if_empty(model);
        }
        if (serving->models.count != before)
            position = 0, before = serving->models.count;
    }
    pipelines_scanned(serving);
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
            retire(&model->versions[i]->next);
            retire(&model->versions[i]->current);
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
    struct map_slot slot;
    size_t position = 0;
    while (map_next(&serving->models, &position, &slot)) {
        struct model *model = slot.value;
        for (size_t i = 0; i < model->version_count; i++) {
            measure_fini(&model->versions[i]->statistics);
            free(model->versions[i]);
        }
        shadow_forget(model);
        model_log_fini(&model->log);
        free(model->versions);
        free(model);
    }
    map_fini(&serving->models);
    routing_kept_fini(&serving->routing_kept);
    learned_fini(&serving->learned);
    environments_fini(&serving->environments);
    residence_fini(&serving->residence);
    deadlock_fini(&serving->deadlock);
    response_cache_fini(&serving->reuse.cache);
}

/* ---- what the APIs ask ---- */

bool serving_model_unknown(const struct serving *serving, struct span name, struct error *ret_error)
{
    if (!serving->scanned)
        return error_set(ret_error, ERROR_UNAVAILABLE,
                         "the server is starting: it has not looked at its models yet");
    return error_set(ret_error, ERROR_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                     SPAN_ARGS(name));
}

struct model *serving_model(struct serving *serving, struct span name, struct error *ret_error)
{
    struct model *model = map_get(&serving->models, name);
    if (model && model->version_count)
        return model;
    serving_model_unknown(serving, name, ret_error);
    return NULL;
}

struct version *model_version(struct model *model, int64_t number, struct error *ret_error)
{
    if (number < 0)
        return routing_primary(model, ret_error);
    for (size_t i = model->version_count; i-- > 0;) {
        if (model->versions[i]->number == (uint64_t)number)
            return model->versions[i];
    }
    error_set(ret_error, ERROR_NOT_FOUND,
              "Request for unknown model: '%.*s' version %lld is not found", SPAN_ARGS(model->name),
              (long long)number);
    return NULL;
}

void model_load(struct model *model, struct model_waiter *waiter)
{
    model->wanted = true;
    for (size_t i = 0; i < model->version_count; i++) {
        struct version *version = model->versions[i];
        if (version->current && generation_has_failed(version->current))
            retire(&version->current); /* try again */
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
    struct model *model = model_make(serving, name);
    if (!model)
        return error_no_memory(ret_error);
    model->urged = true;
    model_load(model, waiter);
    return true;
}

void model_unload(struct model *model)
{
    model->wanted = model->urged = false;
    model->awaited_scan = 0;
    for (size_t i = 0; i < model->version_count; i++) {
        retire(&model->versions[i]->next);
        retire(&model->versions[i]->current);
        version_note(model->versions[i], "unloaded");
        model->versions[i]->fingerprint = 0;
    }
    model->unloaded_scan = model->serving->rescan(model->serving->context);
    load_waiters_look(model);
}
