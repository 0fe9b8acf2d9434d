/* Steps of pipelines; see pipeline_step.h. */
#include "serving/pipeline_step.h"

#include "serving/generation.h"
#include "serving/inference_internal.h"

#include <assert.h>

enum { MAX_PARTS = 4096 }; /* calls of one step for one request */

const struct pipeline_step *pipeline_step_of(const struct pipeline_work *work, uint32_t index)
{
    return &work->run.graph->steps[index];
}

struct step_statistics *pipeline_step_statistics(const struct pipeline_work *work, uint32_t index)
{
    return &work->inference->generation->plan->statistics[index];
}

/* ---- its beginning ---- */

/* Whether the step's condition holds. */
static bool decide(struct pipeline_work *work, const struct pipeline_step *step, bool *ret_runs,
                   struct error *ret_error)
{
    char byte;
    *ret_runs = true;
    if (step->condition == PIPELINE_NO_TENSOR)
        return true;
    const struct pipeline_value *value = &work->values[step->condition];
    if (value->datatype != TENSORD_BOOL || value->size_bytes != 1)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "its condition '%.*s' is not one BOOL: %s of %llu bytes",
                         SPAN_ARGS(work->run.graph->tensors[step->condition].name),
                         datatype_name(value->datatype), (unsigned long long)value->size_bytes);
    pipeline_value_copy(value, 0, 1, &byte);
    *ret_runs = (byte != 0) != step->negated;
    return true;
}

/* Into how many parts the step's inputs fall, and where these begin. A tensor that is not there has
 * none: *ret_parts is 0 and *ret_absent true. */
static bool divide(struct pipeline_work *work, uint32_t index, uint32_t *ret_parts,
                   bool *ret_absent, struct error *ret_error)
{
    const struct pipeline_step *step = pipeline_step_of(work, index);
    struct step_work *state = &work->steps[index];
    int64_t rows = -1;
    *ret_absent = false;
    state->offsets = arena_calloc(&work->arena, step->input_count, sizeof *state->offsets);
    if (!state->offsets)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < step->input_count; i++) {
        const struct pipeline_edge *edge = &step->inputs[i];
        const struct pipeline_value *value = &work->values[edge->tensor];
        if (!edge->each)
            continue;
        *ret_absent |= !pipeline_run_has(&work->run, edge->tensor);
        if (*ret_absent)
            return true;
        if (!value->shape.ndim || (rows >= 0 && value->shape.dims[0] != rows))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'%.*s' has not as many rows as others that it is called for",
                             SPAN_ARGS(edge->name));
        rows = value->shape.dims[0];
        state->offsets[i] =
            pipeline_value_divide(value, step->rows, MAX_PARTS, &work->arena, ret_parts, ret_error);
        if (!state->offsets[i])
            return false;
    }
    return true;
}

/* No rows came, so that none come out. */
static bool give_nothing(struct pipeline_work *work, uint32_t index, struct error *ret_error)
{
    const struct pipeline_step *step = pipeline_step_of(work, index);
    struct serving *serving = work->inference->generation->version->model->serving;
    struct model *model = serving_model(serving, step->model, ret_error);
    const struct version *version = model ? model_version(model, step->version, ret_error) : NULL;
    if (!version)
        return false;
    const struct schema *schema = version_schema(version);
    if (!schema)
        return version_not_ready(version, ret_error);
    for (size_t i = 0; i < step->output_count; i++) {
        int output = schema_output(schema, step->outputs[i].name);
        if (output < 0)
            return error_set(ret_error, ERROR_UNAVAILABLE, "its model has no output '%.*s' now",
                             SPAN_ARGS(step->outputs[i].name));
        pipeline_value_empty(&work->values[step->outputs[i].tensor], &schema->outputs[output]);
        pipeline_run_output(&work->run, index, i, true);
    }
    return true;
}

bool pipeline_step_begin(struct pipeline_work *work, uint32_t index, struct error *ret_error)
{
    const struct pipeline_step *step = pipeline_step_of(work, index);
    struct step_work *state = &work->steps[index];
    bool runs, absent = false;
    uint32_t parts = 1;
    state->begun_ns = clock_now_ns();
    if (!decide(work, step, &runs, ret_error))
        return false;
    if (runs && step->rows && !divide(work, index, &parts, &absent, ret_error))
        return false;
    if (!runs || absent) {
        pipeline_step_statistics(work, index)->skipped++;
        pipeline_run_skip(&work->run, index);
        return true;
    }
    state->calls = arena_calloc(&work->arena, parts, sizeof *state->calls);
    if (!state->calls)
        return error_no_memory(ret_error);
    state->count = parts;
    pipeline_run_calls(&work->run, index, parts);
    return parts || give_nothing(work, index, ret_error);
}

/* ---- its calls ---- */

static bool give_input(struct pipeline_call *call, size_t at, struct error *ret_error)
{
    const struct pipeline_work *work = call->work;
    const struct pipeline_step *step = pipeline_step_of(work, call->step);
    const struct pipeline_edge *edge = &step->inputs[at];
    const struct pipeline_value *value = &work->values[edge->tensor];
    struct shape shape = value->shape;
    uint64_t from = 0, to = value->size_bytes;
    char *data;
    if (!pipeline_run_has(&work->run, edge->tensor))
        return true;
    if (edge->each) {
        const uint64_t *offsets = work->steps[call->step].offsets[at];
        int64_t row = (int64_t)call->index * step->rows, rows = shape.dims[0] - row;
        shape.dims[0] = rows < step->rows ? rows : step->rows;
        from = offsets[call->index];
        to = offsets[call->index + 1];
    }
    if (!nested_input(call->nested, edge->name, value->datatype, &shape, to - from, &data,
                      ret_error))
        return false;
    pipeline_value_copy(value, from, to, data);
    return true;
}

