/* The executions that are with a worker, and which of them wait for what will not come. Pure. */
#ifndef TENSORD_SERVING_EXECUTIONS_H
#define TENSORD_SERVING_EXECUTIONS_H

#include "schedule/schedule.h"

enum { EXECUTIONS_MAX = 256 }; /* with a worker at once */

struct execution {
    uint64_t id;
    struct schedule_run run;
    size_t cancelled;     /* requests; where all are, how long it took says nothing */
    uint64_t stuck_round; /* of deadlock.h, the last in which it was found stuck */
};

/* Zeroed at first. */
struct executions {
    struct execution items[EXECUTIONS_MAX]; /* oldest first */
    size_t count;
    uint64_t next_id;
};

/* Adds one, whose id is next_id; there is room. It stays where it is until one is removed. */
struct execution *executions_add(struct executions *executions);

/* NULL: there is none of that id. */
struct execution *executions_find(struct executions *executions, uint64_t id);

void executions_remove(struct executions *executions, struct execution *execution);

/* The id from which on they wait for a slot still: a worker begins them in order, and only when it
 * has told that one before has ended. */
uint64_t executions_not_begun(const struct executions *executions, uint64_t slots);

/* How many are stuck: those that were found so in that round, and where those take all slots, also
 * what waits in the worker for one. */
size_t executions_stuck(const struct executions *executions, uint64_t round, uint64_t slots);

/* Whether that one is. */
bool executions_is_stuck(const struct executions *executions, uint64_t id, uint64_t round,
                         uint64_t slots);

#endif
