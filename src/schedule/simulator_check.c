/* What must hold in every world of the simulator, told apart by a word for each rule; see
 * simulator.h. The rules speak of what clients and workers see, not of how the scheduler does it.
 */
#include "schedule/simulator.h"

#include "base/clock.h"

#include <stdarg.h>

void simulator_fail(struct simulator *simulator, const char *word, const char *format, ...)
{
    va_list args;
    if (simulator->failure)
        return;
    simulator->failure = word;
    va_start(args, format);
    vsnprintf(simulator->detail, sizeof simulator->detail, format, args);
    va_end(args);
}

static size_t index_of(const struct simulator *simulator, const struct simulator_request *request)
{
    return (size_t)(request - simulator->requests);
}

static const struct simulator_request *request_of(const struct queue_entry *entry)
{
    return list_entry(entry, struct simulator_request, entry);
}

/* ---- a batch ---- */

static size_t running_requests(const struct simulator *simulator)
{
    size_t count = 0;
    for (size_t i = 0; i < SIMULATOR_EXECUTIONS; i++) {
        if (simulator->executions[i].runs)
            count += simulator->executions[i].count;
    }
    return count;
}

static void check_size(struct simulator *simulator, const struct schedule_batch *batch)
{
    const struct simulator_world *world = &simulator->world;
    const struct simulator_request *first = request_of(batch->entries[0]);
    uint64_t rows = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct simulator_request *request = request_of(batch->entries[i]);
        rows += request->entry.rows;
        if (batch->count > 1 && (request->entry.alone || request->shape != first->shape))
            simulator_fail(simulator, "exceeded", "request %zu cannot be joined with %zu",
                           index_of(simulator, request), index_of(simulator, first));
    }
    if (rows != batch->rows || (batch->count > 1 && rows > world->max_rows))
        simulator_fail(simulator, "exceeded", "a batch of %llu rows, of at most %llu",
                       (unsigned long long)rows, (unsigned long long)world->max_rows);
    uint64_t most = world->policy.max_running;
    if (most && running_requests(simulator) + batch->count > most)
        simulator_fail(simulator, "exceeded", "%zu requests run, of at most %llu",
                       running_requests(simulator) + batch->count, (unsigned long long)most);
    if (simulator->running >= (world->slots + world->one_ahead) * world->worker_count ||
        (world->policy.preserve_order && simulator->running > 0))
        simulator_fail(simulator, "exceeded", "%zu executions run already", simulator->running);
}

static void check_member(struct simulator *simulator, const struct simulator_request *request)
{
    size_t index = index_of(simulator, request);
    if (request->state != WAITING)
        simulator_fail(simulator, "doubled", "request %zu is executed again", index);
    if (request->entry.deadline_ns <= simulator->now_ns)
        simulator_fail(simulator, "deadline", "request %zu is executed too late", index);
}

/* Its time in the queue is over, and it waits on. */
static bool was_delayed(const struct simulator_request *request)
{
    return request->expires_ns != request->entry.expires_ns;
}

/* Requests of one kind are begun as they came: with preserved order all are of one kind, else those
 * of a caller that are equal in all that may change their turn. */
static void check_order(struct simulator *simulator, const struct simulator_request *request)
{
    const struct queue_entry *entry = &request->entry;
    size_t *last = &simulator->last_begun[entry->caller.id][entry->level][request->shape];
    size_t number = index_of(simulator, request) + 1;
    bool preserved = simulator->world.policy.preserve_order;
    if (request->repeated && !preserved)
        return;
    if (preserved)
        last = &simulator->last_begun[0][0][0];
    else if (entry->rows != 1 || entry->alone || entry->deadline_ns != CLOCK_NEVER ||
             entry->timeout_ns || simulator->world.policy.rule_count)
        return;
    if (preserved && was_delayed(request))
        return;
    if (number < *last)
        simulator_fail(simulator, "reordered", "request %zu is begun after %zu", number - 1,
                       *last - 1);
    *last = number;
}

/* Where the order is preserved nothing else runs, and so nothing later has been answered. */
void simulator_check_repeated(struct simulator *simulator, const struct simulator_request *request)
{
    size_t *last = &simulator->last_begun[0][0][0], index = index_of(simulator, request);
    if (simulator->world.policy.preserve_order && index < *last)
        *last = index;
}

/* When a request is due, as the policy says. */
static uint64_t due_ns(const struct simulator *simulator, const struct simulator_request *request)
{
    const struct schedule_policy *policy = &simulator->world.policy;
    uint64_t due = request->arrives_ns + policy->patience_ns;
    if (policy->preserve_order)
        due = request->arrives_ns;
    else if (request->entry.deadline_ns < due)
        due = request->entry.deadline_ns;
    if (!policy->preserve_order && request->expires_ns < due)
        due = request->expires_ns;
    if (was_delayed(request))
        due += policy->patience_ns + policy->levels * policy->aging_ns;
    return due + (request->entry.level - 1) * policy->aging_ns;
}

