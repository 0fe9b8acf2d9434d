/* Typed contents of a gRPC input (InferTensorContents) as tensor bytes. Pure. */
#ifndef TENSORD_API_INFER_CONTENTS_H
#define TENSORD_API_INFER_CONTENTS_H

#include "base/tensor.h"
#include "codec/inference.pb.h"

/* Bytes that the contents take as a tensor of this datatype; False when they hold another kind of
 * values or have none that the datatype could ride in (FP16, BF16: raw only). */
bool contents_size(const struct inference_infer_tensor_contents *contents,
                   enum tensord_datatype datatype, uint64_t *ret_size_bytes,
                   struct error *ret_error);

/* Writes them: contents_size bytes. False when a value does not fit the datatype. */
bool contents_copy(const struct inference_infer_tensor_contents *contents,
                   enum tensord_datatype datatype, char *to, struct error *ret_error);

#endif
