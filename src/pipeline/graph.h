/* The graph of a pipeline: steps, each a call of another model, and the tensors between them.
 *
 *     image ─► prepare ─► x ─► detect ─► heat ─► boxes ─► box ═(each row)═► read ─► text
 *
 * A tensor has a name of the pipeline's own. One that no step gives is an input of the pipeline. A
 * step may run on a condition (a BOOL tensor), and once for each part of a tensor's rows. Pure;
 * made once, from a config, in an arena that outlives it. */
#ifndef TENSORD_PIPELINE_GRAPH_H
#define TENSORD_PIPELINE_GRAPH_H

#include "base/arena.h"
#include "base/error.h"

enum {
    PIPELINE_MAX_STEPS = 256,
    PIPELINE_MAX_TENSORS = 1024,
    PIPELINE_MAX_EDGES = 4096,   /* inputs and outputs of all steps */
    PIPELINE_MAX_ROWS = 1 << 20, /* of a part */
    PIPELINE_MAX_AT_ONCE = 256,  /* parts of one step */
    PIPELINE_USUAL_AT_ONCE = 16, /* likewise, where the config does not say */
    PIPELINE_NO_TENSOR = -1,
};

/* One input or output of a step's model, and the tensor that it is. */
struct pipeline_edge {
    struct span name; /* of the model */
    uint32_t tensor;
    bool each;     /* an input of which a call gets one part of the rows */
    bool optional; /* an input that the model can do without; known once its schema is */
};

struct pipeline_step {
    struct span name, model;
    int64_t version; /* -1: the newest */
    struct pipeline_edge *inputs;
    size_t input_count, input_capacity;
    struct pipeline_edge *outputs;
    size_t output_count, output_capacity;
    int32_t condition; /* the tensor that it runs on, or PIPELINE_NO_TENSOR */
    bool negated;      /* it runs when that is false */
    uint32_t rows;     /* of a part; 0: it is called once, with whole tensors */
};

struct pipeline_tensor {
    struct span name;
    int32_t givers[2]; /* steps that give it, or -1; two when one runs if, one unless a tensor */
    int32_t user;      /* the first step that takes it, or -1 */
};

struct pipeline_graph {
    struct arena *arena;
    struct pipeline_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    struct pipeline_step *steps;
    size_t step_count, step_capacity;
    size_t edge_count;
    uint32_t *order;  /* all steps, each behind those that it needs */
    uint32_t at_once; /* calls of one step, for one request */
};

/* An empty one, whose parts will lie in arena. */
void pipeline_graph_init(struct pipeline_graph *graph, struct arena *arena);

/* Adds a step; it stays where it is until the next. name may be empty: it is called like its model,
 * with a number behind where that is needed. Names are copied. NULL with an error. */
struct pipeline_step *pipeline_add_step(struct pipeline_graph *graph, struct span name,
                                        struct span model, int64_t version,
                                        struct error *ret_error);

/* The newest step's model takes this tensor of the pipeline as that input, or gives it as that
 * output. */
bool pipeline_add_input(struct pipeline_graph *graph, struct span input, struct span tensor,
                        struct error *ret_error);
bool pipeline_add_output(struct pipeline_graph *graph, struct span output, struct span tensor,
                         struct error *ret_error);

/* The newest step runs only if (negated: unless) this tensor is true. */
bool pipeline_add_condition(struct pipeline_graph *graph, struct span tensor, bool negated,
                            struct error *ret_error);

/* The newest step, whose inputs are known, is called for each part of so many rows of this tensor;
 * of several with as many rows, together. */
bool pipeline_add_each(struct pipeline_graph *graph, struct span tensor, uint32_t rows,
                       struct error *ret_error);

/* All is known: checks it, and puts it in order. False with a sentence that says where (doubled
 * outputs, circles, steps without outputs). */
bool pipeline_graph_finish(struct pipeline_graph *graph, struct error *ret_error);

/* A deep copy into another arena; false when there is no memory. */
bool pipeline_graph_copy(const struct pipeline_graph *graph, struct arena *arena,
                         struct pipeline_graph *ret_copy);

/* The tensor of that name, or PIPELINE_NO_TENSOR. */
int32_t pipeline_tensor_named(const struct pipeline_graph *graph, struct span name);

/* True when no step gives it: it comes with the request. */
static inline bool pipeline_is_input(const struct pipeline_tensor *tensor)
{
    return tensor->givers[0] < 0;
}

#endif
