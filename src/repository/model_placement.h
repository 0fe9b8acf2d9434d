/* The sections `cpuset` and `gpus` of a model's config: where its workers run. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_PLACEMENT_H
#define TENSORD_REPOSITORY_MODEL_PLACEMENT_H

#include "base/arena.h"
#include "base/error.h"
#include "codec/model_sections.pb.h"
#include "repository/repository.h"

/* Checks the sections and says what they do, of a model on that device; lists lie in arena, and in
 * the sections. What the machine has is not known here. False with a sentence (INVALID_ARGUMENT).
 */
bool model_placement_read(const struct tensord_model_sections *sections, struct span device,
                          struct arena *arena, struct model_placement *ret_placement,
                          struct error *ret_error);

#endif
