/* The arithmetic of shapes that differ between clients and a model; see shaping.h. */
#include "base/shaping.h"

/* The product of the dimensions from *at up to the next one of any size, or the end; *at moves
 * there. False on overflow. */
static bool take_product(const struct shape *shape, uint32_t *at, uint64_t *ret_product)
{
    uint64_t product = 1;
    for (; *at < shape->ndim && shape->dims[*at] >= 0; ++*at) {
        if (__builtin_mul_overflow(product, (uint64_t)shape->dims[*at], &product))
            return false;
    }
    *ret_product = product;
    return true;
}

bool reshape_is_possible(const struct shape *from, const struct shape *to)
{
    for (uint32_t i = 0, j = 0;; i++, j++) {
        uint64_t left, right;
        if (!take_product(from, &i, &left) || !take_product(to, &j, &right) || left != right)
            return false;
        if (i == from->ndim || j == to->ndim)
            return i == from->ndim && j == to->ndim;
    }
}

bool reshape(const struct shape *from, const struct shape *to, const struct shape *shape,
             struct shape *ret_shape)
{
    struct shape made = *to;
    uint32_t next = 0;
    if (shape->ndim != from->ndim)
        return false;
    for (uint32_t i = 0; i < from->ndim; i++) {
        if (from->dims[i] >= 0) {
            if (from->dims[i] != shape->dims[i])
                return false;
            continue;
        }
        while (next < made.ndim && to->dims[next] >= 0)
            next++;
        if (next == made.ndim)
            return false;
        made.dims[next++] = shape->dims[i];
    }
    *ret_shape = made;
    return true;
}

bool shape_fill(const struct shape *pattern, const struct shape *source, struct shape *ret_shape)
{
    *ret_shape = *pattern;
    for (uint32_t i = 0; i < pattern->ndim; i++) {
        if (pattern->dims[i] >= 0)
            continue;
        if (i >= source->ndim)
            return false;
        ret_shape->dims[i] = source->dims[i];
    }
    return true;
}
