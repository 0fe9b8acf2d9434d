/* Comparing requests; see batch.h. */
#include "serving/batch.h"

static bool same_but_rows(const struct channel_tensor *a, const struct channel_tensor *b)
{
    if (a->index != b->index || a->datatype != b->datatype || a->shape.ndim != b->shape.ndim)
        return false;
    for (uint32_t i = 1; i < a->shape.ndim; i++) {
        if (a->shape.dims[i] != b->shape.dims[i])
            return false;
    }
    return a->shape.ndim > 0;
}

bool batch_joinable(const struct inference *a, const struct inference *b)
{
    if (a->runs_alone || b->runs_alone || a->input_count != b->input_count || a->parameter_count ||
        b->parameter_count || a->request.wanted_outputs != b->request.wanted_outputs)
        return false;
    for (size_t i = 0; i < a->input_count; i++) {
        if (!same_but_rows(&a->inputs[i], &b->inputs[i]))
            return false;
    }
    return a->input_count > 0;
}

bool batch_joins(const struct queue_entry *a, const struct queue_entry *b)
{
    return batch_joinable(list_entry(a, struct inference, entry),
                          list_entry(b, struct inference, entry));
}

uint64_t batch_rows(const struct inference *inference)
{
    if (inference->input_count == 0 || inference->inputs[0].shape.ndim == 0 ||
        inference->inputs[0].shape.dims[0] < 1)
        return 1;
    return (uint64_t)inference->inputs[0].shape.dims[0];
}
