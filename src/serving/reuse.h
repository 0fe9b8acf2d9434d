/* Answers without an execution of their own: kept from an earlier one (response_cache.h), for
 * models whose config has `response_cache`; or shared with others that are asked for at the same
 * time (flight.h), for those that have `scheduling.coalesce`.
 *
 * Requests are the same when they mean the same to the model: its files, its inputs with names,
 * datatypes, shapes and bytes, the outputs that are asked for, and the parameters. Ids, deadlines,
 * priorities and callers make no difference. The inputs are hashed when the request is complete and
 * before its worker is told of it; the hash has 128 bits and a secret key, so that nobody can make
 * two requests meet. For models that run code, and for pipelines, other models count as well, since
 * they may call them: any change of what is served is one of theirs.
 *
 * Only good, single and whole answers are kept. All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_REUSE_H
#define TENSORD_SERVING_REUSE_H

#include "serving/response_cache.h"

struct generation;
struct inference;
struct inference_answer;
struct repository_version;

/* What the server has of it. */
struct reuse {
    struct response_cache cache;
    uint64_t secret[2];   /* of the hash */
    bool usable;          /* there is one */
    uint64_t generations; /* that there were */
    uint64_t changes;     /* of what is served, so far */
};

/* What a generation has. */
struct generation_reuse {
    bool on;            /* one of the next two */
    bool caches;        /* its answers are kept */
    bool coalesces;     /* requests that are the same are executed once */
    bool follows;       /* its answers may follow from other models */
    uint64_t serial;    /* among generations */
    struct list cached; /* its answers that are kept */
    struct map flights; /* by key: executions that others may share */
};

/* Nothing is kept. False when there is no random number for the secret: then nothing ever is. */
bool reuse_init(struct reuse *reuse, uint64_t limit_bytes, uint64_t entry_limit_bytes);

/* A new generation of these files. */
void reuse_join(struct generation *generation, const struct repository_version *found);

/* The generation takes no new requests: none of its answers is given any more. */
void reuse_retire(struct generation *generation);

/* The generation goes. */
void reuse_leave(struct generation *generation);

/* Another version of some model is served, or one less. */
static inline void reuse_changed(struct reuse *reuse)
{
    reuse->changes++;
}

/* A request that was checked, before it is queued. True: it needs no execution of its own, and will
 * have its answer, in a later turn. To be asked where generation_reuse.on and the schema is known.
 */
bool reuse_begin(struct inference *inference);

/* The inference is about to be told its final answer: it may be kept. */
void reuse_keep(struct inference *inference, const struct inference_answer *answer);

/* Its answer is not looked at any more. */
void reuse_end(struct inference *inference);

#endif
