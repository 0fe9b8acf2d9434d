/* Allocations that fail: a parser that runs out of memory at any point must say so and leave
 * nothing behind. A target parses its input once for itself, and once more like this. */
#ifndef TENSORD_FUZZ_FAILING_ALLOCATION_H
#define TENSORD_FUZZ_FAILING_ALLOCATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One of the next allocations fails, and only that; the input says which. */
void failing_allocation_begin(const uint8_t *data, size_t size);

/* No more fails. True when one has. */
bool failing_allocation_end(void);

#endif
