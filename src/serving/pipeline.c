/* Pipelines and the models that are their steps; see pipeline.h. */
#include "serving/pipeline.h"

#include "base/unset.h"
#include "pipeline/derive.h"
#include "serving/generation.h"
#include "serving/pipeline_request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { SCHEMA_BYTES = 8 << 20 };

static struct serving *serving_of(const struct pipeline *pipeline)
{
    return pipeline->generation->version->model->serving;
}

struct pipeline_plan *pipeline_plan_new(struct arena *arena, const struct pipeline_graph *graph)
{
    struct pipeline_plan *plan = arena_calloc(arena, 1, sizeof *plan);
    if (!plan || !pipeline_graph_copy(graph, arena, &plan->graph))
        return NULL;
    plan->statistics = arena_calloc(arena, graph->step_count, sizeof *plan->statistics);
    return plan->statistics ? plan : NULL;
}

/* ---- a step's model ---- */

static struct version *version_of_step(const struct serving *serving,
                                       const struct pipeline_step *step)
{
    struct error error;
    struct model *model = map_get(&serving->models, step->model);
    return model ? model_version(model, step->version, &error) : NULL;
}

/* What the version is, or is about to be, as a pipeline; NULL: it is none. */
static const struct pipeline_plan *plan_of(const struct version *version)
{
    const struct generation *generation = version->next ? version->next : version->current;
    return generation ? generation->plan : NULL;
}

static bool unfit(const struct pipeline_step *step, struct error *ret_error, const char *what)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "step '%.*s': %s '%.*s'",
                     SPAN_ARGS(step->name), what, SPAN_ARGS(step->model));
}

enum walked { WALKED, WALKED_BACK, WALKED_TOO_DEEP };

/* Follows the steps that are pipelines, to see whether one is the pipeline itself. Each version is
 * looked at once: marked. */
static enum walked walk(struct serving *serving, const struct pipeline_plan *plan,
                        const struct version *self, unsigned depth,
                        const struct pipeline_step **ret_step)
{
    enum walked walked = WALKED;
    for (size_t i = 0; i < plan->graph.step_count && walked == WALKED; i++) {
        const struct pipeline_step *below;
        struct version *version = version_of_step(serving, &plan->graph.steps[i]);
        const struct pipeline_plan *inner = version ? plan_of(version) : NULL;
        *ret_step = &plan->graph.steps[i];
        if (version == self)
            return WALKED_BACK;
        if (!inner || version->circle_mark == serving->circle_marks)
            continue;
        version->circle_mark = serving->circle_marks;
        walked = depth == PIPELINE_MAX_DEPTH ? WALKED_TOO_DEEP
                                             : walk(serving, inner, self, depth + 1, &below);
    }
    return walked;
}

static bool check_circles(struct serving *serving, const struct pipeline_plan *plan,
                          const struct version *self, struct error *ret_error)
{
    const struct pipeline_step *step;
    serving->circle_marks++;
    switch (walk(serving, plan, self, 1, &step)) {
    case WALKED:
        break;
    case WALKED_BACK:
        return unfit(step, ret_error, "the pipeline would run itself, as or in model");
    case WALKED_TOO_DEEP:
        return unfit(step, ret_error, "pipelines are more than 8 deep in each other, below model");
    }
    return true;
}

/* Adds up what is below. */
static bool check_size(struct pipeline_plan *plan, const struct pipeline_plan *inner,
                       const struct pipeline_step *step, struct error *ret_error)
{
    if (inner && inner->depth >= plan->depth)
        plan->depth = inner->depth + 1;
    plan->steps_below += 1 + (inner ? inner->steps_below : 0);
    if (plan->depth > PIPELINE_MAX_DEPTH)
        return unfit(step, ret_error, "pipelines are more than 8 deep in each other, below model");
    return plan->steps_below <= PIPELINE_MAX_STEPS_BELOW ||
           unfit(step, ret_error,
                 "more than 1024 steps, those of pipelines in it among them, with");
}

enum looked { LOOKED_GOOD, LOOKED_WAITS, LOOKED_BAD };

/* Nor may there be one that the model's rollout gives to who names none. */
static void no_version(struct model *model, const struct pipeline_step *step,
                       struct error *ret_error)
{
    struct error why;
    if (step->version >= 0)
        error_set(&why, ERROR_INVALID_ARGUMENT, "model '%.*s' has no version %lld",
                  SPAN_ARGS(step->model), (long long)step->version);
    else
        model_version(model, step->version, &why);
    error_set(ret_error, ERROR_INVALID_ARGUMENT, "step '%.*s': %s", SPAN_ARGS(step->name),
              why.message);
}

