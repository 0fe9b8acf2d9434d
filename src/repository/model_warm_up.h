/* The section `model_warmup` of a model's config. */
#ifndef TENSORD_REPOSITORY_MODEL_WARM_UP_H
#define TENSORD_REPOSITORY_MODEL_WARM_UP_H

#include "base/warm_up.h"
#include "codec/model_config.pb.h"

/* Reads `count` items of the section; arrays come from the arena, strings stay where they are. The
 * bytes of files are not read. False with a sentence. */
bool model_warm_up_read(const struct inference_model_warmup *items, size_t count,
                        struct arena *arena, struct warm_ups *ret_warm_ups,
                        struct error *ret_error);

#endif