/* Once a request is due, what is due later may be begun first only for the sake of fairness: in
 * proportion to what was due before it. */
static void check_starving(struct simulator *simulator, const struct schedule_batch *batch)
{
    const struct simulator_world *world = &simulator->world;
    uint64_t heaviest = 1, begun_due = due_ns(simulator, request_of(batch->entries[0]));
    for (size_t i = 0; i < world->callers; i++)
        heaviest = world->weights[i] > heaviest ? world->weights[i] : heaviest;
    uint64_t largest = world->max_rows > 4 ? world->max_rows : 4;
    for (size_t i = 0; i < world->request_count; i++) {
        struct simulator_request *request = &simulator->requests[i];
        uint64_t due = due_ns(simulator, request);
        if (request->state != WAITING || due >= simulator->now_ns)
            continue;
        if (begun_due <= due) {
            request->earlier_rows += batch->rows;
            continue;
        }
        request->later_rows += batch->rows;
        uint64_t share = world->callers > 1 ? world->callers * heaviest : 1;
        if (request->later_rows > share * (request->earlier_rows + 4 * largest))
            simulator_fail(simulator, "starved", "request %zu waits, and %llu rows went before it",
                           i, (unsigned long long)request->later_rows);
    }
}

/* ---- weights ---- */

/* A caller among others at one level. */
struct rival {
    bool waits;        /* has requests that wait, those that are being begun among them */
    uint64_t joinable; /* the fewest rows of one that was left out and could have joined; or none */
};

static double service_of(const struct queue_entry *entry)
{
    return (double)entry->rows / (entry->weight ? entry->weight : 1);
}

static bool is_in(const struct schedule_batch *batch, const struct queue_entry *entry)
{
    size_t at = 0;
    while (at < batch->count && batch->entries[at] != entry)
        at++;
    return at < batch->count;
}

static void find_rivals(const struct simulator *simulator, const struct schedule_batch *batch,
                        uint32_t level, struct rival rivals[SIMULATOR_CALLERS])
{
    const struct simulator_request *first = request_of(batch->entries[0]);
    for (size_t i = 0; i < SIMULATOR_CALLERS; i++)
        rivals[i] = (struct rival){false, UINT64_MAX};
    for (size_t i = 0; i < simulator->world.request_count; i++) {
        const struct simulator_request *request = &simulator->requests[i];
        const struct queue_entry *entry = &request->entry;
        struct rival *rival = &rivals[entry->caller.id];
        if (request->state != WAITING || entry->level != level)
            continue;
        rival->waits = true;
        if (!entry->alone && !first->entry.alone && request->shape == first->shape &&
            entry->rows < rival->joinable && !is_in(batch, entry))
            rival->joinable = entry->rows;
    }
}

/* The caller of a batch's entry has had its turn. Another had it at its expense, too, if that could
 * have gone first, or in its place: what joins a batch that is not full otherwise costs nobody. */
static void add_service(struct simulator *simulator, const struct queue_entry *entry, bool first,
                        const struct rival rivals[SIMULATOR_CALLERS])
{
    size_t caller = entry->caller.id;
    double(*lead)[SIMULATOR_CALLERS] = simulator->lead[entry->level];
    for (size_t i = 0; i < simulator->world.callers; i++) {
        if (i == caller || !rivals[i].waits)
            continue;
        lead[i][caller] -= service_of(entry);
        if (first || rivals[i].joinable <= entry->rows)
            lead[caller][i] += service_of(entry);
    }
}

static void check_leads(struct simulator *simulator, uint32_t level,
                        const struct rival rivals[SIMULATOR_CALLERS])
{
    const struct simulator_world *world = &simulator->world;
    double most = 6 * (double)(world->max_rows > 4 ? world->max_rows : 4);
    for (size_t i = 0; i < world->callers * world->callers; i++) {
        size_t a = i / world->callers, b = i % world->callers;
        double *lead = &simulator->lead[level][a][b];
        if (!rivals[a].waits || !rivals[b].waits)
            *lead = 0;
        if (*lead > most)
            simulator_fail(simulator, "unfair", "caller %zu has had %.1f rows more than %zu", a,
                           *lead, b);
    }
}

/* Callers that both wait get shares by their weights, but for a few batches. */
static void check_fairness(struct simulator *simulator, const struct schedule_batch *batch)
{
    const struct simulator_world *world = &simulator->world;
    struct rival rivals[SIMULATOR_CALLERS];
    if (world->callers == 1 || world->policy.preserve_order)
        return;
    for (uint32_t level = 1; level == 1 || level <= world->policy.levels; level++) {
        find_rivals(simulator, batch, level, rivals);
        for (size_t i = 0; i < batch->count; i++) {
            if (batch->entries[i]->level == level)
                add_service(simulator, batch->entries[i], i == 0, rivals);
        }
        check_leads(simulator, level, rivals);
    }
}

