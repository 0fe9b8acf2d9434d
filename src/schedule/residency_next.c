/* What is to be done next: who comes, who leaves, who is refused; see residency.h. */
#include "schedule/residency_internal.h"

/* ---- decisions ---- */

static void wake_at(struct residency_decision *decision, uint64_t time_ns)
{
    decision->wake_ns = smaller(decision->wake_ns, time_ns);
}

static bool decide(struct residency_decision *decision, enum residency_verdict verdict,
                   struct residency_claim *claim, enum residency_reason reason)
{
    *decision = (struct residency_decision){verdict, reason, claim, CLOCK_NEVER};
    return true;
}

static bool evict(struct residency *residency, struct residency_claim *claim,
                  enum residency_reason reason, uint64_t now_ns,
                  struct residency_decision *decision)
{
    assert(!claim->busy && claim->state == RESIDENCY_STAYS);
    stop_draining(residency, claim);
    turn_to(claim, RESIDENCY_LEAVES, now_ns);
    return decide(decision, RESIDENCY_EVICT, claim, reason);
}

static bool drain(struct residency *residency, struct residency_claim *claim, uint64_t now_ns,
                  struct residency_decision *decision)
{
    claim->draining = true;
    claim->drained_ns = now_ns;
    residency->draining++;
    return decide(decision, RESIDENCY_DRAIN, claim, RESIDENCY_FOR_ROOM);
}

static bool grant(struct residency *residency, struct residency_claim *claim, uint64_t now_ns,
                  struct residency_decision *decision)
{
    bool probe = claim->kind == RESIDENCY_PROBE;
    struct residency_size size = {
        residency_need_at(residency, claim, 0),
        claim->device ? residency_need_at(residency, claim, claim->device) : 0,
    };
    end_turn(residency, claim);
    claim->workers = 1;
    residency_hold(residency, claim, size);
    turn_to(claim, RESIDENCY_LOADS, now_ns);
    return decide(decision, probe ? RESIDENCY_GRANT_PROBE : RESIDENCY_GRANT, claim,
                  RESIDENCY_FOR_ROOM);
}

static bool turn_away(struct residency *residency, struct residency_claim *claim,
                      enum residency_verdict verdict, enum residency_reason reason, uint64_t now_ns,
                      struct residency_decision *decision)
{
    end_turn(residency, claim);
    turn_to(claim, RESIDENCY_OUT, now_ns);
    return decide(decision, verdict, claim, reason);
}

/* What is drained is idle now, or nobody needs its room any more. */
static bool end_drain(struct residency *residency, uint64_t now_ns,
                      struct residency_decision *decision)
{
    bool needed = first_of(&residency->demands) || first_of(&residency->wishes);
    list_each(link, &residency->claims)
    {
        struct residency_claim *claim = claim_of(link);
        if (residency->draining == 0)
            break;
        if (claim->draining && !needed) {
            stop_draining(residency, claim);
            claim->busy = true; /* those that were kept from it wait */
            return decide(decision, RESIDENCY_KEEP, claim, RESIDENCY_FOR_ROOM);
        }
        if (claim->draining && !claim->busy)
            return evict(residency, claim, RESIDENCY_FOR_ROOM, now_ns, decision);
    }
    return false;
}

static bool end_idle(struct residency *residency, uint64_t now_ns,
                     struct residency_decision *decision)
{
    list_each(link, &residency->claims)
    {
        struct residency_claim *claim = claim_of(link);
        if (!claim->idle_after_ns || claim->pinned || claim->busy ||
            claim->state != RESIDENCY_STAYS)
            continue;
        uint64_t until_ns = plus(claim->used_ns, claim->idle_after_ns);
        if (now_ns >= until_ns)
            return evict(residency, claim, RESIDENCY_IDLE, now_ns, decision);
        wake_at(decision, until_ns);
    }
    return false;
}

