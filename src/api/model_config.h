/* The config of a model, as the protocol's clients ask for it. */
#ifndef TENSORD_API_MODEL_CONFIG_H
#define TENSORD_API_MODEL_CONFIG_H

#include "base/arena.h"
#include "codec/model_config.pb.h"
#include "serving/serving.h"

/* What the config in the model's folder says, and what that leaves open, as it was found out:
 * Triton calls that completing it. In tensors the schema is right. The result lies in arena, or
 * where the version's schema does. NULL with an error: UNAVAILABLE or FAILED while the version's
 * schema is not known, RESOURCE_EXHAUSTED when arena has no room. */
const struct inference_model_config *completed_config(const struct version *version,
                                                      struct arena *arena, struct error *ret_error);

#endif
