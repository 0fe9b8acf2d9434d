/* Names of the classes of an output, from the file that the model's config names. */
#ifndef TENSORD_SERVING_LABELS_H
#define TENSORD_SERVING_LABELS_H

#include "base/arena.h"
#include "base/error.h"

struct model_config;

struct labels {
    struct span output;
    struct span *names; /* of class 0, 1, …; an empty line is no name */
    size_t count;
};

/* Copies the config's labels, a name for each line, into arena. False without memory. */
bool labels_copy(struct arena *arena, const struct model_config *config, struct labels **ret_labels,
                 size_t *ret_count, struct error *ret_error);

#endif
