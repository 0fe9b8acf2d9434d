/* Who is in memory, who comes and who leaves; see residency.h. */
#include "schedule/residency.h"

#include "schedule/plant.h"
#include "schedule/residency_choice.h"
#include "schedule/residency_trace.h"

#include <assert.h>
#include <stddef.h>

/* ---- small things ---- */

static void trace(const struct residency *residency, const struct residency_event *event)
{
    if (residency->trace)
        residency->trace(residency->context, event);
}

static void trace_plain(const struct residency *residency, enum residency_event_kind kind,
                        uint64_t id, uint64_t now_ns)
{
    trace(residency, &(struct residency_event){.time_ns = now_ns, .kind = kind, .id = id});
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* a - b, or 0. */
static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static struct residency_size larger_size(struct residency_size a, struct residency_size b)
{
    return (struct residency_size){larger(a.bytes, b.bytes),
                                   larger(a.device_bytes, b.device_bytes)};
}

/* What a size takes of a place. */
static uint64_t bytes_at(const struct residency_claim *claim, struct residency_size size,
                         unsigned place)
{
    if (place == 0)
        return size.bytes;
    return claim->device == place ? size.device_bytes : 0;
}

static void hold(struct residency *residency, struct residency_claim *claim,
                 struct residency_size size)
{
    residency->held_bytes[0] += size.bytes - claim->held.bytes;
    if (claim->device)
        residency->held_bytes[claim->device] += size.device_bytes - claim->held.device_bytes;
    claim->held = size;
}

static struct residency_claim *claim_of(struct list_link *link)
{
    return list_entry(link, struct residency_claim, link);
}

static struct residency_claim *first_of(const struct list *list)
{
    struct list_link *link = list_first(list);
    return link ? list_entry(link, struct residency_claim, turn) : NULL;
}

static void turn_to(struct residency_claim *claim, enum residency_state state, uint64_t now_ns)
{
    claim->state = state;
    claim->since_ns = now_ns;
}

/* It is not waiting any more. */
static void end_turn(struct residency *residency, struct residency_claim *claim)
{
    list_remove(&claim->turn);
    if (residency->first == claim->id)
        residency->first = 0;
}

static void stop_draining(struct residency *residency, struct residency_claim *claim)
{
    residency->draining -= claim->draining;
    claim->draining = false;
}

/* ---- what it takes ---- */

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
            most = less(most, bytes_at(other, other->held, place));
    }
    return most;
}

/* What it needs of a place: no more than it could have, where that is an estimate. */
static uint64_t need_at(const struct residency *residency, const struct residency_claim *claim,
                        unsigned place)
{
    uint64_t need = bytes_at(claim, residency_need(claim), place);
    if (!need || !residency->budget_bytes[place] || claim->figures.loading.bytes)
        return need;
    return smaller(need, residency_most_bytes(residency, claim, place));
}

static bool ever_fits(const struct residency *residency, const struct residency_claim *claim)
{
    for (unsigned place = 0; place < RESIDENCY_PLACES; place++) {
        if (!residency->budget_bytes[place] || (place && place != claim->device))
            continue;
        uint64_t least = place ? bytes_at(claim, residency_need(claim), place) : least_bytes(claim);
        if (least > residency_most_bytes(residency, claim, place))
            return false;
    }
    return true;
}

/* ---- events ---- */

void residency_init(struct residency *residency)
{
    *residency = (struct residency){.wait_limit_ns = 0};
    list_init(&residency->claims);
    list_init(&residency->demands);
    list_init(&residency->wishes);
}

void residency_set_budget(struct residency *residency, unsigned place, uint64_t bytes,
                          uint64_t now_ns)
{
    residency->budget_bytes[place] = bytes;
    trace(residency, &(struct residency_event){
                         .time_ns = now_ns, .kind = RESIDENCY_ON_BUDGET, .values = {place, bytes}});
}

void residency_set_limit(struct residency *residency, uint64_t wait_limit_ns, uint64_t now_ns)
{
    residency->wait_limit_ns = wait_limit_ns;
    trace(residency, &(struct residency_event){
                         .time_ns = now_ns, .kind = RESIDENCY_ON_LIMIT, .values = {wait_limit_ns}});
}

void residency_add(struct residency *residency, struct residency_claim *claim,
                   const struct residency_figures *figures, uint64_t now_ns)
{
    claim->figures = *figures;
    claim->state = RESIDENCY_OUT;
    claim->since_ns = now_ns;
    list_add(&residency->claims, &claim->link);
    trace(residency,
          &(struct residency_event){.time_ns = now_ns,
                                    .kind = RESIDENCY_ON_ADD,
                                    .id = claim->id,
                                    .values = {claim->model, claim->device, claim->pinned,
                                               claim->idle_after_ns, claim->files_bytes,
                                               claim->declared_bytes, figures->loading.bytes,
                                               figures->loading.device_bytes, figures->loaded.bytes,
                                               figures->loaded.device_bytes, figures->load_ns}});
}

