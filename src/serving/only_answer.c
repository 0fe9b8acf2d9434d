/* Exactly one answer; see only_answer.h. */
#include "serving/only_answer.h"

#include "serving/inference.h"

static enum only_answer_step fail_several(struct error *ret_error)
{
    error_set(ret_error, ERROR_UNIMPLEMENTED,
              "the model answers several times, and this call is for one answer; use "
              "generate_stream, infer_stream or ModelStreamInfer");
    return ONLY_ANSWER_FAILED;
}

/* Its outputs lie still until they are returned, but their list is the next answer's. */
static enum only_answer_step hold(struct only_answer *only, struct inference *inference,
                                  const struct inference_outputs *outputs, struct error *ret_error)
{
    struct inference_output *items = arena_calloc(inference->arena, outputs->count, sizeof *items);
    if (!items) {
        error_no_memory(ret_error);
        return ONLY_ANSWER_FAILED;
    }
    for (size_t i = 0; i < outputs->count; i++)
        items[i] = outputs->items[i];
    only->outputs = (struct inference_outputs){items, outputs->count};
    only->held = true;
    return ONLY_ANSWER_WAITS;
}

enum only_answer_step only_answer_take(struct only_answer *only, struct inference *inference,
                                       const struct inference_answer *answer,
                                       struct inference_outputs *ret_outputs,
                                       struct error *ret_error)
{
    if (answer->error.code != ERROR_OK) {
        *ret_error = answer->error;
        return ONLY_ANSWER_FAILED;
    }
    if (only->held && (!answer->final || answer->outputs.count))
        return fail_several(ret_error);
    if (!answer->final)
        return hold(only, inference, &answer->outputs, ret_error);
    if (!only->held && inference_answer_is_end(inference, answer)) {
        error_set(ret_error, ERROR_INTERNAL, "the model gave no answer");
        return ONLY_ANSWER_FAILED;
    }
    *ret_outputs = only->held ? only->outputs : answer->outputs;
    return ONLY_ANSWER_GIVEN;
}
