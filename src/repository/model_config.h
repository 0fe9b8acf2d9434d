/* A model's config: config.pbtxt or model.yaml in its folder, read through the field table of
 * Triton's ModelConfig. */
#ifndef TENSORD_REPOSITORY_MODEL_CONFIG_H
#define TENSORD_REPOSITORY_MODEL_CONFIG_H

#include "repository/repository.h"

enum { MODEL_CONFIG_MAX_BYTES = 1 << 20 };

enum model_config_format {
    MODEL_CONFIG_PBTXT, /* config.pbtxt: protobuf's text format */
    MODEL_CONFIG_YAML,  /* model.yaml: the same fields */
};

/* which_scheduling_choice of the message ModelConfig: numbers of its fields. */
enum {
    MODEL_SCHEDULING_NONE = 0,
    MODEL_SCHEDULING_DYNAMIC_BATCHING = 11,
    MODEL_SCHEDULING_SEQUENCE_BATCHING = 13,
    MODEL_SCHEDULING_ENSEMBLE = 15,
};

/* Names of config files, in the order in which they are looked for; ends with NULL. */
extern const char *const model_config_names[];

/* The config of a model that has none: everything is found out. Lives for ever. */
const struct model_config *model_config_default(void);

/* Reads the config in `folder`; without one, gives the default. The result lies in arena. False
 * with a sentence that names the file, line, key and suggestion when the config is wrong (as
 * model_config_read), leads out of the folder or cannot be read, or when there are two. */
bool model_config_load(const char *folder, struct arena *arena,
                       const struct model_config **ret_config, struct error *ret_error);

/* Reads and checks a config's text. What *ret_config holds is in the arena, nothing points into
 * text. False, with a sentence that has line, key and suggestion where there are such, when
 * it is malformed, has unknown fields or values that cannot be (INVALID_ARGUMENT), or asks for what
 * this version does not do (UNIMPLEMENTED). */
bool model_config_read(enum model_config_format format, struct span text, struct arena *arena,
                       struct model_config *ret_config, struct error *ret_error);

#endif
