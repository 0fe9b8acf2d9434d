/* A seccomp filter: rules for system calls, compiled into the kernel's BPF. Takes no memory and
 * makes no call, so that it cannot fail halfway. Pure. */
#ifndef TENSORD_WORKER_SANDBOX_FILTER_H
#define TENSORD_WORKER_SANDBOX_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILTER_MAX_COMPARES = 2, FILTER_MAX_RULES = 768, FILTER_MAX_CODE = BPF_MAXINSNS };

/* The lower half of an argument, masked, is that value. */
struct filter_compare {
    unsigned argument;
    uint32_t mask, value;
};

struct filter_rule {
    int call;        /* its number */
    uint32_t action; /* SECCOMP_RET_… */
    unsigned count;  /* of compare; all must hold */
    struct filter_compare compare[FILTER_MAX_COMPARES];
};

/* A filter in the making; zeroed at first. */
struct filter {
    size_t rule_count;
    unsigned short code_count;
    bool full; /* something had no room */
    struct filter_rule rules[FILTER_MAX_RULES];
    struct sock_filter code[FILTER_MAX_CODE];
};

/* Adds a rule. Of two that hold for a call, the one that was added first counts. */
void filter_add(struct filter *filter, const struct filter_rule *rule);

/* Compiles the rules into filter->code; what no rule is for gets `otherwise`. Calls of another
 * architecture (AUDIT_ARCH_…) than `arch` end the process. False when there were too many rules. */
bool filter_compile(struct filter *filter, uint32_t arch, uint32_t otherwise);

#endif
