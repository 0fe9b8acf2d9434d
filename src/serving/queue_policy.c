/* Policies of queues; see queue_policy.h. */
#include "serving/queue_policy.h"

#include "base/clock.h"

enum {
    LEVELS = 3,
    PATIENCE_S = 1, /* in which an answer is due that has no deadline */
    AGING_S = 10,   /* for which a request waits for those of the next level of priority */
};

void queue_policy(const struct serving_options *options, struct schedule_policy *ret_policy)
{
    *ret_policy = (struct schedule_policy){
        .levels = LEVELS,
        .queue_limit = options->queue_limit,
        .patience_ns = PATIENCE_S * CLOCK_NS_PER_S,
        .aging_ns = AGING_S * CLOCK_NS_PER_S,
    };
}
