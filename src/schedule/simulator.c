/* What happens in the simulator's worlds, event by event; see simulator.h. */
#include "schedule/simulator.h"

#include "base/clock.h"

#include <assert.h>
#include <string.h>

#define SAY(simulator, ...)                                                                        \
    do {                                                                                           \
        if ((simulator)->trace) {                                                                  \
            fprintf((simulator)->trace, "%12.3f ms  ", (double)(simulator)->now_ns / 1e6);         \
            fprintf((simulator)->trace, __VA_ARGS__);                                              \
            fputc('\n', (simulator)->trace);                                                       \
        }                                                                                          \
    } while (0)

static const uint64_t RETRY_NS = 1000000;

/* ---- events ---- */

static bool is_before(const struct simulator_event *a, const struct simulator_event *b)
{
    return a->time_ns < b->time_ns || (a->time_ns == b->time_ns && a->sequence < b->sequence);
}

static void schedule_event(struct simulator *simulator, uint64_t time_ns,
                           enum simulator_event_kind kind, size_t index)
{
    size_t at = simulator->event_count++;
    struct simulator_event event = {time_ns, simulator->event_sequence++, kind, index};
    assert(at < SIMULATOR_EVENTS);
    for (; at > 0 && is_before(&event, &simulator->events[(at - 1) / 2]); at = (at - 1) / 2)
        simulator->events[at] = simulator->events[(at - 1) / 2];
    simulator->events[at] = event;
}

static struct simulator_event next_event(struct simulator *simulator)
{
    struct simulator_event *events = simulator->events, first = events[0];
    size_t count = --simulator->event_count, at = 0;
    struct simulator_event last = events[count];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && is_before(&events[child + 1], &events[child]))
            child++;
        if (!is_before(&events[child], &last))
            break;
        events[at] = events[child];
    }
    events[at] = last;
    return first;
}

/* ---- requests ---- */

static size_t index_of(const struct simulator *simulator, const struct queue_entry *entry)
{
    const struct simulator_request *request = list_entry(entry, struct simulator_request, entry);
    return (size_t)(request - simulator->requests);
}

static struct simulator_request *request_of(struct queue_entry *entry)
{
    return list_entry(entry, struct simulator_request, entry);
}

static void answer(struct simulator *simulator, struct simulator_request *request, const char *how)
{
    SAY(simulator, "request %zu: %s", index_of(simulator, &request->entry), how);
    simulator_check_answer(simulator, request);
    simulator->waiting -= request->state == WAITING;
    simulator->to_come -= request->state == TO_COME;
    simulator->answered++;
    request->state = ANSWERED;
}

static void watch(struct simulator *simulator, size_t index);

static void arrive(struct simulator *simulator, size_t index)
{
    struct simulator_request *request = &simulator->requests[index];
    uint64_t retry_ns = 0;
    SAY(simulator, "request %zu comes: caller %u, level %u, shape %u, %llu rows, due %.3f", index,
        request->entry.caller.id, request->entry.level, request->shape,
        (unsigned long long)request->entry.rows, (double)request->entry.deadline_ns / 1e6);
    enum schedule_verdict verdict =
        schedule_submit(&simulator->schedule, &request->entry, simulator->now_ns, &retry_ns);
    if (verdict != SCHEDULE_ADMITTED) {
        simulator_check_refusal(simulator, request, verdict);
        answer(simulator, request, verdict == SCHEDULE_FULL ? "refused, full" : "refused, late");
        return;
    }
    request->state = WAITING;
    request->expires_ns = request->entry.expires_ns;
    simulator->to_come--;
    simulator->waiting++;
    uint64_t expires_ns = schedule_expires_ns(&request->entry);
    if (expires_ns != CLOCK_NEVER)
        schedule_event(simulator, expires_ns, EVENT_EXPIRES, index);
    if (request->leaves_ns != CLOCK_NEVER)
        schedule_event(simulator, request->leaves_ns, EVENT_LEAVES, index);
}

static void expire(struct simulator *simulator, size_t index)
{
    struct simulator_request *request = &simulator->requests[index];
    if (request->state != WAITING)
        return;
    switch (schedule_expire(&simulator->schedule, &request->entry, simulator->now_ns)) {
    case SCHEDULE_WAITS:
        if (schedule_expires_ns(&request->entry) != CLOCK_NEVER)
            schedule_event(simulator, schedule_expires_ns(&request->entry), EVENT_EXPIRES, index);
        break;
    case SCHEDULE_TIMED_OUT:
        answer(simulator, request, "timed out");
        break;
    case SCHEDULE_TOO_LATE:
        answer(simulator, request, "too late");
        break;
    }
}

