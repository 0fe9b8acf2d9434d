/* By how much requests wait longer than was foreseen: learned, so that of fifty which are let in
 * with a deadline that leaves them little time, one waits longer than was allowed for. A machine
 * that does nothing else keeps what was foreseen, and a busy one does not; of what is let in and
 * then too late, nobody has anything.
 *
 * The allowance is the quantile of what was seen: each wait that was longer raises it by a step,
 * each that was not lowers it by a forty-ninth of one. Pure. */
#ifndef TENSORD_SCHEDULE_ALLOWANCE_H
#define TENSORD_SCHEDULE_ALLOWANCE_H

#include <stdint.h>

struct allowance {
    double more; /* of a time, beyond it */
};

/* Nothing has been seen: a quarter more. */
void allowance_init(struct allowance *allowance);

/* The time with what is allowed for beyond it. */
uint64_t allowance_ns(const struct allowance *allowance, uint64_t foreseen_ns);

/* A request for which this wait was foreseen has waited for so long. */
void allowance_learn(struct allowance *allowance, uint64_t foreseen_ns, uint64_t waited_ns);

#endif