static bool ask_outputs(struct pipeline_call *call, struct error *ret_error)
{
    const struct pipeline_step *step = pipeline_step_of(call->work, call->step);
    for (size_t i = 0; i < step->output_count; i++) {
        if (!nested_output(call->nested, step->outputs[i].name, ret_error))
            return false;
    }
    return true;
}

bool pipeline_call_prepare(struct pipeline_call *call,
                           void (*ended)(struct nested *nested,
                                         const struct inference_outputs *outputs,
                                         const struct error *error),
                           struct error *ret_error)
{
    struct pipeline_work *work = call->work;
    const struct pipeline_step *step = pipeline_step_of(work, call->step);
    call->nested = nested_new(work->inference, step->model, step->version, ret_error);
    if (!call->nested)
        return false;
    call->nested->owner = call;
    call->nested->ended = ended;
    call->nested->inference.id = work->inference->id;
    call->nested->inference.parameters = work->inference->parameters;
    call->nested->inference.parameter_count = work->inference->parameter_count;
    if (!ask_outputs(call, ret_error))
        return false;
    for (size_t i = 0; i < step->input_count; i++) {
        if (!give_input(call, i, ret_error))
            return false;
    }
    return true;
}

/* Copies what a call gave into the pipeline's own memory. */
static bool keep_bytes(struct pipeline_work *work, struct span *data, struct error *ret_error)
{
    struct extent extent;
    if (!data->size)
        return true;
    if (!inference_take_extra(work->inference, data->size, &extent, ret_error))
        return false;
    char *to = tensor_memory_at(work->inference->generation->memory, extent);
    memcpy(to, data->data, data->size);
    data->data = to;
    return true;
}

bool pipeline_call_take(struct pipeline_call *call, const struct inference_outputs *outputs,
                        struct error *ret_error)
{
    struct pipeline_work *work = call->work;
    const struct pipeline_step *step = pipeline_step_of(work, call->step);
    bool alone = work->steps[call->step].count == 1;
    call->values = arena_calloc(&work->arena, step->output_count, sizeof *call->values);
    if (!call->values)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < step->output_count; i++) {
        for (size_t j = 0; j < outputs->count; j++) {
            const struct inference_output *output = &outputs->items[j];
            struct span data = output->data;
            if (!span_equal(output->info->name, step->outputs[i].name))
                continue;
            if (!alone && !keep_bytes(work, &data, ret_error))
                return false;
            if (!pipeline_value_make(&call->values[i], output->datatype, &output->shape, data,
                                     &work->arena, ret_error))
                return false;
        }
    }
    return true;
}

void pipeline_call_free(struct pipeline_call *call)
{
    nested_free(call->nested);
    call->nested = NULL;
}

/* ---- its end ---- */

/* The outputs of the step's calls become tensors of the pipeline. */
static bool take_output(struct pipeline_work *work, uint32_t index, size_t at,
                        struct error *ret_error)
{
    const struct pipeline_step *step = pipeline_step_of(work, index);
    struct step_work *state = &work->steps[index];
    uint32_t tensor = step->outputs[at].tensor;
    size_t given = 0;
    const struct pipeline_value **parts = arena_calloc(&work->arena, state->count, sizeof *parts);
    if (!parts)
        return error_no_memory(ret_error);
    for (uint32_t i = 0; i < state->count; i++) {
        parts[i] = &state->calls[i].values[at];
        given += parts[i]->datatype != TENSORD_INVALID;
    }
    if (given && given < state->count)
        return error_set(ret_error, ERROR_INTERNAL, "only some of its parts gave '%.*s'",
                         SPAN_ARGS(step->outputs[at].name));
    if (given && !pipeline_value_join(&work->values[tensor], parts, state->count,
                                      step->outputs[at].name, &work->arena, ret_error))
        return false;
    if (given && state->count == 1) {
        work->values[tensor].step = (int32_t)index;
        state->held++;
    }
    pipeline_run_output(&work->run, index, at, given > 0);
    return true;
}

bool pipeline_step_end(struct pipeline_work *work, uint32_t index, struct error *ret_error)
{
    const struct step_work *state = &work->steps[index];
    for (size_t i = 0; i < pipeline_step_of(work, index)->output_count; i++) {
        if (!take_output(work, index, i, ret_error))
            return false;
    }
    if (state->count == 1 && !state->held)
        pipeline_call_free(&state->calls[0]);
    duration_add(&pipeline_step_statistics(work, index)->success, clock_now_ns() - state->begun_ns);
    return true;
}

void pipeline_step_forget(struct pipeline_work *work, uint32_t tensor)
{
    int32_t step = work->values[tensor].step;
    if (step < 0)
        return;
    struct step_work *state = &work->steps[step];
    assert(state->held > 0);
    if (--state->held)
        return;
    pipeline_call_free(&state->calls[0]);
}
