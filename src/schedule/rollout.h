/* Which version of a model answers a request that names none.
 *
 * Versions have weights. Without a key the versions take turns: over as many requests as the
 * weights add up to, each answers exactly its weight, evenly spread (smooth weighted round robin).
 * With a key, that of a user say, the same key gets the same version: each version draws a number
 * by the key, stretched by its weight, and the best draw wins (weighted rendezvous hashing: Thaler,
 * Ravishankar 1998). So when one weight changes, only keys that come to that version or leave it
 * move; and the keys of a version that cannot answer are spread over the others until it can.
 *
 * Pure: values go in, a decision comes out. */
#ifndef TENSORD_SCHEDULE_ROLLOUT_H
#define TENSORD_SCHEDULE_ROLLOUT_H

#include "base/span.h"

#include <stdbool.h>

enum {
    ROLLOUT_MAX_VERSIONS = 16,     /* with a weight */
    ROLLOUT_MAX_WEIGHT = 1000000,  /* of one version */
    ROLLOUT_MAX_STICKY_BYTES = 64, /* of a field's name */
    ROLLOUT_WHOLE = 1000000,       /* shares are parts of it */
    ROLLOUT_NONE = ROLLOUT_MAX_VERSIONS,
};

struct rollout_weight {
    uint64_t version;
    uint32_t weight; /* 0: it answers only requests that name it */
};

/* What a model's config wants, or its operator. All zero: nothing. */
struct rollout {
    struct rollout_weight weights[ROLLOUT_MAX_VERSIONS]; /* ascending by version */
    size_t weight_count;                   /* 0: the newest version that is ready has it all */
    char sticky[ROLLOUT_MAX_STICKY_BYTES]; /* the header, or parameter, with the key; or empty */
    uint64_t shadow;       /* the version that gets copies of requests; 0: there is none */
    uint32_t shadow_share; /* of the requests are copied, in parts of ROLLOUT_WHOLE */
};

/* Whose turn it is. Zeroed at first, and when the weights change. */
struct rollout_turns {
    int64_t credits[ROLLOUT_MAX_VERSIONS];
    bool usable[ROLLOUT_MAX_VERSIONS]; /* when they were last taken */
    uint32_t shadow_credit;
};

/* A key as a number; the same on every machine and after every start. */
uint64_t rollout_key(struct span text);

/* The index of the weight whose version answers the next request. usable[i]: that of weights[i] can
 * answer now. ROLLOUT_NONE: no version with a weight above 0 can. */
size_t rollout_turn(const struct rollout *rollout, struct rollout_turns *turns,
                    const bool usable[ROLLOUT_MAX_VERSIONS]);

/* The same for a request with a key. */
size_t rollout_stick(const struct rollout *rollout, uint64_t key,
                     const bool usable[ROLLOUT_MAX_VERSIONS]);

/* The same for questions that are no requests, such as for metadata: the version with the largest
 * weight, of equal ones the first. */
size_t rollout_primary(const struct rollout *rollout, const bool usable[ROLLOUT_MAX_VERSIONS]);

/* Whether the request that was just answered is copied to the shadow: exactly the share of them. */
bool rollout_copies(const struct rollout *rollout, struct rollout_turns *turns);

/* Whether both say the same. */
bool rollout_equal(const struct rollout *a, const struct rollout *b);

#endif
