/* The sections `input` and `output` of a model's config, and what others declare of the same: the
 * tensors that the model has. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_TENSORS_H
#define TENSORD_REPOSITORY_MODEL_TENSORS_H

#include "codec/model_config.pb.h"
#include "repository/repository.h"

/* Fills in config's inputs, outputs and labels, with room for the inputs that model_shaping_read
 * adds. Its max_batch_size and sequences are there; the controls and states of those count as
 * declared with the model's own tensors, if the config declares these, and learn whether clients
 * see them. Arrays come from arena, names stay where they are. False with a sentence
 * (INVALID_ARGUMENT, or UNIMPLEMENTED). */
bool model_tensors_read(const struct inference_model_config *from, struct arena *arena,
                        struct model_config *config, struct error *ret_error);

#endif
