/* Deriving a pipeline's schema; see derive.h. Steps are looked at in order, so that what gives a
 * tensor is known before what takes it. */
#include "pipeline/derive.h"

#include <stdio.h>

enum { SHAPE_BYTES = 400 };

/* What is known of a tensor so far, and who said it. */
struct known {
    struct tensor_info info; /* datatype TENSORD_INVALID: nothing */
    const struct pipeline_step *step;
    struct span of; /* the input or output of its model */
    bool gives;     /* that step gives it; else it takes it */
};

struct maker {
    struct pipeline_graph *graph;
    const struct schema *const *schemas;
    struct arena *arena;
    struct known *known; /* by tensor */
    struct error *error;
};

#define fail(maker, ...) error_set((maker)->error, ERROR_INVALID_ARGUMENT, __VA_ARGS__)

static bool has_no_such(struct maker *maker, const struct pipeline_step *step, const char *what,
                        struct span name)
{
    return fail(maker, "step '%.*s': model '%.*s' has no %s '%.*s'", SPAN_ARGS(step->name),
                SPAN_ARGS(step->model), what, SPAN_ARGS(name));
}

/* ---- do two fit? ---- */

static bool shapes_fit(const struct tensor_info *a, const struct tensor_info *b)
{
    if (a->any_rank || b->any_rank)
        return true;
    if (a->shape.ndim != b->shape.ndim)
        return false;
    for (uint32_t i = 0; i < a->shape.ndim; i++) {
        if (a->shape.dims[i] >= 0 && b->shape.dims[i] >= 0 && a->shape.dims[i] != b->shape.dims[i])
            return false;
    }
    return true;
}

static char *describe(const struct tensor_info *info, char text[SHAPE_BYTES])
{
    char shape[SHAPE_BYTES - 16];
    if (info->any_rank)
        snprintf(text, SHAPE_BYTES, "%s", datatype_name(info->datatype));
    else
        snprintf(text, SHAPE_BYTES, "%s %s", datatype_name(info->datatype),
                 shape_format(&info->shape, shape, sizeof shape));
    return text;
}

/* A sentence for two that do not fit: what the step wants or gives, and what the tensor was known
 * to be. */
static bool unfit(struct maker *maker, const struct known *known, const struct known *other,
                  uint32_t tensor)
{
    char is[SHAPE_BYTES], was[SHAPE_BYTES];
    return fail(maker,
                "step '%.*s': '%.*s' of model '%.*s' is %s, but tensor '%.*s', which step "
                "'%.*s' %s as '%.*s', is %s",
                SPAN_ARGS(other->step->name), SPAN_ARGS(other->of), SPAN_ARGS(other->step->model),
                describe(&other->info, is), SPAN_ARGS(maker->graph->tensors[tensor].name),
                SPAN_ARGS(known->step->name), known->gives ? "gives" : "takes",
                SPAN_ARGS(known->of), describe(&known->info, was));
}

/* What is known of both: fixed dimensions where either has them. */
static void narrow(struct tensor_info *info, const struct tensor_info *by)
{
    if (info->any_rank && !by->any_rank) {
        info->shape = by->shape;
        info->any_rank = false;
    }
    for (uint32_t i = 0; !by->any_rank && i < info->shape.ndim; i++) {
        if (info->shape.dims[i] < 0)
            info->shape.dims[i] = by->shape.dims[i];
    }
    info->optional = info->optional && by->optional;
}

/* Where two steps may give it, only what they agree on is known. */
static void widen(struct tensor_info *info, const struct tensor_info *by)
{
    info->any_rank |= by->any_rank;
    for (uint32_t i = 0; !info->any_rank && i < info->shape.ndim; i++) {
        if (info->shape.dims[i] != by->shape.dims[i])
            info->shape.dims[i] = -1;
    }
}

static bool meet(struct maker *maker, uint32_t tensor, const struct known *other)
{
    struct known *known = &maker->known[tensor];
    if (known->info.datatype == TENSORD_INVALID) {
        *known = *other;
        known->info.name = maker->graph->tensors[tensor].name;
        known->info.ragged = false; /* how the step's model joins its requests is not ours */
        known->info.padding = 0;
        return true;
    }
    if (known->info.datatype != other->info.datatype || !shapes_fit(&known->info, &other->info))
        return unfit(maker, known, other, tensor);
    if (known->gives && other->gives)
        widen(&known->info, &other->info);
    else if (!known->gives)
        narrow(&known->info, &other->info);
    return true;
}

