/* One step of a pipeline, executed for a request: whether it runs, into how many parts its inputs
 * fall, what each call of its model is given, and what becomes of what that gave.
 *
 *     begin ── a call for each part: prepare ── (nested_submit) ── take ── free ── end ── forget
 *
 * Which step is next, and what follows from a failure, is for pipeline_request.c. */
#ifndef TENSORD_SERVING_PIPELINE_STEP_H
#define TENSORD_SERVING_PIPELINE_STEP_H

#include "base/arena.h"
#include "pipeline/run.h"
#include "serving/nested.h"
#include "serving/pipeline.h"
#include "serving/pipeline_value.h"

/* One call of a step. */
struct pipeline_call {
    struct pipeline_work *work;
    uint32_t step, index;
    struct nested *nested;         /* NULL: not made, or not needed any more */
    struct pipeline_value *values; /* that it gave, by the step's outputs */
};

/* What a request has come to in a step. */
struct step_work {
    struct pipeline_call *calls;
    uint32_t count;
    uint64_t **offsets; /* by input: where the parts of one that is given in parts begin */
    size_t held;        /* outputs that lie in the memory of its only call */
    uint64_t begun_ns;
};

/* What it has come to in all of them. */
struct pipeline_work {
    struct inference *inference;
    struct arena arena;
    struct pipeline_run run;
    struct pipeline_value *values; /* by tensor */
    struct step_work *steps;
};

/* What the graph says of a step, and what is counted of it. */
const struct pipeline_step *pipeline_step_of(const struct pipeline_work *work, uint32_t index);
struct step_statistics *pipeline_step_statistics(const struct pipeline_work *work, uint32_t index);

/* Begins it: the run knows then how many calls it has, and there is room for them in
 * work->steps[index]; or that it is skipped. False with an error. */
bool pipeline_step_begin(struct pipeline_work *work, uint32_t index, struct error *ret_error);

/* Makes call->nested, which is to be submitted, with its inputs. `ended` finds the call in
 * nested->owner. False with an error: the call is to be freed. */
bool pipeline_call_prepare(struct pipeline_call *call,
                           void (*ended)(struct nested *nested,
                                         const struct inference_outputs *outputs,
                                         const struct error *error),
                           struct error *ret_error);

/* Notes what the call gave: where it lies, if it is the step's only one, or copied, so that it can
 * be freed. False with an error. */
bool pipeline_call_take(struct pipeline_call *call, const struct inference_outputs *outputs,
                        struct error *ret_error);

/* Cancels the call, if it runs, and gives its memory back. */
void pipeline_call_free(struct pipeline_call *call);

/* All its calls have ended well: what they gave becomes tensors of the pipeline. False with an
 * error. */
bool pipeline_step_end(struct pipeline_work *work, uint32_t index, struct error *ret_error);

/* A tensor is not needed any more, nor, when it was the last that lies there, the call that gave
 * it.
 */
void pipeline_step_forget(struct pipeline_work *work, uint32_t tensor);

#endif
