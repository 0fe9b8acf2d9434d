/* Making and checking a pipeline's graph; see graph.h. */
#include "pipeline/graph.h"

enum { MAX_NAME_BYTES = 256, SHOWN_STEPS = 8, SENTENCE_BYTES = 320 };

void pipeline_graph_init(struct pipeline_graph *graph, struct arena *arena)
{
    *graph = (struct pipeline_graph){.arena = arena, .at_once = PIPELINE_USUAL_AT_ONCE};
}

static bool wrong(struct error *ret_error, const struct pipeline_step *step, const char *what,
                  struct span name)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "step '%.*s': %s '%.*s'",
                     SPAN_ARGS(step->name), what, SPAN_ARGS(name));
}

static struct pipeline_step *newest(struct pipeline_graph *graph)
{
    return &graph->steps[graph->step_count - 1];
}

/* ---- names ---- */

static const struct pipeline_step *step_named(const struct pipeline_graph *graph, struct span name)
{
    for (size_t i = 0; i < graph->step_count; i++) {
        if (span_equal(graph->steps[i].name, name))
            return &graph->steps[i];
    }
    return NULL;
}

int32_t pipeline_tensor_named(const struct pipeline_graph *graph, struct span name)
{
    for (size_t i = 0; i < graph->tensor_count; i++) {
        if (span_equal(graph->tensors[i].name, name))
            return (int32_t)i;
    }
    return PIPELINE_NO_TENSOR;
}

static bool check_name(const char *what, struct span name, struct error *ret_error)
{
    if (!name.size)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s of a step has no name", what);
    return name.size <= MAX_NAME_BYTES ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "the name of %s of a step is longer than %d bytes", what, MAX_NAME_BYTES);
}

/* The tensor of that name, made when it is new. */
static bool intern(struct pipeline_graph *graph, struct span name, uint32_t *ret_tensor,
                   struct error *ret_error)
{
    if (!check_name("a tensor", name, ret_error))
        return false;
    int32_t known = pipeline_tensor_named(graph, name);
    *ret_tensor = (uint32_t)known;
    if (known != PIPELINE_NO_TENSOR)
        return true;
    if (graph->tensor_count == PIPELINE_MAX_TENSORS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a pipeline has at most %d tensors",
                         PIPELINE_MAX_TENSORS);
    struct pipeline_tensor tensor = {.givers = {-1, -1}, .user = -1};
    if (!arena_grow(graph->arena, (void **)&graph->tensors, graph->tensor_count,
                    &graph->tensor_capacity, sizeof tensor) ||
        !arena_copy(graph->arena, name, &tensor.name))
        return error_no_memory(ret_error);
    *ret_tensor = (uint32_t)graph->tensor_count;
    graph->tensors[graph->tensor_count++] = tensor;
    return true;
}

/* A model that is used again gets a number: "read", "read-2". */
static bool name_step(struct pipeline_graph *graph, struct span name, struct span model,
                      struct span *ret_name, struct error *ret_error)
{
    if (name.size && step_named(graph, name))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "there are two steps with the name '%.*s'", SPAN_ARGS(name));
    if (name.size || !step_named(graph, model))
        return arena_copy(graph->arena, name.size ? name : model, ret_name) ||
               error_no_memory(ret_error);
    for (size_t number = 2;; number++) {
        const char *text = arena_printf(graph->arena, "%.*s-%zu", SPAN_ARGS(model), number);
        if (!text)
            return error_no_memory(ret_error);
        if (step_named(graph, span_of(text)))
            continue;
        *ret_name = span_of(text);
        return true;
    }
}

/* ---- parts ---- */

struct pipeline_step *pipeline_add_step(struct pipeline_graph *graph, struct span name,
                                        struct span model, int64_t version, struct error *ret_error)
{
    struct pipeline_step step = {.version = version, .condition = PIPELINE_NO_TENSOR};
    if (graph->step_count == PIPELINE_MAX_STEPS) {
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "a pipeline has at most %d steps",
                  PIPELINE_MAX_STEPS);
        return NULL;
    }
    if (!check_name("the model", model, ret_error) ||
        (name.size && !check_name("one", name, ret_error)) ||
        !name_step(graph, name, model, &step.name, ret_error))
        return NULL;
    if (!arena_copy(graph->arena, model, &step.model) ||
        !arena_grow(graph->arena, (void **)&graph->steps, graph->step_count, &graph->step_capacity,
                    sizeof step)) {
        error_no_memory(ret_error);
        return NULL;
    }
    graph->steps[graph->step_count++] = step;
    return newest(graph);
}

