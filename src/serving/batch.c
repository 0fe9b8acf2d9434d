/* Forming batches: work-conserving, without delay; see batch.h.
 *
 * The oldest request always goes, so none starves; the search for companions looks at a bounded
 * part of the queue. */
#include "serving/batch.h"

enum { SEARCH_LIMIT = 4 * BATCH_MAX_REQUESTS };

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

static uint64_t rows_of(const struct inference *inference)
{
    if (inference->input_count == 0 || inference->inputs[0].shape.ndim == 0)
        return 1;
    return (uint64_t)inference->inputs[0].shape.dims[0];
}

static struct inference *take(struct list_link *link)
{
    list_remove(link);
    return list_entry(link, struct inference, link);
}

size_t batch_take(struct list *queue, uint32_t max_rows,
                  struct inference *ret_batch[BATCH_MAX_REQUESTS])
{
    struct list_link *oldest = list_first(queue);
    if (!oldest)
        return 0;
    size_t count = 0, looked = 0;
    uint64_t rows = rows_of(list_entry(oldest, struct inference, link));
    ret_batch[count++] = take(oldest);
    if (rows >= max_rows || ret_batch[0]->runs_alone)
        return count;
    list_each(link, queue)
    {
        struct inference *next = list_entry(link, struct inference, link);
        if (count == BATCH_MAX_REQUESTS || rows >= max_rows || looked++ == SEARCH_LIMIT)
            break;
        if (rows_of(next) <= max_rows - rows && batch_joinable(ret_batch[0], next)) {
            rows += rows_of(next);
            ret_batch[count++] = take(link);
        }
    }
    return count;
}
