/* Answers as ModelInferResponse, whose tensors go out from where they lie. */
#ifndef TENSORD_API_INFER_GRPC_REPLY_H
#define TENSORD_API_INFER_GRPC_REPLY_H

#include "api/grpc_call.h"
#include "serving/inference.h"

/* Appends the message without its tensors; (*ret_cuts)[i] is where in `text` that of output i
 * stands. final: what the parameter triton_final_response says; NULL: it is left out. What the
 * message takes meanwhile, and the cuts, come from the arena. */
bool infer_grpc_encode(const struct inference *inference, const struct inference_outputs *outputs,
                       const bool *final, struct arena *arena, struct buf *text, size_t **ret_cuts,
                       struct error *ret_error);

/* Writes the outputs as the one message of a unary call; they stay where they are until
 * inference_fini. Ending the call is left to the caller, with the error when this was false. */
bool infer_grpc_reply(struct api_call *call, struct grpc_writer *writer,
                      const struct inference *inference, const struct inference_outputs *outputs,
                      struct error *ret_error);

#endif
