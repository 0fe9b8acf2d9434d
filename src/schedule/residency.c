/* What happens to those who are in memory, come and leave; see residency.h. */
#include "schedule/residency_internal.h"

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

static struct residency_size larger_size(struct residency_size a, struct residency_size b)
{
    return (struct residency_size){larger(a.bytes, b.bytes),
                                   larger(a.device_bytes, b.device_bytes)};
}

/* Each of its workers counts as the most that one of them used. */
static void keep_largest(struct residency *residency, struct residency_claim *claim,
                         struct residency_size now)
{
    struct residency_size *one = &claim->figures.loaded;
    *one = larger_size(*one, now);
    residency_hold(
        residency, claim,
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
    residency_hold(residency, claim, (struct residency_size){0});
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

bool residency_grow(struct residency *residency, struct residency_claim *claim, bool always,
                    uint64_t now_ns)
{
    assert(claim->state == RESIDENCY_LOADS || claim->state == RESIDENCY_STAYS);
    trace(residency,
          &(struct residency_event){
              .time_ns = now_ns, .kind = RESIDENCY_ON_GROW, .id = claim->id, .values = {always}});
    bool room = list_empty(&residency->demands) && residency_fits_now(residency, claim, now_ns);
    if (!room && !always)
        return false;
    struct residency_size need = residency_need(claim);
    claim->workers++;
    residency_hold(residency, claim,
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
    residency_hold(residency, claim, held);
}
