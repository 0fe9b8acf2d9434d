/* From sections of a config to a policy; see model_queue.h. */
#include "repository/model_queue.h"

#include "base/clock.h"

static const uint64_t LONGEST_US = UINT64_MAX / CLOCK_NS_PER_US; /* more is for ever */
static const uint64_t LONGEST_GRACE_MS = 86400000;

static uint64_t ns_of(uint64_t us)
{
    return us < LONGEST_US ? us * CLOCK_NS_PER_US : CLOCK_NEVER;
}

/* ---- sizes ---- */

/* Ascending, each once. */
static void add_size(struct schedule_policy *policy, uint32_t rows)
{
    size_t at = policy->preferred_count;
    for (size_t i = 0; i < policy->preferred_count; i++) {
        if (policy->preferred_rows[i] == rows)
            return;
    }
    for (; at > 0 && policy->preferred_rows[at - 1] > rows; at--)
        policy->preferred_rows[at] = policy->preferred_rows[at - 1];
    policy->preferred_rows[at] = rows;
    policy->preferred_count++;
}

static bool read_sizes(const struct inference_model_dynamic_batching *section,
                       int64_t max_batch_size, struct schedule_policy *policy,
                       struct error *ret_error)
{
    if (section->preferred_batch_size.count > POLICY_MAX_PREFERRED)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'preferred_batch_size' may have at most %d sizes", POLICY_MAX_PREFERRED);
    for (uint32_t i = 0; i < section->preferred_batch_size.count; i++) {
        int32_t rows = section->preferred_batch_size.items[i];
        if (rows < 1)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "each 'preferred_batch_size' must be 1 or above");
        if (max_batch_size >= 0 && rows > max_batch_size)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'preferred_batch_size' %d is larger than 'max_batch_size' %lld", rows,
                             (long long)max_batch_size);
        add_size(policy, (uint32_t)rows);
    }
    policy->delay_ns = ns_of(section->max_queue_delay_microseconds);
    return true;
}

/* ---- priorities ---- */

static bool read_levels(const struct inference_model_dynamic_batching *section,
                        struct schedule_policy *policy, struct error *ret_error)
{
    uint64_t levels = section->priority_levels, normal = section->default_priority_level;
    if (levels > POLICY_MAX_LEVELS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'priority_levels' must be at most %d",
                         POLICY_MAX_LEVELS);
    if (levels > 0 && (normal == 0 || normal > levels))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'default_priority_level' must be from 1 to 'priority_levels' (%llu)",
                         (unsigned long long)levels);
    if (section->preserve_ordering && levels > 1)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'preserve_ordering' allows for one priority level only");
    if (section->preserve_ordering && section->default_queue_policy &&
        section->default_queue_policy->timeout_action == INFERENCE_MODEL_QUEUE_POLICY_DELAY)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'preserve_ordering' does not allow for the 'timeout_action' DELAY");
    policy->preserve_order = section->preserve_ordering;
    policy->levels = (uint32_t)levels;
    policy->default_level = levels ? (uint32_t)normal : 0;
    return true;
}

/* ---- what happens to requests that wait for long, or are many ---- */

static void add_rule(struct schedule_policy *policy, uint32_t level,
                     const struct inference_model_queue_policy *from)
{
    policy->rules[policy->rule_count++] = (struct policy_rule){
        .level = level,
        .queue_size = from->max_queue_size,
        .timeout_ns = ns_of(from->default_timeout_microseconds),
        .override = from->allow_timeout_override,
        .action = from->timeout_action == INFERENCE_MODEL_QUEUE_POLICY_DELAY ? POLICY_DELAY
                                                                             : POLICY_REJECT,
    };
}