static void cancel(struct simulator *simulator, size_t index)
{
    struct simulator_request *request = &simulator->requests[index];
    struct simulator_execution *execution = &simulator->executions[request->execution];
    request->cancelled_ns = simulator->now_ns;
    bool listens = execution->count == 1 && simulator_draw(simulator, 2); /* its model */
    if (listens || execution->ahead) {
        execution->ends_ns = simulator->now_ns;
        schedule_event(simulator, execution->ends_ns, EVENT_ENDS, request->execution);
    }
    watch(simulator, index);
}

static void leave(struct simulator *simulator, size_t index)
{
    struct simulator_request *request = &simulator->requests[index];
    if (request->state == WAITING) {
        schedule_leave(&simulator->schedule, &request->entry);
        answer(simulator, request, "left");
    } else if (request->state == RUNNING && !request->cancelled_ns) {
        cancel(simulator, index);
    }
}

/* ---- workers ---- */

bool simulator_takes(const struct simulator *simulator, size_t worker)
{
    return worker < simulator->scale.wanted && simulator->workers[worker].up;
}

static void start_worker(struct simulator *simulator, size_t index)
{
    simulator->workers[index].comes = true;
    schedule_event(simulator,
                   simulator->now_ns + simulator_draw_ns(simulator, 30 * CLOCK_NS_PER_MS),
                   EVENT_COMES_BACK, index);
}

/* Sees that those are up that are wanted, and those that are not go when they are done. */
static void staff(struct simulator *simulator)
{
    size_t taking = 0;
    for (size_t i = 0; i < simulator->world.worker_count; i++) {
        struct simulator_worker *worker = &simulator->workers[i];
        if (i >= simulator->scale.wanted && worker->running == 0)
            worker->up = false;
        if (i < simulator->scale.wanted && !worker->up && !worker->comes)
            start_worker(simulator, i);
        taking += simulator_takes(simulator, i);
    }
    if (taking)
        schedule_set_slots(&simulator->schedule, taking * simulator->world.slots);
}

static void come_back(struct simulator *simulator, size_t index)
{
    simulator->workers[index].comes = false;
    simulator->workers[index].up = index < simulator->scale.wanted;
}

static void scale(struct simulator *simulator)
{
    struct scale_load load = {
        .slots = simulator->world.slots,
        .busy_ns = schedule_busy_ns(&simulator->schedule, simulator->now_ns),
        .waiting = simulator->waiting,
    };
    for (size_t i = 0; i < simulator->world.worker_count; i++)
        load.workers += simulator_takes(simulator, i);
    if (scale_look(&simulator->scale, &load, simulator->now_ns))
        SAY(simulator, "%u workers are wanted", simulator->scale.wanted);
    if (simulator->answered < simulator->world.request_count)
        schedule_event(simulator, simulator->now_ns + simulator->world.short_ns / 4 + 1,
                       EVENT_SCALES, 0);
}

/* ---- executions ---- */

/* What ran with a worker that was replaced waits again, once. */
static bool repeat(struct simulator *simulator, struct simulator_request *request)
{
    if (!simulator->world.repeats || request->repeated || request->cancelled_ns ||
        !schedule_repeat(&simulator->schedule, &request->entry, simulator->now_ns))
        return false;
    SAY(simulator, "request %zu waits again", index_of(simulator, &request->entry));
    simulator_check_repeated(simulator, request);
    request->state = WAITING;
    request->repeated = true;
    simulator->waiting++;
    schedule_event(simulator, simulator->now_ns, EVENT_EXPIRES,
                   index_of(simulator, &request->entry));
    return true;
}

/* It has a slot of its worker. */
static void run(struct simulator *simulator, struct simulator_execution *execution)
{
    const struct simulator_worker *worker = &simulator->workers[execution->worker];
    execution->ahead = false;
    execution->ends_ns =
        simulator->now_ns +
        simulator_draw_duration_ns(simulator, worker, execution->run.rows, worker->running - 1);
    schedule_event(simulator, execution->ends_ns, EVENT_ENDS,
                   (size_t)(execution - simulator->executions));
}

/* A slot of the worker is free: what is ahead begins. */
static void run_next(struct simulator *simulator, size_t worker)
{
    for (size_t i = 0; i < SIMULATOR_EXECUTIONS; i++) {
        struct simulator_execution *execution = &simulator->executions[i];
        if (execution->runs && execution->ahead && execution->worker == worker) {
            schedule_begin(&simulator->schedule, &execution->run, simulator->now_ns);
            run(simulator, execution);
            return;
        }
    }
}

static void end_execution(struct simulator *simulator, struct simulator_execution *execution,
                          bool failed, bool replaced)
{
    execution->runs = false;
    simulator->running--;
    simulator->workers[execution->worker].running--;
    uint64_t took_ns = simulator->now_ns - execution->run.started_ns;
    simulator->longest_ns = took_ns > simulator->longest_ns ? took_ns : simulator->longest_ns;
    schedule_end(&simulator->schedule, &execution->run, failed, simulator->now_ns);
    for (size_t i = 0; i < execution->count; i++) {
        struct simulator_request *request = &simulator->requests[execution->requests[i]];
        if (!replaced || !repeat(simulator, request))
            answer(simulator, request, failed ? "failed with its worker" : "answered");
    }
}

