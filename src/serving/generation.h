/* A generation: one state of a version's files, with its own tensor memory, queue and workers.
 *
 * It is counted: by its version while it is current or next, by every inference that is bound to
 * it, and by its worker until that has ended. When the version lets go of it, it serves what it has
 * and then ends its worker. */
#ifndef TENSORD_SERVING_GENERATION_H
#define TENSORD_SERVING_GENERATION_H

#include "serving/serving.h"

struct replica;

enum generation_state {
    GENERATION_COLD,    /* no worker; a request or generation_start starts one */
    GENERATION_LOADING, /* a worker is loading it for the first time since it was cold */
    GENERATION_READY,   /* loaded; when its worker has died, it is being restarted */
    GENERATION_FAILED,
};

struct generation {
    struct version *version;
    unsigned references;
    unsigned abandoned; /* those of requests that are with the worker and that nobody waits for */
    enum generation_state state;
    struct arena arena;      /* of spec */
    struct worker_spec spec; /* what its workers serve */
    uint64_t fingerprint;    /* of the files */
    struct tensor_memory *memory;
    struct schema *schema;   /* NULL until it was loaded or probed once */
    struct replica *replica; /* its worker; NULL when none runs */
    struct list queue;       /* of struct inference */
    size_t queued;
    struct loop_task dispatch;
    uint64_t dispatched_ns; /* when dispatch last ran, monotonic */
    struct timer retry;
    struct timer idle;     /* trims the memory */
    unsigned failures;     /* of its workers, in a row */
    bool retired;          /* its version has let go of it */
    bool queue_checked;    /* what came while it was loading has met the schema */
    uint64_t output_bytes; /* room that outputs needed lately, where the schema does not say */
    struct error failure;  /* why it FAILED */
};

/* A cold generation of the files of `found`, with one reference, the version's. */
struct generation *generation_new(struct version *version, const struct repository_version *found,
                                  struct error *ret_error);

struct generation *generation_ref(struct generation *generation);
void generation_unref(struct generation *generation);

/* Nobody waits any more for a request that is with the worker. Undone by its final answer, with
 * generation_reclaim. A retired generation that has no other requests ends its worker at once,
 * whether or not the model hears that it was cancelled. */
void generation_abandon(struct generation *generation);
void generation_reclaim(struct generation *generation);

/* Starts a worker when none runs; with probe, one that describes the model and exits. */
void generation_start(struct generation *generation, bool probe);

/* The version lets go: no new requests will be bound. Drops the version's reference. */
void generation_retire(struct generation *generation);

/* Takes an inference into the queue, or refuses it. */
void generation_submit(struct generation *generation, struct inference *inference);

/* ---- for replica.c ---- */

/* The worker has loaded the model. False when the generation cannot use it: the model is not the
 * one that it was, or there is no memory. */
bool generation_loaded(struct generation *generation, const struct schema *schema);

/* The worker could not load it, or has ended; the replica is gone already. `loaded`: it had been
 * serving for lived_ms. */
void generation_lost(struct generation *generation, bool loaded, uint64_t lived_ms,
                     const struct error *error);

#endif
