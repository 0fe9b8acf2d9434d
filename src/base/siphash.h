/* SipHash-2-4 with 128 bits: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 *
 * A keyed hash: who does not know the key can neither foresee a hash nor make two contents have the
 * same one. About as fast as memory is read by one thread; no library is needed. */
#ifndef TENSORD_BASE_SIPHASH_H
#define TENSORD_BASE_SIPHASH_H

#include "base/span.h"

struct siphash {
    uint64_t v[4];
    uint64_t tail; /* bytes that are no whole word yet, the first in the lowest */
    uint64_t size; /* of all that was added */
};

struct siphash_value {
    uint64_t words[2];
};

void siphash_init(struct siphash *hash, const uint64_t key[2]);

/* Adds bytes; how they are cut into calls makes no difference. */
void siphash_add(struct siphash *hash, struct span bytes);

/* Adds eight bytes, the number's. */
void siphash_add_u64(struct siphash *hash, uint64_t number);

/* Adds a string of any length so that where it ends makes a difference. */
void siphash_add_string(struct siphash *hash, struct span string);

/* The hash of all that was added; nothing more may be. */
struct siphash_value siphash_finish(struct siphash *hash);

static inline uint64_t siphash_rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

/* One round, of which hashes of this family are made. */
static inline void siphash_round(uint64_t v[4])
{
    v[0] += v[1], v[2] += v[3];
    v[1] = siphash_rotate(v[1], 13) ^ v[0], v[3] = siphash_rotate(v[3], 16) ^ v[2];
    v[0] = siphash_rotate(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = siphash_rotate(v[1], 17) ^ v[2], v[3] = siphash_rotate(v[3], 21) ^ v[0];
    v[2] = siphash_rotate(v[2], 32);
}

#endif
