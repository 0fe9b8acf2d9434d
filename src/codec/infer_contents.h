/* Typed contents of a gRPC input (InferTensorContents) as tensor bytes, straight from the wire: a
 * value of one byte there may be eight here, and all of them go where the tensor stays. Pure. */
#ifndef TENSORD_CODEC_INFER_CONTENTS_H
#define TENSORD_CODEC_INFER_CONTENTS_H

#include "base/tensor.h"

/* Bytes that the message `contents` takes as a tensor of this datatype. False when it is malformed,
 * holds another kind of values or has none that the datatype could ride in (FP16, BF16: raw only).
 */
bool contents_size(struct span contents, enum tensord_datatype datatype, uint64_t *ret_size_bytes,
                   struct error *ret_error);

/* Writes them: contents_size bytes, which was true for the same arguments. False when a value does
 * not fit the datatype. */
bool contents_copy(struct span contents, enum tensord_datatype datatype, char *to,
                   struct error *ret_error);

#endif
