/* Policies of queues; see queue_policy.h. */
#include "serving/queue_policy.h"

#include "base/clock.h"

enum {
    LEVELS = 3,
    PATIENCE_S = 1, /* in which an answer is due that has no deadline */
    AGING_S = 10,   /* for which a request waits for those of the next level of priority */
};

void queue_policy(const struct schedule_policy *config, const struct serving_options *options,
                  bool learns_slots, struct schedule_policy *ret_policy)
{
    struct schedule_policy *policy = ret_policy;
    *policy = config ? *config : (struct schedule_policy){0};
    if (policy->levels == 0 && !policy->preserve_order)
        policy->levels = LEVELS;
    if (policy->delay_ns < CLOCK_NS_PER_MS)
        policy->delay_ns =
            0; /* the loop's clock is no finer, and a longer wait was not asked for */
    policy->all_slots = !learns_slots;
    policy->queue_limit = options->queue_limit;
    policy->patience_ns = PATIENCE_S * CLOCK_NS_PER_S;
    policy->aging_ns = AGING_S * CLOCK_NS_PER_S;
}
