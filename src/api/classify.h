/* The classification extension: classes instead of values, for outputs of which they were asked. */
#ifndef TENSORD_API_CLASSIFY_H
#define TENSORD_API_CLASSIFY_H

#include "api/call.h"
#include "serving/inference.h"

/* What a request asks for: how many classes of each output that it names. */
struct classes_wanted {
    uint32_t *counts;              /* 0: its values */
    struct inference_output *list; /* of the answer that is being told */
};

/* Outputs are asked for by name, and counts[i] says how many classes of the i-th: sets
 * inference->classes, in arena, if it is not 0 for all. */
bool classify_want(struct inference *inference, const uint32_t *counts, size_t count,
                   struct arena *arena, struct error *ret_error);

/* Whether classes are wanted of that output of an answer. */
bool classify_wants(const struct inference *inference, const struct inference_output *output);

/* Puts classes in the place of values, where they are wanted: *outputs becomes another list, whose
 * classes lie in call->classes; both hold until the next call of this. False when an output has
 * none (INVALID_ARGUMENT) or without memory. */
bool classify_outputs(struct api_call *call, const struct inference *inference,
                      struct inference_outputs *outputs, struct error *ret_error);

#endif
