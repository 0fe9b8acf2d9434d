/* The classes with the highest values of a tensor, as Triton's classification extension tells them:
 * "VALUE:INDEX", or "VALUE:INDEX:LABEL" for those that have a label. Pure; any thread. */
#ifndef TENSORD_CODEC_TOP_CLASSES_H
#define TENSORD_CODEC_TOP_CLASSES_H

#include "base/buf.h"
#include "base/error.h"
#include "base/tensor.h"

/* Appends the elements of a BYTES tensor of shape (rows, count): of each row of the tensor `data`,
 * of shape (rows, width), the `count` <= width highest values, the first one the highest, of equal
 * ones the first one first; NaN is below all. Each byte of data is read once, so that another
 * process may write it meanwhile. labels: names of classes 0, 1, …, as far as they go. False when
 * values of this datatype have no order (INVALID_ARGUMENT; BOOL, BYTES) or without memory. */
bool top_classes(enum tensord_datatype datatype, size_t rows, size_t width, size_t count,
                 struct span data, const struct span *labels, size_t label_count, struct buf *out,
                 struct error *ret_error);

#endif
