/* Answers that are kept to be given again: the outputs of executions, found by a hash of all that
 * they follow from (reuse.h makes it). One cache for the whole server.
 *
 * What is held never exceeds limit_bytes, with what the cache needs itself; what was looked up
 * longest ago goes first. An answer that is being sent is lent: it stays as it is, counts, and
 * cannot be driven out, until it is given back. Nothing in it is memory of a worker's.
 *
 * Pure: bytes go in and come out. All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_RESPONSE_CACHE_H
#define TENSORD_SERVING_RESPONSE_CACHE_H

#include "base/list.h"
#include "base/map.h"
#include "base/siphash.h"
#include "serving/inference_outputs.h"

struct response_cache {
    uint64_t limit_bytes;       /* 0: nothing is kept */
    uint64_t entry_limit_bytes; /* of one answer's outputs */
    uint64_t bytes;             /* that are held */
    uint64_t idle_bytes;        /* of these, what is not lent */
    uint64_t count;             /* of answers that can be found */
    uint64_t evictions;         /* driven out by others, so far */
    struct map entries;         /* by key */
    struct list idle;           /* not lent; the one to go first is first */
};

/* An answer that is kept. */
struct cached_response {
    struct inference_outputs outputs; /* to be read */
    /* The cache's own. */
    struct response_cache *cache;
    struct siphash_value key;
    struct list_link idle_link, owner_link;
    size_t readers;
    bool dropped; /* it is not found any more, and goes when it is given back */
    uint64_t bytes;
};

enum cache_verdict {
    CACHE_KEPT,
    CACHE_TOO_LARGE, /* for one answer */
    CACHE_FULL,      /* too much of the memory is lent, or there is none */
};

/* Empty. */
void response_cache_init(struct response_cache *cache, uint64_t limit_bytes,
                         uint64_t entry_limit_bytes);

/* Frees everything; nothing is lent. */
void response_cache_fini(struct response_cache *cache);

/* Other limits from now on: what is too much goes. */
void response_cache_bound(struct response_cache *cache, uint64_t limit_bytes,
                          uint64_t entry_limit_bytes);

/* Lends the answer that has this key; NULL: there is none. */
struct cached_response *response_cache_find(struct response_cache *cache,
                                            const struct siphash_value *key);

/* Gives back what was lent. Accepts NULL. */
void response_cache_return(struct cached_response *response);

/* Copies the outputs and keeps them under this key, unless there are some already. The infos that
 * they point to must live as long as any of them is lent. The answer is the owner's, a list that
 * only this module looks into. */
enum cache_verdict response_cache_keep(struct response_cache *cache, struct list *owner,
                                       const struct siphash_value *key,
                                       const struct inference_outputs *outputs);

/* None of the owner's answers is found any more. */
void response_cache_drop(struct list *owner);

#endif
