/* A world of models, clients and workers on a clock of its own, in which residency.h decides who is
 * in memory: from a seed, so that what goes wrong can be seen again (seeds.h).
 *
 * The rules, in terms of what workers really use and clients see:
 *   over_budget  workers never use more than the budget
 *   hurt         a worker that executes is not ended
 *   pinned       nor one that is pinned, once it is loaded
 *   herd         a model has one worker
 *   early        nobody leaves for idleness before the time
 *   starved      no request waits without end, while others are served
 *   lost         each request has an answer: well, or that its model cannot fit */
#include "schedule/residency.h"
#include "schedule/residency_trace.h"
#include "schedule/seeds.h"

#include <math.h>
#include <stdarg.h>

enum { MODELS = 32, EVENTS = 1 << 15, MIB = 1 << 20, MOST_REQUESTS = 400 };

struct model {
    struct residency_claim claim;     /* first */
    struct residency_size peak, size; /* that a worker really uses, while it loads and later */
    uint64_t load_ns, stop_ns, service_ns;
    double weight; /* how often it is asked for */
    bool worker;   /* there is one */
    bool drained;  /* and it is given no more requests */
    uint64_t life; /* which worker, so that events of an earlier one are passed over */
    size_t waiting, running;
    uint64_t oldest_ns; /* when the oldest that waits came */
};

enum event_kind { ARRIVES, LOADED, SERVED, ENDED, DIES, WAKES, GIVES_UP };

struct event {
    uint64_t time_ns, sequence, life;
    enum event_kind kind;
    size_t model;
};

struct world {
    uint64_t random, now_ns, sequence, wake_ns;
    struct residency residency;
    struct model models[MODELS];
    size_t model_count, to_come, answered, refused, came, loads;
    double weights;
    uint64_t gap_ns, death_ns, stream_ns, longest_ns;
    struct event events[EVENTS];
    size_t event_count;
    const char *failure;
    char detail[160];
    FILE *trace;
};

static struct world world;

/* ---- chance ---- */

static uint64_t draw(uint64_t limit)
{
    uint64_t x = world.random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return limit ? x % limit : 0;
}

static double draw_share(void)
{
    return (double)draw(1U << 30) / (double)(1U << 30);
}

static uint64_t draw_ns(uint64_t mean_ns)
{
    return (uint64_t)(-log(1 - draw_share()) * (double)mean_ns) + 1;
}

static bool one_in(uint64_t count)
{
    return draw(count) == 0;
}

/* ---- what goes on ---- */

__attribute__((format(printf, 2, 3))) static void fail(const char *word, const char *format, ...)
{
    va_list args;
    if (world.failure)
        return;
    world.failure = word;
    va_start(args, format);
    vsnprintf(world.detail, sizeof world.detail, format, args);
    va_end(args);
}

static bool is_before(const struct event *a, const struct event *b)
{
    return a->time_ns < b->time_ns || (a->time_ns == b->time_ns && a->sequence < b->sequence);
}

/* The events are a heap. */
static void after(uint64_t delay_ns, enum event_kind kind, size_t model)
{
    struct event event = {world.now_ns + delay_ns, world.sequence++, world.models[model].life, kind,
                          model};
    size_t at = world.event_count++;
    if (world.event_count >= EVENTS)
        abort();
    for (; at && is_before(&event, &world.events[(at - 1) / 2]); at = (at - 1) / 2)
        world.events[at] = world.events[(at - 1) / 2];
    world.events[at] = event;
}

static struct event take_event(void)
{
    struct event first = world.events[0], last = world.events[--world.event_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < world.event_count; at = child) {
        if (child + 1 < world.event_count &&
            is_before(&world.events[child + 1], &world.events[child]))
            child++;
        if (!is_before(&world.events[child], &last))
            break;
        world.events[at] = world.events[child];
    }
    world.events[at] = last;
    return first;
}

/* ---- the world ---- */

static void write_trace(void *context, const struct residency_event *event)
{
    char line[RESIDENCY_LINE_BYTES];
    size_t size = residency_event_write(event, line);
    fprintf(context, "%.*s\n", (int)size, line);
}

