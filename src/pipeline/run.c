/* The pure executor of pipelines; see run.h. */
#include "pipeline/run.h"

#include <assert.h>

/* ---- what is needed ---- */

static void note_needed(struct pipeline_run *run, uint32_t index, bool *wanted)
{
    const struct pipeline_step *step = &run->graph->steps[index];
    bool needed = false;
    for (size_t i = 0; i < step->output_count; i++)
        needed |= wanted[step->outputs[i].tensor];
    if (!needed)
        return;
    run->steps[index].state = PIPELINE_WAITING;
    run->steps_left++;
    for (size_t i = 0; i < step->output_count; i++)
        run->givers[step->outputs[i].tensor]++;
    for (size_t i = 0; i < step->input_count; i++) {
        wanted[step->inputs[i].tensor] = true;
        run->users[step->inputs[i].tensor]++;
    }
    if (step->condition != PIPELINE_NO_TENSOR) {
        wanted[step->condition] = true;
        run->users[step->condition]++;
    }
    run->steps[index].waits = (uint32_t)step->input_count + (step->condition != PIPELINE_NO_TENSOR);
}

bool pipeline_run_init(struct pipeline_run *run, const struct pipeline_graph *graph,
                       const bool *wanted, struct arena *arena)
{
    size_t tensors = graph->tensor_count;
    *run = (struct pipeline_run){.graph = graph};
    bool *needed = arena_calloc(arena, tensors, sizeof *needed);
    run->steps = arena_calloc(arena, graph->step_count, sizeof *run->steps);
    run->tensors = arena_calloc(arena, tensors, sizeof *run->tensors);
    run->givers = arena_calloc(arena, tensors, sizeof *run->givers);
    run->users = arena_calloc(arena, tensors, sizeof *run->users);
    run->unused = arena_calloc(arena, tensors, sizeof *run->unused);
    if (!needed || !run->steps || !run->tensors || !run->givers || !run->users || !run->unused)
        return false;
    for (size_t i = 0; i < tensors; i++) {
        needed[i] = wanted[i];
        run->users[i] = wanted[i];
    }
    for (size_t i = graph->step_count; i-- > 0;)
        note_needed(run, graph->order[i], needed);
    return true;
}

/* ---- tensors ---- */

static bool takes(const struct pipeline_step *step, uint32_t tensor)
{
    bool found = step->condition == (int32_t)tensor;
    for (size_t i = 0; i < step->input_count && !found; i++)
        found = step->inputs[i].tensor == tensor;
    return found;
}

static void tell_users(struct pipeline_run *run, uint32_t tensor)
{
    for (size_t i = 0; i < run->graph->step_count; i++) {
        const struct pipeline_step *step = &run->graph->steps[i];
        struct pipeline_step_run *state = &run->steps[i];
        if (state->state != PIPELINE_WAITING || !takes(step, tensor))
            continue;
        for (size_t j = 0; j < step->input_count; j++)
            state->waits -= step->inputs[j].tensor == tensor;
        state->waits -= step->condition == (int32_t)tensor;
    }
}

static void decide(struct pipeline_run *run, uint32_t tensor, bool present)
{
    assert(run->tensors[tensor] == PIPELINE_UNDECIDED);
    run->tensors[tensor] = present ? PIPELINE_PRESENT : PIPELINE_ABSENT;
    tell_users(run, tensor);
    if (present && run->users[tensor] == 0)
        run->unused[run->unused_count++] = tensor;
}

/* One that looked at it does not any more. */
static void drop(struct pipeline_run *run, uint32_t tensor)
{
    assert(run->users[tensor] > 0);
    if (--run->users[tensor] == 0 && run->tensors[tensor] == PIPELINE_PRESENT)
        run->unused[run->unused_count++] = tensor;
}

static void drop_inputs(struct pipeline_run *run, const struct pipeline_step *step)
{
    for (size_t i = 0; i < step->input_count; i++)
        drop(run, step->inputs[i].tensor);
    if (step->condition != PIPELINE_NO_TENSOR)
        drop(run, (uint32_t)step->condition);
}

void pipeline_run_input(struct pipeline_run *run, uint32_t tensor, bool given)
{
    assert(pipeline_is_input(&run->graph->tensors[tensor]));
    decide(run, tensor, given);
}

