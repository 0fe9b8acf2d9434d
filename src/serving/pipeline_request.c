/* Requests of pipelines; see pipeline_request.h. */
#include "serving/pipeline_request.h"

#include "base/unset.h"
#include "pipeline/run.h"
#include "serving/generation.h"
#include "serving/inference_internal.h"
#include "serving/nested.h"
#include "serving/pipeline_value.h"

#include <assert.h>
#include <stdlib.h>

enum { ARENA_BYTES = 64 << 20 };

/* One call of a step. */
struct call {
    struct pipeline_request *request;
    uint32_t step, index;
    struct nested *nested;         /* NULL: not made, or not needed any more */
    struct pipeline_value *values; /* that it gave, by the step's outputs */
};

/* What a request knows of a step. */
struct step_work {
    struct call *calls;
    uint32_t count;
    uint64_t **offsets; /* by input: where the parts of one that is given in parts begin */
    size_t held;        /* outputs that lie in the memory of its only call */
    uint64_t begun_ns;
};

struct pipeline_request {
    struct list_link link; /* in pipeline->requests, while it runs */
    struct pipeline *pipeline;
    struct inference *inference;
    uint64_t execution, begun_ns;
    struct arena arena;
    struct pipeline_run run;
    struct pipeline_value *values; /* by tensor */
    struct step_work *steps;
    struct loop_task ending;
    struct error error; /* why it has failed */
};

static struct pipeline_plan *plan_of(const struct pipeline_request *request)
{
    return request->inference->generation->plan;
}

static const struct pipeline_step *step_of(const struct pipeline_request *request, uint32_t step)
{
    return &request->run.graph->steps[step];
}

struct pipeline_request *pipeline_request_of(struct list_link *link)
{
    return list_entry(link, struct pipeline_request, link);
}

struct inference *pipeline_request_inference(const struct pipeline_request *request)
{
    return request->inference;
}

uint64_t pipeline_request_execution(const struct pipeline_request *request)
{
    return request->execution;
}

uint64_t pipeline_request_ns(const struct pipeline_request *request)
{
    return clock_now_ns() - request->begun_ns;
}

/* ---- the end ---- */

static void free_calls(struct pipeline_request *request)
{
    for (size_t i = 0; i < request->run.graph->step_count; i++) {
        struct step_work *work = &request->steps[i];
        for (uint32_t j = 0; j < work->count; j++) {
            nested_free(work->calls[j].nested);
            work->calls[j].nested = NULL;
        }
    }
}

/* A tensor as the answer has it: in one piece. */
static bool give_output(struct pipeline_request *request, const struct tensor_info *info,
                        const struct pipeline_value *value, struct inference_output *ret_output,
                        struct error *ret_error)
{
    struct span data = {NULL, value->size_bytes};
    if (value->piece_count == 1) {
        data = value->pieces[0];
    } else if (data.size) {
        struct extent extent;
        if (!inference_take_extra(request->inference, data.size, &extent, ret_error))
            return false;
        char *to = tensor_memory_at(request->inference->generation->memory, extent);
        pipeline_value_copy(value, 0, data.size, to);
        data.data = to;
    }
    *ret_output = (struct inference_output){info, value->datatype, value->shape, data};
    return true;
}

/* Adds the output to the answer, if its steps ran. */
static bool add_output(struct pipeline_request *request, int index,
                       struct inference_outputs *outputs, struct inference_output *items,
                       struct error *ret_error)
{
    const struct tensor_info *info = &request->inference->generation->schema->outputs[index];
    int32_t tensor = pipeline_tensor_named(request->run.graph, info->name);
    if (tensor == PIPELINE_NO_TENSOR || !pipeline_run_has(&request->run, (uint32_t)tensor))
        return true;
    return give_output(request, info, &request->values[tensor], &items[outputs->count++],
                       ret_error);
}

