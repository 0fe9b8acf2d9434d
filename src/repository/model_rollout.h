/* What a model's config says of its versions together: the section `rollout`, which of them
 * answers, and `version_policy`, which are served at all. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_ROLLOUT_H
#define TENSORD_REPOSITORY_MODEL_ROLLOUT_H

#include "base/error.h"
#include "base/pack.h"
#include "codec/model_config.pb.h"
#include "codec/model_sections.pb.h"
#include "schedule/rollout.h"

/* Checks the section and fills in what it says. False with a sentence (INVALID_ARGUMENT): weights
 * that are no such, or all 0, a shadow of no version. Whether the versions are there, is not looked
 * at. */
bool model_rollout_read(const struct tensord_rollout_section *section, struct rollout *ret_rollout,
                        struct error *ret_error);

/* Checks weights, puts them in order, and fills in *rollout. False with a sentence. */
bool model_rollout_set_weights(const struct rollout_weight *weights, size_t count,
                               struct rollout *rollout, struct error *ret_error);

/* Whether a name may be a header's, for `sticky`. */
bool model_rollout_is_field_name(struct span name);

/* As bytes, between processes of this program. */
void model_rollout_pack(const struct rollout *rollout, struct buf *buf);
void model_rollout_unpack(struct unpack *unpack, struct rollout *ret_rollout);

/* Which of a model's versions are served. */
struct model_versions {
    uint32_t latest;        /* only so many of the highest numbers; 0: it does not say */
    const int64_t *numbers; /* only these */
    size_t count;           /* 0: it does not say */
};

/* Checks the policy (NULL: all) and fills in what it says; the numbers are those of the message.
 * False with a sentence. */
bool model_versions_read(const struct inference_model_version_policy *policy,
                         struct model_versions *ret_versions, struct error *ret_error);

/* Whether the version is served, when `higher` versions of higher number are there, too. */
bool model_versions_serve(const struct model_versions *versions, uint64_t version, size_t higher);

#endif
