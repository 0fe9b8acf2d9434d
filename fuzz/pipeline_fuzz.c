/* Pipelines: bytes say what the graph is, what the models of its steps take and give, and what
 * becomes of a request. Each step begins once, each call is made once, nothing is forgotten that is
 * wanted, and every request comes to an end. */
#include "failing_allocation.h"
#include "pipeline/derive.h"
#include "pipeline/run.h"

#include <assert.h>

enum { ARENA_BYTES = 16 << 20, MAX_TURNS = 1 << 20 };

struct input {
    const uint8_t *data;
    size_t left;
};

/* The next byte; 0 at the end. */
static unsigned take(struct input *input)
{
    if (!input->left)
        return 0;
    input->left--;
    return *input->data++;
}

static struct span take_name(struct input *input, const char *names, unsigned count)
{
    static char longest[300];
    unsigned at = take(input);
    memset(longest, 'n', sizeof longest);
    if (at == 255)
        return (struct span){longest, sizeof longest};
    if (at == 254)
        return (struct span){longest, 256};
    return (struct span){names + at % (count + 1), at % (count + 1) != count};
}

/* ---- the graph ---- */

static bool make_step(struct input *input, struct pipeline_graph *graph, struct error *ret_error)
{
    unsigned what = take(input);
    struct span named = what & 1 ? take_name(input, "abcdefgh", 8) : (struct span){0};
    if (!pipeline_add_step(graph, named, take_name(input, "mnopqr", 6), (int64_t)(what >> 6) - 1,
                           ret_error))
        return false;
    for (unsigned i = what >> 1 & 3; i > 0; i--) {
        struct span name = take_name(input, "ijk", 3);
        if (!pipeline_add_input(graph, name, take_name(input, "stuvwxyz", 8), ret_error))
            return false;
    }
    for (unsigned i = what >> 3 & 3; i > 0; i--) {
        struct span name = take_name(input, "ABC", 3);
        if (!pipeline_add_output(graph, name, take_name(input, "stuvwxyz", 8), ret_error))
            return false;
    }
    unsigned more = what & 32 ? take(input) : 0;
    if (more & 1 &&
        !pipeline_add_condition(graph, take_name(input, "stuvwxyz", 8), more & 2, ret_error))
        return false;
    if (more & 8 &&
        !pipeline_add_condition(graph, take_name(input, "stuvwxyz", 8), more & 2, ret_error))
        return false;
    return !(more & 4) ||
           pipeline_add_each(graph, take_name(input, "stuvwxyz", 8), take(input) % 5, ret_error);
}

static bool make_graph(struct input *input, struct pipeline_graph *graph, struct arena *arena,
                       struct error *ret_error)
{
    pipeline_graph_init(graph, arena);
    unsigned steps = take(input);
    graph->at_once = take(input) * 2;
    for (unsigned i = 0; i < steps % 16; i++) {
        if (!make_step(input, graph, ret_error))
            return false;
    }
    return pipeline_graph_finish(graph, ret_error);
}

/* Each step stands behind those that it needs. */
static void check_order(const struct pipeline_graph *graph)
{
    bool done[PIPELINE_MAX_STEPS] = {false};
    for (size_t i = 0; i < graph->step_count; i++) {
        const struct pipeline_step *step = &graph->steps[graph->order[i]];
        for (size_t j = 0; j < step->input_count; j++) {
            const struct pipeline_tensor *tensor = &graph->tensors[step->inputs[j].tensor];
            assert(tensor->givers[0] < 0 || done[tensor->givers[0]]);
            assert(tensor->givers[1] < 0 || done[tensor->givers[1]]);
        }
        assert(!done[graph->order[i]]);
        done[graph->order[i]] = true;
    }
}

/* ---- what its models take and give ---- */

/* Where nothing else is said, they fit together. */
static void take_infos(struct input *input, const char *names, struct tensor_info infos[3],
                       size_t *ret_count)
{
    *ret_count = 3 - take(input) % 4;
    for (size_t i = 0; i < *ret_count; i++) {
        unsigned how = take(input);
        infos[i] = (struct tensor_info){
            .name = {names + i, 1},
            .datatype = how & 1 ? TENSORD_BOOL : TENSORD_FP32,
            .shape = {.ndim = 2 - (how >> 1) % 3, .dims = {how & 8 ? 1 : -1, how & 16 ? 4 : -1}},
            .optional = !(how & 32),
            .any_rank = how & 64,
        };
    }
}

static void derive(struct input *input, struct pipeline_graph *graph, struct arena *arena)
{
    static struct tensor_info infos[PIPELINE_MAX_STEPS][2][3];
    static struct schema schemas[PIPELINE_MAX_STEPS];
    static const struct schema *of[PIPELINE_MAX_STEPS];
    struct tensor_info inputs[3], outputs[3];
    struct pipeline_declared declared = {.inputs = inputs, .outputs = outputs};
    struct schema schema = {0};
    struct error error = {0};
    for (size_t i = 0; i < graph->step_count; i++) {
        schemas[i] = (struct schema){.inputs = infos[i][0], .outputs = infos[i][1]};
        take_infos(input, "ijk", infos[i][0], &schemas[i].input_count);
        take_infos(input, "ABC", infos[i][1], &schemas[i].output_count);
        of[i] = &schemas[i];
    }
    if (take(input) & 1) {
        take_infos(input, "stu", inputs, &declared.input_count);
        take_infos(input, "xyz", outputs, &declared.output_count);
    }
    if (!pipeline_derive(graph, of, &declared, arena, &schema, &error)) {
        assert(error.code != ERROR_OK && error.message[0]);
        return;
    }
    for (size_t i = 0; i < schema.input_count; i++) {
        int32_t tensor = pipeline_tensor_named(graph, schema.inputs[i].name);
        assert(tensor >= 0 && pipeline_is_input(&graph->tensors[tensor]));
    }
    for (size_t i = 0; i < schema.output_count; i++)
        assert(pipeline_tensor_named(graph, schema.outputs[i].name) >= 0);
}

