/* Letting requests in, forming batches, ending what takes too long; see schedule.h. */
#include "schedule/schedule.h"

#include "base/clock.h"
#include "schedule/plant.h"

#include <assert.h>
#include <string.h>

enum { LOOKS = 4 * SCHEDULE_MAX_BATCH }; /* at waiting requests, to form one batch */

void schedule_init(struct schedule *schedule, const struct schedule_policy *policy,
                   schedule_joins *joins)
{
    memset(schedule, 0, sizeof *schedule);
    schedule->policy = *policy;
    schedule->joins = joins;
    queue_init(&schedule->queue);
    allowance_init(&schedule->allowance);
    schedule_set_model(schedule, 0, 1);
}

void schedule_set_model(struct schedule *schedule, uint64_t max_rows, uint64_t max_slots)
{
    if (max_rows == schedule->max_rows && max_slots == schedule->max_slots)
        return;
    schedule->max_rows = max_rows;
    schedule->max_slots = max_slots;
    learner_init(&schedule->learner, max_rows, max_slots, schedule->policy.all_slots);
}

void schedule_set_slots(struct schedule *schedule, uint64_t max_slots)
{
    if (max_slots == schedule->max_slots)
        return;
    schedule->max_slots = max_slots;
    learner_set_slots(&schedule->learner, max_slots);
}

/* ---- in ---- */

static uint64_t add_ns(uint64_t time_ns, uint64_t more_ns)
{
    return time_ns > CLOCK_NEVER - more_ns ? CLOCK_NEVER : time_ns + more_ns;
}

uint64_t schedule_backlog_ns(const struct schedule *schedule)
{
    return learner_wait_ns(&schedule->learner, schedule->queue.rows);
}

/* Executions beyond those that are to run at once. */
static uint64_t ahead(const struct schedule *schedule)
{
    uint64_t slots = schedule->learner.slots;
    return schedule->running > slots ? schedule->running - slots : 0;
}

/* Until a slot is free, and those that are ahead have had theirs: each slot is somewhere in its
 * execution. */
static uint64_t slot_ns(const struct schedule *schedule)
{
    const struct learner *learner = &schedule->learner;
    if (schedule->running < learner->slots)
        return 0;
    return learner_execution_ns(learner, learner->rows) / (learner->slots + 1) +
           learner_wait_ns(learner, ahead(schedule) * learner->rows);
}

static bool is_full(const struct schedule *schedule, const struct queue_entry *entry)
{
    const struct policy_rule *rule = policy_rule(&schedule->policy, entry->level);
    size_t limit = schedule->policy.queue_limit;
    if (SCHEDULE_PLANT == PLANT_EXCEEDED)
        limit++;
    if (schedule->queue.count >= limit)
        return true;
    return rule && rule->queue_size &&
           queue_level_count(&schedule->queue, entry->level) >= rule->queue_size;
}

/* Waits that are so short a part of the time that there is teach nothing: nobody minds. */
enum { SHORT_PART = 4 };

/* Whether a slot may take it as soon as it is free. Without one in line for each, slots would run
 * empty between a request's end and the next one's coming. */
static bool is_in_line(const struct schedule *schedule, uint64_t rows_before)
{
    const struct learner *learner = &schedule->learner;
    return rows_before + ahead(schedule) * learner->rows < learner->slots * learner->rows;
}

