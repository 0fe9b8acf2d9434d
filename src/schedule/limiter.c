/* Who may execute, where models share resources; see limiter.h. */
#include "schedule/limiter.h"

#include "schedule/plant.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void limiter_init(struct limiter *limiter)
{
    memset(limiter, 0, sizeof *limiter);
    list_init(&limiter->members);
    list_init(&limiter->waiting);
}

/* ---- resources ---- */

static bool is_named(const struct limiter_resource *resource, struct span name, struct span device)
{
    return span_equal(span_of(resource->name), name) &&
           span_equal(span_of(resource->device), device);
}

/* The resource of that name, made when it is new: its index. False: there are too many. */
static bool find(struct limiter *limiter, struct span name, struct span device, size_t *ret_index,
                 struct error *ret_error)
{
    size_t at = 0;
    while (at < limiter->resource_count && !is_named(&limiter->resources[at], name, device))
        at++;
    for (size_t i = 0; i < limiter->resource_count && at == limiter->resource_count; i++) {
        if (!limiter->resources[i].given && limiter->resources[i].claims == 0)
            at = i; /* nobody's any more */
    }
    if (at == LIMITER_RESOURCES)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "there are more than %d resources of the rate limiter", LIMITER_RESOURCES);
    struct limiter_resource *resource = &limiter->resources[at];
    if (at == limiter->resource_count)
        limiter->resource_count++;
    if (!is_named(resource, name, device)) {
        *resource = (struct limiter_resource){.count = 0};
        snprintf(resource->name, sizeof resource->name, "%.*s", SPAN_ARGS(name));
        snprintf(resource->device, sizeof resource->device, "%.*s", SPAN_ARGS(device));
    }
    *ret_index = at;
    return true;
}

bool limiter_give_resource(struct limiter *limiter, struct span text, struct error *ret_error)
{
    struct span rest = text, name = span_split(&rest, ':'), count = span_split(&rest, ':');
    struct span device = rest.data ? rest : SPAN("*");
    uint64_t number;
    size_t at;
    if (!name.size || name.size >= POLICY_NEED_BYTES || !count.data ||
        !span_to_u64(count, &number) || number > UINT32_MAX || !device.size ||
        device.size >= LIMITER_DEVICE_BYTES)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'%.*s' is no resource: NAME:COUNT, or NAME:COUNT:DEVICE",
                         (int)(text.size < 80 ? text.size : 80), text.data);
    if (span_equal(device, SPAN("global")))
        device = SPAN("");
    if (!find(limiter, name, device, &at, ret_error))
        return false;
    limiter->resources[at].given = true;
    limiter->resources[at].count = number;
    return true;
}

/* What the settings say of it: of this very one, else of all of that name. NULL: nothing. */
static const struct limiter_resource *given(const struct limiter *limiter,
                                            const struct limiter_resource *resource)
{
    for (size_t i = 0; i < limiter->resource_count; i++) {
        const struct limiter_resource *other = &limiter->resources[i];
        if (other->given && is_named(other, span_of(resource->name), SPAN("*")) && !resource->given)
            return other;
    }
    return resource->given ? resource : NULL;
}

/* Without a word from the settings there is enough for the neediest. */
static void recount(struct limiter *limiter, size_t index)
{
    struct limiter_resource *resource = &limiter->resources[index];
    const struct limiter_resource *said = given(limiter, resource);
    uint64_t most = 0;
    list_each(link, &limiter->members)
    {
        const struct limiter_claim *claim = list_entry(link, struct limiter_claim, link);
        for (size_t i = 0; i < claim->policy->need_count; i++) {
            if (claim->resources[i] == index && claim->policy->needs[i].count > most)
                most = claim->policy->needs[i].count;
        }
    }
    if (!resource->given)
        resource->count = said ? said->count : most;
}

/* ---- members ---- */

/* "cuda:0" is device 0. */
static struct span device_of(const struct policy_need *need, struct span device)
{
    if (need->global)
        return SPAN("");
    return span_starts_with(device, SPAN("cuda:")) ? span_after(device, 5) : device;
}

static bool join_resource(struct limiter *limiter, struct limiter_claim *claim, size_t i,
                          struct span device, struct error *ret_error)
{
    const struct policy_need *need = &claim->policy->needs[i];
    size_t *index = &claim->resources[i];
    if (!find(limiter, span_of(need->name), device_of(need, device), index, ret_error))
        return false;
    struct limiter_resource *resource = &limiter->resources[*index];
    const struct limiter_resource *said = given(limiter, resource);
    if (said && said->count < need->count)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "an execution needs %u of the resource '%s', of which there are %llu "
                         "(--rate-limit-resource)",
                         need->count, need->name, (unsigned long long)said->count);
    resource->claims++;
    return true;
}

