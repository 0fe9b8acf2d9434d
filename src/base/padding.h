/* Padding: a dimension of some inputs that differs from request to request is filled up to one of a
 * few sizes, so that requests can be joined; outputs that have it, too, are cut back. Pure. */
#ifndef TENSORD_BASE_PADDING_H
#define TENSORD_BASE_PADDING_H

#include "base/pack.h"

enum {
    PADDING_MOST = 64,             /* of a model */
    PADDING_MOST_SIZES = 64,       /* of each */
    PADDING_MOST_SIZE = 1 << 20,   /* elements in the dimension */
    PADDING_MOST_BYTES = 64 << 20, /* of one input of one request, once it is padded */
};

struct padding {
    struct span *inputs; /* at least one; all have the dimension, of one size in each request */
    size_t input_count;
    struct span *outputs; /* that have it, too */
    size_t output_count;
    uint32_t dim;   /* which one, counting the rows in front */
    int64_t *sizes; /* ascending */
    size_t size_count;
    double value; /* what it is filled up with */
};

/* The size that the dimension gets: the least that is enough, or its own where none is. */
int64_t padding_size(const struct padding *padding, int64_t size);

/* The bytes of one element of what fills it up; at most 8. False when the datatype has no such
 * value, or cannot be padded. */
bool padding_element(const struct padding *padding, enum tensord_datatype datatype, void *element);

/* Copies a tensor of `shape` to where it is to have `size` in the dimension, at least as many as it
 * has; the shape has the dimension. Returns where the copy ends. */
char *padding_fill(const struct padding *padding, enum tensord_datatype datatype,
                   const struct shape *shape, int64_t size, const char *from, char *to);

/* The way back: copies of a tensor of `shape` the first `size` in the dimension, at most as many as
 * it has. Returns where the copy ends. */
char *padding_cut(const struct padding *padding, enum tensord_datatype datatype,
                  const struct shape *shape, int64_t size, const char *from, char *to);

/* As bytes and as a copy; see shaping.h. */
void padding_write(const struct padding *padding, struct buf *buf);
void padding_read(struct unpack *unpack, struct padding *padding);
bool padding_copy(struct arena *arena, const struct padding *from, struct padding *ret_copy);

#endif
