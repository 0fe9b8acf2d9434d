/* What a ModelStreamInfer answers, as messages: one after the other in an answer_flow. */
#ifndef TENSORD_API_INFER_GRPC_PUT_H
#define TENSORD_API_INFER_GRPC_PUT_H

#include "api/answer_flow.h"
#include "api/grpc_call.h"

/* Of one call, whose answers it writes. */
struct infer_grpc_put {
    struct grpc_writer writer;
    struct arena arena; /* of the answer that is being put */
    struct buf scratch;
};

/* Starts: answers are encoded as a grpc_writer's are. */
void infer_grpc_put_init(struct infer_grpc_put *put, const struct api_call *call);
void infer_grpc_put_fini(struct infer_grpc_put *put);

/* Appends an answer, whose tensors stay where they are until the flow has returned it. False, and
 * nothing is appended, when there is no memory or it is too large for a message. */
bool infer_grpc_put_outputs(struct infer_grpc_put *put, struct answer_flow *flow,
                            const struct inference_outputs *outputs, bool final,
                            struct error *ret_error);

/* Appends that the request with this id, which the client gave it, has failed. False, and nothing
 * is appended, without memory. */
bool infer_grpc_put_failure(struct infer_grpc_put *put, struct answer_flow *flow, struct span id,
                            const struct error *error);

#endif