static bool read_rules(const struct inference_model_dynamic_batching *section,
                       struct schedule_policy *policy, struct error *ret_error)
{
    if (section->default_queue_policy)
        add_rule(policy, 0, section->default_queue_policy);
    if (section->priority_queue_policy.count > POLICY_MAX_LEVEL_RULES - 1)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'priority_queue_policy' may have at most %d levels",
                         POLICY_MAX_LEVEL_RULES - 1);
    for (uint32_t i = 0; i < section->priority_queue_policy.count; i++) {
        uint64_t level = section->priority_queue_policy.items[i].key;
        if (level == 0 || level > section->priority_levels)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'priority_queue_policy' is for levels from 1 to 'priority_levels', "
                             "not for %llu",
                             (unsigned long long)level);
        if (section->priority_queue_policy.items[i].value)
            add_rule(policy, (uint32_t)level, section->priority_queue_policy.items[i].value);
    }
    return true;
}

static bool read_scheduling(const struct tensord_scheduling_section *section,
                            struct schedule_policy *policy, struct error *ret_error)
{
    if (section->cancel_grace_ms > LONGEST_GRACE_MS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'scheduling.cancel_grace_ms' is at most %llu",
                         (unsigned long long)LONGEST_GRACE_MS);
    policy->grace_ns = section->cancel_grace_ms * CLOCK_NS_PER_MS;
    policy->max_running = section->max_running;
    return true;
}

bool model_queue_read(const struct inference_model_dynamic_batching *batching,
                      const struct tensord_scheduling_section *scheduling, int64_t max_batch_size,
                      struct schedule_policy *ret_policy, struct error *ret_error)
{
    struct schedule_policy policy = {0};
    if (batching &&
        (!read_sizes(batching, max_batch_size, &policy, ret_error) ||
         !read_levels(batching, &policy, ret_error) || !read_rules(batching, &policy, ret_error)))
        return false;
    if (scheduling && !read_scheduling(scheduling, &policy, ret_error))
        return false;
    *ret_policy = policy;
    return true;
}

/* ---- shared resources ---- */

static bool add_need(struct schedule_policy *policy,
                     const struct inference_model_rate_limiter_resource *from,
                     struct error *ret_error)
{
    if (policy->need_count == POLICY_MAX_NEEDS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'rate_limiter' may have at most %d resources", POLICY_MAX_NEEDS);
    if (!from->name.size || from->name.size >= POLICY_NEED_BYTES ||
        memchr(from->name.data, '\0', from->name.size) ||
        memchr(from->name.data, ':', from->name.size))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a resource of 'rate_limiter' has a name of 1 to %d bytes, without ':'",
                         POLICY_NEED_BYTES - 1);
    struct policy_need *need = &policy->needs[policy->need_count++];
    *need = (struct policy_need){.global = from->global, .count = from->count};
    memcpy(need->name, from->name.data, from->name.size);
    return true;
}

static bool read_limiter(const struct inference_model_rate_limiter *from,
                         struct schedule_policy *policy, struct error *ret_error)
{
    if (!from)
        return true;
    policy->share_priority = from->priority;
    for (uint32_t i = 0; i < from->resources.count; i++) {
        if (from->resources.items[i].count > 0 &&
            !add_need(policy, &from->resources.items[i], ret_error))
            return false;
    }
    return true;
}

static bool needs_equal(const struct schedule_policy *a, const struct schedule_policy *b)
{
    bool equal = a->share_priority == b->share_priority && a->need_count == b->need_count;
    for (size_t i = 0; i < a->need_count && equal; i++) {
        const struct policy_need *left = &a->needs[i], *right = &b->needs[i];
        equal = strcmp(left->name, right->name) == 0 && left->global == right->global &&
                left->count == right->count;
    }
    return equal;
}

bool model_queue_read_needs(const struct inference_model_instance_group *groups, size_t count,
                            struct schedule_policy *policy, struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        struct schedule_policy group = {.need_count = 0};
        if (!read_limiter(groups[i].rate_limiter, &group, ret_error))
            return false;
        if (i > 0 && !needs_equal(&group, policy))
            return error_set(ret_error, ERROR_UNIMPLEMENTED,
                             "instance groups of one model with different rate limiters are not "
                             "supported by this version");
        memcpy(policy->needs, group.needs, sizeof group.needs);
        policy->need_count = group.need_count;
        policy->share_priority = group.share_priority;
    }
    return true;
}