/* Whether an entry that has just come would wait for too long, as far as can be foreseen. */
static enum schedule_verdict foresee(const struct schedule *schedule, struct queue_entry *entry,
                                     uint64_t now_ns, uint64_t *ret_retry_ns)
{
    entry->foreseen_ns = 0;
    uint64_t limit_ns = schedule->policy.wait_limit_ns;
    if (entry->deadline_ns == CLOCK_NEVER &&
        (!limit_ns || slot_ns(schedule) + schedule_backlog_ns(schedule) <= limit_ns))
        return SCHEDULE_ADMITTED; /* as nearly always */
    uint64_t before = queue_rows_before(&schedule->queue, entry);
    if (before == 0 && schedule->running < schedule->learner.slots)
        return SCHEDULE_ADMITTED; /* it runs now: there is nothing to be gained by refusing it */
    uint64_t wait_ns = slot_ns(schedule) + learner_wait_ns(&schedule->learner, before);
    if (limit_ns && wait_ns > limit_ns) {
        *ret_retry_ns = wait_ns - limit_ns;
        return SCHEDULE_LONG;
    }
    uint64_t takes_ns = add_ns(wait_ns, learner_execution_ns(&schedule->learner, entry->rows));
    if (!is_in_line(schedule, before))
        takes_ns = allowance_ns(&schedule->allowance, takes_ns);
    uint64_t end_ns = add_ns(now_ns, takes_ns);
    if (end_ns <= entry->deadline_ns) {
        if (entry->deadline_ns != CLOCK_NEVER &&
            wait_ns >= (entry->deadline_ns - now_ns) / SHORT_PART)
            entry->foreseen_ns = wait_ns;
        return SCHEDULE_ADMITTED;
    }
    *ret_retry_ns = end_ns - entry->deadline_ns;
    return SCHEDULE_LATE;
}

/* For how many rows a request counts to those who wait behind it. One that is larger than a batch
 * is executed alone: it costs what such executions are known to, and not so many batches. */
static uint64_t cost_of(const struct schedule *schedule, uint64_t rows)
{
    const struct learner *learner = &schedule->learner;
    uint64_t batch = schedule->max_rows ? schedule->max_rows : 1;
    uint64_t row_ns = learner_row_ns(learner);
    if (rows <= batch)
        return rows;
    uint64_t cost = row_ns ? learner_execution_ns(learner, rows) / row_ns / learner->slots : 0;
    cost = cost > batch ? cost : batch;
    return cost < rows ? cost : rows;
}

enum schedule_verdict schedule_submit(struct schedule *schedule, struct queue_entry *entry,
                                      uint64_t now_ns, uint64_t *ret_retry_ns)
{
    if (is_full(schedule, entry)) {
        *ret_retry_ns = schedule_backlog_ns(schedule);
        return SCHEDULE_FULL;
    }
    entry->cost = cost_of(schedule, entry->rows);
    queue_add(&schedule->queue, entry, &schedule->policy, now_ns);
    company_came(&schedule->company, entry->rows, now_ns);
    enum schedule_verdict verdict = foresee(schedule, entry, now_ns, ret_retry_ns);
    if (verdict != SCHEDULE_ADMITTED)
        queue_remove(&schedule->queue, entry, false);
    return verdict;
}

/* What was foreseen to wait for so long waits no longer: learns from how long it has, once. */
static void learn_wait(struct schedule *schedule, uint64_t *foreseen_ns, uint64_t since_ns,
                       uint64_t now_ns)
{
    if (*foreseen_ns)
        allowance_learn(&schedule->allowance, *foreseen_ns, now_ns - since_ns);
    *foreseen_ns = 0;
}

/* It is with a worker, or will be, but waits on for a slot there. */
static void note_ahead(struct schedule *schedule, struct queue_entry *entry)
{
    schedule->ahead_foreseen_ns = entry->foreseen_ns;
    schedule->ahead_since_ns = entry->arrived_ns;
    entry->foreseen_ns = 0;
}

bool schedule_repeat(struct schedule *schedule, struct queue_entry *entry, uint64_t now_ns)
{
    if (is_full(schedule, entry) || schedule_expires_ns(entry) <= now_ns)
        return false;
    queue_add_again(&schedule->queue, entry, &schedule->policy);
    return true;
}

void schedule_recount(struct schedule *schedule, struct queue_entry *entry, uint64_t rows,
                      bool alone)
{
    entry->alone = alone;
    queue_recount(&schedule->queue, entry, rows, cost_of(schedule, rows));
}

/* ---- out ---- */

void schedule_leave(struct schedule *schedule, struct queue_entry *entry)
{
    queue_remove(&schedule->queue, entry, false);
}

