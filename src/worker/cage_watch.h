/* What a kept process uses, and whether that is too much. For cage.c alone. */
#ifndef TENSORD_WORKER_CAGE_WATCH_H
#define TENSORD_WORKER_CAGE_WATCH_H

#include "base/span.h"
#include "worker/sandbox.h"

struct cage_usage {
    uint64_t memory_bytes; /* anonymous, swapped out, and in a scratch folder in memory; of what
                              serves (struct sandbox_share) shared memory, too */
    uint64_t disk_bytes;   /* in a scratch folder on disk */
    uint64_t files;        /* there */
    uint64_t pids;         /* threads and processes */
};

struct cage_process {
    uint64_t own_bytes;    /* anonymous memory, and what is swapped out of it */
    uint64_t shared_bytes; /* memory that can be shared */
    uint64_t threads;
};

/* Reads the text of a /proc/PID/status, or of a /proc/PID/smaps_rollup (since Linux 5.4), in which
 * pages are divided between the processes that share them; 0 is what it does not say. Pure. */
void cage_process_read(struct cage_process *process, struct span text);

/* Looks at all that is beneath this process. What is shared is divided only where the difference
 * may matter, as that costs more. False when it cannot be seen (yet). */
bool cage_usage_look(const struct sandbox_share *share, struct cage_usage *ret_usage);

/* Whether it is more than the share's limits allow; then *text says so, as a sentence for the
 * model's owner. Pure. */
bool cage_usage_exceeds(const struct cage_usage *usage, const struct sandbox_share *share,
                        char *text, size_t size);

#endif
