/* The section `sequence_batching` of a model's config: requests that belong together, and what the
 * server keeps of one for the next. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_SEQUENCES_H
#define TENSORD_REPOSITORY_MODEL_SEQUENCES_H

#include "base/pack.h"
#include "base/tensor.h"
#include "codec/model_config.pb.h"

enum {
    MODEL_MAX_CONTROLS = 4, /* one of each kind */
    MODEL_MAX_STATES = 256,
    MODEL_MAX_CANDIDATES = 65536, /* sequences that a worker has at once */
    MODEL_CANDIDATES = 1024,      /* where the config does not say, and the model need not know */
    MODEL_SEQUENCE_IDLE_US = 1000000,
};

enum model_control_kind { CONTROL_START, CONTROL_READY, CONTROL_END, CONTROL_ID };

/* An input by which the model learns of its sequence. */
struct model_control {
    struct span name;
    enum model_control_kind kind;
    enum tensord_datatype datatype;
    uint32_t values[2]; /* the element's bytes for false and true; not of CONTROL_ID */
};

/* An output of one request that is an input of the next. */
struct model_state {
    struct span input, output;
    enum tensord_datatype datatype; /* TENSORD_INVALID: as the model says */
    bool shaped;                    /* the config says the shape; else the model does */
    struct shape shape;         /* of an element of the batch, as the config lists it; -1: any */
    struct shape initial_shape; /* likewise, with no -1; ndim 0: of `shape` */
    struct span initial_file;   /* in the folder initial_state/; empty: zeros */
    struct span initial;        /* what it holds */
    bool shown;                 /* it is an output to clients, too */
};

enum model_sequence_strategy {
    SEQUENCES_ANY,    /* the config does not say */
    SEQUENCES_DIRECT, /* a sequence keeps a row of the batch */
    SEQUENCES_OLDEST, /* those that have waited longest are joined */
};

struct model_sequences {
    enum model_sequence_strategy strategy;
    uint32_t candidates; /* of a worker, where the strategy is OLDEST; 0: it does not say */
    uint64_t idle_us;
    uint32_t least_percent; /* minimum_slot_utilization: of the rows, that must be there for a batch
                               before its delay is over */
    struct model_control controls[MODEL_MAX_CONTROLS];
    size_t control_count;
    struct model_state *states;
    size_t state_count;
};

/* Checks the section and fills in what it says; lists lie in arena. What it says of batches is
 * left to whoever reads *ret_batching (model_queue.h), which has views of the section. False with a
 * sentence (INVALID_ARGUMENT, or UNIMPLEMENTED). */
bool model_sequences_read(const struct inference_model_sequence_batching *section,
                          int64_t max_batch_size, struct arena *arena,
                          struct model_sequences *ret_sequences,
                          struct inference_model_dynamic_batching *ret_batching,
                          struct error *ret_error);

/* A copy in the arena; NULL: there is no memory. */
const struct model_sequences *model_sequences_copy(struct arena *arena,
                                                   const struct model_sequences *from);

/* As bytes, between processes of this program. */
void model_sequences_pack(const struct model_sequences *sequences, struct buf *buf);
void model_sequences_unpack(struct unpack *unpack, struct model_sequences *ret_sequences);

#endif