static bool add_edge(struct pipeline_graph *graph, struct pipeline_edge **edges, size_t *count,
                     size_t *capacity, struct span name, struct span tensor,
                     struct error *ret_error)
{
    struct pipeline_edge edge = {0};
    if (!check_name("an input or output", name, ret_error) ||
        !intern(graph, tensor, &edge.tensor, ret_error))
        return false;
    for (size_t i = 0; i < *count; i++) {
        if (span_equal((*edges)[i].name, name))
            return wrong(ret_error, newest(graph), "there are two tensors for", name);
    }
    if (graph->edge_count == PIPELINE_MAX_EDGES)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the steps of a pipeline have at most %d inputs and outputs in all",
                         PIPELINE_MAX_EDGES);
    if (!arena_grow(graph->arena, (void **)edges, *count, capacity, sizeof edge) ||
        !arena_copy(graph->arena, name, &edge.name))
        return error_no_memory(ret_error);
    (*edges)[(*count)++] = edge;
    graph->edge_count++;
    return true;
}

bool pipeline_add_input(struct pipeline_graph *graph, struct span input, struct span tensor,
                        struct error *ret_error)
{
    struct pipeline_step *step = newest(graph);
    return add_edge(graph, &step->inputs, &step->input_count, &step->input_capacity, input, tensor,
                    ret_error);
}

bool pipeline_add_output(struct pipeline_graph *graph, struct span output, struct span tensor,
                         struct error *ret_error)
{
    struct pipeline_step *step = newest(graph);
    return add_edge(graph, &step->outputs, &step->output_count, &step->output_capacity, output,
                    tensor, ret_error);
}

bool pipeline_add_condition(struct pipeline_graph *graph, struct span tensor, bool negated,
                            struct error *ret_error)
{
    struct pipeline_step *step = newest(graph);
    uint32_t condition;
    if (step->condition != PIPELINE_NO_TENSOR)
        return wrong(ret_error, step, "it has another condition beside", tensor);
    if (!intern(graph, tensor, &condition, ret_error))
        return false;
    step->condition = (int32_t)condition;
    step->negated = negated;
    return true;
}

bool pipeline_add_each(struct pipeline_graph *graph, struct span tensor, uint32_t rows,
                       struct error *ret_error)
{
    struct pipeline_step *step = newest(graph);
    bool found = false;
    if (rows < 1 || rows > PIPELINE_MAX_ROWS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "step '%.*s': 'rows' must be from 1 to %d", SPAN_ARGS(step->name),
                         PIPELINE_MAX_ROWS);
    for (size_t i = 0; i < step->input_count; i++) {
        if (!span_equal(graph->tensors[step->inputs[i].tensor].name, tensor))
            continue;
        step->inputs[i].each = found = true;
    }
    step->rows = rows;
    return found || wrong(ret_error, step, "no input of it is", tensor);
}

/* ---- checks ---- */

/* Two steps may give one tensor when exactly one of them runs. */
static bool exclude_each_other(const struct pipeline_step *a, const struct pipeline_step *b)
{
    return a->condition != PIPELINE_NO_TENSOR && a->condition == b->condition &&
           a->negated != b->negated;
}

static bool note_giver(struct pipeline_graph *graph, uint32_t index, uint32_t at,
                       struct error *ret_error)
{
    struct pipeline_tensor *tensor = &graph->tensors[at];
    const struct pipeline_step *step = &graph->steps[index];
    if (tensor->givers[0] < 0) {
        tensor->givers[0] = (int32_t)index;
        return true;
    }
    const struct pipeline_step *other = &graph->steps[tensor->givers[0]];
    if (other == step || tensor->givers[1] >= 0 || !exclude_each_other(step, other))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "steps '%.*s' and '%.*s' both give the tensor '%.*s'",
                         SPAN_ARGS(other->name), SPAN_ARGS(step->name), SPAN_ARGS(tensor->name));
    tensor->givers[1] = (int32_t)index;
    return true;
}

static void note_user(struct pipeline_graph *graph, uint32_t index, uint32_t at)
{
    struct pipeline_tensor *tensor = &graph->tensors[at];
    if (tensor->user < 0)
        tensor->user = (int32_t)index;
}

static bool note_tensors(struct pipeline_graph *graph, uint32_t index, struct error *ret_error)
{
    const struct pipeline_step *step = &graph->steps[index];
    if (!step->output_count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "step '%.*s' gives nothing: it has no 'output'", SPAN_ARGS(step->name));
    for (size_t i = 0; i < step->input_count; i++)
        note_user(graph, index, step->inputs[i].tensor);
    if (step->condition != PIPELINE_NO_TENSOR)
        note_user(graph, index, (uint32_t)step->condition);
    for (size_t i = 0; i < step->output_count; i++) {
        if (!note_giver(graph, index, step->outputs[i].tensor, ret_error))
            return false;
    }
    return true;
}

/* A step that gives the tensor and is not in order yet, or -1. */
static int32_t missing_giver(const struct pipeline_graph *graph, const bool *done, uint32_t at)
{
    for (int i = 0; i < 2; i++) {
        int32_t giver = graph->tensors[at].givers[i];
        if (giver >= 0 && !done[giver])
            return giver;
    }
    return -1;
}

