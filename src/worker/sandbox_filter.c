/* Compiling a seccomp filter; see sandbox_filter.h.
 *
 * Calls that have conditions come first, each with all its rules, then the others, a comparison
 * each: the kernel finds out itself which calls are always allowed, and runs the filter for the few
 * that are left. Calls of x32, which have numbers of their own under the same architecture, are
 * calls that no rule is for. */
#include "worker/sandbox_filter.h"

#include <linux/seccomp.h>

enum { COMPARE_CODE = 3 }; /* load, mask, jump */

static const uint32_t low_half = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;

void filter_add(struct filter *filter, const struct filter_rule *rule)
{
    if (filter->rule_count == FILTER_MAX_RULES)
        filter->full = true;
    else
        filter->rules[filter->rule_count++] = *rule;
}

static void emit(struct filter *filter, unsigned code, uint32_t value, size_t if_true,
                 size_t if_false)
{
    if (filter->code_count == FILTER_MAX_CODE || if_true > UINT8_MAX || if_false > UINT8_MAX)
        filter->full = true;
    else
        filter->code[filter->code_count++] =
            (struct sock_filter){(uint16_t)code, (uint8_t)if_true, (uint8_t)if_false, value};
}

static void emit_load(struct filter *filter, size_t offset)
{
    emit(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* Goes on when the accumulator is the value, else skips so much code. */
static void emit_unless(struct filter *filter, uint32_t value, size_t skip)
{
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip);
}

static void emit_action(struct filter *filter, uint32_t action)
{
    emit(filter, BPF_RET | BPF_K, action, 0, 0);
}

static void emit_rule(struct filter *filter, const struct filter_rule *rule)
{
    for (unsigned i = 0; i < rule->count; i++) {
        const struct filter_compare *compare = &rule->compare[i];
        emit_load(filter, offsetof(struct seccomp_data, args) +
                              compare->argument * sizeof(uint64_t) + low_half);
        emit(filter, BPF_ALU | BPF_AND | BPF_K, compare->mask, 0, 0);
        emit_unless(filter, compare->value, (rule->count - 1 - i) * COMPARE_CODE + 1);
    }
    emit_action(filter, rule->action);
}

/* The first rule of that call, the given one or an earlier one. */
static const struct filter_rule *first_of(const struct filter *filter,
                                          const struct filter_rule *rule)
{
    const struct filter_rule *first = filter->rules;
    while (first->call != rule->call)
        first++;
    return first;
}

/* All rules of the call, from its first one on, until one holds without a condition. */
static void emit_call(struct filter *filter, const struct filter_rule *first, uint32_t otherwise)
{
    const struct filter_rule *end = filter->rules + filter->rule_count;
    size_t head = filter->code_count;
    bool always = false;
    emit_unless(filter, (uint32_t)first->call, 0);
    for (const struct filter_rule *rule = first; rule < end && !always; rule++) {
        if (rule->call != first->call)
            continue;
        emit_rule(filter, rule);
        always = rule->count == 0;
    }
    if (!always)
        emit_action(filter, otherwise);
    size_t skip = filter->code_count - head - 1;
    if (skip > UINT8_MAX)
        filter->full = true;
    if (!filter->full)
        filter->code[head].jf = (uint8_t)skip;
}

static void emit_calls(struct filter *filter, bool conditional, uint32_t otherwise)
{
    for (size_t i = 0; i < filter->rule_count; i++) {
        const struct filter_rule *rule = &filter->rules[i];
        if (first_of(filter, rule) == rule && (rule->count > 0) == conditional)
            emit_call(filter, rule, otherwise);
    }
}

bool filter_compile(struct filter *filter, uint32_t arch, uint32_t otherwise)
{
    filter->code_count = 0;
    emit_load(filter, offsetof(struct seccomp_data, arch));
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0);
    emit_action(filter, SECCOMP_RET_KILL_PROCESS);
    emit_load(filter, offsetof(struct seccomp_data, nr));
    emit_calls(filter, true, otherwise);
    emit_calls(filter, false, otherwise);
    emit_action(filter, otherwise);
    return !filter->full;
}
