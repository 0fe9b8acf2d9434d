/* BYTES tensors to and from ONNX Runtime's string tensors. */
#ifndef TENSORD_ENGINES_ONNX_STRINGS_H
#define TENSORD_ENGINES_ONNX_STRINGS_H

#include "onnx/model.h"

/* Makes a string tensor of a BYTES input; the caller releases it (also after a failure, when it is
 * not NULL). Fails when the lengths do not add up. */
enum tensord_status onnx_strings_in(const struct onnx_model *model,
                                    const struct tensord_tensor *input,
                                    struct ort_value **ret_value);

/* Answers output `index` with a string tensor. */
enum tensord_status onnx_strings_out(const struct onnx_model *model,
                                     struct tensord_execution *execution, uint32_t index,
                                     const struct ort_value *result, const int64_t *shape,
                                     uint32_t ndim);

#endif
