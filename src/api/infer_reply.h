/* The one answer to POST …/infer or generate: JSON, or JSON followed by binary tensors. */
#ifndef TENSORD_API_INFER_REPLY_H
#define TENSORD_API_INFER_REPLY_H

#include "api/infer_call.h"

/* Writes the answer, from where the worker left the outputs. False, and nothing written, when it
 * cannot be said in JSON or there is no memory. */
bool infer_reply(struct api_call *call, const struct inference_outputs *outputs,
                 struct error *ret_error);

/* Whether the answer has outputs that are sent from where the worker left them. */
bool infer_reply_is_binary(const struct infer_json *request,
                           const struct inference_outputs *outputs);

#endif
