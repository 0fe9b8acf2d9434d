/* A request of which the JSON says but names and values: the model that it is for, and what holds
 * of what was read. */
#ifndef TENSORD_FUZZ_INFER_SCHEMA_H
#define TENSORD_FUZZ_INFER_SCHEMA_H

#include "infer_request.h"

static struct tensor_info infer_inputs[] = {
    {.name = SPAN("t"), .datatype = TENSORD_BYTES, .shape = {1, {-1}}},
    {.name = SPAN("r"), .datatype = TENSORD_FP32, .shape = {2, {-1, 3}}, .optional = true},
    {.name = SPAN("f"), .datatype = TENSORD_INT64, .shape = {3, {-1, 2, -1}}, .optional = true},
    {.name = SPAN("a"),
     .datatype = TENSORD_FP32,
     .shape = {1, {-1}},
     .any_rank = true,
     .optional = true},
    {.name = SPAN("s"), .datatype = TENSORD_BOOL, .shape = {0}, .optional = true},
};
static const struct schema infer_schema = {
    .inputs = infer_inputs, .input_count = sizeof infer_inputs / sizeof *infer_inputs};

/* Each input is one of the model's, and has a shape that fits. `alone`: one may be an element
 * without brackets. */
static inline void infer_schema_check(const struct infer_json *request, bool alone)
{
    assert(request->input_count <= infer_schema.input_count && !request->output_count);
    for (size_t i = 0; i < request->input_count; i++) {
        const struct infer_json_input *input = &request->inputs[i];
        const struct tensor_info *info = &infer_inputs[schema_input(&infer_schema, input->name)];
        uint64_t count;
        assert(input->datatype == info->datatype && input->shape.ndim <= TENSOR_MAX_DIMS);
        assert(info->any_rank || input->shape.ndim == info->shape.ndim);
        assert(shape_count(&input->shape, &count));
        assert(!input->alone || (alone && count <= 1));
    }
}

#endif