static bool list_outputs(struct pipeline_request *request, struct inference_outputs *outputs,
                         struct error *ret_error)
{
    const struct inference *inference = request->inference;
    const struct schema *schema = inference->generation->schema;
    size_t count =
        inference->output_name_count ? inference->output_name_count : schema->output_count;
    struct inference_output *items = arena_calloc(&request->arena, count, sizeof *items);
    if (!items)
        return error_no_memory(ret_error);
    *outputs = (struct inference_outputs){items, 0};
    for (size_t i = 0; i < count; i++) {
        int index = inference->output_name_count ? schema_output(schema, inference->output_names[i])
                                                 : (int)i;
        if (!add_output(request, index, outputs, items, ret_error))
            return false;
    }
    return true;
}

static void end(struct loop_task *task)
{
    struct pipeline_request *request = list_entry(task, struct pipeline_request, ending);
    struct pipeline *pipeline = request->pipeline;
    struct inference_outputs outputs UNSET;
    struct error error = request->error;
    bool good = error.code == ERROR_OK && list_outputs(request, &outputs, &error);
    list_remove(&request->link);
    request->pipeline = NULL;
    pipeline->events->ended(pipeline->owner, request, good ? &outputs : NULL, &error);
}

static void end_soon(struct pipeline_request *request)
{
    loop_defer(request->inference->generation->version->model->serving->loop, &request->ending);
}

void pipeline_request_fail(struct pipeline_request *request, const struct error *error)
{
    if (request->error.code != ERROR_OK)
        return;
    request->error = *error;
    free_calls(request);
    end_soon(request);
}

void pipeline_request_free(struct pipeline_request *request)
{
    if (!request)
        return;
    assert(!request->pipeline);
    free_calls(request);
    arena_fini(&request->arena);
    free(request);
}

/* A step's model that is gone is no fault of the client's. */
static enum error_code code_of(enum error_code code)
{
    return code == ERROR_NOT_FOUND ? ERROR_UNAVAILABLE : code;
}

/* The request fails, because of this step. */
static void fail_step(struct pipeline_request *request, uint32_t index, const struct call *call,
                      const struct error *error)
{
    struct step_statistics *statistics = &plan_of(request)->statistics[index];
    const struct step_work *work = &request->steps[index];
    struct error named UNSET;
    struct span name = step_of(request, index)->name;
    if (request->error.code != ERROR_OK)
        return;
    if (call && work->count > 1)
        error_set(&named, code_of(error->code), "step '%.*s', part %u of %u: %s", SPAN_ARGS(name),
                  call->index + 1, work->count, error->message);
    else
        error_set(&named, code_of(error->code), "step '%.*s': %s", SPAN_ARGS(name), error->message);
    named.retry_after_s = error->retry_after_s;
    duration_add(&statistics->fail, clock_now_ns() - work->begun_ns);
    pipeline_request_fail(request, &named);
}

/* ---- what a step gave ---- */

static void go(struct pipeline_request *request);

/* The outputs of the step's calls become tensors of the pipeline. */
static bool take_output(struct pipeline_request *request, uint32_t index, size_t at,
                        struct error *ret_error)
{
    const struct pipeline_step *step = step_of(request, index);
    struct step_work *work = &request->steps[index];
    uint32_t tensor = step->outputs[at].tensor;
    size_t given = 0;
    const struct pipeline_value **parts = arena_calloc(&request->arena, work->count, sizeof *parts);
    if (!parts)
        return error_no_memory(ret_error);
    for (uint32_t i = 0; i < work->count; i++) {
        parts[i] = &work->calls[i].values[at];
        given += parts[i]->datatype != TENSORD_INVALID;
    }
    if (given && given < work->count)
        return error_set(ret_error, ERROR_INTERNAL, "only some of its parts gave '%.*s'",
                         SPAN_ARGS(step->outputs[at].name));
    if (given && !pipeline_value_join(&request->values[tensor], parts, work->count,
                                      step->outputs[at].name, &request->arena, ret_error))
        return false;
    if (given && work->count == 1) {
        request->values[tensor].step = (int32_t)index;
        work->held++;
    }
    pipeline_run_output(&request->run, index, at, given > 0);
    return true;
}

