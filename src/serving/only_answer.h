/* For who wants exactly one answer of a model that may give any number: a generator that yields
 * once serves an ordinary call, one that yields more is refused. */
#ifndef TENSORD_SERVING_ONLY_ANSWER_H
#define TENSORD_SERVING_ONLY_ANSWER_H

#include "base/error.h"
#include "serving/inference_outputs.h"

struct inference;
struct inference_answer;

/* Zeroed at first. */
struct only_answer {
    bool held; /* an answer that was not final came; it is given when no other follows */
    struct inference_outputs outputs;
};

enum only_answer_step {
    ONLY_ANSWER_WAITS,
    ONLY_ANSWER_GIVEN,  /* *ret_outputs are its outputs */
    ONLY_ANSWER_FAILED, /* there is none: *ret_error says why. The inference is to be cancelled,
                         * unless this was its final answer */
};

/* Takes what `answered` was told. The list of outputs is valid as `answered` says, or until
 * inference_fini. UNIMPLEMENTED when there are several answers, INTERNAL when a model that streams
 * gives none, else the answer's own error. After GIVEN and FAILED it is not to be asked again. */
enum only_answer_step only_answer_take(struct only_answer *only, struct inference *inference,
                                       const struct inference_answer *answer,
                                       struct inference_outputs *ret_outputs,
                                       struct error *ret_error);

#endif
