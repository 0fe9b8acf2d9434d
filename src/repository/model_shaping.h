/* What a model's config says of tensors that the model has otherwise than clients: `reshape`,
 * `allow_ragged_batch`, `batch_input` and `batch_output`; and of model.yaml, `scheduling.padding`.
 */
#ifndef TENSORD_REPOSITORY_MODEL_SHAPING_H
#define TENSORD_REPOSITORY_MODEL_SHAPING_H

#include "codec/model_config.pb.h"
#include "codec/model_sections.pb.h"
#include "repository/repository.h"

/* How many inputs the config has the server make. */
size_t model_shaping_made_inputs(const struct inference_model_config *from);

/* Fills in config->shaping; scheduling is NULL where there is no such section. The config's inputs
 * and outputs are there, in the order of `from`, as clients see them; they become what the model
 * has, and the inputs that the server makes are added, for which there is room. Arrays come from
 * the arena. False with a sentence when a value cannot be (INVALID_ARGUMENT). */
bool model_shaping_read(const struct inference_model_config *from,
                        const struct tensord_scheduling_section *scheduling, struct arena *arena,
                        struct model_config *config, struct error *ret_error);

#endif