uint64_t schedule_expires_ns(const struct queue_entry *entry)
{
    return entry->deadline_ns < entry->expires_ns ? entry->deadline_ns : entry->expires_ns;
}

/* Its time in the queue is over: it goes behind all others that wait. */
static void delay(struct schedule *schedule, struct queue_entry *entry)
{
    const struct schedule_policy *policy = &schedule->policy;
    entry->expires_ns = CLOCK_NEVER;
    queue_delay(&schedule->queue, entry, policy->patience_ns + policy->levels * policy->aging_ns);
}

enum schedule_expiry schedule_expire(struct schedule *schedule, struct queue_entry *entry,
                                     uint64_t now_ns)
{
    if (entry->deadline_ns <= now_ns) {
        learn_wait(schedule, &entry->foreseen_ns, entry->arrived_ns, now_ns);
        queue_remove(&schedule->queue, entry, false);
        return SCHEDULE_TOO_LATE;
    }
    if (entry->expires_ns > now_ns)
        return SCHEDULE_WAITS;
    if (entry->action == POLICY_DELAY) {
        delay(schedule, entry);
        return SCHEDULE_WAITS;
    }
    queue_remove(&schedule->queue, entry, false);
    return SCHEDULE_TIMED_OUT;
}

/* ---- batches ---- */

/* A batch that is being formed, of entries that are in the queue still. */
struct forming {
    struct schedule_batch *batch;
    uint64_t limit;   /* rows */
    size_t most;      /* requests */
    bool passed_over; /* something that waits did not fit or join: more waiting may be in vain */
};

static bool is_over(const struct queue_entry *entry, uint64_t now_ns)
{
    return schedule_expires_ns(entry) <= now_ns;
}

uint64_t schedule_lateness_ns(const struct schedule *schedule, const struct queue_entry *entry,
                              uint64_t now_ns)
{
    if (entry->deadline_ns == CLOCK_NEVER)
        return 0;
    uint64_t takes_ns = slot_ns(schedule) + learner_execution_ns(&schedule->learner, entry->rows);
    uint64_t end_ns = add_ns(now_ns, takes_ns);
    return end_ns > entry->deadline_ns ? end_ns - entry->deadline_ns : 0;
}

static bool fits(const struct schedule *schedule, const struct forming *forming,
                 const struct queue_entry *entry)
{
    const struct schedule_batch *batch = forming->batch;
    uint64_t limit = forming->limit;
    if (batch->count == 0)
        return true;
    if (SCHEDULE_PLANT == PLANT_EXCEEDED)
        limit++;
    return entry->rows <= limit - batch->rows && !entry->alone && !batch->entries[0]->alone &&
           schedule->joins(batch->entries[0], entry);
}

static bool may_go(const struct schedule *schedule, const struct queue_entry *entry)
{
    return !schedule->goes || schedule->goes(entry);
}

static bool is_complete(const struct schedule *schedule, const struct forming *forming)
{
    const struct schedule_batch *batch = forming->batch;
    if (forming->passed_over && schedule->policy.preserve_order)
        return true;
    return batch->count == forming->most || batch->late_count == SCHEDULE_MAX_BATCH ||
           (batch->count > 0 && (batch->rows >= forming->limit || batch->entries[0]->alone));
}

static void gather(struct schedule *schedule, uint64_t now_ns, struct forming *forming)
{
    struct schedule_batch *batch = forming->batch;
    struct queue_entry *entry = queue_look_first(&schedule->queue, forming->limit);
    for (int looks = 0; entry && looks < LOOKS && !is_complete(schedule, forming); looks++) {
        bool taken = false;
        if (is_over(entry, now_ns) || schedule_lateness_ns(schedule, entry, now_ns)) {
            batch->late[batch->late_count++] = entry;
        } else if (may_go(schedule, entry) && fits(schedule, forming, entry)) {
            batch->entries[batch->count++] = entry;
            batch->rows += entry->rows;
            taken = true;
        } else {
            forming->passed_over = true;
        }
        entry = queue_look_next(&schedule->queue, entry, taken);
    }
}

