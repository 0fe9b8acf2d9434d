/* A generation whose requests are of sequences: which has its turn (schedule/sequences.h), and the
 * inputs that the server gives itself: controls, by which a model learns of its sequence, and
 * states, outputs of the sequence's last request.
 *
 * A request waits in its sequence until it has its turn; then it gets these inputs and goes into
 * the generation's queue, from where it is executed by its sequence's worker. What a sequence has
 * come to is copied out of the answer's memory into a piece of its own, which is counted: by the
 * sequence, and by the request that has it as inputs, until no worker looks at that any more. */
#ifndef TENSORD_SERVING_STATEFUL_H
#define TENSORD_SERVING_STATEFUL_H

#include "repository/model_sequences.h"
#include "schedule/sequences.h"
#include "serving/inference.h"

struct generation;
struct replica;

enum { STATES_MOST_BYTES = 16 << 20 }; /* of one sequence: they are copied on the loop */

/* What a sequence has come to: its states, in one piece of tensor memory. */
struct states;

struct stateful_control {
    const struct model_control *config;
    uint32_t input; /* into the schema's inputs */
    struct shape shape;
    struct extent values[2]; /* false, true */
};

struct stateful_state {
    const struct model_state *config;
    uint32_t input, output; /* into the schema's */
    enum tensord_datatype datatype;
    struct shape shape; /* of the first one */
};

struct stateful {
    struct generation *generation;
    const struct model_sequences *config;
    struct sequences sequences;
    struct stateful_control controls[MODEL_MAX_CONTROLS]; /* from here on once the model is known */
    struct stateful_state *states;
    struct states *initial; /* NULL: the model is not known */
    struct extent constants;
    struct extent no_id;          /* of a row without a request */
    struct admission_share share; /* of these */
    uint64_t kept_outputs;        /* bit i: output i is a state */
    uint32_t places;              /* of a worker */
    bool keeps_rows;              /* a sequence keeps a row of its worker's batches */
    bool oldest;                  /* its strategy, also where the config leaves that open */
    struct timer idle;
};

/* What that config says is kept in the generation's arena. NULL with an error. */
struct stateful *stateful_new(struct generation *generation, const struct model_sequences *config,
                              struct error *ret_error);

/* No request is left, and no worker. NULL is ignored. */
void stateful_free(struct stateful *stateful);

/* A request that was checked (sequence_check.h) waits in its sequence now, or is refused. */
bool stateful_submit(struct inference *inference, struct error *ret_error);

/* The next request that has its turn, with all its inputs; or one that is to be refused, with the
 * error set. NULL: there is none. */
struct inference *stateful_next(struct stateful *stateful, struct error *ret_error);

/* The worker of a request that has its turn. */
struct replica *stateful_replica(const struct inference *inference);

/* For the scheduler: whether the worker of what waits has room. */
bool stateful_may_go(const struct queue_entry *entry);

/* A request leaves that has not run. */
void stateful_leave(struct inference *inference);

/* Keeps the states of an answer for the next request. False, with an error for the client, when
 * that cannot be done: its sequence will be over. */
bool stateful_keep(struct inference *inference, const struct channel_response *response,
                   struct error *ret_error);

/* A request has its last answer. */
void stateful_answered(struct inference *inference, bool broken);

/* A worker serves, and has gone. */
void stateful_add_worker(struct stateful *stateful, struct sequence_worker *worker);
void stateful_remove_worker(struct stateful *stateful, struct sequence_worker *worker);

/* ---- stateful_bind.c ---- */

/* The model is known: finds its controls and states, hides them from clients, and takes the memory
 * of what is always the same. False when it has them not, or not as the config says. */
bool stateful_bind(struct stateful *stateful, struct schema *schema, struct error *ret_error);

/* ---- stateful_inputs.c ---- */

/* Gives a request that has its turn its inputs: its own, controls, and states. False with an error.
 */
bool stateful_put_inputs(struct inference *inference, struct error *ret_error);

/* The inputs that it was given are not looked at any more. */
void stateful_release(struct inference *inference);

/* Of the inputs of a row without a request: makes its controls say so. */
void stateful_put_absent(const struct stateful *stateful, struct channel_tensor *inputs,
                         size_t count);

#endif
