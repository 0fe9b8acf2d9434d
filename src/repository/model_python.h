/* The section `python` of a model's config, and Triton's parameter for the same: the Python that
 * the model runs on. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_PYTHON_H
#define TENSORD_REPOSITORY_MODEL_PYTHON_H

#include "codec/model_sections.pb.h"
#include "repository/repository.h"

/* Checks the section (NULL: there is none, and the parameter counts) and fills in config->python.
 * The config's engine and parameters are there; strings and lists stay where they are. False with a
 * sentence (INVALID_ARGUMENT, or UNIMPLEMENTED). */
bool model_python_read(const struct tensord_python_section *section, struct model_config *config,
                       struct error *ret_error);

#endif