/* When nothing else waits, what is hopeless is tried: perhaps the model is faster than it was. */
static void try_hopeless(const struct schedule *schedule, struct schedule_batch *batch,
                         uint64_t now_ns)
{
    for (size_t i = 0; i < batch->late_count && batch->count == 0; i++) {
        struct queue_entry *entry = batch->late[i];
        if (is_over(entry, now_ns) || !may_go(schedule, entry))
            continue;
        batch->entries[batch->count++] = entry;
        batch->rows = entry->rows;
        memmove(&batch->late[i], &batch->late[i + 1],
                (--batch->late_count - i) * sizeof batch->late[0]);
    }
}

/* Takes what is late out of the queue, or puts it behind all others. Returns how many of those. */
static size_t settle_late(struct schedule *schedule, struct schedule_batch *batch, uint64_t now_ns)
{
    size_t kept = 0, count = batch->late_count;
    for (size_t i = 0; i < count; i++) {
        struct queue_entry *entry = batch->late[i];
        if (entry->deadline_ns > now_ns && entry->expires_ns <= now_ns &&
            entry->action == POLICY_DELAY)
            delay(schedule, entry);
        else {
            learn_wait(schedule, &entry->foreseen_ns, entry->arrived_ns, now_ns);
            queue_remove(&schedule->queue, entry, false);
            batch->late[kept++] = entry;
        }
    }
    batch->late_count = kept;
    return count - kept;
}

/* ---- sizes that a config asks for ---- */

static bool is_explicit(const struct schedule_policy *policy)
{
    return policy->preferred_count > 0 || policy->delay_ns > 0;
}

/* The most requests, from the first on, whose rows make a preferred size; 0: none do. */
static size_t preferred_count(const struct schedule_policy *policy,
                              const struct schedule_batch *batch)
{
    size_t best = 0, next = 0;
    uint64_t rows = 0;
    for (size_t i = 0; i < batch->count; i++) {
        rows += batch->entries[i]->rows;
        while (next < policy->preferred_count && policy->preferred_rows[next] < rows)
            next++;
        if (next < policy->preferred_count && policy->preferred_rows[next] == rows)
            best = i + 1;
    }
    return best;
}

/* When the batch goes, whatever its size: its oldest request has waited long enough, or one would
 * be too late. */
static uint64_t goes_ns(const struct schedule *schedule, const struct schedule_batch *batch)
{
    uint64_t goes = CLOCK_NEVER,
             execution_ns = learner_execution_ns(&schedule->learner, batch->rows);
    for (size_t i = 0; i < batch->count; i++) {
        const struct queue_entry *entry = batch->entries[i];
        uint64_t over_ns = schedule_expires_ns(entry),
                 latest = add_ns(entry->arrived_ns, schedule->policy.delay_ns);
        if (over_ns != CLOCK_NEVER)
            over_ns = over_ns > 2 * execution_ns ? over_ns - 2 * execution_ns : 0;
        latest = over_ns < latest ? over_ns : latest;
        goes = latest < goes ? latest : goes;
    }
    return goes;
}

/* How many of the requests go now; 0: they wait until wake_ns. */
static size_t explicit_count(const struct schedule *schedule, const struct forming *forming,
                             uint64_t now_ns)
{
    const struct schedule_policy *policy = &schedule->policy;
    struct schedule_batch *batch = forming->batch;
    size_t preferred = preferred_count(policy, batch);
    if (preferred)
        return preferred;
    uint64_t enough = forming->limit;
    if (policy->preferred_count && policy->preferred_rows[policy->preferred_count - 1] < enough)
        enough = policy->preferred_rows[policy->preferred_count - 1];
    uint64_t goes = goes_ns(schedule, batch);
    if (batch->rows >= enough || forming->passed_over || is_complete(schedule, forming) ||
        goes <= now_ns)
        return batch->count;
    batch->wake_ns = goes;
    return 0;
}

/* ---- taking ---- */

