/* Numbers for ids that must not collide, and need not be secret: SplitMix64 over a seed from the
 * kernel. For the loop's thread. */
#ifndef TENSORD_TELEMETRY_RANDOM_H
#define TENSORD_TELEMETRY_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* The next number; a few ns. */
uint64_t random_next(void);

/* Fills bytes, at least one of which is not 0, as ids of traces want it. */
void random_id(uint8_t *to, size_t size);

#endif
