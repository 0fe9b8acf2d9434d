/* Models and their versions, by name and number; see registry.h. */
#include "serving/registry.h"

#include "serving/routing.h"
#include "serving/shadow.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PART_BYTES = 160 };

/* ---- made and freed ---- */

void registry_free_if_empty(struct model *model)
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

void registry_free_if_gone(struct version *version)
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
    if (!version->statistics.has_series) { /* counters of what shares a series must not go back */
        measure_leave(&version->statistics, &model->serving->gone);
        model->serving->gone_count++;
    }
    measure_fini(&version->statistics);
    free(version);
    registry_free_if_empty(model);
}

void version_release(struct version *version)
{
    assert(version->generations > 0);
    version->generations--;
    registry_free_if_gone(version);
}

struct model *registry_make_model(struct serving *serving, struct span name)
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

/* They are in ascending order. */
struct version *registry_make_version(struct model *model, uint64_t number)
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

void registry_fini(struct serving *serving)
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
}

/* ---- what is said of them ---- */

/* What the log calls the version. */
static void put_part(const struct version *version, char part[static PART_BYTES])
{
    snprintf(part, PART_BYTES, "model %.*s:%llu", SPAN_ARGS(version->model->name),
             (unsigned long long)version->number);
}

void registry_say(struct version *version, enum log_level level, const char *sentence)
{
    char part[PART_BYTES];
    put_part(version, part);
    log_write(level, part, "%s", sentence);
    model_log_add(&version->model->log, version->number, level, span_of(sentence));
}

/* Never left out by the log: the channel limits what a worker says (channel_inbox.c), and a pause
 * how often one dies. */
void version_say(struct version *version, enum log_level level, struct span line)
{
    char part[PART_BYTES];
    put_part(version, part);
    log_write_fields(level, part, NULL, NULL, 0, "%.*s", SPAN_ARGS(line));
    model_log_add(&version->model->log, version->number, level, line);
}

void version_note(struct version *version, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(version->note, sizeof version->note, format, args);
    va_end(args);
}

/* ---- found ---- */

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