static uint64_t draw_bytes(uint64_t least_mib, uint64_t span_mib)
{
    return (least_mib + draw(span_mib + 1)) * MIB;
}

/* What was measured before, at an earlier start, is true; what is estimated is enough. */
static void make_model(size_t at, bool gpu)
{
    struct model *model = &world.models[at];
    struct residency_figures figures = {.load_ns = 0};
    *model = (struct model){.size = {draw_bytes(20, 400), 0}, .stop_ns = draw_ns(CLOCK_NS_PER_MS)};
    model->peak = model->size;
    if (one_in(2))
        model->peak.bytes += draw_bytes(0, 200);
    if (gpu && one_in(2)) {
        model->claim.device = 1 + (unsigned)draw(2);
        model->peak.device_bytes = model->size.device_bytes = draw_bytes(10, 300);
    }
    model->load_ns = CLOCK_NS_PER_MS * (20 + draw(2000));
    model->service_ns = CLOCK_NS_PER_MS * (1 + draw(40));
    model->weight = 1 / pow((double)at + 1, 0.5 + draw_share());
    world.weights += model->weight;
    model->claim.id = at + 1;
    model->claim.model = at + 1;
    model->claim.files_bytes = model->peak.bytes;
    if (model->peak.device_bytes > model->claim.files_bytes)
        model->claim.files_bytes = model->peak.device_bytes;
    model->claim.pinned = one_in(20);
    model->claim.idle_after_ns = one_in(4) ? CLOCK_NS_PER_MS * (500 + draw(5000)) : 0;
    if (one_in(3))
        figures = (struct residency_figures){model->peak, model->size, model->load_ns};
    residency_add(&world.residency, &model->claim, &figures, 0);
}

static void make_world(uint64_t seed, FILE *trace)
{
    memset(&world, 0, sizeof world);
    world.random = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    world.trace = trace;
    world.wake_ns = CLOCK_NEVER;
    residency_init(&world.residency);
    world.residency.trace = trace ? write_trace : NULL;
    world.residency.context = trace;
    residency_set_budget(&world.residency, 0, draw_bytes(400, 2500), 0);
    bool gpu = one_in(3);
    for (unsigned place = 1; gpu && place <= 2; place++)
        residency_set_budget(&world.residency, place, draw_bytes(200, 800), 0);
    world.model_count = 2 + draw(MODELS - 1);
    for (size_t i = 0; i < world.model_count; i++)
        make_model(i, gpu);
    world.gap_ns = CLOCK_NS_PER_MS * (1 + draw(one_in(2) ? 20 : 400));
    world.death_ns = one_in(3) ? CLOCK_NS_PER_S * (1 + draw(20)) : 0;
    world.stream_ns = one_in(4) ? CLOCK_NS_PER_S * (1 + draw(8)) : 0;
    world.to_come = 20 + draw(MOST_REQUESTS - 20);
    if (one_in(3))
        residency_set_limit(&world.residency, CLOCK_NS_PER_S * (30 + draw(300)), 0);
}

static void check_memory(void)
{
    uint64_t used[RESIDENCY_PLACES] = {0};
    for (size_t i = 0; i < world.model_count; i++) {
        const struct model *model = &world.models[i];
        bool loads = model->claim.state == RESIDENCY_LOADS;
        if (!model->worker)
            continue;
        used[0] += loads ? model->peak.bytes : model->size.bytes;
        if (model->claim.device)
            used[model->claim.device] +=
                loads ? model->peak.device_bytes : model->size.device_bytes;
    }
    for (unsigned place = 0; place < RESIDENCY_PLACES; place++)
        if (world.residency.budget_bytes[place] &&
            used[place] > world.residency.budget_bytes[place])
            fail("over_budget", "%llu of %llu MiB at place %u",
                 (unsigned long long)used[place] / MIB,
                 (unsigned long long)world.residency.budget_bytes[place] / MIB, place);
}

