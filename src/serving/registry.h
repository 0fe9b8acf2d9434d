/* The registry's own: models and versions are made and freed here. For serving.c and
 * serving_scan.c; what others look up in it, and say of it, stands in serving.h. */
#ifndef TENSORD_SERVING_REGISTRY_H
#define TENSORD_SERVING_REGISTRY_H

#include "serving/serving.h"
#include "telemetry/log.h"

/* The model of that name, made when it is new; it goes with its last version, or when
 * registry_free_if_empty finds none. NULL: there is no memory. */
struct model *registry_make_model(struct serving *serving, struct span name);

/* Likewise its version of that number. */
struct version *registry_make_version(struct model *model, uint64_t number);

/* Frees the model if it has no version and nobody waits for it. */
void registry_free_if_empty(struct model *model);

/* Frees the version if its files are gone and it has no generation, and then perhaps its model. */
void registry_free_if_gone(struct version *version);

/* Frees all models; none has a generation. */
void registry_fini(struct serving *serving);

/* Writes a sentence about the version to the log and to the model's. */
void registry_say(struct version *version, enum log_level level, const char *sentence);

#endif
