/* A model's config: config.pbtxt or model.yaml in its folder, read through the field table of Triton's ModelConfig. */
#ifndef TENSORD_REPOSITORY_MODEL_CONFIG_H
#define TENSORD_REPOSITORY_MODEL_CONFIG_H

#include "repository/repository.h"

/* Names of config files, in the order in which they are looked for; ends with NULL. */
extern const char *const model_config_names[];

/* The config of a model that has none: everything is found out. Lives for ever. */
const struct model_config *model_config_default(void);

/* Reads the config in `folder`; without one, gives the default. The result lies in arena. False with INVALID_ARGUMENT and a sentence
 * with line, key and suggestion when the config is wrong, or when there are two. */
bool model_config_load(const char *folder, struct arena *arena, const struct model_config **ret_config,
                       struct error *ret_error);

#endif