/* ---- steps ---- */

/* A part's rows are any number of the whole tensor's. */
static bool widen_rows(struct maker *maker, const struct pipeline_step *step,
                       const struct pipeline_edge *edge, bool input, struct tensor_info *info)
{
    if (info->any_rank)
        return true;
    if (info->shape.ndim == 0)
        return fail(maker,
                    "step '%.*s': '%.*s' of model '%.*s' has no rows, so that it cannot be %s",
                    SPAN_ARGS(step->name), SPAN_ARGS(edge->name), SPAN_ARGS(step->model),
                    input ? "one part of several" : "joined");
    if (input && info->shape.dims[0] >= 0 && info->shape.dims[0] != step->rows)
        return fail(maker, "step '%.*s': '%.*s' of model '%.*s' takes %lld rows, and parts have %u",
                    SPAN_ARGS(step->name), SPAN_ARGS(edge->name), SPAN_ARGS(step->model),
                    (long long)info->shape.dims[0], step->rows);
    info->shape.dims[0] = -1;
    return true;
}

static bool take_input(struct maker *maker, const struct pipeline_step *step,
                       const struct schema *schema, struct pipeline_edge *edge)
{
    int index = schema_input(schema, edge->name);
    if (index < 0)
        return has_no_such(maker, step, "input", edge->name);
    struct known known = {.info = schema->inputs[index], .step = step, .of = edge->name};
    edge->optional = known.info.optional;
    known.info.runs_alone = false;
    return (!edge->each || widen_rows(maker, step, edge, true, &known.info)) &&
           meet(maker, edge->tensor, &known);
}

static bool take_output(struct maker *maker, const struct pipeline_step *step,
                        const struct schema *schema, const struct pipeline_edge *edge)
{
    int index = schema_output(schema, edge->name);
    if (index < 0)
        return has_no_such(maker, step, "output", edge->name);
    struct known known = {
        .info = schema->outputs[index], .step = step, .of = edge->name, .gives = true};
    known.info.optional = false;
    return (!step->rows || widen_rows(maker, step, edge, false, &known.info)) &&
           meet(maker, edge->tensor, &known);
}

static bool is_given(const struct pipeline_step *step, struct span input)
{
    for (size_t i = 0; i < step->input_count; i++) {
        if (span_equal(step->inputs[i].name, input))
            return true;
    }
    return false;
}

static bool gets_all(struct maker *maker, const struct pipeline_step *step,
                     const struct schema *schema)
{
    for (size_t i = 0; i < schema->input_count; i++) {
        const struct tensor_info *input = &schema->inputs[i];
        if (!input->optional && !is_given(step, input->name))
            return fail(maker,
                        "step '%.*s': model '%.*s' wants an input '%.*s', which it is not given",
                        SPAN_ARGS(step->name), SPAN_ARGS(step->model), SPAN_ARGS(input->name));
    }
    return true;
}

static bool take_condition(struct maker *maker, const struct pipeline_step *step)
{
    const struct known any = {
        .info = {.datatype = TENSORD_BOOL, .shape = {.ndim = 1, .dims = {1}}, .any_rank = true},
        .step = step,
        .of = SPAN("the condition"),
    };
    if (step->condition == PIPELINE_NO_TENSOR)
        return true;
    const struct known *known = &maker->known[step->condition];
    if (known->info.datatype != TENSORD_INVALID && known->info.datatype != TENSORD_BOOL)
        return fail(maker, "step '%.*s': its condition '%.*s' is %s, not BOOL",
                    SPAN_ARGS(step->name), SPAN_ARGS(maker->graph->tensors[step->condition].name),
                    datatype_name(known->info.datatype));
    return meet(maker, (uint32_t)step->condition, &any);
}

static bool take_step(struct maker *maker, uint32_t index)
{
    struct pipeline_step *step = &maker->graph->steps[index];
    const struct schema *schema = maker->schemas[index];
    for (size_t i = 0; i < step->input_count; i++) {
        if (!take_input(maker, step, schema, &step->inputs[i]))
            return false;
    }
    for (size_t i = 0; i < step->output_count; i++) {
        if (!take_output(maker, step, schema, &step->outputs[i]))
            return false;
    }
    return gets_all(maker, step, schema) && take_condition(maker, step);
}

/* ---- the pipeline's own inputs and outputs ---- */

