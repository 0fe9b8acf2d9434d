/* What a ModelInferRequest says: its head (infer_grpc_request.c) and its tensors
 * (infer_grpc_inputs.c). When which bytes come is the call's affair (infer_grpc.c). */
#ifndef TENSORD_API_INFER_GRPC_REQUEST_H
#define TENSORD_API_INFER_GRPC_REQUEST_H

#include "api/infer_regions.h"
#include "codec/inference.pb.h"
#include "serving/inference.h"

/* Zeroed at first. */
struct infer_grpc_request {
    struct inference_model_infer_request message; /* points into its bytes */
    size_t next_input, raw_count; /* that the next raw tensor is for; raw tensors so far */
    bool wants_empty_final;       /* triton_enable_empty_final_response, of a stream */
    struct infer_regions regions; /* of its tensors that lie in shared memory */
    bool *in_regions;             /* for each input: it does; NULL: none does */
    uint64_t region_bytes;        /* of the model's memory, that these inputs need */
};

/* Decodes the message, whose bytes stay in place, finds its model and starts the inference: from
 * here on tensors have a place to go. What it takes comes from the arena. */
bool infer_grpc_request_read(struct infer_grpc_request *request, struct api_call *call,
                             struct span bytes, struct arena *arena, struct inference *inference,
                             struct error *ret_error);

/* Copies what the request and the inference still need of the message's bytes into the arena, so
 * that these may go; the inputs are made. */
bool infer_grpc_request_keep(struct infer_grpc_request *request, struct arena *arena,
                             struct inference *inference, struct error *ret_error);

/* The first dimension of the first input; 0 when there is none. */
int64_t infer_grpc_request_rows(const struct infer_grpc_request *request);

/* What came after the first tensor of a message that was read while it came may not change what was
 * read. */
bool infer_grpc_request_check_tail(struct span tail, struct arena *arena, struct error *ret_error);

/* A raw tensor of size_bytes begins: it is for the next input, whose bytes go to *ret_to. */
bool infer_grpc_request_next_raw(struct infer_grpc_request *request, struct inference *inference,
                                 uint64_t size_bytes, char **ret_to, struct error *ret_error);

/* True when each input that is not in shared memory has had its raw tensor. */
bool infer_grpc_request_end_raw(const struct infer_grpc_request *request, struct error *ret_error);

/* Makes the inputs that lie in shared memory, to be read from there. */
bool infer_grpc_request_make_shared(struct infer_grpc_request *request, struct inference *inference,
                                    struct error *ret_error);

/* For a message that holds its tensors, raw or typed: what its inputs need of the model's memory,
 * and, when that is reserved, making all of them. */
bool infer_grpc_request_measure(const struct infer_grpc_request *request,
                                uint64_t *ret_needed_bytes, struct error *ret_error);
bool infer_grpc_request_copy(struct infer_grpc_request *request, struct inference *inference,
                             struct error *ret_error);

#endif
