/* What a pipeline takes and gives, found out from what the models of its steps take and give, and
 * whether they fit together. Pure. */
#ifndef TENSORD_PIPELINE_DERIVE_H
#define TENSORD_PIPELINE_DERIVE_H

#include "base/tensor.h"
#include "pipeline/graph.h"

/* What the config says of the pipeline's own inputs and outputs; empty: it does not, and inputs are
 * the tensors that no step gives, outputs those that no step takes. */
struct pipeline_declared {
    const struct tensor_info *inputs;
    size_t input_count;
    const struct tensor_info *outputs;
    size_t output_count;
};

/* schemas[i] is that of the model of step i. Fills in inputs and outputs of *ret_schema, which lie
 * in arena, and in the graph which inputs of steps are optional. False with a sentence that names
 * the step and the tensor: a name that the model has not, an input that it wants and does not get,
 * datatypes or shapes that differ, a condition that is no BOOL, what is declared otherwise. */
bool pipeline_derive(struct pipeline_graph *graph, const struct schema *const *schemas,
                     const struct pipeline_declared *declared, struct arena *arena,
                     struct schema *ret_schema, struct error *ret_error);

#endif