static void end_step(struct pipeline_request *request, uint32_t index)
{
    struct step_statistics *statistics = &plan_of(request)->statistics[index];
    struct step_work *work = &request->steps[index];
    struct error error UNSET;
    for (size_t i = 0; i < step_of(request, index)->output_count; i++) {
        if (!take_output(request, index, i, &error)) {
            fail_step(request, index, NULL, &error);
            return;
        }
    }
    if (work->count == 1 && !work->held) {
        nested_free(work->calls[0].nested);
        work->calls[0].nested = NULL;
    }
    duration_add(&statistics->success, clock_now_ns() - work->begun_ns);
}

/* Copies what a call gave into the pipeline's own memory. */
static bool keep_bytes(struct pipeline_request *request, struct span *data, struct error *ret_error)
{
    struct extent extent;
    if (!data->size)
        return true;
    if (!inference_take_extra(request->inference, data->size, &extent, ret_error))
        return false;
    char *to = tensor_memory_at(request->inference->generation->memory, extent);
    memcpy(to, data->data, data->size);
    data->data = to;
    return true;
}

static bool take_outputs(struct call *call, const struct inference_outputs *outputs,
                         struct error *ret_error)
{
    struct pipeline_request *request = call->request;
    const struct pipeline_step *step = step_of(request, call->step);
    bool alone = request->steps[call->step].count == 1;
    call->values = arena_calloc(&request->arena, step->output_count, sizeof *call->values);
    if (!call->values)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < step->output_count; i++) {
        for (size_t j = 0; j < outputs->count; j++) {
            const struct inference_output *output = &outputs->items[j];
            struct span data = output->data;
            if (!span_equal(output->info->name, step->outputs[i].name))
                continue;
            if (!alone && !keep_bytes(request, &data, ret_error))
                return false;
            if (!pipeline_value_make(&call->values[i], output->datatype, &output->shape, data,
                                     &request->arena, ret_error))
                return false;
        }
    }
    return true;
}

static void call_ended(struct nested *nested, const struct inference_outputs *outputs,
                       const struct error *error)
{
    struct call *call = nested->owner;
    struct pipeline_request *request = call->request;
    uint32_t step = call->step;
    struct error failure = *error;
    if (!outputs || !take_outputs(call, outputs, &failure)) {
        fail_step(request, step, call, &failure);
        return;
    }
    if (request->steps[step].count > 1) {
        call->nested = NULL;
        nested_free(nested);
    }
    if (pipeline_run_ended(&request->run, step))
        end_step(request, step);
    go(request);
}

static void forget(struct pipeline_request *request, uint32_t tensor)
{
    int32_t step = request->values[tensor].step;
    if (step < 0)
        return;
    struct step_work *work = &request->steps[step];
    assert(work->held > 0);
    if (--work->held)
        return;
    nested_free(work->calls[0].nested);
    work->calls[0].nested = NULL;
}

/* ---- calls ---- */

