/* Comparing requests; see batch.h. */
#include "serving/batch.h"

#include "serving/generation.h"

/* What is known of an input; NULL: nothing yet. */
static const struct tensor_info *info_of(const struct inference *inference,
                                         const struct channel_tensor *input)
{
    const struct generation *generation = inference->generation;
    return generation && generation->schema ? &generation->schema->inputs[input->index] : NULL;
}

static bool same_but_rows(const struct inference *inference, const struct channel_tensor *a,
                          const struct channel_tensor *b)
{
    if (a->index != b->index || a->datatype != b->datatype || a->shape.ndim != b->shape.ndim)
        return false;
    const struct tensor_info *info = info_of(inference, a);
    const struct padding *padding =
        info ? shaping_padding(&inference->generation->spec.shaping, info) : NULL;
    if (info && info->ragged)
        return true;
    for (uint32_t i = 1; i < a->shape.ndim; i++) {
        int64_t left = a->shape.dims[i], right = b->shape.dims[i];
        if (left != right && !(padding && padding->dim == i &&
                               padding_size(padding, left) == padding_size(padding, right)))
            return false;
    }
    return a->shape.ndim > 0;
}

/* Those of clients, or, where the server gives some itself, all. */
static const struct channel_tensor *inputs_of(const struct inference *inference, size_t *ret_count)
{
    bool given = inference->request.inputs != NULL;
    *ret_count = given ? inference->request.input_count : inference->input_count;
    return given ? inference->request.inputs : inference->inputs;
}

static bool same_worker(const struct inference *a, const struct inference *b)
{
    const struct sequence *left = a->turn.sequence, *right = b->turn.sequence;
    return !left || !right || left->worker == right->worker;
}

bool batch_joinable(const struct inference *a, const struct inference *b)
{
    size_t count, other;
    const struct channel_tensor *left = inputs_of(a, &count), *right = inputs_of(b, &other);
    if (a->runs_alone || b->runs_alone || count != other || a->parameter_count ||
        b->parameter_count || a->request.wanted_outputs != b->request.wanted_outputs ||
        !same_worker(a, b))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!same_but_rows(a, &left[i], &right[i]))
            return false;
    }
    return count > 0;
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
