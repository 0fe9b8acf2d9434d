/* Routing; see routing.h. */
#include "serving/routing.h"

#include "repository/model_rollout.h"
#include "serving/generation.h"
#include "telemetry/log.h"

#include <stdio.h>

static struct version *version_of(const struct model *model, uint64_t number)
{
    for (size_t i = 0; i < model->version_count; i++) {
        if (model->versions[i]->number == number)
            return model->versions[i];
    }
    return NULL;
}

/* Whether it answers now: not while it waits to be started again after its worker has died. */
static bool is_usable(const struct version *version)
{
    return version && version_ready(version) &&
           version->current->state.phase != GENERATION_RETRYING;
}

static void list_usable(const struct model *model, bool usable[ROLLOUT_MAX_VERSIONS])
{
    const struct rollout *now = &model->routing.now;
    for (size_t i = 0; i < now->weight_count; i++)
        usable[i] = is_usable(version_of(model, now->weights[i].version));
}

static void list_present(const struct model *model, bool present[ROLLOUT_MAX_VERSIONS])
{
    const struct rollout *now = &model->routing.now;
    for (size_t i = 0; i < now->weight_count; i++)
        present[i] = version_of(model, now->weights[i].version) != NULL;
}

/* ---- what is wanted ---- */

static void change(struct model *model, const struct rollout *now)
{
    struct routing *routing = &model->routing;
    routing->now = *now;
    routing->turns = (struct rollout_turns){.shadow_credit = 0};
    routing->missing = 0;
    reuse_changed(&model->serving->reuse); /* pipelines may answer otherwise now */
}

/* "1=95 2=5", for the log. */
static void print_weights(const struct rollout *rollout, char *text, size_t size)
{
    size_t used = 0;
    snprintf(text, size, "the newest version that is ready");
    for (size_t i = 0; i < rollout->weight_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%llu=%u", i ? " " : "",
                                 (unsigned long long)rollout->weights[i].version,
                                 rollout->weights[i].weight);
}

static void say(const struct model *model, const char *who)
{
    char part[160], weights[256];
    snprintf(part, sizeof part, "model %.*s", SPAN_ARGS(model->name));
    print_weights(&model->routing.now, weights, sizeof weights);
    log_info(part, "rollout, as %s: %s", who, weights);
}

/* Brings what is kept over restarts up to date. */
static void keep(struct model *model)
{
    struct serving *serving = model->serving;
    const struct routing *routing = &model->routing;
    if (routing->set)
        routing_kept_put(&serving->routing_kept, model->name, &routing->config, &routing->now);
    else
        routing_kept_remove(&serving->routing_kept, model->name);
    if (serving->routing_changed && serving->routing_kept.changed)
        serving->routing_changed(serving->routing_context);
}

void routing_forget(struct model *model)
{
    if (!model->routing.set)
        return;
    model->routing.set = false;
    keep(model);
}

/* The config is read for the first time: what was set before the server was started holds on. */
static void recall(struct model *model)
{
    struct routing *routing = &model->routing;
    struct rollout wanted = routing->config;
    routing->read = true;
    if (!routing_kept_recall(&model->serving->routing_kept, model->name, &wanted))
        return;
    routing->set = true;
    change(model, &wanted);
    say(model, "was set before");
}

void routing_configure(struct model *model, const struct rollout *rollout)
{
    static const struct rollout nothing = {.weight_count = 0};
    struct routing *routing = &model->routing;
    const struct rollout *wanted = rollout ? rollout : &nothing;
    if (!rollout_equal(&routing->config, wanted)) {
        bool was_set = routing->set;
        routing->config = *wanted;
        routing->set = false;
        change(model, wanted);
        say(model, "its config says");
        if (was_set)
            keep(model);
    }
    if (!routing->read)
        recall(model);
}

bool routing_set(struct model *model, const struct rollout_weight *weights, size_t count,
                 struct error *ret_error)
{
    struct routing *routing = &model->routing;
    struct rollout wanted = routing->config;
    if (!model_rollout_set_weights(weights, count, &wanted, ret_error))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (weights[i].weight && !version_of(model, weights[i].version))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "model '%.*s' has no version %llu",
                             SPAN_ARGS(model->name), (unsigned long long)weights[i].version);
    }
    routing->set = true;
    change(model, &wanted);
    say(model, "was set");
    keep(model);
    return true;
}

