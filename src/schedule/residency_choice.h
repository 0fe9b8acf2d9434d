/* What models in memory are worth, and which of them go for what is lacking. For residency.c. */
#ifndef TENSORD_SCHEDULE_RESIDENCY_CHOICE_H
#define TENSORD_SCHEDULE_RESIDENCY_CHOICE_H

#include "schedule/residency.h"

/* What is lacking at each place. */
struct residency_shortage {
    uint64_t bytes[RESIDENCY_PLACES];
};

/* Who may go for the sake of whom. */
struct residency_choice {
    const struct residency_claim *wanted; /* NULL: for nobody's */
    bool busy;                            /* those that are busy may, too: */
    uint64_t loaded_before_ns;            /* of these, those that have been there since then */
    uint64_t now_ns;
};

/* How often a claim was used, in parts of RESIDENCY_ONE_USE: a count that halves with time. */
uint64_t residency_uses(const struct residency_claim *claim, uint64_t now_ns);

/* Whether anything is lacking. */
bool residency_is_short(const struct residency_shortage *shortage);

/* Marks those that are to go as `chosen`: as few as will do, the least valuable; with by_idle the
 * idle before the busy. False when all would not do; then all that may go are marked. */
bool residency_choose(const struct residency *residency, const struct residency_shortage *shortage,
                      const struct residency_choice *choice, bool by_idle);

/* The first that was chosen and is busy, or is idle; NULL: there is none. */
struct residency_claim *residency_chosen(const struct residency *residency, bool busy);

#endif