static void execution_ends(struct simulator *simulator, size_t index)
{
    struct simulator_execution *execution = &simulator->executions[index];
    if (!execution->runs || execution->ends_ns != simulator->now_ns)
        return;
    bool held_slot = !execution->ahead;
    end_execution(simulator, execution, false, false);
    if (held_slot)
        run_next(simulator, execution->worker);
}

static void die(struct simulator *simulator, size_t index, bool replaced)
{
    struct simulator_worker *worker = &simulator->workers[index];
    if (!worker->up)
        return;
    SAY(simulator, "worker %zu dies", index);
    worker->up = false;
    for (size_t i = 0; i < SIMULATOR_EXECUTIONS; i++) {
        if (simulator->executions[i].runs && simulator->executions[i].worker == index)
            end_execution(simulator, &simulator->executions[i], true, replaced);
    }
    start_worker(simulator, index);
}

static void watch(struct simulator *simulator, size_t index)
{
    struct simulator_request *request = &simulator->requests[index];
    uint64_t next_ns;
    if (request->state != RUNNING)
        return;
    switch (schedule_watch(&simulator->schedule, request->entry.deadline_ns, request->cancelled_ns,
                           simulator->now_ns, &next_ns)) {
    case SCHEDULE_GO_ON:
        if (next_ns != CLOCK_NEVER)
            schedule_event(simulator, next_ns, EVENT_WATCH, index);
        break;
    case SCHEDULE_CANCEL:
        SAY(simulator, "request %zu is cancelled", index);
        cancel(simulator, index);
        break;
    case SCHEDULE_REPLACE:
        SAY(simulator, "request %zu does not end", index);
        die(simulator, simulator->executions[request->execution].worker, true);
        break;
    }
}

/* ---- dispatch ---- */

/* How many executions a worker may have now. */
static uint64_t places(const struct simulator *simulator)
{
    return simulator->world.slots +
           (simulator->world.one_ahead && schedule_goes_ahead(&simulator->schedule));
}

static uint64_t room_of(const struct simulator *simulator)
{
    uint64_t room = 0;
    for (size_t i = 0; i < simulator->world.worker_count; i++) {
        uint64_t running = simulator->workers[i].running, most = places(simulator);
        if (simulator_takes(simulator, i) && running < most)
            room += most - running;
    }
    return room;
}

static size_t idlest_worker(const struct simulator *simulator)
{
    size_t best = 0;
    for (size_t i = 0; i < simulator->world.worker_count; i++) {
        const struct simulator_worker *worker = &simulator->workers[i], *than;
        than = &simulator->workers[best];
        if (simulator_takes(simulator, i) &&
            (!simulator_takes(simulator, best) || worker->running < than->running))
            best = i;
    }
    return best;
}

static void execute(struct simulator *simulator, const struct schedule_batch *batch)
{
    size_t at = 0, worker = idlest_worker(simulator);
    while (simulator->executions[at].runs)
        at++;
    struct simulator_execution *execution = &simulator->executions[at];
    simulator_check_begun(simulator, batch);
    SAY(simulator, "worker %zu executes %zu requests, the first is %zu", worker, batch->count,
        index_of(simulator, batch->entries[0]));
    *execution = (struct simulator_execution){.runs = true, .worker = worker};
    execution->count = batch->count;
    simulator->running++;
    simulator->waiting -= batch->count;
    schedule_start(&simulator->schedule, &execution->run, batch->count, batch->rows,
                   simulator->now_ns);
    if (simulator->workers[worker].running++ < simulator->world.slots)
        run(simulator, execution);
    else
        execution->ahead = true;
    for (size_t i = 0; i < batch->count; i++) {
        size_t index = index_of(simulator, batch->entries[i]);
        execution->requests[i] = index;
        simulator->requests[index].state = RUNNING;
        simulator->requests[index].execution = at;
        watch(simulator, index);
    }
}

/* Puts back what does not fit a worker's ring: some of the batch, or all of it. */
static void put_back(struct simulator *simulator, struct schedule_batch *batch, size_t kept)
{
    while (batch->count > kept) {
        struct queue_entry *entry = batch->entries[--batch->count];
        batch->rows -= entry->rows;
        schedule_put_back(&simulator->schedule, entry);
    }
}

static void try_again(struct simulator *simulator)
{
    simulator->retries = true;
    schedule_event(simulator, simulator->now_ns + RETRY_NS, EVENT_WAKES, 0);
}