void routing_reset(struct model *model)
{
    struct routing *routing = &model->routing;
    if (!routing->set)
        return;
    routing->set = false;
    change(model, &routing->config);
    say(model, "its config says");
    keep(model);
}

void routing_check(struct model *model)
{
    struct routing *routing = &model->routing;
    bool present[ROLLOUT_MAX_VERSIONS] = {false};
    uint64_t missing = 0;
    list_present(model, present);
    for (size_t i = 0; i < routing->now.weight_count; i++) {
        uint64_t bit = UINT64_C(1) << i;
        if (present[i] || !routing->now.weights[i].weight)
            continue;
        missing |= bit;
        if (!(routing->missing & bit))
            log_warning("serving",
                        "the rollout of model '%.*s' has a weight for version %llu, which is not "
                        "there: its requests go to the others",
                        SPAN_ARGS(model->name),
                        (unsigned long long)routing->now.weights[i].version);
    }
    routing->missing = missing;
}

/* ---- which version ---- */

static bool no_version(const struct model *model, struct error *ret_error)
{
    return error_set(ret_error, ERROR_FAILED,
                     "model '%.*s' has no version that its rollout lets answer",
                     SPAN_ARGS(model->name));
}

/* Without weights: the newest that is ready, else the newest, and not the shadow. */
static struct version *newest(const struct model *model, struct error *ret_error)
{
    struct version *found = NULL;
    for (size_t i = model->version_count; i-- > 0;) {
        struct version *version = model->versions[i];
        if (model->routing.now.shadow && version->number == model->routing.now.shadow)
            continue;
        if (version_ready(version))
            return version;
        if (!found)
            found = version;
    }
    if (!found)
        no_version(model, ret_error);
    return found;
}

/* When no version with a weight can answer. */
static struct version *who_should(const struct model *model, struct error *ret_error)
{
    bool present[ROLLOUT_MAX_VERSIONS] = {false};
    list_present(model, present);
    size_t at = rollout_primary(&model->routing.now, present);
    if (at != ROLLOUT_NONE)
        return version_of(model, model->routing.now.weights[at].version);
    no_version(model, ret_error);
    return NULL;
}

struct version *routing_request(struct model *model, struct span key, struct error *ret_error)
{
    struct routing *routing = &model->routing;
    bool usable[ROLLOUT_MAX_VERSIONS] = {false};
    if (!routing->now.weight_count)
        return newest(model, ret_error);
    list_usable(model, usable);
    size_t at = key.size && routing->now.sticky[0]
                    ? rollout_stick(&routing->now, rollout_key(key), usable)
                    : rollout_turn(&routing->now, &routing->turns, usable);
    return at == ROLLOUT_NONE ? who_should(model, ret_error)
                              : version_of(model, routing->now.weights[at].version);
}

struct version *routing_primary(const struct model *model, struct error *ret_error)
{
    bool usable[ROLLOUT_MAX_VERSIONS] = {false};
    if (!model->routing.now.weight_count)
        return newest(model, ret_error);
    list_usable(model, usable);
    size_t at = rollout_primary(&model->routing.now, usable);
    return at == ROLLOUT_NONE ? who_should(model, ret_error)
                              : version_of(model, model->routing.now.weights[at].version);
}

/* The key in the request that a client has made, and that all others are made for. */
static struct span key_of(const struct inference *inference, struct span name)
{
    while (inference->parent)
        inference = inference->parent;
    struct span key = {NULL, 0};
    if (inference->client_field)
        key = inference->client_field(inference->client, name);
    for (size_t i = 0; i < inference->parameter_count && !key.size; i++) {
        if (span_equal(inference->parameters[i].key, name))
            key = inference->parameters[i].value;
    }
    return key;
}

struct version *routing_nested(struct model *model, const struct inference *parent,
                               struct error *ret_error)
{
    struct span name = routing_sticky(model);
    return routing_request(model, name.size ? key_of(parent, name) : name, ret_error);
}

struct span routing_sticky(const struct model *model)
{
    return span_of(model->routing.now.sticky);
}

double routing_share(const struct model *model, const struct version *version)
{
    const struct rollout *now = &model->routing.now;
    uint64_t sum = 0, own = 0;
    for (size_t i = 0; i < now->weight_count; i++) {
        sum += now->weights[i].weight;
        if (now->weights[i].version == version->number)
            own = now->weights[i].weight;
    }
    if (sum)
        return (double)own / (double)sum;
    return routing_primary(model, NULL) == version ? 1 : 0;
}
