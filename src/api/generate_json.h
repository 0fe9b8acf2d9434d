/* The JSON of a generate request: a flat object whose keys are the model's inputs, all others the
 * request's parameters. Pure. */
#ifndef TENSORD_API_GENERATE_JSON_H
#define TENSORD_API_GENERATE_JSON_H

#include "api/infer_json.h"

/* Reads `text` as a request to a model of that schema. `id` is the request's id, `parameters` an
 * object of parameters, a null counts as left out; an input of one of these names is the input.
 *
 * An input's value is nested as its shape is, or flat, or one element: then the shape is the
 * schema's, whose last free dimension takes what the value has, and whose other free ones are 1.
 * Everything points into text or lies in arena. False with INVALID_ARGUMENT and what is wrong
 * where. */
bool generate_json_read(struct span text, const struct schema *schema, struct arena *arena,
                        struct infer_json *ret_request, struct error *ret_error);

#endif
