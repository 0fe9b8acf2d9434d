/* Requests of pipelines; see pipeline_request.h. */
#include "serving/pipeline_request.h"

#include "base/unset.h"
#include "serving/generation.h"
#include "serving/inference_internal.h"
#include "serving/pipeline_step.h"

#include <assert.h>
#include <stdlib.h>

enum { ARENA_BYTES = 64 << 20 };

struct pipeline_request {
    struct list_link link; /* in pipeline->requests, while it runs */
    struct pipeline *pipeline;
    struct pipeline_work work;
    uint64_t execution, begun_ns;
    struct loop_task ending;
    struct error error; /* why it has failed */
};

struct pipeline_request *pipeline_request_of(struct list_link *link)
{
    return list_entry(link, struct pipeline_request, link);
}

struct inference *pipeline_request_inference(const struct pipeline_request *request)
{
    return request->work.inference;
}

uint64_t pipeline_request_execution(const struct pipeline_request *request)
{
    return request->execution;
}

uint64_t pipeline_request_ns(const struct pipeline_request *request)
{
    return clock_now_ns() - request->begun_ns;
}

/* ---- the answer ---- */

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
        if (!inference_take_extra(request->work.inference, data.size, &extent, ret_error))
            return false;
        char *to = tensor_memory_at(request->work.inference->generation->memory, extent);
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
    const struct tensor_info *info = &request->work.inference->generation->schema->outputs[index];
    int32_t tensor = pipeline_tensor_named(request->work.run.graph, info->name);
    if (tensor == PIPELINE_NO_TENSOR || !pipeline_run_has(&request->work.run, (uint32_t)tensor))
        return true;
    return give_output(request, info, &request->work.values[tensor], &items[outputs->count++],
                       ret_error);
}

static bool list_outputs(struct pipeline_request *request, struct inference_outputs *outputs,
                         struct error *ret_error)
{
    const struct inference *inference = request->work.inference;
    const struct schema *schema = inference->generation->schema;
    size_t count =
        inference->output_name_count ? inference->output_name_count : schema->output_count;
    struct inference_output *items = arena_calloc(&request->work.arena, count, sizeof *items);
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

/* ---- the end ---- */

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
    loop_defer(request->work.inference->generation->version->model->serving->loop,
               &request->ending);
}

static void free_calls(struct pipeline_request *request)
{
    for (size_t i = 0; i < request->work.run.graph->step_count; i++) {
        struct step_work *state = &request->work.steps[i];
        for (uint32_t j = 0; j < state->count; j++)
            pipeline_call_free(&state->calls[j]);
    }
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
    arena_fini(&request->work.arena);
    free(request);
}

/* A step's model that is gone is no fault of the client's. */
static enum error_code code_of(enum error_code code)
{
    return code == ERROR_NOT_FOUND ? ERROR_UNAVAILABLE : code;
}

/* The request fails, because of this step. */
static void fail_step(struct pipeline_request *request, uint32_t index,
                      const struct pipeline_call *call, const struct error *error)
{
    const struct step_work *state = &request->work.steps[index];
    struct error named UNSET;
    struct span name = pipeline_step_of(&request->work, index)->name;
    if (request->error.code != ERROR_OK)
        return;
    if (call && state->count > 1)
        error_set(&named, code_of(error->code), "step '%.*s', part %u of %u: %s", SPAN_ARGS(name),
                  call->index + 1, state->count, error->message);
    else
        error_set(&named, code_of(error->code), "step '%.*s': %s", SPAN_ARGS(name), error->message);
    named.retry_after_s = error->retry_after_s;
    duration_add(&pipeline_step_statistics(&request->work, index)->fail,
                 clock_now_ns() - state->begun_ns);
    pipeline_request_fail(request, &named);
}

/* ---- its steps ---- */

static void go(struct pipeline_request *request);

static void call_ended(struct nested *nested, const struct inference_outputs *outputs,
                       const struct error *error)
{
    struct pipeline_call *call = nested->owner;
    struct pipeline_request *request = list_entry(call->work, struct pipeline_request, work);
    uint32_t step = call->step;
    struct error failure = *error;
    if (!outputs || !pipeline_call_take(call, outputs, &failure)) {
        fail_step(request, step, call, &failure);
        return;
    }
    if (request->work.steps[step].count > 1)
        pipeline_call_free(call);
    if (pipeline_run_ended(&request->work.run, step) &&
        !pipeline_step_end(&request->work, step, &failure))
        fail_step(request, step, NULL, &failure);
    go(request);
}

