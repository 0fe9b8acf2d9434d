/* How two answers differ, tensor by tensor. Pure; any thread. The bytes may change meanwhile, as a
 * worker can write them: each is read as it comes, and nothing is trusted. */
#ifndef TENSORD_SERVING_COMPARE_H
#define TENSORD_SERVING_COMPARE_H

#include "base/tensor.h"

/* A tensor of an answer. */
struct compared {
    enum tensord_datatype datatype;
    struct shape shape;
    struct span data;
};

/* Of two tensors. */
struct difference {
    bool comparable;     /* same datatype and shape; else the rest is 0 */
    uint64_t elements;   /* that were compared */
    uint64_t unequal;    /* of them; NaN equals NaN, 0 equals -0 */
    double max_absolute; /* |a - b|, of numbers that are finite; 0 for BYTES and BOOL */
    double max_relative; /* |a - b| / max(|a|, |b|): 0 to 2 */
};

/* Compares all elements of both. */
void compare_tensors(const struct compared *a, const struct compared *b,
                     struct difference *ret_difference);

#endif
