/* From a config's steps to a graph; see model_steps.h. */
#include "repository/model_steps.h"

enum { NEWEST = -1 };

static bool read_version(const struct pipeline_step *step, int64_t version, int64_t *ret_version,
                         struct error *ret_error)
{
    if (version < NEWEST)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "step '%.*s': a version is 1 or above, or -1 for the newest",
                         SPAN_ARGS(step->name));
    *ret_version = version == 0 ? NEWEST : version;
    return true;
}

/* ---- steps ---- */

static bool read_edges(struct pipeline_graph *graph, const struct tensord_step *from,
                       struct error *ret_error)
{
    for (uint32_t i = 0; i < from->input.count; i++) {
        if (!pipeline_add_input(graph, from->input.items[i].key, from->input.items[i].value,
                                ret_error))
            return false;
    }
    for (uint32_t i = 0; i < from->output.count; i++) {
        if (!pipeline_add_output(graph, from->output.items[i].key, from->output.items[i].value,
                                 ret_error))
            return false;
    }
    return true;
}

static bool read_parts(struct pipeline_graph *graph, const struct pipeline_step *step,
                       const struct tensord_step *from, struct error *ret_error)
{
    if (from->rows && !from->for_each.count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "step '%.*s': 'rows' says how many rows of 'for_each' a call gets, and "
                         "there is none",
                         SPAN_ARGS(step->name));
    for (uint32_t i = 0; i < from->for_each.count; i++) {
        if (!pipeline_add_each(graph, from->for_each.items[i], from->rows ? from->rows : 1,
                               ret_error))
            return false;
    }
    return true;
}

static bool read_step(struct pipeline_graph *graph, const struct tensord_step *from,
                      struct error *ret_error)
{
    struct pipeline_step *step =
        pipeline_add_step(graph, from->name, from->model, NEWEST, ret_error);
    return step && read_version(step, from->version, &step->version, ret_error) &&
           read_edges(graph, from, ret_error) && read_parts(graph, step, from, ret_error) &&
           (!from->when.size || pipeline_add_condition(graph, from->when, false, ret_error)) &&
           (!from->unless.size || pipeline_add_condition(graph, from->unless, true, ret_error));
}

/* ---- Triton's ---- */

static bool read_ensemble_step(struct pipeline_graph *graph,
                               const struct inference_model_ensembling_step *from,
                               struct error *ret_error)
{
    struct pipeline_step *step =
        pipeline_add_step(graph, (struct span){0}, from->model_name, NEWEST, ret_error);
    if (!step || !read_version(step, from->model_version, &step->version, ret_error))
        return false;
    if (from->model_namespace.size)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "step '%.*s': 'model_namespace' is not supported", SPAN_ARGS(step->name));
    for (uint32_t i = 0; i < from->input_map.count; i++) {
        if (!pipeline_add_input(graph, from->input_map.items[i].key, from->input_map.items[i].value,
                                ret_error))
            return false;
    }
    for (uint32_t i = 0; i < from->output_map.count; i++) {
        if (!pipeline_add_output(graph, from->output_map.items[i].key,
                                 from->output_map.items[i].value, ret_error))
            return false;
    }
    return true;
}

bool model_steps_read(const struct tensord_model_sections *sections,
                      const struct inference_model_ensembling *ensemble, struct arena *arena,
                      struct pipeline_graph *ret_graph, struct error *ret_error)
{
    struct pipeline_graph *graph = ret_graph;
    pipeline_graph_init(graph, arena);
    if (ensemble && ensemble->max_inflight_requests)
        graph->at_once = ensemble->max_inflight_requests;
    for (uint32_t i = 0; i < sections->steps.count; i++) {
        if (!read_step(graph, &sections->steps.items[i], ret_error))
            return false;
    }
    for (uint32_t i = 0; ensemble && i < ensemble->step.count; i++) {
        if (!read_ensemble_step(graph, &ensemble->step.items[i], ret_error))
            return false;
    }
    return pipeline_graph_finish(graph, ret_error);
}

/* ---- as Triton's ---- */

static bool describe_edges(const struct pipeline_graph *graph, const struct pipeline_edge *edges,
                           size_t count, struct arena *arena,
                           struct model_config_string_string_entry **ret_items)
{
    struct model_config_string_string_entry *items = arena_calloc(arena, count, sizeof *items);
    for (size_t i = 0; items && i < count; i++) {
        items[i].key = edges[i].name;
        items[i].value = graph->tensors[edges[i].tensor].name;
    }
    *ret_items = items;
    return items != NULL;
}

