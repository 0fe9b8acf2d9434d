/* Requests that wait, and whose turn it is.
 *
 * Each has a time at which it is due: its deadline, or some time (the policy's patience) after it
 * came, whichever is earlier, and later by the policy's aging for each level of priority below the
 * first. What is due earliest goes first. So a level is worth a fixed time of waiting: a low one
 * waits for the higher ones that came until then, and for no others; nobody waits for ever.
 *
 * Callers that wait at the same level take turns, in proportion to their weights, however many
 * requests each has (start-time fair queueing: Goyal, Vin, Cheng 1996): each has a tag, the service
 * that it has had, and the smallest goes first; within a caller's, the earliest due. Only a batch's
 * first request may go out of turn, when it is due earliest and its caller is not ahead by more
 * than a batch: else one that joins no others could be passed over for ever, while its caller's
 * others ride in batches and are charged for it. When more than QUEUE_FLOWS callers wait at once,
 * some of them share a turn.
 *
 * Pure, and nothing is allocated: requests have an entry as a member. */
#ifndef TENSORD_SCHEDULE_QUEUE_H
#define TENSORD_SCHEDULE_QUEUE_H

#include "base/caller.h"
#include "base/list.h"
#include "schedule/order.h"
#include "schedule/policy.h"

enum { QUEUE_FLOWS = 32, QUEUE_MAX_WEIGHT = 1000 };

/* One request, as it is scheduled. Zeroed by its owner, who then sets the first part. */
struct queue_entry {
    uint64_t rows; /* at least 1 */
    uint64_t cost; /* in rows, of those who wait behind it; schedule.c's */
    struct caller caller;
    uint32_t weight;      /* of the caller among others; 0: 1 */
    uint32_t level;       /* of priority, as policy_level says */
    uint64_t deadline_ns; /* of the answer; CLOCK_NEVER: none */
    uint64_t timeout_ns; /* its own, in the queue; 0: none. Looked at where a policy_rule says so */
    bool alone;          /* it joins no others */
    uint64_t
        foreseen_ns; /* schedule.c's: the wait, where the deadline leaves little more; 0: not */
    /* The queue's own; the first may be read. */
    uint64_t arrived_ns;
    uint64_t expires_ns;               /* when its time in the queue is over; CLOCK_NEVER: never */
    enum policy_timeout_action action; /* what happens then */
    struct order_node node;            /* its key is when it is due */
    struct queue_flow *flow;           /* of its caller, while it waits */
    bool waits;
};

/* What waits of one caller, at one level. */
struct queue_flow {
    struct list_link link; /* in the queue's `active` while something waits */
    struct caller caller;
    uint32_t level;
    size_t count;
    struct order order;
    uint64_t tag;            /* service that it has had, in rows by weight */
    uint64_t next_tag;       /* as if what is looked at were served already */
    struct order_node *next; /* looked at next */
};

struct queue {
    struct list active;
    size_t count;
    uint64_t rows; /* the entries' costs */
    uint64_t sequence;
    struct queue_flow flows[QUEUE_FLOWS];
};

void queue_init(struct queue *queue);

/* Adds an entry that came at now_ns. Where the policy preserves the order, all that comes is one
 * caller's, and due in the order of coming. */
void queue_add(struct queue *queue, struct queue_entry *entry, const struct schedule_policy *policy,
               uint64_t now_ns);

/* Puts back an entry that was served and removed, where it was: it was not served after all. Before
 * anything else comes or is removed. */
void queue_return(struct queue *queue, struct queue_entry *entry);

/* Adds an entry again that was served long ago, where it would be had it waited on. */
void queue_add_again(struct queue *queue, struct queue_entry *entry,
                     const struct schedule_policy *policy);

/* Takes an entry out. served: its caller has had its turn. */
void queue_remove(struct queue *queue, struct queue_entry *entry, bool served);

/* A waiting entry has so many rows, and this cost, from now on; its turn stays. */
void queue_recount(struct queue *queue, struct queue_entry *entry, uint64_t rows, uint64_t cost);

/* Moves an entry behind all that will be due within delay_ns. */
void queue_delay(struct queue *queue, struct queue_entry *entry, uint64_t delay_ns);

/* Looks at what waits in the order of turns, without changing it: queue_look_first, with the rows
 * of a batch, then queue_look_next, with whether the last one is taken. NULL: there are no more. */
struct queue_entry *queue_look_first(struct queue *queue, uint64_t batch_rows);
struct queue_entry *queue_look_next(struct queue *queue, const struct queue_entry *last,
                                    bool taken);

/* All that waits, in no order that matters: start with queue_first; NULL at the end. The entry may
 * be removed once the one after it is known. */
struct queue_entry *queue_first(const struct queue *queue);
struct queue_entry *queue_after(const struct queue *queue, const struct queue_entry *entry);

/* What is likely to be served before the entry, which waits in this queue or would; in rows, by the
 * entries' costs. */
uint64_t queue_rows_before(const struct queue *queue, const struct queue_entry *entry);

/* Requests that wait at a level. */
size_t queue_level_count(const struct queue *queue, uint32_t level);

#endif
