/* A parameter: a key and its value as text, of a request or of a model's config. */
#ifndef TENSORD_BASE_PARAMETER_H
#define TENSORD_BASE_PARAMETER_H

#include "base/span.h"

struct parameter {
    struct span key, value; /* strings only; numbers are written as text */
};

#endif