/* What a step's model takes and gives, when that is known. */
static enum looked look_at_step(struct serving *serving, const struct pipeline_step *step,
                                const struct version **ret_version, struct error *ret_error)
{
    struct model *model = map_get(&serving->models, step->model);
    if (!model && !serving->scanned)
        return LOOKED_WAITS;
    if (!model) {
        unfit(step, ret_error, "there is no model");
        return LOOKED_BAD;
    }
    if (!model->wanted) {
        model_load(model, NULL); /* a pipeline takes its steps along */
        return LOOKED_WAITS;
    }
    struct version *version = model_version(model, step->version, NULL);
    if (!version) {
        no_version(model, step, ret_error);
        return LOOKED_BAD;
    }
    *ret_version = version;
    if (version->current && version->current->pool) {
        unfit(step, ret_error, "a managed server cannot be a step: model");
        return LOOKED_BAD;
    }
    if (version_schema(version))
        return LOOKED_GOOD;
    enum version_state state = version_state(version);
    if (state != VERSION_FAILED && state != VERSION_UNLOADED)
        return LOOKED_WAITS;
    error_set(ret_error, ERROR_INVALID_ARGUMENT, "step '%.*s': model '%.*s' is not ready: %s",
              SPAN_ARGS(step->name), SPAN_ARGS(step->model), version_reason(version));
    return LOOKED_BAD;
}

/* ---- all of them ---- */

static void note_waiting(const struct pipeline *pipeline, const struct pipeline_step *step)
{
    if (!pipeline->generation->state.retired)
        version_note(pipeline->generation->version, "waits for its step '%.*s': model '%.*s'",
                     SPAN_ARGS(step->name), SPAN_ARGS(step->model));
}

/* The schemas of all steps, and how deep and large the pipeline is. */
static enum looked look_at_steps(struct pipeline *pipeline, const struct schema **schemas,
                                 struct error *ret_error)
{
    struct serving *serving = serving_of(pipeline);
    struct pipeline_plan *plan = pipeline->generation->plan;
    enum looked all = LOOKED_GOOD;
    if (!check_circles(serving, plan, pipeline->generation->version, ret_error))
        return LOOKED_BAD;
    plan->depth = 1;
    plan->steps_below = 0;
    for (size_t i = 0; i < plan->graph.step_count; i++) {
        const struct pipeline_step *step = &plan->graph.steps[i];
        const struct version *version = NULL;
        enum looked looked = look_at_step(serving, step, &version, ret_error);
        if (looked == LOOKED_BAD)
            return looked;
        if (looked == LOOKED_WAITS) {
            note_waiting(pipeline, step);
            all = looked;
            continue;
        }
        schemas[i] = version_schema(version);
        if (!check_size(plan, version->current->plan, step, ret_error))
            return LOOKED_BAD;
    }
    return all;
}

static void fill_schema(const struct generation *generation, struct schema *schema)
{
    const struct worker_spec *spec = &generation->spec;
    schema->platform = SPAN("ensemble"); /* as Triton calls it */
    schema->engine = SPAN("pipeline");
    schema->batch_note = SPAN("its steps join requests");
    schema->concurrency = spec->concurrency ? spec->concurrency : PIPELINE_USUAL_REQUESTS;
    schema->max_batch_size = spec->max_batch_size > 0 ? (uint32_t)spec->max_batch_size : 0;
    schema->joins = schema->bounds_rows = schema->max_batch_size > 0;
}

static bool derive(struct pipeline *pipeline, const struct schema *const *schemas,
                   struct arena *arena, struct schema *ret_schema, struct error *ret_error)
{
    struct generation *generation = pipeline->generation;
    const struct pipeline_declared declared = {
        .inputs = generation->spec.inputs,
        .input_count = generation->spec.input_count,
        .outputs = generation->spec.outputs,
        .output_count = generation->spec.output_count,
    };
    fill_schema(generation, ret_schema);
    return pipeline_derive(&generation->plan->graph, schemas, &declared, arena, ret_schema,
                           ret_error);
}

/* Tells the first time whether it can be executed; later, has it taken in anew when that has
 * changed. */
static void tell(struct pipeline *pipeline, enum looked looked, const struct schema *schema,
                 const struct error *error)
{
    struct generation *generation = pipeline->generation;
    if (looked == LOOKED_WAITS)
        return;
    if (pipeline->loaded) {
        if (generation != generation->version->current)
            return; /* another is on its way, or it only finishes what it has */
        if (looked == LOOKED_BAD || !schema_same_tensors(schema, generation->schema) ||
            generation->version->files_error.code != ERROR_OK)
            version_renew(generation->version);
        return;
    }
    if (looked == LOOKED_BAD) {
        pipeline->events->failed(pipeline->owner, error);
        return;
    }
    pipeline->loaded = true;
    pipeline->events->ready(pipeline->owner, schema);
}