void simulator_check_batch(struct simulator *simulator, const struct schedule_batch *batch)
{
    check_size(simulator, batch);
    for (size_t i = 0; i < batch->count; i++)
        check_member(simulator, request_of(batch->entries[i]));
    if (simulator->failure)
        return;
    check_starving(simulator, batch);
}

void simulator_check_begun(struct simulator *simulator, const struct schedule_batch *batch)
{
    check_fairness(simulator, batch);
    for (size_t i = 0; i < batch->count; i++)
        check_order(simulator, request_of(batch->entries[i]));
}

/* ---- single requests ---- */

void simulator_check_refusal(struct simulator *simulator, const struct simulator_request *request,
                             enum schedule_verdict verdict)
{
    const struct schedule_policy *policy = &simulator->world.policy;
    size_t index = index_of(simulator, request);
    if (verdict != SCHEDULE_FULL && simulator->waiting == 0 && simulator->running == 0)
        simulator_fail(simulator, "idle", "request %zu is refused, and nothing else is to be done",
                       index);
    if ((verdict == SCHEDULE_LATE && request->entry.deadline_ns == CLOCK_NEVER) ||
        (verdict == SCHEDULE_LONG && !policy->wait_limit_ns))
        simulator_fail(simulator, "idle", "request %zu is refused, and has time", index);
    if (verdict == SCHEDULE_FULL && simulator->waiting < policy->queue_limit && !policy->rule_count)
        simulator_fail(simulator, "idle", "request %zu is refused, and there is room", index);
}

void simulator_check_answer(struct simulator *simulator, const struct simulator_request *request)
{
    const struct queue_entry *entry = &request->entry;
    size_t index = index_of(simulator, request);
    uint64_t latest_ns = entry->deadline_ns, grace_ns = simulator->world.policy.grace_ns;
    if (request->state == ANSWERED)
        simulator_fail(simulator, "doubled", "request %zu is answered again", index);
    if (latest_ns == CLOCK_NEVER || (request->state == RUNNING && grace_ns == 0))
        return;
    latest_ns += request->state == RUNNING ? grace_ns : 0;
    if (simulator->now_ns > latest_ns)
        simulator_fail(simulator, "deadline", "request %zu is answered too late", index);
}

/* ---- between events ---- */

enum { SHORT_PART = 4 }; /* of an execution */

static bool is_up(const struct simulator *simulator)
{
    for (size_t i = 0; i < simulator->world.worker_count; i++) {
        if (simulator_takes(simulator, i))
            return true;
    }
    return false;
}

/* Where nothing runs though something could, what waits is waiting for company: as long as the
 * config says, or for as short a part of an execution that it does not matter. */
static void check_idling(struct simulator *simulator)
{
    const struct schedule_policy *policy = &simulator->world.policy;
    if (!simulator->idle_since_ns)
        simulator->idle_since_ns = simulator->now_ns;
    if (simulator->now_ns - simulator->idle_since_ns <= simulator->longest_ns / SHORT_PART)
        return;
    for (size_t i = 0; i < simulator->world.request_count; i++) {
        const struct simulator_request *request = &simulator->requests[i];
        if (request->state == WAITING &&
            request->entry.arrived_ns + policy->delay_ns <= simulator->now_ns)
            simulator_fail(simulator, "idle", "request %zu waits for nothing", i);
    }
}

void simulator_check_rest(struct simulator *simulator)
{
    size_t queued = simulator->schedule.queue.count;
    if (queued < simulator->waiting)
        simulator_fail(simulator, "lost", "%zu requests wait, and %zu are in the queue",
                       simulator->waiting, queued);
    if (queued > simulator->waiting)
        simulator_fail(simulator, "doubled", "%zu requests wait, and %zu are in the queue",
                       simulator->waiting, queued);
    if (simulator->scale.wanted < simulator->world.least_workers ||
        simulator->scale.wanted > simulator->world.worker_count)
        simulator_fail(simulator, "exceeded", "%u workers are wanted", simulator->scale.wanted);
    if (queued > simulator->world.policy.queue_limit)
        simulator_fail(simulator, "exceeded", "%zu requests are in the queue", queued);
    if (simulator->waiting && !simulator->running && !simulator->retries && is_up(simulator))
        check_idling(simulator);
    else
        simulator->idle_since_ns = 0;
}

void simulator_check_end(struct simulator *simulator)
{
    for (size_t i = 0; i < simulator->world.request_count; i++) {
        if (simulator->requests[i].state != ANSWERED)
            simulator_fail(simulator, "lost", "request %zu has no answer", i);
    }
}
