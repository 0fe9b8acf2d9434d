/* What a version is doing, as listings and requests see it; see serving.h. */
#include "serving/generation.h"
#include "serving/pipeline.h"
#include "serving/serving.h"
#include "serving/stateful.h"

const char version_left_out[] = "another file or folder of this name and version is left out";

static enum version_state state_without_generation(const struct version *version)
{
    if (version->files_error.code != ERROR_OK)
        return VERSION_FAILED;
    if (version->generations)
        return VERSION_DRAINING;
    return version->model->wanted ? VERSION_FOUND : VERSION_UNLOADED;
}

static enum version_state state_of_generation(const struct generation *current)
{
    switch (current->state.phase) {
    case GENERATION_READY:
        return VERSION_READY;
    case GENERATION_WAITING:
    case GENERATION_LOADING:
    case GENERATION_RETRYING:
        if (current->state.served)
            return VERSION_READY;
        return current->state.probe_only ? VERSION_PROBING : VERSION_LOADING;
    case GENERATION_PROBING:
        return VERSION_PROBING;
    case GENERATION_STOPPING:
        return VERSION_DRAINING;
    case GENERATION_REJECTED:
    case GENERATION_FAILED:
        return VERSION_FAILED;
    case GENERATION_COLD:
    case GENERATION_PROBED:
    case GENERATION_RESTING:
        break;
    }
    return current->schema ? VERSION_ASLEEP : VERSION_FOUND;
}

/* A pipeline is as ready as its steps. */
static enum version_state state_of_pipeline(const struct version *version,
                                            const struct version **ret_step)
{
    *ret_step = NULL;
    if (!pipeline_unready_step(version->current, ret_step))
        return VERSION_READY;
    return *ret_step && version_is_busy(version_state(*ret_step)) ? VERSION_LOADING
                                                                  : VERSION_FAILED;
}

enum version_state version_state(const struct version *version)
{
    const struct version *step;
    if (!version->current)
        return state_without_generation(version);
    enum version_state state = state_of_generation(version->current);
    bool ready = state == VERSION_READY || state == VERSION_ASLEEP;
    return ready && version->current->plan ? state_of_pipeline(version, &step) : state;
}

const char *version_reason(const struct version *version)
{
    if (version->files_error.code != ERROR_OK)
        return version->files_error.message;
    if (version->current && generation_has_failed(version->current))
        return version->current->failure.message;
    if (version->current && version->current->plan && version->current->schema)
        return pipeline_reason(version->current);
    if (version->note[0])
        return version->note;
    if (version->unreadable)
        return version->current ? "its folder cannot be read; what was loaded is served"
                                : "its folder cannot be read";
    if (!version->present)
        return "its files have gone";
    if (!version->complete)
        return "its files are still being written";
    if (version->doubled)
        return version_left_out;
    return version_state(version) == VERSION_ASLEEP ? "asleep" : "";
}

bool version_not_ready(const struct version *version, struct error *ret_error)
{
    enum version_state state = version_state(version);
    const char *reason = version_reason(version);
    bool for_good = state == VERSION_FAILED || state == VERSION_UNLOADED;
    return error_set(ret_error, for_good ? ERROR_FAILED : ERROR_UNAVAILABLE,
                     "Request for unknown model: '%.*s' version %llu is not at ready state%s%s",
                     SPAN_ARGS(version->model->name), (unsigned long long)version->number,
                     reason[0] ? ": " : "", reason);
}

bool version_ready(const struct version *version)
{
    enum version_state state = version_state(version);
    bool wakes = state == VERSION_LOADING && version->current->schema;
    return state == VERSION_READY || state == VERSION_ASLEEP || wakes;
}

enum version_state version_deployment(const struct version *version)
{
    if (version->next)
        return VERSION_LOADING;
    if (version->files_error.code != ERROR_OK)
        return VERSION_FAILED;
    return version_state(version);
}

double version_progress(const struct version *version)
{
    const struct generation *generation = version->next ? version->next : version->current;
    if (!generation)
        return 0;
    return generation == version->current && version_ready(version) ? 1 : generation->progress;
}

const struct schema *version_schema(const struct version *version)
{
    return version->current ? generation_shown(version->current) : NULL;
}

const struct tensor_info *version_input(const struct version *version, struct span name)
{
    const struct schema *schema = version->current ? version->current->schema : NULL;
    int input = schema ? schema_input(schema, name) : -1;
    return input < 0 ? NULL : &schema->inputs[input];
}

struct span version_config(const struct version *version)
{
    return version->current ? version->current->config : (struct span){NULL, 0};
}

bool version_joins_oldest(const struct version *version)
{
    return version->current && version->current->stateful && version->current->stateful->oldest;
}

struct model_metrics version_metrics(const struct version *version)
{
    struct model_metrics now = version->statistics.metrics;
    now.ready = version_ready(version);
    if (version->current)
        generation_measure(version->current, &now);
    if (version->next)
        generation_measure(version->next, &now);
    return now;
}

struct state_row {
    const char *name, *index_name;
};

static const struct state_row states[] = {
    [VERSION_FOUND] = {"found", "LOADING"},
    [VERSION_PROBING] = {"probing", "LOADING"},
    [VERSION_LOADING] = {"loading", "LOADING"},
    [VERSION_READY] = {"ready", "READY"},
    [VERSION_ASLEEP] = {"asleep", "READY"},
    [VERSION_DRAINING] = {"draining", "UNLOADING"},
    [VERSION_UNLOADED] = {"unloaded", "UNAVAILABLE"},
    [VERSION_FAILED] = {"failed", "UNAVAILABLE"},
};

const char *version_state_name(enum version_state state)
{
    return states[state].name;
}

const char *version_state_index_name(enum version_state state)
{
    return states[state].index_name;
}
