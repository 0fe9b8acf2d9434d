/* Resources that executions of several models share: who may execute now.
 *
 * A model's config may say that each of its executions needs so much of a resource, whatever that
 * stands for: memory of a kind, a device, a licence. An execution takes all that it needs or waits.
 * Whoever has waited with the smallest tag goes first, and nobody overtakes it to a resource that
 * it needs, too: so nobody waits for ever. Each turn moves a model's tag by its priority, as Triton
 * has it: one of priority 2 gets half as many turns as one of priority 1.
 *
 * There is as much of a resource as the settings say, else as much as the neediest of the models
 * that are there wants. Pure, and nothing is allocated. */
#ifndef TENSORD_SCHEDULE_LIMITER_H
#define TENSORD_SCHEDULE_LIMITER_H

#include "base/error.h"
#include "base/list.h"
#include "base/span.h"
#include "schedule/policy.h"

enum {
    LIMITER_RESOURCES = 64,
    LIMITER_DEVICE_BYTES = 16,
};

struct limiter_resource {
    char name[POLICY_NEED_BYTES];
    char device[LIMITER_DEVICE_BYTES]; /* empty: one for all devices */
    bool given;                        /* the settings say how much there is */
    uint64_t count, used;
    size_t claims; /* that name it */
};

/* Of one model; a member of what it is. Zeroed at first. */
struct limiter_claim {
    struct list_link link;      /* in the limiter's members, between join and leave */
    struct list_link wait_link; /* in its waiters, in no order */
    const struct schedule_policy *policy;
    size_t resources[POLICY_MAX_NEEDS]; /* the limiter's, for each of the policy's needs */
    uint64_t tag, sequence;
};

struct limiter {
    bool off; /* nobody waits, whatever configs say */
    struct limiter_resource resources[LIMITER_RESOURCES];
    size_t resource_count;
    struct list members, waiting;
    uint64_t tag; /* of the last that had its turn */
    uint64_t sequence;
};

void limiter_init(struct limiter *limiter);

/* Says how much there is of a resource; `text` is NAME:COUNT, or NAME:COUNT:DEVICE for one device
 * alone ("0", "cpu"; "global" for all together). Before the first join. False (INVALID_ARGUMENT)
 * when it is malformed, or there are too many. */
bool limiter_give_resource(struct limiter *limiter, struct span text, struct error *ret_error);

/* A model comes, whose policy outlives the claim and which runs on a device ("cpu", "cuda:0"). Does
 * nothing when it needs nothing. False when it could never execute (RESOURCE_EXHAUSTED, with the
 * arithmetic), or there are too many resources. */
bool limiter_join(struct limiter *limiter, struct limiter_claim *claim,
                  const struct schedule_policy *policy, struct span device,
                  struct error *ret_error);

/* It goes, and has no executions any more. Accepts one that has not joined. */
void limiter_leave(struct limiter *limiter, struct limiter_claim *claim);

/* Whether the model may start an execution now. If not, it waits from now on. */
bool limiter_may(struct limiter *limiter, struct limiter_claim *claim);

/* It starts one: limiter_may has just said that it may. */
void limiter_take(struct limiter *limiter, struct limiter_claim *claim);

/* Whether there is a resource that both need. */
bool limiter_shares(const struct limiter_claim *a, const struct limiter_claim *b);

/* One of its executions has ended. Others may go now: limiter_next. */
void limiter_return(struct limiter *limiter, const struct limiter_claim *claim);

/* It has nothing to execute any more, or nobody to do it. True when it had waited: others may go
 * now. */
bool limiter_withdraw(struct limiter_claim *claim);

/* The first of those who wait and may go; NULL: there is none. */
struct limiter_claim *limiter_next(const struct limiter *limiter);

#endif
