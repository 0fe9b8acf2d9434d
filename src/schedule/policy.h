/* How a model's requests are to be scheduled: what its config says, and what the server says of all
 * models. Values only. */
#ifndef TENSORD_SCHEDULE_POLICY_H
#define TENSORD_SCHEDULE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    POLICY_MAX_LEVELS = 1000, /* of priority */
    POLICY_MAX_LEVEL_RULES = 16,
    POLICY_MAX_PREFERRED = 16,
    POLICY_MAX_NEEDS = 8, /* of shared resources */
    POLICY_NEED_BYTES = 32,
};

/* What becomes of a request whose time in the queue is over. */
enum policy_timeout_action { POLICY_REJECT, POLICY_DELAY };

/* Triton's ModelQueuePolicy. All zero: no bound, no timeout, a request's own timeout counts not. */
struct policy_rule {
    uint32_t level;      /* the one that it is for; 0: all that have none of their own */
    uint32_t queue_size; /* requests that wait at that level; 0: no bound */
    uint64_t timeout_ns; /* in the queue; 0: none */
    bool override;       /* a request may bring a shorter one of its own */
    enum policy_timeout_action action;
};

/* What each execution needs of a resource that models share; see limiter.h. */
struct policy_need {
    char name[POLICY_NEED_BYTES];
    bool global; /* one for all devices, not one for each */
    uint32_t count;
};

struct schedule_policy {
    /* Batches of these sizes are made where they can be; other sizes only once a request has
     * waited for delay_ns. Ascending. With none, delay_ns is waited for the largest batch. */
    uint32_t preferred_rows[POLICY_MAX_PREFERRED];
    size_t preferred_count;
    uint64_t delay_ns;
    bool all_slots;         /* as many executions run at once as may; else that is learned, too */
    bool preserve_order;    /* answers come in the order of the requests */
    uint32_t levels;        /* of priority: 1 (first) to levels; 0: priorities are not looked at */
    uint32_t default_level; /* of requests that name none; 0: the middle one */
    struct policy_rule rules[POLICY_MAX_LEVEL_RULES];
    size_t rule_count; /* 0: requests' timeouts count, and queue_limit alone bounds the queue */

    struct policy_need needs[POLICY_MAX_NEEDS];
    size_t need_count;
    uint32_t share_priority; /* among models that wait for the same: 1 is the first; 0: 1 */

    size_t queue_limit;     /* requests that wait, of all levels */
    uint64_t max_running;   /* requests that are with workers at once; 0: any */
    uint64_t wait_limit_ns; /* that a request may be foreseen to wait; 0: any */
    uint64_t patience_ns;   /* a request without a deadline is due so long after it came */
    uint64_t aging_ns;      /* a level is worth so much time of waiting: see schedule.h */
    uint64_t grace_ns;      /* in which a cancelled request must end; 0: any */
};

/* The level of a request that asks for `priority`; the default one for 0 and for what is no level,
 * as Triton has it. */
uint32_t policy_level(const struct schedule_policy *policy, uint64_t priority);

/* The rule for a level; NULL: there is none. */
const struct policy_rule *policy_rule(const struct schedule_policy *policy, uint32_t level);

#endif