/* ---- as bytes ---- */

static void pack_needs(const struct schedule_policy *policy, struct buf *buf)
{
    pack_number(buf, policy->need_count);
    for (size_t i = 0; i < policy->need_count; i++) {
        pack_string(buf, span_of(policy->needs[i].name));
        pack_number(buf, policy->needs[i].global);
        pack_number(buf, policy->needs[i].count);
    }
    pack_number(buf, policy->share_priority);
}

static void unpack_needs(struct unpack *unpack, struct schedule_policy *policy)
{
    policy->need_count = unpack_number(unpack, POLICY_MAX_NEEDS);
    for (size_t i = 0; i < policy->need_count; i++) {
        struct policy_need *need = &policy->needs[i];
        struct span name = unpack_string(unpack);
        unpack->failed |= name.size >= POLICY_NEED_BYTES;
        if (!unpack->failed)
            memcpy(need->name, name.data, name.size);
        need->global = unpack_bool(unpack);
        need->count = (uint32_t)unpack_number(unpack, UINT32_MAX);
    }
    policy->share_priority = (uint32_t)unpack_number(unpack, UINT32_MAX);
}

void model_queue_pack(const struct schedule_policy *policy, struct buf *buf)
{
    pack_number(buf, policy->preferred_count);
    for (size_t i = 0; i < policy->preferred_count; i++)
        pack_number(buf, policy->preferred_rows[i]);
    pack_number(buf, policy->delay_ns);
    pack_number(buf, policy->preserve_order);
    pack_number(buf, policy->levels);
    pack_number(buf, policy->default_level);
    pack_number(buf, policy->grace_ns);
    pack_number(buf, policy->max_running);
    pack_needs(policy, buf);
    pack_number(buf, policy->rule_count);
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        pack_number(buf, rule->level);
        pack_number(buf, rule->queue_size);
        pack_number(buf, rule->timeout_ns);
        pack_number(buf, rule->override);
        pack_number(buf, rule->action);
    }
}

void model_queue_unpack(struct unpack *unpack, struct schedule_policy *ret_policy)
{
    struct schedule_policy *policy = ret_policy;
    *policy = (struct schedule_policy){0};
    policy->preferred_count = unpack_number(unpack, POLICY_MAX_PREFERRED);
    for (size_t i = 0; i < policy->preferred_count; i++)
        policy->preferred_rows[i] = (uint32_t)unpack_number(unpack, INT32_MAX);
    policy->delay_ns = unpack_number(unpack, UINT64_MAX);
    policy->preserve_order = unpack_bool(unpack);
    policy->levels = (uint32_t)unpack_number(unpack, POLICY_MAX_LEVELS);
    policy->default_level = (uint32_t)unpack_number(unpack, POLICY_MAX_LEVELS);
    policy->grace_ns = unpack_number(unpack, UINT64_MAX);
    policy->max_running = unpack_number(unpack, UINT32_MAX);
    unpack_needs(unpack, policy);
    policy->rule_count = unpack_number(unpack, POLICY_MAX_LEVEL_RULES);
    for (size_t i = 0; i < policy->rule_count; i++) {
        struct policy_rule *rule = &policy->rules[i];
        rule->level = (uint32_t)unpack_number(unpack, POLICY_MAX_LEVELS);
        rule->queue_size = (uint32_t)unpack_number(unpack, UINT32_MAX);
        rule->timeout_ns = unpack_number(unpack, UINT64_MAX);
        rule->override = unpack_bool(unpack);
        rule->action = unpack_bool(unpack) ? POLICY_DELAY : POLICY_REJECT;
    }
}
