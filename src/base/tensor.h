/* Tensors: datatypes, shapes, and the schema of a model. The datatypes are those of
 * tensord/engine.h. */
#ifndef TENSORD_BASE_TENSOR_H
#define TENSORD_BASE_TENSOR_H

#include "base/error.h"
#include "base/span.h"

#include "tensord/engine.h"

enum {
    TENSOR_MAX_DIMS = TENSORD_MAX_DIMS,
    TENSOR_MAX_PER_REQUEST = 1024, /* inputs, and outputs, of one request */
    TENSOR_ALIGNMENT = 64,         /* bytes, of a tensor's data */
};

/* The protocol's name of a datatype, "FP32"; "INVALID" for none. */
const char *datatype_name(enum tensord_datatype datatype);

/* The datatype of that name, or TENSORD_INVALID. */
enum tensord_datatype datatype_of_name(struct span name);

/* Bytes of one element; 0 for BYTES, whose elements differ. */
size_t datatype_size_bytes(enum tensord_datatype datatype);

/* A shape: (shape[0], …, shape[ndim - 1]). */
struct shape {
    uint32_t ndim;
    int64_t dims[TENSOR_MAX_DIMS];
};

/* The number of elements; 1 for a scalar. False when a dimension is negative or the product
 * overflows. */
bool shape_count(const struct shape *shape, uint64_t *ret_count);

/* Bytes of a tensor of this datatype and shape, not BYTES. False on overflow or a negative
 * dimension. */
bool shape_size_bytes(const struct shape *shape, enum tensord_datatype datatype,
                      uint64_t *ret_size_bytes);

/* Writes "[1,-1,16]" into text, cut to fit and terminated. Returns text. */
char *shape_format(const struct shape *shape, char *text, size_t size);

/* Checks that `data` is exactly `count` BYTES elements (uint32 LE length, bytes). Each length is
 * read once. */
bool bytes_tensor_check(struct span data, uint64_t count);

/* Takes the next element off a BYTES tensor that may change under us: *rest shrinks. False at the
 * end or when a length lies. */
bool bytes_tensor_next(struct span *rest, struct span *ret_element);

/* One input or output of a model, as clients see it (with the batch dimension, when there is one).
 */
struct tensor_info {
    struct span name;
    enum tensord_datatype datatype;
    struct shape shape; /* -1: any size */
    bool optional;
    bool any_rank;    /* any number of dimensions will do, whatever shape says */
    bool runs_alone;  /* it has no rows: a request that gives it is not joined with others */
    bool hidden;      /* clients do not see it: the server gives it, or keeps it */
    bool ragged;      /* requests are joined although their shapes of it differ */
    uint32_t padding; /* the place of its padding in the config's list, from 1 on; 0: it has none */
};

/* What a model takes and gives. Immutable once made. One heap block: free() it by schema_free. */
struct schema {
    struct span platform; /* e.g. "onnxruntime_onnx" */
    struct span engine;   /* e.g. "onnx" */
    struct tensor_info *inputs;
    size_t input_count;
    struct tensor_info *outputs;
    size_t output_count;
    uint32_t concurrency;    /* executions that a worker runs at once, ≥ 1 */
    uint32_t max_batch_size; /* rows of a batch, at most; 0: requests have no rows */
    bool joins;              /* requests may be joined along their rows */
    bool bounds_rows;        /* a request may have no more than max_batch_size */
    bool streams;            /* may answer several times */
    bool sequences;          /* each request is of a sequence */
    bool starts_at_once;     /* whatever a worker is given: nothing waits in it for a slot */
    struct span batch_note;  /* why requests are, or are not, joined */
};

/* A deep copy, or NULL when there is no memory. */
struct schema *schema_copy(const struct schema *schema);
void schema_free(struct schema *schema);

/* A copy without what is hidden from clients, or NULL when there is no memory. */
struct schema *schema_shown(const struct schema *schema);

/* True when both have the same inputs and outputs, in the same order. */
bool schema_same_tensors(const struct schema *a, const struct schema *b);

/* The index of the input or output of that name, or -1. */
int schema_input(const struct schema *schema, struct span name);
int schema_output(const struct schema *schema, struct span name);

#endif
