/* Finding nested inferences that wait for each other; see deadlock.h. */
#include "serving/deadlock.h"

#include "serving/generation_workers.h"
#include "serving/nested.h"
#include "serving/replica.h"
#include "telemetry/log.h"

enum { LOOK_MS = 100 };

static struct deadlock_watch *watch_of(const struct generation *generation)
{
    return &generation->version->model->serving->deadlock;
}

static struct nested *nested_of(struct list_link *link)
{
    return list_entry(link, struct nested, watch_link);
}

/* ---- what a nested inference waits for ---- */

/* How many executions run, and whether each waits for something that is stuck. */
struct holders {
    size_t count;
    bool stuck;
};

static void add_workers(struct holders *holders, const struct generation *generation)
{
    uint64_t round = watch_of(generation)->round;
    struct replica *replica;
    for (size_t place = 0; generation_workers_each(generation, &place, &replica);) {
        size_t executions = replica_executions(replica);
        holders->count += executions;
        holders->stuck &= replica_stuck_executions(replica, round) == executions;
    }
}

/* Those that have what it needs of resources that models share. */
static void add_sharers(struct holders *holders, const struct generation *generation)
{
    const struct limiter *limiter = &generation->version->model->serving->limiter;
    list_each(link, &limiter->members)
    {
        const struct limiter_claim *claim = list_entry(link, struct limiter_claim, link);
        if (claim != &generation->claim && limiter_shares(claim, &generation->claim))
            add_workers(holders, list_entry(claim, struct generation, claim));
    }
}

/* Whether what waits in the queue of a generation that serves could go only when something ends
 * that is stuck. */
static bool slots_are_stuck(const struct generation *generation)
{
    struct holders holders = {0, true};
    if (timer_running(&generation->dispatch_again) || generation_workers_coming(generation))
        return false;
    add_workers(&holders, generation);
    if (list_linked(&generation->claim.wait_link))
        add_sharers(&holders, generation);
    return holders.count > 0 && holders.stuck;
}

/* Whether all that is busy in memory has something that is stuck, so that nothing will leave. */
static bool memory_is_stuck(const struct generation *generation)
{
    const struct residency *residency = &generation->version->model->serving->residence.residency;
    bool stuck = false;
    list_each(link, &residency->claims)
    {
        const struct residency_claim *claim = list_entry(link, struct residency_claim, link);
        const struct generation *other = list_entry(claim, struct generation, room);
        struct replica *replica;
        size_t executions = 0;
        if (claim->state == RESIDENCY_LOADS || claim->state == RESIDENCY_LEAVES)
            return false;
        if (claim->state != RESIDENCY_STAYS || claim->pinned || !claim->busy)
            continue; /* those that are idle are too small */
        for (size_t place = 0; generation_workers_each(other, &place, &replica);)
            executions += replica_stuck_executions(replica, watch_of(generation)->round);
        if (!executions)
            return false;
        stuck = true;
    }
    return stuck;
}

/* Many may wait for the same: it is looked at once in a round. */
static bool queue_is_stuck(struct generation *generation)
{
    struct deadlock_mark *mark = &generation->deadlock;
    if (mark->round == watch_of(generation)->round)
        return mark->stuck;
    mark->round = watch_of(generation)->round;
    if (generation->state.phase == GENERATION_READY)
        mark->stuck = slots_are_stuck(generation);
    else
        mark->stuck = generation->room.state == RESIDENCY_WAITS && memory_is_stuck(generation);
    return mark->stuck;
}

static bool is_stuck(const struct nested *nested)
{
    const struct inference *inference = &nested->inference;
    struct generation *generation = inference->generation;
    if (inference->state == INFERENCE_RUNNING)
        return replica_execution_is_stuck(inference->replica, inference->execution,
                                          watch_of(generation)->round);
    return inference->entry.waits /* else its answer is on its way */ && queue_is_stuck(generation);
}

/* ---- looking ---- */

/* The executions that wait for one that is stuck. */
static void mark(struct deadlock_watch *watch)
{
    watch->round++;
    list_each(link, &watch->nested)
    {
        const struct nested *nested = nested_of(link);
        const struct inference *parent = nested->inference.parent;
        if (nested->stuck && parent->state == INFERENCE_RUNNING)
            replica_note_stuck(parent->replica, parent->execution, watch->round);
    }
}

/* Leaves those stuck that wait for ever. Returns the newest that was so the last time, too. */
static struct nested *find_stuck(struct deadlock_watch *watch)
{
    struct nested *newest = NULL;
    bool changed = true;
    list_each(link, &watch->nested)
    {
        nested_of(link)->stuck = true;
    }
    while (changed) {
        changed = false;
        mark(watch);
        list_each(link, &watch->nested)
        {
            struct nested *nested = nested_of(link);
            if (!nested->stuck || is_stuck(nested))
                continue;
            nested->stuck = false;
            changed = true;
        }
    }
    list_each(link, &watch->nested)
    {
        if (nested_of(link)->stuck && nested_of(link)->was_stuck)
            newest = nested_of(link);
    }
    return newest;
}

static void fail(struct nested *nested)
{
    struct error error;
    const struct generation *generation = nested->inference.generation;
    bool room = generation->state.phase != GENERATION_READY;
    error_set(&error, ERROR_UNAVAILABLE,
              room ? "there is no room in memory for model '%.*s' beside those that are busy with "
                     "requests that wait for it"
                   : "requests that call other models wait for each other: all that runs of model "
                     "'%.*s' waits for this call; more workers may help",
              SPAN_ARGS(generation->spec.name));
    log_warning("serving", "%s", error.message);
    nested_fail(nested, &error);
}

static void look(struct timer *timer);

static void look_later(struct deadlock_watch *watch)
{
    const struct nested *nested = nested_of(list_first(&watch->nested));
    timer_start(&watch->look, nested->inference.generation->version->model->serving->loop, LOOK_MS,
                look);
}

/* Whether one has waited since before the last look: most do not. */
static bool is_worth_it(const struct deadlock_watch *watch)
{
    struct list_link *oldest = list_first(&watch->nested);
    return oldest && nested_of(oldest)->seen;
}

static void look(struct timer *timer)
{
    struct deadlock_watch *watch = list_entry(timer, struct deadlock_watch, look);
    struct nested *nested;
    while (is_worth_it(watch) && (nested = find_stuck(watch)))
        fail(nested);
    list_each(link, &watch->nested)
    {
        nested_of(link)->was_stuck = nested_of(link)->stuck;
        nested_of(link)->seen = true;
    }
    if (!list_empty(&watch->nested))
        look_later(watch);
}

void deadlock_enter(struct nested *nested)
{
    struct deadlock_watch *watch = watch_of(nested->inference.generation);
    list_add(&watch->nested, &nested->watch_link);
    if (!timer_running(&watch->look))
        look_later(watch);
}

void deadlock_leave(struct nested *nested)
{
    list_remove(&nested->watch_link);
}

void deadlock_init(struct deadlock_watch *watch)
{
    list_init(&watch->nested);
}

void deadlock_fini(struct deadlock_watch *watch)
{
    timer_stop(&watch->look);
}