void residency_remove(struct residency *residency, struct residency_claim *claim, uint64_t now_ns)
{
    assert(claim->state == RESIDENCY_OUT);
    list_remove(&claim->link);
    trace_plain(residency, RESIDENCY_ON_REMOVE, claim->id, now_ns);
}

void residency_ask(struct residency *residency, struct residency_claim *claim,
                   enum residency_kind kind, uint64_t now_ns)
{
    assert(claim->state == RESIDENCY_OUT || claim->state == RESIDENCY_WAITS);
    trace(residency,
          &(struct residency_event){
              .time_ns = now_ns, .kind = RESIDENCY_ON_ASK, .id = claim->id, .values = {kind}});
    claim->busy |= kind == RESIDENCY_DEMAND;
    if (claim->state == RESIDENCY_WAITS && kind >= claim->kind)
        return;
    list_remove(&claim->turn);
    list_add(kind == RESIDENCY_DEMAND ? &residency->demands : &residency->wishes, &claim->turn);
    claim->kind = kind;
    turn_to(claim, RESIDENCY_WAITS, now_ns);
}

/* Each of its workers counts as the most that one of them used. */
static void keep_largest(struct residency *residency, struct residency_claim *claim,
                         struct residency_size now)
{
    struct residency_size *one = &claim->figures.loaded;
    *one = larger_size(*one, now);
    hold(residency, claim,
         (struct residency_size){one->bytes * claim->workers, one->device_bytes * claim->workers});
}

void residency_loaded(struct residency *residency, struct residency_claim *claim,
                      struct residency_size now, struct residency_size most, uint64_t now_ns)
{
    assert(claim->state == RESIDENCY_LOADS);
    trace(residency, &(struct residency_event){
                         .time_ns = now_ns,
                         .kind = RESIDENCY_ON_LOADED,
                         .id = claim->id,
                         .values = {now.bytes, now.device_bytes, most.bytes, most.device_bytes}});
    if (now.bytes) /* else nobody knows */
        claim->figures.loading = larger_size(claim->figures.loading, larger_size(most, now));
    claim->figures.load_ns = larger(now_ns - claim->since_ns, 1);
    turn_to(claim, RESIDENCY_STAYS, now_ns);
    claim->used_ns = now_ns;
    if (now.bytes)
        keep_largest(residency, claim, now);
}

void residency_measured(struct residency *residency, struct residency_claim *claim,
                        struct residency_size now, uint64_t now_ns)
{
    trace(residency, &(struct residency_event){.time_ns = now_ns,
                                               .kind = RESIDENCY_ON_MEASURED,
                                               .id = claim->id,
                                               .values = {now.bytes, now.device_bytes}});
    if (claim->state == RESIDENCY_STAYS && now.bytes)
        keep_largest(residency, claim, now);
}

void residency_leave(struct residency *residency, struct residency_claim *claim, uint64_t now_ns)
{
    trace_plain(residency, RESIDENCY_ON_LEAVE, claim->id, now_ns);
    if (claim->state != RESIDENCY_LOADS && claim->state != RESIDENCY_STAYS)
        return;
    stop_draining(residency, claim);
    turn_to(claim, RESIDENCY_LEAVES, now_ns);
}

void residency_ended(struct residency *residency, struct residency_claim *claim, uint64_t now_ns)
{
    trace_plain(residency, RESIDENCY_ON_ENDED, claim->id, now_ns);
    stop_draining(residency, claim);
    end_turn(residency, claim);
    hold(residency, claim, (struct residency_size){0});
    turn_to(claim, RESIDENCY_OUT, now_ns);
}

void residency_use(struct residency *residency, struct residency_claim *claim, uint64_t now_ns)
{
    if (residency->trace)
        trace_plain(residency, RESIDENCY_ON_USE, claim->id, now_ns);
    claim->busy = true;
    claim->used_ns = now_ns;
    if (claim->uses && now_ns < plus(claim->counted_ns, claim->figures.load_ns))
        return;
    claim->uses = plus(residency_uses(claim, now_ns), RESIDENCY_ONE_USE);
    claim->counted_ns = now_ns;
}

void residency_rest(struct residency *residency, struct residency_claim *claim, uint64_t now_ns)
{
    if (residency->trace)
        trace_plain(residency, RESIDENCY_ON_REST, claim->id, now_ns);
    claim->busy = false;
    claim->used_ns = now_ns;
}

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
        need_at(residency, claim, 0),
        claim->device ? need_at(residency, claim, claim->device) : 0,
    };
    end_turn(residency, claim);
    claim->workers = 1;
    hold(residency, claim, size);
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

/* What is to come back when those have ended that are asked to, and, if so, those that are drained
 * and have been for no longer than they may. */
