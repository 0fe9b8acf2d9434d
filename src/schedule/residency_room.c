/* What claims take of the budgets, need and lack; see residency_internal.h. */
#include "schedule/plant.h"
#include "schedule/residency_internal.h"

uint64_t residency_bytes_at(const struct residency_claim *claim, struct residency_size size,
                            unsigned place)
{
    if (place == 0)
        return size.bytes;
    return claim->device == place ? size.device_bytes : 0;
}

void residency_hold(struct residency *residency, struct residency_claim *claim,
                    struct residency_size size)
{
    residency->held_bytes[0] += size.bytes - claim->held.bytes;
    if (claim->device)
        residency->held_bytes[claim->device] += size.device_bytes - claim->held.device_bytes;
    claim->held = size;
}

/* That it takes at least, and what it is thought to take. */
static uint64_t least_bytes(const struct residency_claim *claim)
{
    if (claim->figures.loading.bytes)
        return larger(claim->figures.loading.bytes, claim->figures.loaded.bytes);
    return claim->declared_bytes ? claim->declared_bytes : claim->files_bytes;
}

static uint64_t likely_bytes(const struct residency_claim *claim)
{
    uint64_t estimate;
    if (claim->figures.loading.bytes || claim->declared_bytes)
        return least_bytes(claim);
    if (__builtin_mul_overflow(claim->files_bytes, (uint64_t)RESIDENCY_FILES_FACTOR, &estimate))
        return UINT64_MAX;
    return plus(estimate, RESIDENCY_BASE_BYTES);
}

struct residency_size residency_need(const struct residency_claim *claim)
{
    uint64_t device =
        larger(claim->figures.loading.device_bytes, claim->figures.loaded.device_bytes);
    bool known = claim->figures.loading.bytes > 0;
    if (claim->device && !known)
        device = claim->files_bytes;
    return (struct residency_size){likely_bytes(claim), claim->device ? device : 0};
}

uint64_t residency_most_bytes(const struct residency *residency,
                              const struct residency_claim *claim, unsigned place)
{
    uint64_t most = residency->budget_bytes[place];
    list_each(link, &residency->claims)
    {
        const struct residency_claim *other = claim_of(link);
        if (other->pinned && other->model != claim->model)
            most = less(most, residency_bytes_at(other, other->held, place));
    }
    return most;
}

uint64_t residency_need_at(const struct residency *residency, const struct residency_claim *claim,
                           unsigned place)
{
    uint64_t need = residency_bytes_at(claim, residency_need(claim), place);
    if (!need || !residency->budget_bytes[place] || claim->figures.loading.bytes)
        return need;
    return smaller(need, residency_most_bytes(residency, claim, place));
}

bool residency_ever_fits(const struct residency *residency, const struct residency_claim *claim)
{
    for (unsigned place = 0; place < RESIDENCY_PLACES; place++) {
        if (!residency->budget_bytes[place] || (place && place != claim->device))
            continue;
        uint64_t least =
            place ? residency_bytes_at(claim, residency_need(claim), place) : least_bytes(claim);
        if (least > residency_most_bytes(residency, claim, place))
            return false;
    }
    return true;
}

uint64_t residency_coming_bytes(const struct residency *residency, unsigned place, bool drained,
                                uint64_t now_ns)
{
    uint64_t bytes = 0;
    list_each(link, &residency->claims)
    {
        const struct residency_claim *claim = claim_of(link);
        if (claim->state == RESIDENCY_LEAVES ||
            (drained && claim->draining && now_ns < claim->drained_ns + RESIDENCY_DRAIN_NS))
            bytes += residency_bytes_at(claim, claim->held, place);
    }
    return bytes;
}

uint64_t residency_lacks(const struct residency *residency, unsigned place, uint64_t need,
                         uint64_t coming)
{
    uint64_t budget = residency->budget_bytes[place];
    uint64_t held = less(residency->held_bytes[place], coming);
    return budget ? less(plus(held, need), budget) : 0;
}

struct residency_shortage residency_shortage_of(const struct residency *residency,
                                                const struct residency_claim *claim, bool later,
                                                bool drained, uint64_t now_ns)
{
    struct residency_shortage shortage = {{0}};
    for (unsigned place = 0; place < RESIDENCY_PLACES; place++) {
        uint64_t need =
            residency->budget_bytes[place] ? residency_need_at(residency, claim, place) : 0;
        if (need)
            shortage.bytes[place] = residency_lacks(
                residency, place, need,
                later ? residency_coming_bytes(residency, place, drained, now_ns) : 0);
    }
    return shortage;
}

bool residency_fits_now(const struct residency *residency, const struct residency_claim *claim,
                        uint64_t now_ns)
{
    struct residency_shortage shortage =
        residency_shortage_of(residency, claim, SCHEDULE_PLANT == PLANT_OVER_BUDGET, false, now_ns);
    return !residency_is_short(&shortage);
}