static bool give_input(struct pipeline_request *request, struct call *call, size_t at,
                       struct error *ret_error)
{
    const struct pipeline_step *step = step_of(request, call->step);
    const struct pipeline_edge *edge = &step->inputs[at];
    const struct pipeline_value *value = &request->values[edge->tensor];
    struct shape shape = value->shape;
    uint64_t from = 0, to = value->size_bytes;
    char *data;
    if (!pipeline_run_has(&request->run, edge->tensor))
        return true;
    if (edge->each) {
        const uint64_t *offsets = request->steps[call->step].offsets[at];
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

static bool ask_outputs(struct call *call, struct error *ret_error)
{
    const struct pipeline_step *step = step_of(call->request, call->step);
    for (size_t i = 0; i < step->output_count; i++) {
        if (!nested_output(call->nested, step->outputs[i].name, ret_error))
            return false;
    }
    return true;
}

static bool prepare_call(struct pipeline_request *request, struct call *call,
                         struct error *ret_error)
{
    const struct pipeline_step *step = step_of(request, call->step);
    call->nested = nested_new(request->inference, step->model, step->version, ret_error);
    if (!call->nested)
        return false;
    call->nested->owner = call;
    call->nested->ended = call_ended;
    call->nested->inference.id = request->inference->id;
    call->nested->inference.parameters = request->inference->parameters;
    call->nested->inference.parameter_count = request->inference->parameter_count;
    if (!ask_outputs(call, ret_error))
        return false;
    for (size_t i = 0; i < step->input_count; i++) {
        if (!give_input(request, call, i, ret_error))
            return false;
    }
    return true;
}

static void make_call(struct pipeline_request *request, uint32_t step, uint32_t index)
{
    struct call *call = &request->steps[step].calls[index];
    struct error error UNSET;
    *call = (struct call){.request = request, .step = step, .index = index};
    if (prepare_call(request, call, &error)) {
        plan_of(request)->statistics[step].calls++;
        pipeline_run_made(&request->run, step);
        nested_submit(call->nested);
        return;
    }
    nested_free(call->nested);
    call->nested = NULL;
    /* A model's memory is full for a while: calls that run give some back. */
    if (error.code != ERROR_RESOURCE_EXHAUSTED || !pipeline_run_put_back(&request->run, step))
        fail_step(request, step, call, &error);
}

/* ---- the beginning of a step ---- */

/* Whether the step's condition holds. */
static bool decide(struct pipeline_request *request, const struct pipeline_step *step,
                   bool *ret_runs, struct error *ret_error)
{
    char byte;
    *ret_runs = true;
    if (step->condition == PIPELINE_NO_TENSOR)
        return true;
    const struct pipeline_value *value = &request->values[step->condition];
    if (value->datatype != TENSORD_BOOL || value->size_bytes != 1)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "its condition '%.*s' is not one BOOL: %s of %llu bytes",
                         SPAN_ARGS(request->run.graph->tensors[step->condition].name),
                         datatype_name(value->datatype), (unsigned long long)value->size_bytes);
    pipeline_value_copy(value, 0, 1, &byte);
    *ret_runs = (byte != 0) != step->negated;
    return true;
}

/* Into how many parts the step's inputs fall, and where these begin. A tensor that is not there has
 * none: *ret_parts is 0 and *ret_absent true. */
static bool divide(struct pipeline_request *request, uint32_t index, uint32_t *ret_parts,
                   bool *ret_absent, struct error *ret_error)
{
    const struct pipeline_step *step = step_of(request, index);
    struct step_work *work = &request->steps[index];
    int64_t rows = -1;
    *ret_absent = false;
    work->offsets = arena_calloc(&request->arena, step->input_count, sizeof *work->offsets);
    if (!work->offsets)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < step->input_count; i++) {
        const struct pipeline_edge *edge = &step->inputs[i];
        const struct pipeline_value *value = &request->values[edge->tensor];
        if (!edge->each)
            continue;
        *ret_absent |= !pipeline_run_has(&request->run, edge->tensor);
        if (*ret_absent)
            return true;
        if (!value->shape.ndim || (rows >= 0 && value->shape.dims[0] != rows))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'%.*s' has not as many rows as others that it is called for",
                             SPAN_ARGS(edge->name));
        rows = value->shape.dims[0];
        work->offsets[i] = pipeline_value_divide(value, step->rows, PIPELINE_MAX_PARTS,
                                                 &request->arena, ret_parts, ret_error);
        if (!work->offsets[i])
            return false;
    }
    return true;
}

/* No rows came, so that none come out. */
static bool give_nothing(struct pipeline_request *request, uint32_t index, struct error *ret_error)
{
    const struct pipeline_step *step = step_of(request, index);
    struct serving *serving = request->inference->generation->version->model->serving;
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
        pipeline_value_empty(&request->values[step->outputs[i].tensor], &schema->outputs[output]);
        pipeline_run_output(&request->run, index, i, true);
    }
    return true;
}

static bool start_step(struct pipeline_request *request, uint32_t index, struct error *ret_error)
{
    const struct pipeline_step *step = step_of(request, index);
    struct step_work *work = &request->steps[index];
    bool runs, absent = false;
    uint32_t parts = 1;
    work->begun_ns = clock_now_ns();
    if (!decide(request, step, &runs, ret_error))
        return false;
    if (runs && step->rows && !divide(request, index, &parts, &absent, ret_error))
        return false;
    if (!runs || absent) {
        plan_of(request)->statistics[index].skipped++;
        pipeline_run_skip(&request->run, index);
        return true;
    }
    work->calls = arena_calloc(&request->arena, parts, sizeof *work->calls);
    if (!work->calls)
        return error_no_memory(ret_error);
    work->count = parts;
    pipeline_run_calls(&request->run, index, parts);
    return parts || give_nothing(request, index, ret_error);
}