static void look(struct loop_task *task)
{
    struct pipeline *pipeline = list_entry(task, struct pipeline, look);
    struct schema schema = {0};
    struct error error UNSET;
    struct arena arena;
    enum looked looked = LOOKED_BAD;
    arena_init(&arena, 4096, SCHEMA_BYTES);
    const struct schema **schemas =
        arena_calloc(&arena, pipeline->generation->plan->graph.step_count, sizeof *schemas);
    if (schemas)
        looked = look_at_steps(pipeline, schemas, &error);
    else
        error_no_memory(&error);
    if (looked == LOOKED_GOOD && !derive(pipeline, schemas, &arena, &schema, &error))
        looked = LOOKED_BAD;
    tell(pipeline, looked, &schema, &error);
    arena_fini(&arena);
}

static void look_soon(struct pipeline *pipeline)
{
    loop_defer(serving_of(pipeline)->loop, &pipeline->look);
}

/* ---- life ---- */

struct pipeline *pipeline_open(struct generation *generation, const struct pipeline_events *events,
                               void *owner, struct error *ret_error)
{
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline) {
        error_no_memory(ret_error);
        return NULL;
    }
    pipeline->generation = generation;
    pipeline->events = events;
    pipeline->owner = owner;
    pipeline->look.run = look;
    list_init(&pipeline->requests);
    list_add(&serving_of(pipeline)->pipelines, &pipeline->link);
    look_soon(pipeline); /* the scan that has found it is still being taken in */
    return pipeline;
}

bool pipeline_stop(struct pipeline *pipeline)
{
    struct error error;
    error_set(&error, ERROR_INTERRUPTED, "the pipeline was stopped; the request may be sent again");
    list_each(link, &pipeline->requests)
    {
        pipeline_request_fail(pipeline_request_of(link), &error);
    }
    return list_empty(&pipeline->requests);
}

void pipeline_close(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    assert(list_empty(&pipeline->requests));
    list_remove(&pipeline->link);
    loop_undefer(&pipeline->look);
    free(pipeline);
}

/* ---- when models come and go ---- */

static bool has_step(const struct pipeline_plan *plan, struct span model)
{
    for (size_t i = 0; i < plan->graph.step_count; i++) {
        if (span_equal(plan->graph.steps[i].model, model))
            return true;
    }
    return false;
}

/* Pipelines that were given up may be good now. */
static void renew_failed(struct serving *serving, struct span model)
{
    struct map_slot slot;
    for (size_t position = 0; map_next(&serving->models, &position, &slot);) {
        const struct model *other = slot.value;
        for (size_t i = 0; i < other->version_count; i++) {
            struct version *version = other->versions[i];
            const struct generation *current = version->current;
            if (current && current->plan && generation_has_failed(current) &&
                has_step(current->plan, model))
                version_renew(version);
        }
    }
}

void pipelines_settled(struct serving *serving, const struct version *version)
{
    list_each(link, &serving->pipelines)
    {
        struct pipeline *pipeline = list_entry(link, struct pipeline, link);
        if (has_step(pipeline->generation->plan, version->model->name))
            look_soon(pipeline);
    }
    if (version->current && !generation_has_failed(version->current))
        renew_failed(serving, version->model->name);
}

void pipelines_scanned(struct serving *serving)
{
    list_each(link, &serving->pipelines)
    {
        struct pipeline *pipeline = list_entry(link, struct pipeline, link);
        if (!pipeline->loaded)
            look_soon(pipeline);
    }
}

const struct pipeline_plan *pipeline_plan_of(const struct version *version)
{
    return version->current ? version->current->plan : NULL;
}

const struct pipeline_step *pipeline_unready_step(const struct generation *generation,
                                                  const struct version **ret_version)
{
    const struct pipeline_graph *graph = &generation->plan->graph;
    const struct serving *serving = generation->version->model->serving;
    for (size_t i = 0; i < graph->step_count; i++) {
        const struct version *version = version_of_step(serving, &graph->steps[i]);
        *ret_version = version;
        if (!version || !version_ready(version))
            return &graph->steps[i];
    }
    return NULL;
}

const char *pipeline_reason(const struct generation *generation)
{
    const struct version *version = NULL;
    struct pipeline_plan *plan = generation->plan;
    const struct pipeline_step *step = pipeline_unready_step(generation, &version);
    const char *state = version ? version_state_name(version_state(version)) : "not there";
    const char *why = version ? version_reason(version) : "";
    bool more = why[0] && strcmp(why, state) != 0;
    plan->reason[0] = '\0';
    if (step)
        snprintf(plan->reason, sizeof plan->reason, "step '%.*s': model '%.*s' is %s%s%s",
                 SPAN_ARGS(step->name), SPAN_ARGS(step->model), state, more ? ": " : "",
                 more ? why : "");
    return plan->reason;
}
