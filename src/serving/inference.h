/* An inference: the one kind of request that every API makes, and its answers.
 *
 * Life: inference_init binds it to a generation of a model version; inference_reserve gets it
 * memory for all its inputs, perhaps after some waiting; inference_input gives each input its part
 * of that, which the worker shares; inference_submit hands it over; `answered` is called for each
 * answer, the last one final; inference_fini gives the memory back. The memory of a request must
 * outlive the worker's interest in it, so inference_fini may be called before inference_submit or
 * after the final answer, never between.
 *
 * Answers: a model may give any number before the final one, which then often has no outputs and
 * only says that it was the last. They are pulled: the outputs of each lie still until
 * inference_more returns them, and with INFERENCE_ANSWERS_AHEAD of them unreturned the model waits.
 * An error is always final. Who wants exactly one answer uses only_answer.h.
 *
 * All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_INFERENCE_H
#define TENSORD_SERVING_INFERENCE_H

#include "base/arena.h"
#include "base/caller.h"
#include "base/clock.h"
#include "base/sequence.h"
#include "base/siphash.h"
#include "base/tensor.h"
#include "net/loop.h"
#include "schedule/queue.h"
#include "schedule/sequences.h"
#include "serving/admission.h"
#include "serving/inference_outputs.h"
#include "telemetry/trace_context.h"
#include "worker/channel.h"

struct cached_response;
struct classes_wanted;
struct copied;
struct flight;
struct generation;
struct inference;
struct labels;
struct pipeline_request;
struct replica;
struct states;
struct version;

enum { INFERENCE_ANSWERS_AHEAD = 32 }; /* that a model may give before the first was returned */

/* When an inference changed its stage, ns of the monotonic clock; 0: not yet. See measure.h. */
struct inference_times {
    uint64_t received_ns; /* the first byte of its request; set by the API */
    uint64_t submitted_ns;
    uint64_t executed_ns; /* it left the queue */
    uint64_t answered_ns;
    struct channel_times worker; /* of the time between the last two */
    uint64_t batch_rows;         /* of its execution; 0: another request stands for that */
    uint64_t responded_ns;       /* its latest answer that was not final */
    size_t responses;            /* so far */
    bool failed;
    enum { LOOKUP_NONE, LOOKUP_HIT, LOOKUP_MISS } lookup; /* among the answers that are kept */
    uint64_t lookup_ns;                                   /* that, and keeping a new one */
    bool shared; /* its answer is of an execution that counts as another's */
};

/* One answer. Valid during the call of `answered`; the data of its outputs for longer. */
struct inference_answer {
    bool final;
    struct error error; /* ERROR_OK when it went well; else it is final */
    struct inference_outputs outputs;
};

/* What answers of others have to do with it; see reuse.h. */
struct inference_reuse {
    struct siphash_value key;         /* of all that its answer follows from */
    bool keeps;                       /* its answer may be kept under that key */
    struct cached_response *response; /* lent: its answer; NULL: it has none of those */
    struct flight *flight;            /* whose answer is, or will be, its own; NULL: none's */
    struct list_link flight_link;     /* while it waits for that */
    bool landed;                      /* it has that */
    bool is_flight;                   /* it is nobody's request, but the execution of several */
};

/* What is copied to the model's shadow, once the client has its answer; see shadow.h. */
struct shadow_wish {
    struct copied *copied;            /* NULL: nothing is */
    struct inference_outputs outputs; /* the answer's */
};

struct inference {
    /* Set by the API before inference_submit. */
    struct span id;
    struct caller caller;               /* whose request it is */
    const struct parameter *parameters; /* for the model */
    size_t parameter_count;
    struct sequence_mark sequence; /* that it says it is of */
    uint64_t deadline_ns;          /* CLOCK_NEVER: none */
    void (*answered)(struct inference *inference, const struct inference_answer *answer);
    /* The memory that it waits for is there (ERROR_OK), or did not come in time. */
    void (*reserved)(struct inference *inference, const struct error *error);
    void *owner; /* the API's */
    struct classes_wanted
        *classes; /* likewise, api/classify.h; NULL: outputs are given as they are */
    /* A header of the client's request, for whoever routes by one (routing.h); client is what it is
     * asked of, and lives as long as the inference. NULL: it has none. */
    struct span (*client_field)(const void *client, struct span name);
    const void *client;
    bool routed; /* likewise: it has named no version */
    struct inference_times times;
    struct trace_context trace; /* set by the API; whether it is sampled is decided at submit */

