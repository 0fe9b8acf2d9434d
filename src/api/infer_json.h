/* The JSON of an inference request (Open Inference Protocol, REST), read into a plain struct. Pure.
 */
#ifndef TENSORD_API_INFER_JSON_H
#define TENSORD_API_INFER_JSON_H

#include "api/region_words.h"
#include "base/arena.h"
#include "base/parameter.h"
#include "base/sequence.h"
#include "base/tensor.h"
#include "codec/json.h"

/* An input as the JSON tells it: its data stands in the JSON, follows it as binary, or lies in
 * shared memory. */
struct infer_json_input {
    struct span name;
    enum tensord_datatype datatype;
    struct shape shape;
    struct span data;           /* the JSON value; data.data NULL when it stands elsewhere */
    bool alone;                 /* data is the one element, without brackets */
    struct region_words region; /* where it lies in shared memory, if it does */
    uint64_t size_bytes;        /* of one that stands elsewhere */
};

struct infer_json_output {
    struct span name;
    bool binary;                /* wanted after the JSON of the answer, not in it */
    uint32_t classes;           /* how many are wanted instead of its values; 0: none */
    struct region_words region; /* where it is to be written in shared memory, if it is */
};

struct infer_json {
    struct span id;
    uint64_t timeout_us; /* 0: none */
    uint64_t priority;   /* 0: none */
    struct sequence_mark sequence;
    bool binary_output; /* for outputs that are not asked for by name */
    struct infer_json_input *inputs;
    size_t input_count, input_capacity;
    struct infer_json_output *outputs;
    size_t output_count, output_capacity;
    struct parameter *parameters; /* those that are for the model */
    size_t parameter_count, parameter_capacity;
};

/* Whether any output is wanted as binary. */
bool infer_json_wants_binary(const struct infer_json *request);

/* Whether that output of an answer is. */
bool infer_json_output_is_binary(const struct infer_json *request, size_t output);

/* Reads `text`. Everything points into text or lies in arena. False with INVALID_ARGUMENT and what
 * is wrong where. */
bool infer_json_read(struct span text, struct arena *arena, struct infer_json *ret_request,
                     struct error *ret_error);

/* ---- for those who read the same of other JSON ---- */

struct infer_json_reader {
    struct json json;
    struct arena *arena;
    struct infer_json *request;
    unsigned seen_parameters; /* of the request: those that mean something to us */
};

/* The request's id comes next: a string or a whole number. */
bool infer_json_read_id(struct infer_json_reader *reader);

/* The value of a parameter of the request comes next: `timeout`, `priority`, or one that is for the
 * model. */
bool infer_json_read_parameter(struct infer_json_reader *reader, struct span key);

#endif