static uint64_t coming_bytes(const struct residency *residency, unsigned place, bool drained,
                             uint64_t now_ns)
{
    uint64_t bytes = 0;
    list_each(link, &residency->claims)
    {
        const struct residency_claim *claim = claim_of(link);
        if (claim->state == RESIDENCY_LEAVES ||
            (drained && claim->draining && now_ns < claim->drained_ns + RESIDENCY_DRAIN_NS))
            bytes += bytes_at(claim, claim->held, place);
    }
    return bytes;
}

/* What a place lacks for `need` more bytes, when what is coming is there. */
static uint64_t lacks(const struct residency *residency, unsigned place, uint64_t need,
                      uint64_t coming)
{
    uint64_t budget = residency->budget_bytes[place];
    uint64_t held = less(residency->held_bytes[place], coming);
    return budget ? less(plus(held, need), budget) : 0;
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
            shortage.bytes[place] =
                lacks(residency, place, 0, coming_bytes(residency, place, false, now_ns));
    if (!residency_is_short(&shortage))
        return false;
    residency_choose(residency, &shortage, &choice, true);
    struct residency_claim *claim = residency_chosen(residency, false);
    return claim && evict(residency, claim, RESIDENCY_FOR_ROOM, now_ns, decision);
}

/* What a claim lacks now; later, when what is coming is there. */
static struct residency_shortage shortage_of(const struct residency *residency,
                                             const struct residency_claim *claim, bool later,
                                             bool drained, uint64_t now_ns)
{
    struct residency_shortage shortage = {{0}};
    for (unsigned place = 0; place < RESIDENCY_PLACES; place++) {
        uint64_t need = residency->budget_bytes[place] ? need_at(residency, claim, place) : 0;
        if (need)
            shortage.bytes[place] =
                lacks(residency, place, need,
                      later ? coming_bytes(residency, place, drained, now_ns) : 0);
    }
    return shortage;
}

static bool fits_now(const struct residency *residency, const struct residency_claim *claim,
                     uint64_t now_ns)
{
    struct residency_shortage shortage =
        shortage_of(residency, claim, SCHEDULE_PLANT == PLANT_OVER_BUDGET, false, now_ns);
    return !residency_is_short(&shortage);
}

bool residency_grow(struct residency *residency, struct residency_claim *claim, bool always,
                    uint64_t now_ns)
{
    assert(claim->state == RESIDENCY_LOADS || claim->state == RESIDENCY_STAYS);
    trace(residency,
          &(struct residency_event){
              .time_ns = now_ns, .kind = RESIDENCY_ON_GROW, .id = claim->id, .values = {always}});
    bool room = list_empty(&residency->demands) && fits_now(residency, claim, now_ns);
    if (!room && !always)
        return false;
    struct residency_size need = residency_need(claim);
    claim->workers++;
    hold(residency, claim,
         (struct residency_size){claim->held.bytes + need.bytes,
                                 claim->held.device_bytes + need.device_bytes});
    return true;
}

void residency_shrink(struct residency *residency, struct residency_claim *claim, uint64_t now_ns)
{
    trace_plain(residency, RESIDENCY_ON_SHRINK, claim->id, now_ns);
    if (claim->workers < 2)
        return;
    struct residency_size held = {claim->held.bytes - claim->held.bytes / claim->workers,
                                  claim->held.device_bytes -
                                      claim->held.device_bytes / claim->workers};
    claim->workers--;
    hold(residency, claim, held);
}

/* Has somebody leave for a claim whose turn it is and that lacks this. */
static bool make_room(struct residency *residency, const struct residency_claim *claim,
                      uint64_t now_ns, struct residency_decision *decision)
{
    struct residency_shortage shortage = shortage_of(residency, claim, true, false, now_ns);
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
    shortage = shortage_of(residency, claim, true, true, now_ns);
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
        uint64_t need = budget ? need_at(residency, claim, place) : 0;
        list_each(link, &residency->claims)
        {
            const struct residency_claim *other = claim_of(link);
            if (need && other->state == RESIDENCY_LOADS)
                loading += bytes_at(other, other->held, place);
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
    if (!ever_fits(residency, claim))
        return turn_away(residency, claim, RESIDENCY_REFUSE, RESIDENCY_TOO_LARGE, now_ns, decision);
    if (fits_now(residency, claim, now_ns))
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
    struct residency_shortage shortage = shortage_of(residency, claim, false, false, now_ns);
    bool room = !residency_is_short(&shortage);
    list_each(link, &residency->wishes)
    {
        const struct residency_claim *other = list_entry(link, struct residency_claim, turn);
        if (other == claim || other->kind == RESIDENCY_WISH)
            continue;
        for (unsigned place = 0; place < RESIDENCY_PLACES && room; place++)
            room = lacks(residency, place,
                         plus(need_at(residency, claim, place), need_at(residency, other, place)),
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
    if (claim->kind != RESIDENCY_PROBE && ever_fits(residency, claim)) {
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