/* A step that this one waits for and that is not in order yet, or -1. */
static int32_t waits_for(const struct pipeline_graph *graph, const bool *done, uint32_t index)
{
    const struct pipeline_step *step = &graph->steps[index];
    int32_t giver = -1;
    for (size_t i = 0; i < step->input_count && giver < 0; i++)
        giver = missing_giver(graph, done, step->inputs[i].tensor);
    if (giver < 0 && step->condition != PIPELINE_NO_TENSOR)
        giver = missing_giver(graph, done, (uint32_t)step->condition);
    return giver;
}

/* Each step that is left waits for one that is left: whoever follows them walks in a circle. */
static bool circle(const struct pipeline_graph *graph, const bool *done, struct error *ret_error)
{
    char text[SENTENCE_BYTES] = "";
    size_t used = 0;
    uint32_t at = 0;
    while (done[at])
        at++;
    for (size_t i = 0; i < graph->step_count; i++) /* into the circle, if not in it yet */
        at = (uint32_t)waits_for(graph, done, at);
    uint32_t first = at;
    for (size_t shown = 0; shown <= SHOWN_STEPS && used < sizeof text - 1; shown++) {
        struct span name = graph->steps[at].name;
        if (name.size > sizeof text - used - 1)
            name.size = sizeof text - used - 1;
        memcpy(text + used, name.data, name.size);
        used += name.size;
        if (shown && at == first)
            break;
        for (const char *arrow = " <- "; *arrow && used < sizeof text - 1; arrow++)
            text[used++] = *arrow;
        at = (uint32_t)waits_for(graph, done, at);
    }
    text[used] = '\0';
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "steps wait for each other in a circle: %s",
                     text);
}

static bool put_in_order(struct pipeline_graph *graph, struct error *ret_error)
{
    bool done[PIPELINE_MAX_STEPS] = {false};
    size_t count = 0, before;
    graph->order = arena_calloc(graph->arena, graph->step_count, sizeof *graph->order);
    if (!graph->order)
        return error_no_memory(ret_error);
    do {
        before = count;
        for (uint32_t i = 0; i < graph->step_count; i++) {
            if (done[i] || waits_for(graph, done, i) >= 0)
                continue;
            done[i] = true;
            graph->order[count++] = i;
        }
    } while (count > before);
    return count == graph->step_count || circle(graph, done, ret_error);
}

bool pipeline_graph_finish(struct pipeline_graph *graph, struct error *ret_error)
{
    if (!graph->step_count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a pipeline has no steps");
    if (graph->at_once < 1 || graph->at_once > PIPELINE_MAX_AT_ONCE)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'max_inflight_requests' must be at most %d", PIPELINE_MAX_AT_ONCE);
    for (uint32_t i = 0; i < graph->step_count; i++) {
        if (!note_tensors(graph, i, ret_error))
            return false;
    }
    return put_in_order(graph, ret_error);
}

/* ---- copies ---- */

static bool copy_edges(struct arena *arena, struct pipeline_edge **edges, size_t count)
{
    struct pipeline_edge *copy = arena_calloc(arena, count, sizeof *copy);
    if (!copy)
        return false;
    for (size_t i = 0; i < count; i++) {
        copy[i] = (*edges)[i];
        if (!arena_copy(arena, (*edges)[i].name, &copy[i].name))
            return false;
    }
    *edges = copy;
    return true;
}

static bool copy_steps(struct arena *arena, struct pipeline_graph *copy)
{
    struct pipeline_step *steps = arena_calloc(arena, copy->step_count, sizeof *steps);
    copy->step_capacity = copy->step_count;
    for (size_t i = 0; steps && i < copy->step_count; i++) {
        struct pipeline_step *step = &steps[i];
        *step = copy->steps[i];
        step->input_capacity = step->input_count;
        step->output_capacity = step->output_count;
        if (!arena_copy(arena, step->name, &step->name) ||
            !arena_copy(arena, step->model, &step->model) ||
            !copy_edges(arena, &step->inputs, step->input_count) ||
            !copy_edges(arena, &step->outputs, step->output_count))
            return false;
    }
    copy->steps = steps;
    return steps != NULL;
}

bool pipeline_graph_copy(const struct pipeline_graph *graph, struct arena *arena,
                         struct pipeline_graph *ret_copy)
{
    struct pipeline_graph copy = *graph;
    copy.arena = arena;
    copy.tensor_capacity = copy.tensor_count;
    copy.tensors = arena_calloc(arena, graph->tensor_count, sizeof *copy.tensors);
    copy.order = arena_calloc(arena, graph->step_count, sizeof *copy.order);
    if (!copy.tensors || !copy.order || !copy_steps(arena, &copy))
        return false;
    for (size_t i = 0; i < graph->tensor_count; i++) {
        copy.tensors[i] = graph->tensors[i];
        if (!arena_copy(arena, graph->tensors[i].name, &copy.tensors[i].name))
            return false;
    }
    memcpy(copy.order, graph->order, graph->step_count * sizeof *copy.order);
    *ret_copy = copy;
    return true;
}
