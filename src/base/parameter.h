/* A parameter: a key and its value as text, of a request or of a model's config. */
#ifndef TENSORD_BASE_PARAMETER_H
#define TENSORD_BASE_PARAMETER_H

#include "base/span.h"

#include <stdbool.h>

struct parameter {
    struct span key, value;
    bool literal; /* the value is a number, true, false or null as JSON writes it, and no string */
};

#endif