static void dispatch(struct simulator *simulator)
{
    struct schedule_batch batch = {.wake_ns = CLOCK_NEVER};
    simulator->retries = false;
    while (!simulator->failure) {
        uint64_t room = room_of(simulator);
        schedule_take(&simulator->schedule, simulator->now_ns, room, &batch);
        for (size_t i = 0; i < batch.late_count; i++)
            answer(simulator, request_of(batch.late[i]), "would be too late");
        if (batch.count == 0 && batch.late_count == 0)
            break;
        if (batch.count == 0)
            continue;
        simulator_check_batch(simulator, &batch);
        if (simulator_draw_share(simulator) < simulator->world.send_failure_share)
            put_back(simulator, &batch, simulator_draw(simulator, batch.count));
        if (batch.count == 0) {
            try_again(simulator);
            return;
        }
        if (!simulator->failure)
            execute(simulator, &batch);
    }
    if (batch.wake_ns != CLOCK_NEVER)
        schedule_event(simulator, batch.wake_ns, EVENT_WAKES, 0);
}

/* ---- a run ---- */

static void change_speed(struct simulator *simulator, size_t index)
{
    struct simulator_worker *worker = &simulator->workers[index];
    worker->slowness = simulator_draw(simulator, 2) ? 1 : 1 + 10 * simulator_draw_share(simulator);
    SAY(simulator, "worker %zu takes %.1f times as long", index, worker->slowness);
}

static void happen(struct simulator *simulator, const struct simulator_event *event)
{
    struct simulator_world *world = &simulator->world;
    bool goes_on = simulator->answered < world->request_count;
    switch (event->kind) {
    case EVENT_ARRIVES:
        arrive(simulator, event->index);
        break;
    case EVENT_EXPIRES:
        expire(simulator, event->index);
        break;
    case EVENT_LEAVES:
        leave(simulator, event->index);
        break;
    case EVENT_WATCH:
        watch(simulator, event->index);
        break;
    case EVENT_ENDS:
        execution_ends(simulator, event->index);
        break;
    case EVENT_DIES:
        die(simulator, event->index, false);
        if (goes_on)
            schedule_event(simulator,
                           simulator->now_ns + simulator_draw_ns(simulator, world->death_ns),
                           EVENT_DIES, simulator_draw(simulator, world->worker_count));
        break;
    case EVENT_COMES_BACK:
        come_back(simulator, event->index);
        break;
    case EVENT_CHANGES_SPEED:
        change_speed(simulator, event->index);
        if (goes_on)
            schedule_event(simulator,
                           simulator->now_ns + simulator_draw_ns(simulator, world->slow_ns),
                           EVENT_CHANGES_SPEED, simulator_draw(simulator, world->worker_count));
        break;
    case EVENT_WAKES:
        break;
    case EVENT_SCALES:
        scale(simulator);
        break;
    }
    staff(simulator);
}

static bool joins(const struct queue_entry *a, const struct queue_entry *b)
{
    return list_entry(a, struct simulator_request, entry)->shape ==
           list_entry(b, struct simulator_request, entry)->shape;
}

static void begin(struct simulator *simulator)
{
    struct simulator_world *world = &simulator->world;
    simulator_make_world(simulator);
    simulator->to_come = world->request_count;
    schedule_init(&simulator->schedule, &world->policy, joins);
    schedule_set_model(&simulator->schedule, world->max_rows, world->slots * world->worker_count);
    scale_init(&simulator->scale, world->least_workers, (uint32_t)world->worker_count,
               world->short_ns, world->idle_ns);
    for (size_t i = 0; i < world->least_workers; i++)
        simulator->workers[i].up = true;
    schedule_event(simulator, 0, EVENT_SCALES, 0);
    for (size_t i = 0; i < world->request_count; i++)
        schedule_event(simulator, simulator->requests[i].arrives_ns, EVENT_ARRIVES, i);
    if (world->death_ns)
        schedule_event(simulator, simulator_draw_ns(simulator, world->death_ns), EVENT_DIES, 0);
    if (world->slow_ns)
        schedule_event(simulator, simulator_draw_ns(simulator, world->slow_ns), EVENT_CHANGES_SPEED,
                       0);
}

const char *simulator_run(struct simulator *simulator, uint64_t seed, FILE *trace)
{
    memset(simulator, 0, sizeof *simulator);
    simulator->random = seed;
    simulator->trace = trace;
    begin(simulator);
    while (simulator->event_count && !simulator->failure) {
        struct simulator_event event = next_event(simulator);
        assert(event.time_ns >= simulator->now_ns);
        simulator->now_ns = event.time_ns;
        happen(simulator, &event);
        if (!simulator->failure)
            dispatch(simulator);
        if (!simulator->failure)
            simulator_check_rest(simulator);
    }
    if (!simulator->failure)
        simulator_check_end(simulator);
    return simulator->failure;
}
