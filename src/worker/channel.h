/* The front's end of the channel to one worker.
 *
 * Two rings of records in shared memory, one each way, and two doorbells that are rung only when
 * the other side sleeps. The layout is in channel_layout.h, the worker's end in host.c. What a
 * worker writes is copied out once, checked, and only then told to the owner: no offset, length or
 * id from a worker is ever used unchecked.
 *
 * All calls are for the loop's thread. */
#ifndef TENSORD_WORKER_CHANNEL_H
#define TENSORD_WORKER_CHANNEL_H

#include "base/parameter.h"
#include "base/tensor.h"
#include "net/loop.h"
#include "worker/memory.h"

struct channel;
struct channel_request;

/* A tensor that crosses the channel. */
struct channel_tensor {
    uint32_t index; /* into the schema's inputs or outputs */
    enum tensord_datatype datatype;
    struct shape shape;
    struct extent extent; /* where its bytes lie; size 0 for an empty tensor */
};

/* What an execution took, as the worker tells it: true or not. */
struct channel_times {
    uint64_t input_ns;   /* joining inputs */
    uint64_t compute_ns; /* the engine's own time */
    uint64_t output_ns;  /* splitting outputs */
};

/* An answer. Valid during the call that brings it. */
struct channel_response {
    bool final;
    bool kept; /* final: the request's memory must stay as it is until `released` with this id */
    uint64_t id;
    struct channel_times times;           /* of a final one */
    struct error error;                   /* code ERROR_OK when it went well */
    const struct channel_tensor *outputs; /* each within the request's grant or one of its inputs */
    size_t output_count;
};

/* One request as the channel sees it; a member of the caller's request, which stays in place until
 * its final response or channel_close. */
struct channel_request {
    const struct channel_tensor *inputs; /* in the schema's order */
    size_t input_count;
    const struct parameter *parameters;
    size_t parameter_count;
    struct span id;      /* the client's name of it; one of more than CHANNEL_MAX_ID is not sent */
    struct extent grant; /* room for its outputs; may be empty */
    uint64_t wanted_outputs; /* bit i: output i */
    uint64_t deadline_ns;
    uint32_t credits; /* non-final responses that it may give before it has to wait */
    /* The channel's own. */
    struct channel *channel; /* NULL: not with a worker */
    uint32_t slot;
    uint64_t execution;
};

/* A request that a worker makes to another model. */
struct channel_call {
    uint64_t id;                    /* for channel_call_answer */
    struct channel_request *parent; /* the request that it is made for */
    struct span model;
    int64_t version; /* -1: newest */
    struct span input_names[TENSORD_MAX_DIMS];
    struct channel_tensor inputs[TENSORD_MAX_DIMS]; /* within the parent's grant or inputs */
    size_t input_count;
};

/* Memory that a worker says that it uses; 0: not known. No more than 2^48 each. */
struct channel_stats {
    uint64_t memory_bytes, most_memory_bytes; /* of the process: now, and so far */
    uint64_t device_memory_bytes;             /* as its engine has it */
};

/* What the owner of a channel is told, in the loop's turns. */
struct channel_events {
    void (*loading)(void *owner, double done);
    /* The model is loaded. The schema is the callee's to copy. */
    void (*ready)(void *owner, const struct schema *schema);
    /* It could not be loaded. ERROR_UNAVAILABLE: a file is still being written, try again. */
    void (*failed)(void *owner, const struct error *error);
    /* `request` has an answer. After a final one the request is the caller's again. */
    void (*response)(void *owner, struct channel_request *request,
                     const struct channel_response *response);
    /* An execution has ended: its slot is free. compute_ns is the engine's own time. */
    void (*executed)(void *owner, uint64_t execution, uint64_t compute_ns);
    /* The worker needs `size` more bytes for outputs of `request`. The owner fills *ret_extent or
     * says no. The extent is the request's, beside its grant: it is freed with the request. */
    bool (*need_room)(void *owner, struct channel_request *request, uint64_t size,
                      struct extent *ret_extent, struct error *ret_error);
    /* The worker calls another model; answered by channel_call_answer, at once or later. */
    void (*call)(void *owner, const struct channel_call *call);
    void (*log)(void *owner, enum tensord_log_level level, struct span line);
    /* The worker no longer looks at the memory of a request whose final response said `kept`.
     * False: there is no such; that breaks the rules. */
    bool (*released)(void *owner, uint64_t id);
    /* Statistics as the worker reports them before `ready` and from time to time. */
    void (*stats)(void *owner, const struct channel_stats *stats);
    /* The worker broke the rules of the channel, described in `reason`: it is to be killed. */
    void (*broken)(void *owner, const char *reason);
};

/* The descriptors that a worker is started with: its ends of everything. They belong to the
 * channel. The doorbells are pipes, so that each side has a file description of its own: with an
 * eventfd, a worker could make the front's end block. */
struct channel_fds {
    int rings;     /* memfd of the two rings */
    int tensors;   /* memfd of the tensor memory */
    int to_worker; /* reading end of a pipe */
    int to_front;  /* writing end of a pipe */
};

/* Makes the rings and doorbells and starts listening. `memory` must outlive the channel. */
struct channel *channel_open(struct loop *loop, struct tensor_memory *memory,
                             const struct channel_events *events, void *owner,
                             struct error *ret_error);

/* Forgets every request without answering it (the owner answers them), and frees the channel. The
 * worker is dead or about to be killed; memory that it may still write must not be reused before it
 * is known to be dead. */
void channel_close(struct channel *channel);

struct channel_fds channel_fds(const struct channel *channel);

/* Sends `count` requests as one execution. All are equal in everything but the first dimension when
 * count > 1. False when there is no room for it now: try again after the next `executed`. What is
 * channel_fitting has room when none is running. The doorbell rings, if it must, at the end of the
 * loop's turn. The worker does not begin it when none of its deadlines is needs_ns away any more,
 * and answers that it was cancelled; 0: it begins until the deadlines. */
bool channel_execute(struct channel *channel, uint64_t execution, uint64_t needs_ns,
                     struct channel_request *const *requests, size_t count);

/* How many of the requests, from the first one on, can be sent as one execution. 0: the first one's
 * inputs and parameters are too much to be sent to any worker. */
size_t channel_fitting(struct channel_request *const *requests, size_t count);

/* Asks the worker to end the request early. Its final response still comes. */
void channel_cancel(struct channel *channel, struct channel_request *request);

/* Lets a streaming request give `count` more responses, and says that the bytes of its `count`
 * oldest non-final responses are no longer needed: the worker may use their room again. */
void channel_credit(struct channel *channel, struct channel_request *request, uint32_t count);

/* Answers a call: outputs lie in extents of this channel's memory that need_room or the grant gave,
 * or error. */
void channel_call_answer(struct channel *channel, uint64_t call_id, const struct error *error,
                         const struct span *output_names, const struct channel_tensor *outputs,
                         size_t count);

/* A call will not be answered, because its request has had its final response. */
void channel_call_forget(struct channel *channel);

/* Asks the worker to unload and exit. */
void channel_stop(struct channel *channel);

/* Requests that are with the worker now. */
size_t channel_request_count(const struct channel *channel);

/* Visits the requests that are with the worker: start with *position 0; NULL at the end. */
struct channel_request *channel_next_request(const struct channel *channel, size_t *position);

#endif