static void go(struct pipeline_request *request)
{
    while (request->error.code == ERROR_OK) {
        struct error error UNSET;
        struct pipeline_task task = pipeline_run_next(&request->run);
        switch (task.deed) {
        case PIPELINE_BEGIN:
            if (!start_step(request, task.step, &error))
                fail_step(request, task.step, NULL, &error);
            break;
        case PIPELINE_CALL:
            make_call(request, task.step, task.call);
            break;
        case PIPELINE_FORGET:
            forget(request, task.tensor);
            break;
        case PIPELINE_OVER:
            end_soon(request);
            return;
        case PIPELINE_WAIT:
            return;
        }
    }
}

/* ---- the request ---- */

static void note_wanted(const struct pipeline_request *request, bool *wanted)
{
    const struct inference *inference = request->inference;
    const struct schema *schema = inference->generation->schema;
    const struct pipeline_graph *graph = &plan_of(request)->graph;
    for (size_t i = 0; i < inference->output_name_count; i++)
        wanted[pipeline_tensor_named(graph, inference->output_names[i])] = true;
    for (size_t i = 0; i < schema->output_count && !inference->output_name_count; i++)
        wanted[pipeline_tensor_named(graph, schema->outputs[i].name)] = true;
}

/* The tensors that came with the request. */
static bool take_inputs(struct pipeline_request *request, struct error *ret_error)
{
    const struct inference *inference = request->inference;
    const struct pipeline_graph *graph = request->run.graph;
    for (size_t i = 0; i < inference->input_count; i++) {
        const struct channel_tensor *input = &inference->inputs[i];
        int32_t tensor = pipeline_tensor_named(graph, inference->input_names[i]);
        struct span data = {NULL, input->extent.size};
        if (data.size)
            data.data = tensor_memory_at(inference->generation->memory, input->extent);
        if (!pipeline_value_make(&request->values[tensor], input->datatype, &input->shape, data,
                                 &request->arena, ret_error))
            return false;
        pipeline_run_input(&request->run, (uint32_t)tensor, true);
    }
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        if (pipeline_is_input(&graph->tensors[i]) && !pipeline_run_has(&request->run, i))
            pipeline_run_input(&request->run, i, false);
    }
    return true;
}

static bool start(struct pipeline_request *request, struct error *ret_error)
{
    const struct pipeline_graph *graph = &plan_of(request)->graph;
    struct arena *arena = &request->arena;
    bool *wanted = arena_calloc(arena, graph->tensor_count, sizeof *wanted);
    request->values = arena_calloc(arena, graph->tensor_count, sizeof *request->values);
    request->steps = arena_calloc(arena, graph->step_count, sizeof *request->steps);
    if (!wanted || !request->values || !request->steps)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < graph->tensor_count; i++)
        request->values[i].step = -1;
    note_wanted(request, wanted);
    return (pipeline_run_init(&request->run, graph, wanted, arena) || error_no_memory(ret_error)) &&
           take_inputs(request, ret_error);
}

bool pipeline_request_begin(struct pipeline *pipeline, struct inference *inference,
                            uint64_t execution)
{
    struct error error UNSET;
    struct pipeline_request *request = calloc(1, sizeof *request);
    if (!request)
        return false;
    request->pipeline = pipeline;
    request->inference = inference;
    request->execution = execution;
    request->begun_ns = clock_now_ns();
    request->ending.run = end;
    arena_init(&request->arena, 4096, ARENA_BYTES);
    if (!start(request, &error)) {
        arena_fini(&request->arena);
        free(request);
        return false;
    }
    inference->steps = request;
    list_add(&pipeline->requests, &request->link);
    go(request);
    return true;
}
