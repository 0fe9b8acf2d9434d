/* The shape of an input whose value is JSON and has no shape beside it: found from its arrays and
 * the model's schema. Pure. */
#ifndef TENSORD_API_INPUT_SHAPE_H
#define TENSORD_API_INPUT_SHAPE_H

#include "base/tensor.h"
#include "codec/json.h"

/* Of the value that comes next, which may be nested as the schema's shape is, or flat, or one
 * element: then the shape is the schema's, whose last free dimension takes what the value has, and
 * whose other free ones are 1. The reader does not move. */
bool input_shape_find(struct json *json, const struct tensor_info *info, struct shape *ret_shape);

/* The same of an array of rows: the first dimension is how many there are, and only those behind it
 * are filled. */
bool input_shape_of_rows(struct json *json, const struct tensor_info *info,
                         struct shape *ret_shape);

#endif
