/* What this process uses of memory, as the kernel tells it in /proc/self. */
#ifndef TENSORD_WORKER_MEMORY_USE_H
#define TENSORD_WORKER_MEMORY_USE_H

#include "base/span.h"

struct memory_use {
    uint64_t bytes;      /* its own part of what it has mapped (PSS), and what is swapped out */
    uint64_t most_bytes; /* so far, as far as can be told */
};

/* Fills in what the texts of smaps_rollup and status say. False, and *ret_use untouched, when they
 * do not say it. Pure. */
bool memory_use_read(struct span rollup, struct span status, struct memory_use *ret_use);

/* Looks. False when that cannot be seen. Takes some milliseconds for each GiB that is mapped. Any
 * thread. */
bool memory_use_look(struct memory_use *ret_use);

#endif