/* More is used than the budget has. */
static bool end_excess(struct residency *residency, uint64_t now_ns,
                       struct residency_decision *decision)
{
    struct residency_shortage shortage = {{0}};
    const struct residency_choice choice = {.now_ns = now_ns};
    for (unsigned place = 0; place < RESIDENCY_PLACES; place++)
        if (residency->budget_bytes[place] &&
            residency->held_bytes[place] > residency->budget_bytes[place])
            shortage.bytes[place] = residency_lacks(
                residency, place, 0, residency_coming_bytes(residency, place, false, now_ns));
    if (!residency_is_short(&shortage))
        return false;
    residency_choose(residency, &shortage, &choice, true);
    struct residency_claim *claim = residency_chosen(residency, false);
    return claim && evict(residency, claim, RESIDENCY_FOR_ROOM, now_ns, decision);
}

/* ---- whose turn it is ---- */

/* Has somebody leave for a claim whose turn it is and that lacks this. */
static bool make_room(struct residency *residency, const struct residency_claim *claim,
                      uint64_t now_ns, struct residency_decision *decision)
{
    struct residency_shortage shortage =
        residency_shortage_of(residency, claim, true, false, now_ns);
    struct residency_choice choice = {
        .wanted = claim, .busy = true, .loaded_before_ns = UINT64_MAX, .now_ns = now_ns};
    if (!residency_is_short(&shortage))
        return false; /* it is on its way */
    uint64_t spare_ns = plus(residency->turn_ns, RESIDENCY_SPARE_NS);
    if (now_ns < spare_ns && residency_choose(residency, &shortage, &choice, false) &&
        residency_chosen(residency, true)) {
        wake_at(decision, spare_ns); /* those of least value may be idle soon */
        return false;
    }
    choice.busy = false;
    if (residency_choose(residency, &shortage, &choice, true))
        return evict(residency, residency_chosen(residency, false), RESIDENCY_FOR_ROOM, now_ns,
                     decision);
    uint64_t patience_ns = plus(residency->turn_ns, RESIDENCY_PATIENCE_NS);
    wake_at(decision, now_ns < patience_ns ? patience_ns : now_ns + RESIDENCY_SPARE_NS);
    if (now_ns < patience_ns)
        return false;
    shortage = residency_shortage_of(residency, claim, true, true, now_ns);
    choice.busy = true;
    choice.loaded_before_ns = less(now_ns, RESIDENCY_PATIENCE_NS);
    if (!residency_is_short(&shortage) || !residency_choose(residency, &shortage, &choice, true))
        return false;
    struct residency_claim *busy = residency_chosen(residency, true);
    return busy && drain(residency, busy, now_ns, decision);
}

/* Whether so much is being loaded that others should not leave for more: models that come one by
 * one leave those alone that are worth most, and who waits meanwhile may wait for the same. */
static bool enough_loads(const struct residency *residency, const struct residency_claim *claim)
{
    for (unsigned place = 0; place < RESIDENCY_PLACES; place++) {
        uint64_t budget = residency->budget_bytes[place], loading = 0;
        uint64_t need = budget ? residency_need_at(residency, claim, place) : 0;
        list_each(link, &residency->claims)
        {
            const struct residency_claim *other = claim_of(link);
            if (need && other->state == RESIDENCY_LOADS)
                loading += residency_bytes_at(other, other->held, place);
        }
        if (loading && plus(loading, need) > budget / RESIDENCY_LOADS_SHARE)
            return true;
    }
    return false;
}

/* A claim that others may leave for. */
static bool serve(struct residency *residency, struct residency_claim *claim, uint64_t now_ns,
                  struct residency_decision *decision)
{
    if (!residency_ever_fits(residency, claim))
        return turn_away(residency, claim, RESIDENCY_REFUSE, RESIDENCY_TOO_LARGE, now_ns, decision);
    if (residency_fits_now(residency, claim, now_ns))
        return grant(residency, claim, now_ns, decision);
    if (residency->wait_limit_ns && claim->kind == RESIDENCY_DEMAND) {
        uint64_t until_ns = plus(claim->since_ns, residency->wait_limit_ns);
        if (now_ns >= until_ns)
            return turn_away(residency, claim, RESIDENCY_REFUSE, RESIDENCY_ALL_BUSY, now_ns,
                             decision);
        wake_at(decision, until_ns);
    }
    if (!enough_loads(residency, claim))
        return make_room(residency, claim, now_ns, decision);
    residency->turn_ns = now_ns; /* it begins when those are loaded */
    return false;
}

