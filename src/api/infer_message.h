/* A ModelInferRequest on its way in: it is scanned while it comes, so that tensors are received
 * where they stay. The message of a unary call, and each of a stream.
 *
 * Up to the first tensor the scan fills the head; then memory is reserved for all of them, for
 * which the body may have to stand still; then the inputs are made and tensors go into their
 * memory. A message that is small, or has its values in the inputs' contents, is collected whole,
 * and its memory is reserved when it is complete:
 *
 *     GRPC_READ_STARTED   infer_message_begin
 *     inside              infer_message_room, infer_message_advance
 *     GRPC_READ_MESSAGE   infer_message_take, infer_message_end
 *     nothing waits       infer_message_finish
 *     nothing waits       infer_message_finish again, then inference_submit
 *
 * The second time is for inputs that lie in shared memory, which are read in between. */
#ifndef TENSORD_API_INFER_MESSAGE_H
#define TENSORD_API_INFER_MESSAGE_H

#include "api/grpc_call.h"
#include "api/infer_grpc_request.h"
#include "codec/infer_scan.h"

struct infer_message {
    struct inference inference;
    struct infer_grpc_request request;
    struct api_call *call;
    struct arena *arena;
    bool whole;            /* it is collected; else tensors go straight into memory */
    bool scanned;          /* the head was decoded before the message ended */
    bool waits;            /* for memory, or inputs in shared memory: there is no room meanwhile */
    bool finished;         /* its inputs are made */
    struct buf body, tail; /* tail: what follows the first tensor, unknown fields at most */
    struct infer_scan scan;
    /* What was waited for is there (NULL), or will not come. */
    void (*resumed)(struct infer_message *message, const struct error *error);
};

/* Starts the reader of a call with such messages. */
void infer_reader_init(struct grpc_reader *reader, const struct api_call *call);

/* Starts a message of the call; the arena is for all that it needs, and outlives it. */
void infer_message_init(struct infer_message *message, struct api_call *call, struct arena *arena,
                        void (*resumed)(struct infer_message *, const struct error *));

/* Frees its buffers; the inference, and the regions of its request, are the caller's to end. */
void infer_message_fini(struct infer_message *message);

/* A plain message begins; one that is empty or compressed does not. */
void infer_message_begin(struct infer_message *message, const struct grpc_reader *reader);

/* Where its next bytes go, at most left_bytes. Size 0 while it waits, or when there is none for a
 * reason that infer_message_no_room tells. */
struct room infer_message_room(struct infer_message *message, size_t left_bytes);
void infer_message_no_room(const struct infer_message *message, struct error *ret_error);

/* `count` bytes came. */
bool infer_message_advance(struct infer_message *message, size_t count, struct error *ret_error);

/* It is complete: takes it from the reader. */
void infer_message_take(struct infer_message *message, struct grpc_reader *reader);

/* Decodes it and reserves its memory, if that was not done before. May leave it waiting. */
bool infer_message_end(struct infer_message *message, struct error *ret_error);

/* After infer_message_end, when it does not wait: makes its inputs. May leave it waiting; then it
 * is called again. */
bool infer_message_finish(struct infer_message *message, struct error *ret_error);

#endif