/* How many executions may be started now. */
static uint64_t free_slots(const struct schedule *schedule, uint64_t room)
{
    uint64_t slots = schedule->policy.preserve_order ? 1 : schedule->learner.slots, left;
    if (slots == schedule->max_slots && !schedule->policy.preserve_order)
        return room; /* the workers know best, and may take some ahead */
    left = slots > schedule->running ? slots - schedule->running : 0;
    return left < room ? left : room;
}

/* The most rows of the next batch: what the model likes, or this slot's part of what waits. */
static uint64_t row_limit(const struct schedule *schedule, uint64_t free)
{
    const struct learner *learner = &schedule->learner;
    if (schedule->max_rows == 0 || schedule->whole || is_explicit(&schedule->policy))
        return schedule->max_rows;
    uint64_t part = (schedule->queue.rows + free - 1) / free;
    return part < learner->rows ? part : learner->rows;
}

/* Until when the slot waits for company; 0: what has been gathered goes. */
static uint64_t waits_until_ns(struct schedule *schedule, const struct schedule_batch *batch,
                               uint64_t now_ns)
{
    const struct learner *learner = &schedule->learner;
    struct company_view view = {.waiting_rows = batch->rows,
                                .running_rows = schedule->running_rows,
                                .slots = learner->slots,
                                .most_rows = learner->rows};
    if (schedule->max_rows < 2 || learner->rows < 2 || schedule->policy.preserve_order ||
        batch->entries[0]->alone)
        return 0;
    view.execution_ns = learner_execution_ns(learner, batch->rows);
    return company_until_ns(&schedule->company, &view, now_ns);
}

/* The most requests of the next batch. */
static size_t most_requests(const struct schedule *schedule)
{
    uint64_t most = schedule->policy.max_running;
    if (!most)
        return SCHEDULE_MAX_BATCH;
    uint64_t left = most > schedule->requests ? most - schedule->requests : 0;
    return left < SCHEDULE_MAX_BATCH ? left : SCHEDULE_MAX_BATCH;
}

static void commit(struct schedule *schedule, struct schedule_batch *batch, size_t count,
                   uint64_t now_ns)
{
    batch->count = count;
    batch->rows = 0;
    for (size_t i = 0; i < count; i++) {
        batch->rows += batch->entries[i]->rows;
        if (SCHEDULE_PLANT == PLANT_DOUBLED && i == 3)
            continue;
        struct queue_entry *entry = batch->entries[i];
        if (schedule->running < schedule->learner.slots)
            learn_wait(schedule, &entry->foreseen_ns, entry->arrived_ns, now_ns);
        else
            note_ahead(schedule, entry);
        queue_remove(&schedule->queue, entry, true);
    }
}

void schedule_take(struct schedule *schedule, uint64_t now_ns, uint64_t room,
                   struct schedule_batch *ret_batch)
{
    ret_batch->count = ret_batch->late_count = 0;
    ret_batch->rows = 0;
    ret_batch->wake_ns = CLOCK_NEVER;
    uint64_t free = free_slots(schedule, room), waits_ns;
    struct forming forming = {.batch = ret_batch, .most = most_requests(schedule)};
    if (free == 0 || forming.most == 0 || schedule->queue.count == 0)
        return;
    do {
        forming.limit = row_limit(schedule, free);
        gather(schedule, now_ns, &forming);
        try_hopeless(schedule, ret_batch, now_ns);
    } while (settle_late(schedule, ret_batch, now_ns) > 0 && ret_batch->count == 0 &&
             ret_batch->late_count == 0);
    size_t count = ret_batch->count;
    if (count > 0 && is_explicit(&schedule->policy))
        count = explicit_count(schedule, &forming, now_ns);
    else if (count > 0 && (waits_ns = waits_until_ns(schedule, ret_batch, now_ns)) > 0) {
        ret_batch->wake_ns = waits_ns;
        count = 0;
    }
    commit(schedule, ret_batch, count, now_ns);
}

void schedule_put_back(struct schedule *schedule, struct queue_entry *entry)
{
    queue_return(&schedule->queue, entry);
}

