/* The sections `dynamic_batching`, `scheduling` and `rate_limiter` of a model's config: how its
 * requests are scheduled. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_QUEUE_H
#define TENSORD_REPOSITORY_MODEL_QUEUE_H

#include "base/error.h"
#include "base/pack.h"
#include "codec/model_config.pb.h"
#include "codec/model_sections.pb.h"
#include "schedule/policy.h"

/* Checks the sections (NULL: there is none) and fills in what they say; what only the server says
 * stays zero. max_batch_size: the config's, or below 0 when it does not say. False with a sentence
 * (INVALID_ARGUMENT). */
bool model_queue_read(const struct inference_model_dynamic_batching *batching,
                      const struct tensord_scheduling_section *scheduling, int64_t max_batch_size,
                      struct schedule_policy *ret_policy, struct error *ret_error);

/* What each execution needs of resources that models share: the rate limiter of the groups, which
 * must all say the same. Adds to a policy. False with a sentence. */
bool model_queue_read_needs(const struct inference_model_instance_group *groups, size_t count,
                            struct schedule_policy *policy, struct error *ret_error);

/* As bytes, between processes of this program. */
void model_queue_pack(const struct schedule_policy *policy, struct buf *buf);
void model_queue_unpack(struct unpack *unpack, struct schedule_policy *ret_policy);

#endif