/* Starts what waits, four at once. */
static void dispatch(struct model *model)
{
    size_t at = (size_t)(model - world.models);
    while (model->claim.state == RESIDENCY_STAYS && !model->claim.draining && model->waiting &&
           model->running < 4) {
        uint64_t waited_ns = world.now_ns - model->oldest_ns;
        if (waited_ns > world.longest_ns)
            world.longest_ns = waited_ns;
        model->waiting--;
        model->running++;
        after(world.stream_ns && one_in(10) ? draw_ns(world.stream_ns) : draw_ns(model->service_ns),
              SERVED, at);
    }
    model->oldest_ns = model->waiting ? model->oldest_ns : CLOCK_NEVER;
}

static void may_rest(struct model *model)
{
    bool waits = model->waiting && !model->claim.draining;
    if (!waits && !model->running && model->claim.busy)
        residency_rest(&world.residency, &model->claim, world.now_ns);
}

static void start(struct model *model)
{
    if (model->worker)
        fail("herd", "model %llu is started twice", (unsigned long long)model->claim.id);
    model->worker = true;
    model->life++;
    world.loads++;
    size_t at = (size_t)(model - world.models);
    bool probe = model->claim.kind == RESIDENCY_PROBE;
    after(model->load_ns, probe || one_in(50) ? ENDED : LOADED, at); /* or the load fails */
    if (world.death_ns)
        after(draw_ns(world.death_ns), DIES, at);
}

static void check_evict(const struct model *model, const struct residency_decision *decision)
{
    const struct residency_claim *claim = &model->claim;
    if (model->running || (model->waiting && !model->drained))
        fail("hurt", "model %llu leaves and is in use", (unsigned long long)claim->id);
    if (claim->pinned)
        fail("pinned", "model %llu leaves and is pinned", (unsigned long long)claim->id);
    if (decision->reason == RESIDENCY_IDLE && world.now_ns < claim->used_ns + claim->idle_after_ns)
        fail("early", "model %llu leaves before its time", (unsigned long long)claim->id);
}

static void perform(const struct residency_decision *decision)
{
    struct model *model = (struct model *)decision->claim;
    switch (decision->verdict) {
    case RESIDENCY_NOTHING:
    case RESIDENCY_SLEEP:
        break;
    case RESIDENCY_DRAIN:
        model->drained = true;
        may_rest(model);
        break;
    case RESIDENCY_GRANT:
    case RESIDENCY_GRANT_PROBE:
        start(model);
        break;
    case RESIDENCY_EVICT:
        check_evict(model, decision);
        model->life++;
        after(model->stop_ns, ENDED, (size_t)(model - world.models));
        break;
    case RESIDENCY_KEEP:
        model->drained = false;
        dispatch(model);
        may_rest(model);
        break;
    case RESIDENCY_REFUSE:
        world.refused += model->waiting;
        model->waiting = 0;
        model->oldest_ns = CLOCK_NEVER;
        may_rest(model);
        break;
    }
}

static void look(void)
{
    struct residency_decision decision;
    for (;;) {
        residency_next(&world.residency, world.now_ns, &decision);
        if (decision.verdict == RESIDENCY_NOTHING)
            break;
        perform(&decision);
        check_memory();
    }
    if (decision.wake_ns < world.wake_ns || world.wake_ns <= world.now_ns) {
        world.wake_ns = decision.wake_ns;
        if (decision.wake_ns != CLOCK_NEVER)
            after(decision.wake_ns > world.now_ns ? decision.wake_ns - world.now_ns : 0, WAKES, 0);
    }
}

static void arrive(void)
{
    double at = draw_share() * world.weights;
    size_t i = 0;
    while (i + 1 < world.model_count && at >= world.models[i].weight)
        at -= world.models[i++].weight;
    struct model *model = &world.models[i];
    world.came++;
    if (!model->waiting++)
        model->oldest_ns = world.now_ns;
    residency_use(&world.residency, &model->claim, world.now_ns);
    if (model->claim.state == RESIDENCY_OUT || model->claim.state == RESIDENCY_WAITS)
        residency_ask(&world.residency, &model->claim, RESIDENCY_DEMAND, world.now_ns);
    dispatch(model);
    if (one_in(40))
        after(draw_ns(CLOCK_NS_PER_S), GIVES_UP, i);
    if (--world.to_come)
        after(draw_ns(world.gap_ns), ARRIVES, 0);
}

