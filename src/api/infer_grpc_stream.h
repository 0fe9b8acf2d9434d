/* A call of ModelStreamInfer, and its items: each is one request with its answers. For
 * infer_grpc_stream.c, which reads and ends the stream, and infer_grpc_item.c. */
#ifndef TENSORD_API_INFER_GRPC_STREAM_H
#define TENSORD_API_INFER_GRPC_STREAM_H

#include "api/answer_flow.h"
#include "api/grpc_call.h"
#include "api/infer_grpc_put.h"
#include "api/infer_message.h"

struct grpc_stream {
    struct api_call *call;
    struct list_link link; /* in api->streams */
    struct grpc_reader reader;
    struct list items;
    size_t item_count;
    struct stream_item *incoming; /* whose message comes, or waits for memory */
    struct timer deadline;
    uint64_t deadline_ns;
    struct infer_grpc_put put;
    bool fails_as_a_whole; /* triton_grpc_error */
    bool sending;
    bool half_closed; /* the client sends no more messages */
    bool leaving;     /* the server does */
    bool ended;       /* its status was written */
    bool closed;
};

struct stream_item {
    struct infer_message message; /* first */
    struct grpc_stream *stream;
    struct list_link link;
    struct arena arena;
    struct answer_flow flow;
    struct list late; /* of struct late_answer: those that wait for an output in shared memory */
    uint64_t received_ns;
    bool admitted;  /* it counts among those of the token */
    bool submitted; /* its inference has, or has had, a final answer to come */
    bool told;      /* its last answer was put, or nobody wants it */
    bool done;      /* its inference needs it no more */
    struct error failure;
};

/* ---- infer_grpc_stream.c ---- */

/* Sends what may be sent now, and ends the stream when there is nothing left to say. Frees items
 * that have sent all. */
void grpc_stream_flush(struct grpc_stream *stream);

/* Writes the stream's status. Answers that have been written go before it; items stay until the
 * exchange has closed, since these may lie in their memory. */
void grpc_stream_end(struct grpc_stream *stream, const struct error *error);

/* ---- infer_grpc_item.c ---- */

/* An item for the message that begins; NULL without memory. */
struct stream_item *stream_item_new(struct grpc_stream *stream);

void stream_item_free(struct stream_item *item);

/* Nothing moves its memory any more, and its inference needs it no more. */
bool stream_item_is_idle(struct stream_item *item);

/* Whether its answers keep the order of requests. */
bool stream_item_is_ordered(const struct stream_item *item);

/* The message is whole, and its memory is there; called again when the inputs that lie in shared
 * memory have been read. */
void stream_item_submit(struct stream_item *item);

/* The item's request has failed, and this is its last answer. */
void stream_item_fail(struct stream_item *item, const struct error *why);

/* Nobody wants the item's answers any more. */
void stream_item_abandon(struct stream_item *item);

#endif
