/* From values to classes; see classify.h. A model that joins requests has a row for each item of
 * the batch; of any other, the whole output is one. */
#include "api/classify.h"

#include "codec/top_classes.h"
#include "serving/labels.h"

#include <assert.h>

bool classify_want(struct inference *inference, const uint32_t *counts, size_t count,
                   struct arena *arena, struct error *ret_error)
{
    struct classes_wanted *wanted;
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || counts[i] > 0;
    if (!any)
        return true;
    wanted = arena_calloc(arena, 1, sizeof *wanted);
    if (!wanted)
        return error_no_memory(ret_error);
    wanted->counts = arena_calloc(arena, count, sizeof *wanted->counts);
    wanted->list = arena_calloc(arena, count, sizeof *wanted->list);
    if (!wanted->counts || !wanted->list)
        return error_no_memory(ret_error);
    memcpy(wanted->counts, counts, count * sizeof *counts);
    inference->classes = wanted;
    return true;
}

static uint32_t count_of(const struct inference *inference, const struct inference_output *output)
{
    for (size_t i = 0; inference->classes && i < inference->output_name_count; i++) {
        if (span_equal(inference->output_names[i], output->info->name))
            return inference->classes->counts[i];
    }
    return 0;
}

bool classify_wants(const struct inference *inference, const struct inference_output *output)
{
    return count_of(inference, output) > 0;
}

/* Makes the classes of one output, behind those of others. */
static bool classify(struct api_call *call, const struct inference *inference,
                     struct inference_output *output, uint32_t wanted, struct error *ret_error)
{
    const struct schema *schema = inference_schema(inference);
    const struct labels *labels = inference_labels(inference, output->info->name);
    bool batches = schema && schema->max_batch_size > 0 && output->shape.ndim > 0;
    size_t rows = 1, width = 1, start = call->classes.size;
    for (uint32_t i = 0; i < output->shape.ndim; i++)
        *(i == 0 && batches ? &rows : &width) *= (size_t)output->shape.dims[i];
    size_t count = wanted < width ? wanted : width;
    if (!top_classes(output->datatype, rows, width, count, output->data,
                     labels ? labels->names : NULL, labels ? labels->count : 0, &call->classes,
                     ret_error)) {
        return buf_ok(&call->classes) ? false : message_no_memory(&call->classes, ret_error);
    }
    output->datatype = TENSORD_BYTES;
    output->shape = (struct shape){.ndim = batches ? 2 : 1};
    output->shape.dims[0] = (int64_t)(batches ? rows : count);
    output->shape.dims[1] = batches ? (int64_t)count : 0;
    output->data = (struct span){NULL, call->classes.size - start};
    return true;
}

bool classify_outputs(struct api_call *call, const struct inference *inference,
                      struct inference_outputs *outputs, struct error *ret_error)
{
    if (!inference->classes)
        return true;
    struct inference_output *list = inference->classes->list;
    size_t at = 0, count = outputs->count;
    assert(count <= inference->output_name_count);
    buf_clear(&call->classes);
    for (size_t i = 0; i < count; i++) {
        list[i] = outputs->items[i];
        uint32_t wanted = count_of(inference, &list[i]);
        if (wanted && !classify(call, inference, &list[i], wanted, ret_error))
            return false;
    }
    for (size_t i = 0; i < count; i++) { /* where they lie, now that nothing moves them */
        if (!count_of(inference, &list[i]))
            continue;
        list[i].data.data = call->classes.data + at;
        at += list[i].data.size;
    }
    outputs->items = list;
    return true;
}