bool limiter_join(struct limiter *limiter, struct limiter_claim *claim,
                  const struct schedule_policy *policy, struct span device, struct error *ret_error)
{
    if (limiter->off || policy->need_count == 0)
        return true;
    *claim = (struct limiter_claim){.policy = policy};
    for (size_t i = 0; i < policy->need_count; i++) {
        if (join_resource(limiter, claim, i, device, ret_error))
            continue;
        while (i-- > 0)
            limiter->resources[claim->resources[i]].claims--;
        claim->policy = NULL;
        return false;
    }
    list_add(&limiter->members, &claim->link);
    for (size_t i = 0; i < policy->need_count; i++)
        recount(limiter, claim->resources[i]);
    return true;
}

void limiter_leave(struct limiter *limiter, struct limiter_claim *claim)
{
    if (!claim->policy)
        return;
    limiter_withdraw(claim);
    list_remove(&claim->link);
    for (size_t i = 0; i < claim->policy->need_count; i++) {
        limiter->resources[claim->resources[i]].claims--;
        recount(limiter, claim->resources[i]);
    }
    claim->policy = NULL;
}

/* ---- turns ---- */

static bool is_before(const struct limiter_claim *a, const struct limiter_claim *b)
{
    return a->tag < b->tag || (a->tag == b->tag && a->sequence < b->sequence);
}

bool limiter_shares(const struct limiter_claim *a, const struct limiter_claim *b)
{
    for (size_t i = 0; i < a->policy->need_count; i++) {
        for (size_t j = 0; j < b->policy->need_count; j++) {
            if (a->resources[i] == b->resources[j])
                return true;
        }
    }
    return false;
}

static bool fits(const struct limiter *limiter, const struct limiter_claim *claim)
{
    for (size_t i = 0; i < claim->policy->need_count; i++) {
        const struct limiter_resource *resource = &limiter->resources[claim->resources[i]];
        if (resource->used + claim->policy->needs[i].count > resource->count)
            return false;
    }
    return true;
}

/* Fits, and overtakes nobody. */
static bool may(const struct limiter *limiter, const struct limiter_claim *claim)
{
    if (!fits(limiter, claim))
        return false;
    list_each(link, &limiter->waiting)
    {
        const struct limiter_claim *other = list_entry(link, struct limiter_claim, wait_link);
        if (other != claim && is_before(other, claim) && limiter_shares(other, claim) &&
            SCHEDULE_PLANT != PLANT_STARVED)
            return false;
    }
    return true;
}

bool limiter_may(struct limiter *limiter, struct limiter_claim *claim)
{
    if (!claim->policy)
        return true;
    if (!list_linked(&claim->wait_link)) {
        /* Who had nothing to do has no claim on what others had meanwhile. */
        claim->tag = claim->tag > limiter->tag ? claim->tag : limiter->tag;
        claim->sequence = limiter->sequence++;
        list_add(&limiter->waiting, &claim->wait_link);
    }
    return may(limiter, claim);
}

void limiter_take(struct limiter *limiter, struct limiter_claim *claim)
{
    if (!claim->policy)
        return;
    assert(SCHEDULE_PLANT || may(limiter, claim));
    for (size_t i = 0; i < claim->policy->need_count; i++)
        limiter->resources[claim->resources[i]].used += claim->policy->needs[i].count;
    limiter_withdraw(claim);
    limiter->tag = claim->tag > limiter->tag ? claim->tag : limiter->tag;
    claim->tag += claim->policy->share_priority ? claim->policy->share_priority : 1;
}

void limiter_return(struct limiter *limiter, const struct limiter_claim *claim)
{
    for (size_t i = 0; claim->policy && i < claim->policy->need_count; i++) {
        struct limiter_resource *resource = &limiter->resources[claim->resources[i]];
        assert(resource->used >= claim->policy->needs[i].count);
        resource->used -= claim->policy->needs[i].count;
    }
}

bool limiter_withdraw(struct limiter_claim *claim)
{
    if (!list_linked(&claim->wait_link))
        return false;
    list_remove(&claim->wait_link);
    return true;
}

struct limiter_claim *limiter_next(const struct limiter *limiter)
{
    struct limiter_claim *first = NULL;
    list_each(link, &limiter->waiting)
    {
        struct limiter_claim *claim = list_entry(link, struct limiter_claim, wait_link);
        if (may(limiter, claim) && (!first || is_before(claim, first)))
            first = claim;
    }
    return first;
}
