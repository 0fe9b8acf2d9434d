/* What a kept process uses, and whether that is too much. For cage.c alone. */
#ifndef TENSORD_WORKER_CAGE_WATCH_H
#define TENSORD_WORKER_CAGE_WATCH_H

#include "base/span.h"
#include "worker/sandbox.h"

#include <sys/types.h>

struct cage_usage {
    uint64_t memory_bytes; /* anonymous, swapped out, and in a scratch folder in memory */
    uint64_t disk_bytes;   /* in a scratch folder on disk */
    uint64_t files;        /* there */
    uint64_t pids;         /* threads and processes */
};

/* Adds what the text of a /proc/PID/status says. Pure. */
void cage_usage_add(struct cage_usage *usage, struct span status);

/* Looks at the process and, where the processes are the init's own, at all of them. False when
 * that cannot be seen (yet). */
bool cage_usage_look(const struct sandbox_share *share, pid_t kept, struct cage_usage *ret_usage);

/* Whether it is more than the limits allow; then *text says so, as a sentence for the model's
 * owner. Pure. */
bool cage_usage_exceeds(const struct cage_usage *usage, const struct process_limits *limits,
                        char *text, size_t size);

#endif
