/* A REST call that makes an inference: infer, generate and predict, which are answered once, and
 * infer_stream and generate_stream, which are answered as often as the model does. The request is
 * read in infer_rest.c, a raw body in infer_raw.c, and answered in infer_answer.c. */
#ifndef TENSORD_API_INFER_CALL_H
#define TENSORD_API_INFER_CALL_H

#include "api/answer_flow.h"
#include "api/call.h"
#include "api/infer_json.h"
#include "api/infer_regions.h"
#include "api/predict_json.h"
#include "codec/json_writer.h"
#include "serving/inference.h"
#include "serving/only_answer.h"

/* What a request and its answers look like. */
struct infer_form {
    /* Reads the JSON in call->body into the infer_call's request; its inference is bound. */
    bool (*read)(struct api_call *call, struct error *ret_error);
    /* Writes the JSON of an answer. False when JSON cannot say it. */
    bool (*write)(struct json_writer *json, const struct api_call *call,
                  const struct inference_outputs *outputs, struct error *ret_error);
    bool may_be_binary; /* tensors may follow the JSON, as Inference-Header-Content-Length says */
    bool by_schema;     /* it is read by what the model takes, so not before that is chosen */
};

extern const struct infer_form infer_form;    /* infer_form.c: the Open Inference Protocol's */
extern const struct infer_form generate_form; /* likewise: flat JSON */
extern const struct infer_form predict_form;  /* predict_form.c: KServe's v1, rows of values */

enum infer_step {
    INFER_JSON,
    INFER_MEMORY,    /* the body stands still until there is memory for all inputs */
    INFER_TENSORS,   /* one input after the other, received into memory that the worker shares */
    INFER_REGIONS,   /* inputs are read from shared memory */
    INFER_SUBMITTED, /* the model has it */
    INFER_REFUSED,
};

/* Where the bytes of one binary input go. */
struct infer_destination {
    char *data;
    uint64_t size;
};

/* In the exchange's arena; call->detail. */
struct infer_call {
    struct inference inference;
    struct infer_json request;
    struct predict_json predict;  /* of a predict request */
    struct infer_regions regions; /* of its tensors that lie in shared memory */
    const struct infer_form *form;
    bool streams;
    enum infer_step step;
    /* The body. */
    uint64_t json_bytes; /* length of the JSON; UINT64_MAX: all of the body */
    bool raw;            /* the whole body is the one input */
    bool body_ended;
    struct shape raw_shape; /* of the input that a raw body is */
    struct infer_destination *destinations;
    size_t destination_count;
    size_t at;       /* the destination that is being filled */
    uint64_t filled; /* bytes of it */
    /* The answer. */
    struct only_answer only;
    struct answer_flow flow;
    struct inference_outputs outputs; /* of the one answer, while they are written to regions */
    bool told;                        /* nothing more is to be said, or nobody listens */
    bool sends_tensors;               /* from where they lie */
    bool client_gone;
};

static inline struct infer_call *infer_of(const struct api_call *call)
{
    return call->detail;
}

/* Ends the call with an error; what still comes of the body is dropped. */
void infer_refuse(struct api_call *call, const struct error *error);

/* ---- infer_raw.c: no JSON at all, the body is the model's one input ---- */

/* Finds out the shape, and in *ret_needed_bytes what the input needs of the model's memory. */
bool infer_raw_measure(struct api_call *call, uint64_t *ret_needed_bytes, struct error *ret_error);

/* Makes the input and its destination; the memory is reserved. */
bool infer_raw_make(struct api_call *call, struct error *ret_error);

/* ---- infer_answer.c ---- */

/* Hands the inference over, all of whose inputs are in its memory or in shared memory, and answers
 * when it does. */
void infer_answer_begin(struct api_call *call);

/* For the handler, at any time of the call. */
void infer_answer_drained(struct http_exchange *exchange);
void infer_answer_closed(struct http_exchange *exchange, bool complete);

#endif