/* Its worker is gone; what ran with it is answered so. */
static void end(struct model *model)
{
    world.answered += model->running;
    model->running = 0;
    model->worker = model->drained = false;
    model->life++;
    residency_ended(&world.residency, &model->claim, world.now_ns);
    if (model->waiting)
        residency_ask(&world.residency, &model->claim, RESIDENCY_DEMAND, world.now_ns);
    may_rest(model);
}

static void give_up(struct model *model)
{
    if (!model->waiting)
        return;
    model->waiting--;
    world.answered++;
    if (!model->waiting && model->claim.state == RESIDENCY_WAITS)
        residency_ended(&world.residency, &model->claim, world.now_ns);
    may_rest(model);
}

static void happen(const struct event *event)
{
    struct model *model = &world.models[event->model];
    bool current = event->life == model->life;
    switch (event->kind) {
    case ARRIVES:
        arrive();
        break;
    case LOADED:
        if (current)
            residency_loaded(&world.residency, &model->claim, model->size, model->peak,
                             world.now_ns);
        if (current)
            may_rest(model);
        break;
    case SERVED:
        if (!current || !model->running)
            break; /* it went with its worker */
        model->running--;
        world.answered++;
        may_rest(model);
        break;
    case ENDED:
    case DIES:
        if (current)
            end(model);
        break;
    case GIVES_UP:
        give_up(model);
        break;
    case WAKES:
        break;
    }
    dispatch(model);
}

/* Nobody waits for longer than it takes when each model has had its turn before, in the worst
 * world: a load, a stream, patience and a drain for each. */
static void check_waiting(void)
{
    uint64_t turn_ns = RESIDENCY_PATIENCE_NS + RESIDENCY_DRAIN_NS + 4 * CLOCK_NS_PER_S;
    uint64_t bound_ns = (uint64_t)world.model_count * (turn_ns + 10 * world.stream_ns);
    for (size_t i = 0; i < world.model_count; i++) {
        const struct model *model = &world.models[i];
        if (model->waiting && world.now_ns > model->oldest_ns + bound_ns)
            fail("starved", "a request for model %zu has waited for %llu s", i + 1,
                 (unsigned long long)(world.now_ns - model->oldest_ns) / CLOCK_NS_PER_S);
    }
}

static const char *run_world(uint64_t seed, FILE *trace, const char **ret_detail)
{
    *ret_detail = world.detail;
    make_world(seed, trace);
    for (size_t i = 0; i < world.model_count; i++)
        residency_ask(&world.residency, &world.models[i].claim,
                      world.models[i].claim.figures.load_ns ? RESIDENCY_WISH : RESIDENCY_FIRST_WISH,
                      0);
    look();
    after(0, ARRIVES, 0);
    while (world.event_count && !world.failure) {
        struct event event = take_event();
        world.now_ns = event.time_ns;
        happen(&event);
        look();
        check_memory();
        check_waiting();
    }
    if (!world.failure && world.answered + world.refused != world.came)
        fail("lost", "%zu of %zu requests have no answer",
             world.came - world.answered - world.refused, world.came);
    return world.failure;
}

/* ---- many worlds ---- */

static uint64_t requests, loads, refused, longest_ns;

static void count(void)
{
    requests += world.came;
    loads += world.loads;
    refused += world.refused;
    longest_ns = longest_ns > world.longest_ns ? longest_ns : world.longest_ns;
}

static void print(uint64_t seeds)
{
    printf("%llu seeds, %llu requests, %llu refused, %llu loads, longest wait %.1f s\n",
           (unsigned long long)seeds, (unsigned long long)requests, (unsigned long long)refused,
           (unsigned long long)loads, (double)longest_ns / (double)CLOCK_NS_PER_S);
}

int main(int argc, char **argv)
{
    static const struct seeds seeds = {run_world, count, print};
    return seeds_main(argc, argv, &seeds);
}