/* ---- a request ---- */

struct seen {
    unsigned begun, calls, running, ended;
};

struct play {
    struct input *input;
    const struct pipeline_graph *graph;
    struct pipeline_run run;
    bool wanted[PIPELINE_MAX_TENSORS], forgotten[PIPELINE_MAX_TENSORS];
    struct seen seen[PIPELINE_MAX_STEPS];
};

static void begin(struct play *play, uint32_t step)
{
    struct seen *seen = &play->seen[step];
    unsigned how = take(play->input);
    assert(seen->begun == 0);
    seen->begun++;
    if (how % 8 == 7) {
        pipeline_run_skip(&play->run, step);
        return;
    }
    seen->calls = how % 8;
    pipeline_run_calls(&play->run, step, seen->calls);
    for (size_t i = 0; !seen->calls && i < play->graph->steps[step].output_count; i++)
        pipeline_run_output(&play->run, step, i, how & 64);
}

static void call(struct play *play, const struct pipeline_task *task)
{
    struct seen *seen = &play->seen[task->step];
    const struct pipeline_step *step = &play->graph->steps[task->step];
    assert(task->call == seen->running + seen->ended);
    for (size_t i = 0; i < step->input_count; i++)
        assert(!play->forgotten[step->inputs[i].tensor]);
    if (seen->running && take(play->input) % 4 == 3) {
        assert(pipeline_run_put_back(&play->run, task->step));
        return;
    }
    seen->running++;
    assert(seen->running <= play->graph->at_once);
    pipeline_run_made(&play->run, task->step);
}

/* One of the calls that run ends. */
static void end(struct play *play)
{
    size_t count = play->graph->step_count, tries = 0;
    uint32_t step = take(play->input) % (uint32_t)count;
    for (; !play->seen[step].running; step = (step + 1) % (uint32_t)count) {
        tries++;
        assert(tries <= count); /* who waits, waits for something */
    }
    play->seen[step].running--;
    play->seen[step].ended++;
    bool last = pipeline_run_ended(&play->run, step);
    assert(last == (play->seen[step].ended == play->seen[step].calls));
    for (size_t i = 0; last && i < play->graph->steps[step].output_count; i++)
        pipeline_run_output(&play->run, step, i, take(play->input) % 4 != 3);
}

/* False at the end. */
static bool turn(struct play *play)
{
    struct pipeline_task task = pipeline_run_next(&play->run);
    switch (task.deed) {
    case PIPELINE_OVER:
        return false;
    case PIPELINE_FORGET:
        assert(!play->wanted[task.tensor] && !play->forgotten[task.tensor]);
        play->forgotten[task.tensor] = true;
        break;
    case PIPELINE_BEGIN:
        begin(play, task.step);
        break;
    case PIPELINE_CALL:
        call(play, &task);
        break;
    case PIPELINE_WAIT:
        end(play);
        break;
    }
    return true;
}

static void play_through(struct play *play, struct input *input, const struct pipeline_graph *graph,
                         struct arena *arena)
{
    unsigned turns = 0;
    play->input = input;
    play->graph = graph;
    for (size_t i = 0; i < graph->tensor_count; i++)
        play->wanted[i] = take(input) & 1;
    if (!pipeline_run_init(&play->run, graph, play->wanted, arena))
        return;
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        if (pipeline_is_input(&graph->tensors[i]))
            pipeline_run_input(&play->run, i, take(input) % 4 != 3);
    }
    while (turn(play)) {
        turns++;
        assert(turns <= MAX_TURNS);
    }
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        assert(!play->wanted[i] || play->run.tensors[i] != PIPELINE_UNDECIDED);
    for (size_t i = 0; i < graph->step_count; i++)
        assert(!play->seen[i].running && play->seen[i].ended <= play->seen[i].calls);
}

static void play_request(struct input *input, const struct pipeline_graph *graph,
                         struct arena *arena)
{
    static struct play play;
    play_through(&play, input, graph, arena);
    memset(&play, 0, sizeof play); /* nothing points into the caller's stack any more */
}

/* ---- all of it ---- */

static void use(struct input *input, struct arena *arena)
{
    struct pipeline_graph graph, copy;
    struct error error = {0};
    if (!make_graph(input, &graph, arena, &error)) {
        assert(error.code != ERROR_OK && error.message[0]);
        return;
    }
    check_order(&graph);
    if (!pipeline_graph_copy(&graph, arena, &copy))
        return;
    check_order(&copy);
    derive(input, &copy, arena);
    play_request(input, &copy, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 256, ARENA_BYTES);
    use(&(struct input){data, size}, &arena);
    arena_fini(&arena);
    arena_init(&arena, 256, ARENA_BYTES);
    failing_allocation_begin(data, size);
    use(&(struct input){data, size}, &arena);
    failing_allocation_end();
    arena_fini(&arena);
    return 0;
}
