/* Rows without requests; see filler.h. */
#include "serving/filler.h"

#include "serving/generation.h"
#include "serving/stateful.h"

#include <stdlib.h>

struct filler {
    struct inference inference; /* first */
    struct channel_tensor inputs[];
};

/* Beside its controls it has what another row has: that is as good as anything. */
static bool make_request(struct filler *filler, const struct inference *like)
{
    struct inference *inference = &filler->inference;
    struct generation *generation = inference->generation;
    size_t count = like->request.input_count;
    uint64_t room = generation_room(generation, 1);
    memcpy(filler->inputs, like->request.inputs, count * sizeof *filler->inputs);
    stateful_put_absent(generation->stateful, filler->inputs, count);
    inference->request = (struct channel_request){
        .inputs = filler->inputs,
        .input_count = count,
        .wanted_outputs = like->request.wanted_outputs,
        .deadline_ns = CLOCK_NEVER,
        .credits = INFERENCE_ANSWERS_AHEAD,
    };
    return admission_grow(&generation->admission, &inference->share, tensor_memory_charge(room)) &&
           tensor_memory_alloc(generation->memory, room, &inference->request.grant, NULL);
}

static struct inference *make(const struct inference *like)
{
    struct filler *filler =
        calloc(1, sizeof *filler + like->request.input_count * sizeof *filler->inputs);
    if (!filler)
        return NULL;
    filler->inference.generation = generation_ref(like->generation);
    filler->inference.deadline_ns = CLOCK_NEVER;
    filler->inference.fills = true;
    if (make_request(filler, like))
        return &filler->inference;
    filler_free(&filler->inference);
    return NULL;
}

void filler_free(struct inference *filler)
{
    struct generation *generation = filler->generation;
    tensor_memory_release(generation->memory, filler->request.grant);
    admission_leave(&generation->admission, &filler->share);
    generation_admit(generation);
    generation_unref(generation);
    free((struct filler *)(void *)filler);
}

void filler_drop(struct inference *const *batch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (batch[i] && batch[i]->fills)
            filler_free(batch[i]);
    }
}

bool filler_pad(struct inference **batch, size_t *count)
{
    struct inference *rows[SEQUENCES_MAX_ROWS] = {NULL};
    const struct sequence_worker *worker = batch[0]->turn.sequence->worker;
    size_t row_count = 0;
    for (size_t row = 0; row < SEQUENCES_MAX_ROWS; row++) {
        if (worker->rows[row])
            row_count = row + 1;
    }
    for (size_t i = 0; i < *count; i++)
        rows[batch[i]->turn.sequence->row] = batch[i];
    for (size_t row = 0; row < row_count; row++) {
        if (!rows[row])
            rows[row] = make(batch[0]);
        if (!rows[row]) {
            filler_drop(rows, row);
            return false;
        }
    }
    memcpy(batch, rows, row_count * sizeof *rows);
    *count = row_count;
    return true;
}
