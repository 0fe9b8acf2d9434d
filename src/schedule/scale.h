/* How many workers a model is to have, between two bounds: as many as are busy, and one or a few
 * more while requests wait though all of them are.
 *
 * It is looked at now and then. Where requests have waited and nearly all slots were busy at every
 * look for short_ns, more are wanted, and no more than that until those have come. Where fewer
 * would have been busy for no more than three fifths of their time, at every look for idle_ns, so
 * many are wanted. In between nothing changes, so that neither follows at once from the other.
 *
 * Pure: what has been counted and the time go in. */
#ifndef TENSORD_SCHEDULE_SCALE_H
#define TENSORD_SCHEDULE_SCALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scale {
    uint32_t min, max;           /* at least 1 */
    uint64_t short_ns;           /* for which they must have been too few */
    uint64_t idle_ns;            /* for which they must have been too many */
    uint32_t wanted;             /* may be read */
    bool looked;                 /* once */
    uint64_t looked_ns, busy_ns; /* then */
    uint64_t enough_ns;          /* when they were last enough */
    uint64_t needed_ns;          /* when all were last needed */
    uint32_t needed;             /* at most, at a look since then */
};

/* What the workers do. */
struct scale_load {
    uint32_t workers; /* that serve */
    uint64_t slots;   /* executions at once, of each */
    uint64_t busy_ns; /* the time of all executions so far, added up */
    size_t waiting;   /* requests, now */
};

/* Wants min. */
void scale_init(struct scale *scale, uint32_t min, uint32_t max, uint64_t short_ns,
                uint64_t idle_ns);

/* Looks at the load. True when another number is wanted than before. */
bool scale_look(struct scale *scale, const struct scale_load *load, uint64_t now_ns);

#endif
