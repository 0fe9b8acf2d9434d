/* What the workers of a generation are to serve, copied out of a scan of the repository. */
#ifndef TENSORD_SERVING_GENERATION_SPEC_H
#define TENSORD_SERVING_GENERATION_SPEC_H

#include "repository/repository.h"
#include "worker/spawner.h"

/* Everything in *ret_spec lies in arena. threads: of one execution, 0: the engine decides. False
 * when there is no memory. */
bool generation_spec_copy(struct arena *arena, const struct repository_version *found,
                          uint32_t threads, struct worker_spec *ret_spec);

#endif
