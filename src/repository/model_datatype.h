/* `data_type` of a model's config, wherever it stands there. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_DATATYPE_H
#define TENSORD_REPOSITORY_MODEL_DATATYPE_H

#include "base/tensor.h"

/* The datatype that a config's data_type is; TENSORD_INVALID: none. */
enum tensord_datatype model_datatype(int32_t data_type);

#endif