/* Room that others need at one time, so that all can be probed. */
static bool leaves_room(struct residency *residency, struct residency_claim *claim, uint64_t now_ns)
{
    struct residency_shortage shortage =
        residency_shortage_of(residency, claim, false, false, now_ns);
    bool room = !residency_is_short(&shortage);
    list_each(link, &residency->wishes)
    {
        const struct residency_claim *other = list_entry(link, struct residency_claim, turn);
        if (other == claim || other->kind == RESIDENCY_WISH)
            continue;
        for (unsigned place = 0; place < RESIDENCY_PLACES && room; place++)
            room = residency_lacks(residency, place,
                                   plus(residency_need_at(residency, claim, place),
                                        residency_need_at(residency, other, place)),
                                   0) == 0;
    }
    return room;
}

static bool is_moving(const struct residency *residency)
{
    list_each(link, &residency->claims)
    {
        enum residency_state state = claim_of(link)->state;
        if (state == RESIDENCY_LOADS || state == RESIDENCY_LEAVES)
            return true;
    }
    return false;
}

static bool serve_wish(struct residency *residency, struct residency_claim *claim, uint64_t now_ns,
                       struct residency_decision *decision)
{
    if (claim->kind != RESIDENCY_PROBE && residency_ever_fits(residency, claim)) {
        if (leaves_room(residency, claim, now_ns))
            return grant(residency, claim, now_ns, decision);
        if (is_moving(residency))
            return false; /* there may be more room when it has settled */
        if (claim->kind == RESIDENCY_WISH)
            return turn_away(residency, claim, RESIDENCY_SLEEP, RESIDENCY_NO_ROOM, now_ns,
                             decision);
        claim->kind = RESIDENCY_PROBE;
    }
    return serve(residency, claim, now_ns, decision);
}

static bool serve_first(struct residency *residency, uint64_t now_ns,
                        struct residency_decision *decision)
{
    struct residency_claim *demand = first_of(&residency->demands);
    struct residency_claim *first = demand ? demand : first_of(&residency->wishes);
    if (!first)
        return false;
    if (first->id != residency->first)
        residency->turn_ns = now_ns;
    residency->first = first->id;
    return demand ? serve(residency, first, now_ns, decision)
                  : serve_wish(residency, first, now_ns, decision);
}

void residency_next(struct residency *residency, uint64_t now_ns,
                    struct residency_decision *ret_decision)
{
    trace_plain(residency, RESIDENCY_ON_LOOK, 0, now_ns);
    *ret_decision = (struct residency_decision){.wake_ns = CLOCK_NEVER};
    if (!end_drain(residency, now_ns, ret_decision) && !end_idle(residency, now_ns, ret_decision) &&
        !end_excess(residency, now_ns, ret_decision) &&
        !serve_first(residency, now_ns, ret_decision))
        return;
    trace(residency,
          &(struct residency_event){.time_ns = now_ns,
                                    .kind = RESIDENCY_ON_DECISION,
                                    .id = ret_decision->claim->id,
                                    .values = {ret_decision->verdict, ret_decision->reason}});
}

bool residency_matters(const struct residency *residency)
{
    for (unsigned place = 0; place < RESIDENCY_PLACES; place++)
        if (residency->budget_bytes[place] &&
            residency->held_bytes[place] > residency->budget_bytes[place])
            return true;
    return residency->draining || !list_empty(&residency->demands) ||
           !list_empty(&residency->wishes);
}
