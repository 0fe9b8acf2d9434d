/* Which parts of a model's config exclude each other. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_EXCLUSIONS_H
#define TENSORD_REPOSITORY_MODEL_EXCLUSIONS_H

#include "base/error.h"
#include "codec/model_config.pb.h"
#include "codec/model_sections.pb.h"

/* Whether what both formats have filled goes together. False with the sentence of the first pair
 * that does not (INVALID_ARGUMENT). */
bool model_exclusions_check(const struct inference_model_config *from,
                            const struct tensord_model_sections *sections, struct error *ret_error);

#endif
