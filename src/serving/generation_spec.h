/* What the workers of a generation are to serve, copied out of a scan of the repository. */
#ifndef TENSORD_SERVING_GENERATION_SPEC_H
#define TENSORD_SERVING_GENERATION_SPEC_H

#include "repository/repository.h"
#include "serving/serving_options.h"
#include "worker/spawner.h"

/* Memory of answered requests that a model may keep (kept.h): a share of what the generation has,
 * and no more than so much. */
enum { KEPT_SHARE = 16, KEPT_MOST_BYTES = 256 << 20 };

/* Everything in *ret_spec lies in arena. False when there is no memory, and when the model is for a
 * Python that is not there. */
bool generation_spec_copy(struct arena *arena, const struct repository_version *found,
                          const struct serving_options *options, struct worker_spec *ret_spec,
                          struct error *ret_error);

/* How many workers are to serve it. */
struct model_workers generation_workers_of(const struct repository_version *found);

/* Copies what is asked of a model's environment into the arena. */
bool generation_question_copy(struct arena *arena, const struct repository_version *found,
                              struct environment_question *ret_question, struct error *ret_error);

#endif
