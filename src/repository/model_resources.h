/* The sections `instance_group`, `workers`, `sandbox` and `residency` of a model's config: how many
 * processes serve it, on which device, and what they may take of the machine. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_RESOURCES_H
#define TENSORD_REPOSITORY_MODEL_RESOURCES_H

#include "codec/model_config.pb.h"
#include "codec/model_sections.pb.h"
#include "repository/repository.h"

/* All give false with a sentence (INVALID_ARGUMENT, or UNIMPLEMENTED). */

/* Fills in config's device, which is in arena or lives for ever, and instance_count. */
bool model_resources_read_instances(const struct inference_model_instance_group *groups,
                                    size_t count, struct arena *arena, struct model_config *config,
                                    struct error *ret_error);

bool model_resources_read_workers(const struct tensord_workers_section *section,
                                  struct model_workers *ret_workers, struct error *ret_error);

/* What each worker may take, of a model on that device, whose GPU it may use in any case. section
 * NULL: there is none. */
bool model_resources_read_sandbox(const struct tensord_sandbox_section *section, struct span device,
                                  struct process_limits *ret_limits, struct error *ret_error);

bool model_resources_read_residency(const struct tensord_residency_section *section,
                                    struct model_residency *ret_residency, struct error *ret_error);

#endif
