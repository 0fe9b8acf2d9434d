/* Looking things up in a policy; see policy.h. */
#include "schedule/policy.h"

uint32_t policy_level(const struct schedule_policy *policy, uint64_t priority)
{
    if (policy->levels == 0)
        return 1;
    if (priority > 0 && priority <= policy->levels)
        return (uint32_t)priority;
    return policy->default_level ? policy->default_level : (policy->levels + 1) / 2;
}

const struct policy_rule *policy_rule(const struct schedule_policy *policy, uint32_t level)
{
    const struct policy_rule *found = NULL;
    for (size_t i = 0; i < policy->rule_count; i++) {
        if (policy->rules[i].level == level)
            return &policy->rules[i];
        if (policy->rules[i].level == 0)
            found = &policy->rules[i];
    }
    return found;
}
