/* What the rest of serving/ does to an inference; not for the APIs. */
#ifndef TENSORD_SERVING_INFERENCE_INTERNAL_H
#define TENSORD_SERVING_INFERENCE_INTERNAL_H

#include "serving/inference.h"

/* Checks inputs and outputs against the generation's schema, which is known. */
bool inference_check(struct inference *inference, struct error *ret_error);

/* Gives the error as the final answer at the end of this loop turn. The inference is in no queue.
 */
void inference_refuse(struct inference *inference, const struct error *error);

/* Passes a worker's response on. After a final one the inference may be gone. */
void inference_answer(struct inference *inference, const struct channel_response *response);

#endif
