/* What residency.c, residency_room.c and residency_next.c share. */
#ifndef TENSORD_SCHEDULE_RESIDENCY_INTERNAL_H
#define TENSORD_SCHEDULE_RESIDENCY_INTERNAL_H

#include "schedule/residency_choice.h"
#include "schedule/residency_trace.h"

#include <assert.h>
#include <stddef.h>

/* ---- numbers ---- */

static inline uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* a - b, or 0. */
static inline uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static inline uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* ---- its trace ---- */

static inline void trace(const struct residency *residency, const struct residency_event *event)
{
    if (residency->trace)
        residency->trace(residency->context, event);
}

static inline void trace_plain(const struct residency *residency, enum residency_event_kind kind,
                               uint64_t id, uint64_t now_ns)
{
    trace(residency, &(struct residency_event){.time_ns = now_ns, .kind = kind, .id = id});
}

/* ---- claims ---- */

static inline struct residency_claim *claim_of(struct list_link *link)
{
    return list_entry(link, struct residency_claim, link);
}

static inline struct residency_claim *first_of(const struct list *list)
{
    struct list_link *link = list_first(list);
    return link ? list_entry(link, struct residency_claim, turn) : NULL;
}

static inline void turn_to(struct residency_claim *claim, enum residency_state state,
                           uint64_t now_ns)
{
    claim->state = state;
    claim->since_ns = now_ns;
}

/* It is not waiting any more. */
static inline void end_turn(struct residency *residency, struct residency_claim *claim)
{
    list_remove(&claim->turn);
    if (residency->first == claim->id)
        residency->first = 0;
}

static inline void stop_draining(struct residency *residency, struct residency_claim *claim)
{
    residency->draining -= claim->draining;
    claim->draining = false;
}

/* ---- residency_room.c: what claims take, need and lack ---- */

/* What a size takes of a place. */
uint64_t residency_bytes_at(const struct residency_claim *claim, struct residency_size size,
                            unsigned place);

/* A claim has this much of the budgets from now on. */
void residency_hold(struct residency *residency, struct residency_claim *claim,
                    struct residency_size size);

/* What it needs of a place: no more than it could have, where that is an estimate. */
uint64_t residency_need_at(const struct residency *residency, const struct residency_claim *claim,
                           unsigned place);

/* Whether it would fit if it were alone. */
bool residency_ever_fits(const struct residency *residency, const struct residency_claim *claim);

/* Whether it fits beside what is held now. */
bool residency_fits_now(const struct residency *residency, const struct residency_claim *claim,
                        uint64_t now_ns);

/* What is to come back when those have ended that are asked to, and, if so, those that are drained
 * and have been for no longer than they may. */
uint64_t residency_coming_bytes(const struct residency *residency, unsigned place, bool drained,
                                uint64_t now_ns);

/* What a place lacks for `need` more bytes, when what is coming is there. */
uint64_t residency_lacks(const struct residency *residency, unsigned place, uint64_t need,
                         uint64_t coming);

/* What a claim lacks now; later, when what is coming is there. */
struct residency_shortage residency_shortage_of(const struct residency *residency,
                                                const struct residency_claim *claim, bool later,
                                                bool drained, uint64_t now_ns);

#endif
