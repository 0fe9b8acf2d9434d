/* How a model's requests are scheduled: what its config says, and what the server says of all. */
#ifndef TENSORD_SERVING_QUEUE_POLICY_H
#define TENSORD_SERVING_QUEUE_POLICY_H

#include "schedule/policy.h"
#include "serving/serving_options.h"

/* The policy of a model whose config says `config` (NULL: nothing). Unless that says otherwise,
 * there are three levels of priority, and requests that name none have the second. learns_slots:
 * how many executions are best is learned; else all that may run at once do. */
void queue_policy(const struct schedule_policy *config, const struct serving_options *options,
                  bool learns_slots, struct schedule_policy *ret_policy);

#endif