struct inference_model_ensembling *model_steps_describe(const struct pipeline_graph *graph,
                                                        struct arena *arena)
{
    struct inference_model_ensembling *section = arena_calloc(arena, 1, sizeof *section);
    struct inference_model_ensembling_step *items =
        arena_calloc(arena, graph->step_count, sizeof *items);
    bool good = section && items;
    for (size_t i = 0; good && i < graph->step_count; i++) {
        const struct pipeline_step *step = &graph->steps[i];
        items[i].model_name = step->model;
        items[i].model_version = step->version;
        items[i].input_map.count = (uint32_t)step->input_count;
        items[i].output_map.count = (uint32_t)step->output_count;
        good = describe_edges(graph, step->inputs, step->input_count, arena,
                              &items[i].input_map.items) &&
               describe_edges(graph, step->outputs, step->output_count, arena,
                              &items[i].output_map.items);
    }
    if (!good)
        return NULL;
    section->step.items = items;
    section->step.count = (uint32_t)graph->step_count;
    return section;
}

/* ---- as bytes ---- */

static void pack_edges(const struct pipeline_graph *graph, const struct pipeline_edge *edges,
                       size_t count, struct buf *buf)
{
    pack_number(buf, count);
    for (size_t i = 0; i < count; i++) {
        pack_string(buf, edges[i].name);
        pack_string(buf, graph->tensors[edges[i].tensor].name);
        pack_number(buf, edges[i].each);
    }
}

void model_steps_pack(const struct pipeline_graph *graph, struct buf *buf)
{
    pack_number(buf, graph->at_once);
    pack_number(buf, graph->step_count);
    for (size_t i = 0; i < graph->step_count; i++) {
        const struct pipeline_step *step = &graph->steps[i];
        bool conditional = step->condition != PIPELINE_NO_TENSOR;
        pack_string(buf, step->name);
        pack_string(buf, step->model);
        pack_number(buf, (uint64_t)(step->version - NEWEST));
        pack_number(buf, step->rows);
        pack_edges(graph, step->inputs, step->input_count, buf);
        pack_edges(graph, step->outputs, step->output_count, buf);
        pack_number(buf, conditional);
        if (!conditional)
            continue;
        pack_string(buf, graph->tensors[step->condition].name);
        pack_number(buf, step->negated);
    }
}

static bool unpack_edges(struct unpack *unpack, struct pipeline_graph *graph, uint32_t rows,
                         bool inputs)
{
    size_t count = unpack_number(unpack, PIPELINE_MAX_EDGES);
    for (size_t i = 0; i < count && !unpack->failed; i++) {
        struct span name = unpack_string(unpack), tensor = unpack_string(unpack);
        bool each = unpack_bool(unpack);
        if (!(inputs ? pipeline_add_input(graph, name, tensor, NULL)
                     : pipeline_add_output(graph, name, tensor, NULL)) ||
            (each && (!inputs || !pipeline_add_each(graph, tensor, rows, NULL))))
            return false;
    }
    return !unpack->failed;
}

static bool unpack_step(struct unpack *unpack, struct pipeline_graph *graph)
{
    struct span name = unpack_string(unpack), model = unpack_string(unpack);
    int64_t version = (int64_t)unpack_number(unpack, INT64_MAX) + NEWEST;
    uint32_t rows = (uint32_t)unpack_number(unpack, PIPELINE_MAX_ROWS);
    if (unpack->failed || !name.size || !pipeline_add_step(graph, name, model, version, NULL) ||
        !unpack_edges(unpack, graph, rows, true) || !unpack_edges(unpack, graph, rows, false))
        return false;
    if (!unpack_bool(unpack))
        return true;
    struct span condition = unpack_string(unpack);
    return pipeline_add_condition(graph, condition, unpack_bool(unpack), NULL);
}

void model_steps_unpack(struct unpack *unpack, struct pipeline_graph *ret_graph)
{
    pipeline_graph_init(ret_graph, unpack->arena);
    ret_graph->at_once = (uint32_t)unpack_number(unpack, PIPELINE_MAX_AT_ONCE);
    size_t count = unpack_number(unpack, PIPELINE_MAX_STEPS);
    bool good = true;
    for (size_t i = 0; i < count && good; i++)
        good = unpack_step(unpack, ret_graph);
    if (!good || unpack->failed || !pipeline_graph_finish(ret_graph, NULL))
        unpack->failed = true;
}
