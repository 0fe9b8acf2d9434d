/* What the rest of serving/ does to an inference; not for the APIs. */
#ifndef TENSORD_SERVING_INFERENCE_INTERNAL_H
#define TENSORD_SERVING_INFERENCE_INTERNAL_H

#include "serving/inference.h"

/* Binds an inference that stands for several clients' requests. */
void inference_init_flight(struct inference *inference, struct generation *generation,
                           struct arena *arena);

/* The memory of the inputs becomes that of `to`, which has a list of them already, and room; `from`
 * holds none any more. */
void inference_pass_inputs(struct inference *from, struct inference *to);

/* Checks inputs, the lengths of their strings among them, and outputs against the generation's
 * schema, which is known: the one place before the queue. */
bool inference_check(struct inference *inference, struct error *ret_error);

/* What it is told when its deadline has passed. ran: a worker had it. */
void inference_deadline_error(const struct inference *inference, bool ran, struct error *ret_error);

/* Gives the error as the final answer at the end of this loop turn. The inference is in no queue.
 */
void inference_refuse(struct inference *inference, const struct error *error);

/* It waits: in the queue, or in its sequence. */
static inline bool inference_is_waiting(const struct inference *inference)
{
    return inference->entry.waits || inference->turn.state == SEQUENCE_WAITS;
}

/* It is in the queue now. */
void inference_waits(struct inference *inference);

/* The memory that it waited for is there. */
void inference_admit(struct inference *inference);

/* Takes its grant of room for outputs: what was reserved, or a little more when that is free. */
bool inference_take_grant(struct inference *inference, struct error *ret_error);

/* Takes a further piece of its generation's memory, which it holds until inference_fini. Never
 * waits. */
bool inference_take_extra(struct inference *inference, uint64_t size, struct extent *ret_extent,
                          struct error *ret_error);

/* Gives back all its memory. */
void inference_release(struct inference *inference);

/* Passes a worker's response on. After a final one the inference may be gone. */
void inference_answer(struct inference *inference, const struct channel_response *response);

/* The final answer of a pipeline's request: its outputs, or NULL and the error. */
void inference_answer_steps(struct inference *inference, const struct inference_outputs *outputs,
                            const struct error *error, const struct channel_times *times);

#endif
