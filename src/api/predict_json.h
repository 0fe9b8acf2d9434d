/* The JSON of a predict request (KServe's protocol v1, TensorFlow Serving's): rows, or columns.
 * Pure.
 *
 *   {"instances": [VALUE, …]}              rows, for a model that needs one input
 *   {"instances": [{"A": VALUE, …}, …]}    rows, which have the same inputs each
 *   {"inputs": [ … ]}                      the same as instances
 *   {"inputs": {"A": VALUE, …}}            columns: each input as a whole
 *
 * `parameters` is an object of the request's parameters; other keys are passed over, as others'
 * servers do. */
#ifndef TENSORD_API_PREDICT_JSON_H
#define TENSORD_API_PREDICT_JSON_H

#include "api/infer_json.h"
#include "base/buf.h"

/* What a request holds beyond its struct infer_json. All zeros at first. */
struct predict_json {
    bool by_columns;    /* it gave columns, and so are the outputs wanted */
    struct buf *inputs; /* on the heap, one for each input of the schema: the JSON of those that
                         * were put together from objects */
    size_t input_count;
};

/* Reads `text` as a request to a model of that schema. Everything points into text, the arena, or
 * ret_predict's memory, which is held of the budget (may be NULL) and freed by predict_json_fini in
 * any case. False with INVALID_ARGUMENT and what is wrong where; RESOURCE_EXHAUSTED without memory.
 */
bool predict_json_read(struct span text, const struct schema *schema, struct arena *arena,
                       struct budget *budget, struct infer_json *ret_request,
                       struct predict_json *ret_predict, struct error *ret_error);

/* Frees; the request's data is gone then. Accepts one that is all zeros. */
void predict_json_fini(struct predict_json *predict);

#endif