bool schedule_goes_ahead(const struct schedule *schedule)
{
    const struct schedule_policy *policy = &schedule->policy;
    if (policy->need_count)
        return false;
    return schedule->max_rows < 2 ||
           (schedule->learner.rows == 1 && !schedule->whole && !is_explicit(policy));
}

uint64_t schedule_waiting(const struct schedule *schedule)
{
    uint64_t running = schedule->running, slots = schedule->max_slots;
    return schedule->queue.count + (running > slots ? running - slots : 0);
}

/* ---- executions ---- */

uint64_t schedule_busy_ns(const struct schedule *schedule, uint64_t now_ns)
{
    uint64_t running = schedule->running, slots = schedule->max_slots;
    running = running < slots ? running : slots;
    return schedule->busy_ns + running * (now_ns - schedule->changed_ns);
}

static void count_busy(struct schedule *schedule, uint64_t now_ns)
{
    schedule->busy_ns = schedule_busy_ns(schedule, now_ns);
    schedule->changed_ns = now_ns;
}

void schedule_start(struct schedule *schedule, struct schedule_run *run, uint64_t requests,
                    uint64_t rows, uint64_t now_ns)
{
    count_busy(schedule, now_ns);
    schedule->running++;
    schedule->requests += requests;
    schedule->running_rows += rows;
    *run = (struct schedule_run){.rows = rows,
                                 .requests = requests,
                                 .started_ns = now_ns,
                                 .gap_ns = schedule->freed_ns ? now_ns - schedule->freed_ns : 0,
                                 .busy_ns = schedule->busy_ns};
    schedule->freed_ns = 0;
}

void schedule_begin(struct schedule *schedule, struct schedule_run *run, uint64_t now_ns)
{
    count_busy(schedule, now_ns);
    run->started_ns = now_ns;
    run->busy_ns = schedule->busy_ns;
    learn_wait(schedule, &schedule->ahead_foreseen_ns, schedule->ahead_since_ns, now_ns);
}

/* How long an execution kept its slot: what passed between the last one's end and its start, too,
 * while answers were sent and it was on its way. A long gap had another reason. */
static uint64_t kept_ns(const struct schedule_run *run, uint64_t now_ns)
{
    uint64_t duration_ns = now_ns - run->started_ns;
    return run->gap_ns <= duration_ns / 4 ? duration_ns + run->gap_ns : duration_ns;
}

void schedule_end(struct schedule *schedule, const struct schedule_run *run, bool failed,
                  uint64_t now_ns)
{
    assert(schedule->running > 0 && schedule->requests >= run->requests);
    count_busy(schedule, now_ns);
    schedule->running--;
    schedule->requests -= run->requests;
    schedule->running_rows -= run->rows;
    schedule->freed_ns = schedule->queue.count > 0 ? now_ns : 0;
    company_answered(&schedule->company, run->rows, now_ns);
    uint64_t duration_ns = now_ns - run->started_ns;
    if (failed || duration_ns == 0)
        return;
    double at_once = (double)(schedule->busy_ns - run->busy_ns) / (double)duration_ns;
    learner_observe(&schedule->learner, run->rows, at_once, kept_ns(run, now_ns),
                    schedule->queue.count > 0);
}

enum schedule_deed schedule_watch(const struct schedule *schedule, uint64_t deadline_ns,
                                  uint64_t cancelled_ns, uint64_t now_ns, uint64_t *ret_next_ns)
{
    uint64_t grace_ns = schedule->policy.grace_ns;
    *ret_next_ns = CLOCK_NEVER;
    if (!cancelled_ns) {
        if (deadline_ns <= now_ns)
            return SCHEDULE_CANCEL;
        *ret_next_ns = deadline_ns;
        return SCHEDULE_GO_ON;
    }
    if (!grace_ns)
        return SCHEDULE_GO_ON;
    if (add_ns(cancelled_ns, grace_ns) <= now_ns)
        return SCHEDULE_REPLACE;
    *ret_next_ns = cancelled_ns + grace_ns;
    return SCHEDULE_GO_ON;
}
