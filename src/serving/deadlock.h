/* Nested inferences that wait for each other. A request that has called another model keeps its
 * place with its worker meanwhile, its share of resources and its model's memory, so that two
 * models that call each other, each with all its workers busy, would wait for ever. Chains that
 * come back to a model are refused when they are made (nested.h); this finds circles of several
 * requests.
 *
 * From time to time it is looked which nested inferences can go on: at first none is thought to,
 * and what waits for nothing that is stuck is crossed out until nothing changes. What is left twice
 * in a row waits for ever: the newest fails, and with it the circle is open. Pipelines' calls are
 * nested inferences like others. All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_DEADLOCK_H
#define TENSORD_SERVING_DEADLOCK_H

#include "net/loop.h"

struct nested;

/* What was found of a generation: whether what waits in its queue is stuck. */
struct deadlock_mark {
    uint64_t round;
    bool stuck;
};

struct deadlock_watch {
    struct list nested; /* that were submitted and have no answer, the oldest first */
    struct timer look;  /* runs while there are any */
    uint64_t round;     /* marks what is found stuck: replica_note_stuck */
};

void deadlock_init(struct deadlock_watch *watch);

/* No inference is left. */
void deadlock_fini(struct deadlock_watch *watch);

/* It is about to be submitted. */
void deadlock_enter(struct nested *nested);

/* It has its answer, or nobody waits for it any more. */
void deadlock_leave(struct nested *nested);

#endif
