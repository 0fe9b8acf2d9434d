/* The answer of ModelInfer. */
#ifndef TENSORD_API_INFER_GRPC_REPLY_H
#define TENSORD_API_INFER_GRPC_REPLY_H

#include "api/grpc_call.h"
#include "serving/inference.h"

/* Writes a final answer, which went well, as the call's one message; the tensors go out from where
 * they lie, and stay there until inference_fini. Ending the call is left to the caller, with the
 * error when this was false. */
bool infer_grpc_reply(struct api_call *call, struct grpc_writer *writer,
                      const struct inference *inference, const struct inference_answer *answer,
                      struct error *ret_error);

#endif
