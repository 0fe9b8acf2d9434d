/* The answers of one inference on their way to the client, one after the other, while the model
 * makes more.
 *
 * An answer is bytes of ours (heads, JSON) with tensors between, which are sent from where the
 * worker left them. What is appended waits in `next`; answer_flow_send hands all of it to the
 * exchange, and answer_flow_drained, when the kernel has taken it, returns the answers to the
 * model. So a client that does not read stops the model, and what waits here is at most
 * INFERENCE_ANSWERS_AHEAD answers.
 *
 * All calls are for the loop's thread. */
#ifndef TENSORD_API_ANSWER_FLOW_H
#define TENSORD_API_ANSWER_FLOW_H

#include "base/buf.h"
#include "protocol/http.h"
#include "serving/inference.h"

/* A tensor that stands behind `at` bytes of the text. */
struct answer_tensor {
    size_t at;
    struct span data;
};

struct answer_parts {
    struct buf text;
    struct answer_tensor *tensors; /* malloc'd */
    size_t tensor_count, tensor_capacity;
    uint32_t answers; /* that are to be returned */
};

struct answer_flow {
    struct inference *inference;
    struct answer_parts next, sent;
};

/* Starts an empty one, whose text is held of the budget; the inference may still be unbound. */
void answer_flow_init(struct answer_flow *flow, struct inference *inference, struct budget *budget);

/* Frees. Nothing of it may be on its way to the kernel any more. Accepts one that is all zeros. */
void answer_flow_fini(struct answer_flow *flow);

/* Where the next answer's own bytes are appended. */
static inline struct buf *answer_flow_text(struct answer_flow *flow)
{
    return &flow->next.text;
}

/* A tensor follows what was appended. False when there is no memory. */
bool answer_flow_tensor(struct answer_flow *flow, struct span data);

/* An answer has been appended that is returned to the model once it was sent: one that is not
 * final. */
static inline void answer_flow_owe(struct answer_flow *flow)
{
    flow->next.answers++;
}

/* Drops what was appended since the text had `size` bytes and `tensor_count` tensors stood in it:
 * an answer that could not be put as a whole. */
void answer_flow_cut(struct answer_flow *flow, size_t size, size_t tensor_count);

/* True when something waits. */
static inline bool answer_flow_waits(const struct answer_flow *flow)
{
    return flow->next.text.size > 0 || flow->next.answers > 0;
}

/* True while something is on its way. */
static inline bool answer_flow_sending(const struct answer_flow *flow)
{
    return flow->sent.text.size > 0 || flow->sent.answers > 0;
}

/* Hands what waits to the exchange, of which nothing may be on its way; returns whether there was
 * anything. */
bool answer_flow_send(struct answer_flow *flow, struct http_exchange *exchange);

/* The kernel has taken what was sent. */
void answer_flow_drained(struct answer_flow *flow);

#endif
