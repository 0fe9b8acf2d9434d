/* A tensor on its way through a pipeline: pieces of memory, one behind the other, that belong to
 * somebody else. The memory may be a worker's, who can change it at any time: what is found in it
 * decides how much is copied, never from where. Pure. */
#ifndef TENSORD_SERVING_PIPELINE_VALUE_H
#define TENSORD_SERVING_PIPELINE_VALUE_H

#include "base/arena.h"
#include "base/tensor.h"

struct pipeline_value {
    enum tensord_datatype datatype; /* TENSORD_INVALID: there is none */
    struct shape shape;
    const struct span *pieces; /* none is empty, unless it is the only one */
    size_t piece_count;
    uint64_t size_bytes; /* of all pieces */
    int32_t step;        /* in the memory of whose call it lies; -1: of none's */
};

/* One piece. False when there is no memory. */
bool pipeline_value_make(struct pipeline_value *value, enum tensord_datatype datatype,
                         const struct shape *shape, struct span data, struct arena *arena,
                         struct error *ret_error);

/* No rows of such a tensor. */
void pipeline_value_empty(struct pipeline_value *value, const struct tensor_info *info);

/* The parts behind each other along the first dimension; one alone stays as it is. False (INTERNAL)
 * when they differ in anything else; `name` is for that sentence. */
bool pipeline_value_join(struct pipeline_value *value, const struct pipeline_value *const *parts,
                         size_t count, struct span name, struct arena *arena,
                         struct error *ret_error);

/* Where parts of `rows` rows each (the last may have fewer) begin, in bytes, and behind them the
 * end: *ret_parts + 1 offsets, ascending, in arena. The value has a first dimension. NULL with an
 * error when there are more than max_parts, or its strings are none. */
uint64_t *pipeline_value_divide(const struct pipeline_value *value, uint32_t rows,
                                uint32_t max_parts, struct arena *arena, uint32_t *ret_parts,
                                struct error *ret_error);

/* Copies the bytes from `from` to before `to`. */
void pipeline_value_copy(const struct pipeline_value *value, uint64_t from, uint64_t to,
                         char *ret_data);

#endif