static void make_call(struct pipeline_request *request, uint32_t step, uint32_t index)
{
    struct pipeline_work *work = &request->work;
    struct pipeline_call *call = &work->steps[step].calls[index];
    struct error error UNSET;
    *call = (struct pipeline_call){.work = work, .step = step, .index = index};
    if (pipeline_call_prepare(call, call_ended, &error)) {
        pipeline_step_statistics(work, step)->calls++;
        pipeline_run_made(&work->run, step);
        nested_submit(call->nested);
        return;
    }
    pipeline_call_free(call);
    /* A model's memory is full for a while: calls that run give some back. */
    if (error.code != ERROR_RESOURCE_EXHAUSTED || !pipeline_run_put_back(&work->run, step))
        fail_step(request, step, call, &error);
}

static void go(struct pipeline_request *request)
{
    while (request->error.code == ERROR_OK) {
        struct error error UNSET;
        struct pipeline_task task = pipeline_run_next(&request->work.run);
        switch (task.deed) {
        case PIPELINE_BEGIN:
            if (!pipeline_step_begin(&request->work, task.step, &error))
                fail_step(request, task.step, NULL, &error);
            break;
        case PIPELINE_CALL:
            make_call(request, task.step, task.call);
            break;
        case PIPELINE_FORGET:
            pipeline_step_forget(&request->work, task.tensor);
            break;
        case PIPELINE_OVER:
            end_soon(request);
            return;
        case PIPELINE_WAIT:
            return;
        }
    }
}

/* ---- the beginning ---- */

static void note_wanted(const struct pipeline_request *request, bool *wanted)
{
    const struct inference *inference = request->work.inference;
    const struct schema *schema = inference->generation->schema;
    const struct pipeline_graph *graph = &inference->generation->plan->graph;
    for (size_t i = 0; i < inference->output_name_count; i++)
        wanted[pipeline_tensor_named(graph, inference->output_names[i])] = true;
    for (size_t i = 0; i < schema->output_count && !inference->output_name_count; i++)
        wanted[pipeline_tensor_named(graph, schema->outputs[i].name)] = true;
}

/* The tensors that came with the request. */
static bool take_inputs(struct pipeline_request *request, struct error *ret_error)
{
    const struct inference *inference = request->work.inference;
    const struct pipeline_graph *graph = request->work.run.graph;
    for (size_t i = 0; i < inference->input_count; i++) {
        const struct channel_tensor *input = &inference->inputs[i];
        int32_t tensor = pipeline_tensor_named(graph, inference->input_names[i]);
        struct span data = {NULL, input->extent.size};
        if (data.size)
            data.data = tensor_memory_at(inference->generation->memory, input->extent);
        if (!pipeline_value_make(&request->work.values[tensor], input->datatype, &input->shape,
                                 data, &request->work.arena, ret_error))
            return false;
        pipeline_run_input(&request->work.run, (uint32_t)tensor, true);
    }
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        if (pipeline_is_input(&graph->tensors[i]) && !pipeline_run_has(&request->work.run, i))
            pipeline_run_input(&request->work.run, i, false);
    }
    return true;
}

static bool start(struct pipeline_request *request, struct error *ret_error)
{
    const struct pipeline_graph *graph = &request->work.inference->generation->plan->graph;
    struct arena *arena = &request->work.arena;
    bool *wanted = arena_calloc(arena, graph->tensor_count, sizeof *wanted);
    request->work.values = arena_calloc(arena, graph->tensor_count, sizeof *request->work.values);
    request->work.steps = arena_calloc(arena, graph->step_count, sizeof *request->work.steps);
    if (!wanted || !request->work.values || !request->work.steps)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < graph->tensor_count; i++)
        request->work.values[i].step = -1;
    note_wanted(request, wanted);
    return (pipeline_run_init(&request->work.run, graph, wanted, arena) ||
            error_no_memory(ret_error)) &&
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
    request->work.inference = inference;
    request->execution = execution;
    request->begun_ns = clock_now_ns();
    request->ending.run = end;
    arena_init(&request->work.arena, 4096, ARENA_BYTES);
    if (!start(request, &error)) {
        arena_fini(&request->work.arena);
        free(request);
        return false;
    }
    inference->steps = request;
    list_add(&pipeline->requests, &request->link);
    go(request);
    return true;
}