    /* The serving module's own. */
    struct arena *arena;
    struct generation *generation; /* NULL: not bound, nothing to give back */
    struct channel_tensor *inputs;
    size_t input_count, input_capacity;
    struct span *input_names;
    size_t input_names_capacity;
    const struct span *output_names;
    size_t output_name_count;
    struct admission_share share; /* of the generation's memory */
    uint64_t input_bytes;         /* of it, for inputs that are not made yet */
    uint64_t room_bytes;          /* of it, for outputs */
    struct extent *extras;        /* room that the worker asked for beyond its grant */
    size_t extra_count, extra_capacity;
    struct inference_output *outputs; /* of the answer that is being told */
    size_t output_capacity;
    struct channel_request request;
    struct replica *replica;  /* the worker that has it, while it runs, */
    uint64_t execution;       /* and which of that's executions it is in */
    struct queue_entry entry; /* in the generation's queue */
    bool fills;               /* it is no request, but a row of a batch without one (filler.h) */
    struct sequence_request turn; /* in its sequence, where the model has such */
    struct states *states;        /* that it has as inputs; NULL: none */
    uint64_t priority;            /* 1 is the first; 0: the model's default */
    bool times_out;               /* its deadline is its own timeout's, not the protocol's */
    struct timer deadline;
    struct kept *kept;         /* its worker still looks at its memory; NULL: it does not */
    struct loop_task refusal;  /* gives early_error, or what was kept, as the final answer */
    struct error *early_error; /* NULL: there was no memory for it */
    enum { INFERENCE_FILLING, INFERENCE_QUEUED, INFERENCE_RUNNING, INFERENCE_DONE } state;
    struct shadow_wish shadow;
    bool cancelled;
    uint64_t cancelled_ns;          /* since when, while it was with a worker */
    bool repeated;                  /* it was with a worker that was replaced */
    bool fails;                     /* with early_error, whatever its worker says */
    bool released;                  /* its memory has gone back */
    bool runs_alone;                /* it is not joined with others, whatever they are */
    unsigned depth;                 /* of nested calls above it; 0: a client's own */
    const struct inference *parent; /* that waits for this one; NULL: a client does */
    struct inference_reuse reuse;
    struct pipeline_request *steps; /* of a pipeline: what it has come to; NULL: it has not begun */
};

/* Binds a client's inference to the version's current generation; lists made for it come from
 * arena, which must outlive it. False when the version cannot serve (NOT_FOUND, UNAVAILABLE with
 * the reason) or the server takes no more requests. */
bool inference_init(struct inference *inference, struct version *version, struct arena *arena,
                    struct error *ret_error);

/* The same for one that the model of `parent` makes: it has the parent's deadline and caller, and
 * is part of a request that was taken already. */
bool inference_init_nested(struct inference *inference, struct version *version,
                           struct arena *arena, const struct inference *parent,
                           struct error *ret_error);

/* Gives back all memory of the inference. Does nothing when it is not bound. */
void inference_fini(struct inference *inference);

/* After the final answer: nobody reads inputs and outputs any more, so that others may have their
 * memory while the answer is sent. */
void inference_forget_tensors(struct inference *inference);

enum inference_memory { INFERENCE_MEMORY_GIVEN, INFERENCE_MEMORY_WAITS, INFERENCE_MEMORY_REFUSED };

/* Reserves memory for all inputs before the first is made; input_bytes is the sum of
 * tensor_memory_charge over them, or more; rows is the first dimension of the first (0: it has
 * none). connection counts what requests of the client's connection hold, NULL where there is none;
 * it must live until inference_fini or inference_disconnect. WAITS: it holds nothing, and
 * `reserved` will be called, in a later turn and once, unless inference_fini comes first. REFUSED:
 * TOO_LARGE when it could never fit, UNAVAILABLE when too many wait. */
enum inference_memory inference_reserve(struct inference *inference, uint64_t input_bytes,
                                        int64_t rows, uint64_t *connection,
                                        struct error *ret_error);

/* The client's connection goes: what the inference holds counts for it no more. */
void inference_disconnect(struct inference *inference);

/* Adds an input of size_bytes and returns in *ret_data where its bytes go (NULL when it is empty).
 * The size must be the one that datatype and shape say (BYTES: any). name is kept by reference.
 * What was not reserved is taken at once or refused (RESOURCE_EXHAUSTED): who holds memory does not
 * wait for more. */
bool inference_input(struct inference *inference, struct span name, enum tensord_datatype datatype,
                     const struct shape *shape, uint64_t size_bytes, char **ret_data,
                     struct error *ret_error);

/* Takes the request's parameters `priority` (1 is the first; 0: the model's default) and `timeout`
 * (0: none): that shortens the deadline, or is for the queue alone, where the model's config has a
 * policy for it. Before inference_reserve. */
void inference_urge(struct inference *inference, uint64_t priority, uint64_t timeout_us);

/* Asks for these outputs only, in this order; kept by reference. Without the call, all are given.
 */
void inference_outputs(struct inference *inference, const struct span *names, size_t count);

/* Hands the inference over. Checks it against the model's schema now, or, when the model is still
 * loading, then; what is wrong with it comes as its final answer. Answers never come from within
 * this call. */
void inference_submit(struct inference *inference);

/* The outputs of the `count` oldest answers that were not final are no longer looked at: the model
 * may use their room, and give as many answers more. Does nothing after the final answer. */
void inference_more(struct inference *inference, uint32_t count);

/* Nobody waits any more: a waiting inference gets its final answer (CANCELLED) in this loop turn's
 * end, a running one when its worker gives it; other answers are not told any more. Does nothing
 * before submit or after the final answer. */
void inference_cancel(struct inference *inference);

/* Whether the answer only says that it was the last: it has no outputs, and the model has answered
 * before, or is one that may give none. */
bool inference_answer_is_end(const struct inference *inference,
                             const struct inference_answer *answer);

/* The model and the version that it is bound to. */
struct span inference_model(const struct inference *inference);
uint64_t inference_version(const struct inference *inference);

/* The schema that the inference will meet, or NULL while the model is loading for the first time.
 */
const struct schema *inference_schema(const struct inference *inference);

/* The names of the classes of that output; NULL: it has none. */
const struct labels *inference_labels(const struct inference *inference, struct span output);

#endif