static const struct tensor_info *named(const struct tensor_info *infos, size_t count,
                                       struct span name)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(infos[i].name, name))
            return &infos[i];
    }
    return NULL;
}

/* What is declared is as it was found out, or says more. */
static bool take_declared(struct maker *maker, const char *what, const struct tensor_info *declared,
                          struct tensor_info *info)
{
    char is[SHAPE_BYTES], was[SHAPE_BYTES];
    if (declared->datatype != info->datatype || !shapes_fit(declared, info))
        return fail(maker, "%s '%.*s' is declared as %s, but is %s", what,
                    SPAN_ARGS(declared->name), describe(declared, is), describe(info, was));
    bool optional = info->optional && declared->optional;
    if (declared->optional && !info->optional)
        return fail(maker, "%s '%.*s' is declared as optional, but a step needs it", what,
                    SPAN_ARGS(declared->name));
    narrow(info, declared);
    info->optional = optional;
    return true;
}

static struct tensor_info *infos(struct maker *maker, size_t count)
{
    struct tensor_info *made = arena_calloc(maker->arena, count, sizeof *made);
    if (!made)
        error_no_memory(maker->error);
    return made;
}

static bool make_inputs(struct maker *maker, const struct pipeline_declared *declared,
                        struct schema *schema)
{
    const struct pipeline_graph *graph = maker->graph;
    schema->inputs = infos(maker, graph->tensor_count);
    if (!schema->inputs)
        return false;
    for (size_t i = 0; i < declared->input_count; i++) {
        const struct tensor_info *input = &declared->inputs[i];
        int32_t tensor = pipeline_tensor_named(graph, input->name);
        if (tensor < 0 || !pipeline_is_input(&graph->tensors[tensor]))
            return fail(maker,
                        tensor < 0 ? "no step takes the input '%.*s'"
                                   : "input '%.*s' is given by a step, too",
                        SPAN_ARGS(input->name));
        struct tensor_info *info = &schema->inputs[schema->input_count++];
        *info = maker->known[tensor].info;
        if (!take_declared(maker, "input", input, info))
            return false;
    }
    for (size_t i = 0; i < graph->tensor_count; i++) {
        const struct pipeline_tensor *tensor = &graph->tensors[i];
        if (!pipeline_is_input(tensor) ||
            named(declared->inputs, declared->input_count, tensor->name))
            continue;
        if (declared->input_count)
            return fail(maker,
                        "step '%.*s' takes '%.*s', which no step gives and which is no input",
                        SPAN_ARGS(graph->steps[tensor->user].name), SPAN_ARGS(tensor->name));
        schema->inputs[schema->input_count++] = maker->known[i].info;
    }
    return true;
}

static bool make_outputs(struct maker *maker, const struct pipeline_declared *declared,
                         struct schema *schema)
{
    const struct pipeline_graph *graph = maker->graph;
    schema->outputs = infos(maker, graph->tensor_count + declared->output_count);
    if (!schema->outputs)
        return false;
    for (size_t i = 0; i < declared->output_count; i++) {
        const struct tensor_info *output = &declared->outputs[i];
        int32_t tensor = pipeline_tensor_named(graph, output->name);
        if (tensor < 0 || pipeline_is_input(&graph->tensors[tensor]))
            return fail(maker, "no step gives the output '%.*s'", SPAN_ARGS(output->name));
        struct tensor_info *info = &schema->outputs[schema->output_count++];
        *info = maker->known[tensor].info;
        if (!take_declared(maker, "output", output, info))
            return false;
    }
    for (size_t i = 0; i < graph->tensor_count && !declared->output_count; i++) {
        if (!pipeline_is_input(&graph->tensors[i]) && graph->tensors[i].user < 0)
            schema->outputs[schema->output_count++] = maker->known[i].info;
    }
    return true;
}

bool pipeline_derive(struct pipeline_graph *graph, const struct schema *const *schemas,
                     const struct pipeline_declared *declared, struct arena *arena,
                     struct schema *ret_schema, struct error *ret_error)
{
    struct maker maker = {.graph = graph, .schemas = schemas, .arena = arena, .error = ret_error};
    maker.known = arena_calloc(arena, graph->tensor_count, sizeof *maker.known);
    if (!maker.known)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < graph->step_count; i++) {
        if (!take_step(&maker, graph->order[i]))
            return false;
    }
    return make_inputs(&maker, declared, ret_schema) && make_outputs(&maker, declared, ret_schema);
}