void pipeline_run_output(struct pipeline_run *run, uint32_t step, size_t i, bool given)
{
    uint32_t tensor = run->graph->steps[step].outputs[i].tensor;
    assert(run->givers[tensor] > 0);
    run->givers[tensor]--;
    if (run->tensors[tensor] == PIPELINE_UNDECIDED && (given || run->givers[tensor] == 0))
        decide(run, tensor, given);
}

/* ---- steps ---- */

static void end_step(struct pipeline_run *run, struct pipeline_step_run *state)
{
    state->state = PIPELINE_DONE;
    run->steps_left--;
}

void pipeline_run_skip(struct pipeline_run *run, uint32_t step)
{
    const struct pipeline_step *of = &run->graph->steps[step];
    end_step(run, &run->steps[step]);
    drop_inputs(run, of);
    for (size_t i = 0; i < of->output_count; i++)
        pipeline_run_output(run, step, i, false);
}

void pipeline_run_calls(struct pipeline_run *run, uint32_t step, uint32_t calls)
{
    struct pipeline_step_run *state = &run->steps[step];
    assert(state->state == PIPELINE_BEGUN);
    state->state = PIPELINE_CALLED;
    state->calls = calls;
    if (calls)
        return;
    end_step(run, state);
    drop_inputs(run, &run->graph->steps[step]);
}

void pipeline_run_made(struct pipeline_run *run, uint32_t step)
{
    const struct pipeline_step_run *state = &run->steps[step];
    if (state->called == state->calls)
        drop_inputs(run, &run->graph->steps[step]);
}

bool pipeline_run_put_back(struct pipeline_run *run, uint32_t step)
{
    struct pipeline_step_run *state = &run->steps[step];
    state->called--;
    state->full = true;
    return state->called > state->ended;
}

bool pipeline_run_ended(struct pipeline_run *run, uint32_t step)
{
    struct pipeline_step_run *state = &run->steps[step];
    assert(state->state == PIPELINE_CALLED && state->ended < state->called);
    state->full = false;
    if (++state->ended < state->calls)
        return false;
    end_step(run, state);
    return true;
}

/* Something that the step cannot do without is not there. */
static bool lacks_input(const struct pipeline_run *run, const struct pipeline_step *step)
{
    for (size_t i = 0; i < step->input_count; i++) {
        if (!step->inputs[i].optional && !pipeline_run_has(run, step->inputs[i].tensor))
            return true;
    }
    return step->condition != PIPELINE_NO_TENSOR &&
           !pipeline_run_has(run, (uint32_t)step->condition);
}

/* Takes the next call of a step that has one. */
static bool take_call(struct pipeline_run *run, uint32_t step, struct pipeline_task *task)
{
    struct pipeline_step_run *state = &run->steps[step];
    if (state->state != PIPELINE_CALLED || state->full || state->called == state->calls ||
        state->called - state->ended >= run->graph->at_once)
        return false;
    *task = (struct pipeline_task){.deed = PIPELINE_CALL, .step = step, .call = state->called++};
    return true;
}

/* The first step in order that has something to be done. False: none has. */
static bool look_at_steps(struct pipeline_run *run, struct pipeline_task *task)
{
    for (size_t i = 0; i < run->graph->step_count; i++) {
        uint32_t step = run->graph->order[i];
        struct pipeline_step_run *state = &run->steps[step];
        if (take_call(run, step, task))
            return true;
        if (state->state != PIPELINE_WAITING || state->waits > 0)
            continue;
        if (lacks_input(run, &run->graph->steps[step])) {
            pipeline_run_skip(run, step); /* whoever waits for what it gives comes later in order */
            continue;
        }
        state->state = PIPELINE_BEGUN;
        *task = (struct pipeline_task){.deed = PIPELINE_BEGIN, .step = step};
        return true;
    }
    return false;
}

struct pipeline_task pipeline_run_next(struct pipeline_run *run)
{
    struct pipeline_task task = {.deed = PIPELINE_OVER};
    if (look_at_steps(run, &task))
        return task;
    if (run->unused_count)
        task = (struct pipeline_task){.deed = PIPELINE_FORGET,
                                      .tensor = run->unused[--run->unused_count]};
    else if (run->steps_left)
        task.deed = PIPELINE_WAIT;
    return task;
}
