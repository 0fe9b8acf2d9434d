/* Several workers of one generation; see generation_workers.h. */
#include "serving/generation_workers.h"

#include "serving/replica.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SHORT_MS = 1000, /* of too few workers, before there are more */
    LOOK_MS = 250,
    LINE_BYTES = 160,
};

static struct serving *serving_of(const struct generation *generation)
{
    return generation->version->model->serving;
}

/* ---- all of them ---- */

/* The one at a place, the first at 0; NULL: there is no process there now. */
static struct replica *replica_at(const struct generation *generation, size_t place)
{
    return place ? generation->further[place - 1].replica : generation->replica;
}

static enum generation_phase phase_at(const struct generation *generation, size_t place)
{
    return place ? generation->further[place - 1].state.phase : generation->state.phase;
}

/* Those that are not wanted any more are given nothing, so that they come to an end. */
static bool takes_requests(const struct generation *generation, size_t place)
{
    return phase_at(generation, place) == GENERATION_READY && place < generation->scale.wanted;
}

size_t generation_workers_live(const struct generation *generation)
{
    size_t count = 0;
    for (size_t place = 0; place <= generation->further_count; place++)
        count += replica_at(generation, place) != NULL;
    return count;
}

size_t generation_workers_ready(const struct generation *generation)
{
    size_t count = 0;
    for (size_t place = 0; place <= generation->further_count; place++)
        count += takes_requests(generation, place);
    return count;
}

void generation_workers_kill(struct generation *generation, const char *reason)
{
    for (size_t place = 0; place <= generation->further_count; place++) {
        if (replica_at(generation, place))
            replica_kill(replica_at(generation, place), "%s", reason);
    }
}

/* It serves, or is about to. */
static bool is_up(const struct generation *generation)
{
    enum generation_phase phase = generation->state.phase;
    return phase == GENERATION_READY || phase == GENERATION_LOADING || phase == GENERATION_RETRYING;
}

void generation_workers_measure(const struct generation *generation, struct model_metrics *to)
{
    for (size_t place = 0; place <= generation->further_count; place++) {
        if (replica_at(generation, place))
            replica_measure(replica_at(generation, place), to);
    }
    if (generation->plan)
        return; /* it has none of its own */
    to->workers_ready += generation_workers_ready(generation);
    if (is_up(generation))
        to->workers_wanted += generation->scale.wanted;
}

/* ---- dispatch ---- */

/* One that is not wanted serves the sequences that it has to their ends. */
static bool has_requests(const struct generation *generation, size_t place)
{
    return generation->stateful && phase_at(generation, place) == GENERATION_READY;
}

void generation_workers_seat(struct generation *generation)
{
    for (size_t place = 0; place <= generation->further_count; place++) {
        if (phase_at(generation, place) == GENERATION_READY)
            replica_seat(replica_at(generation, place),
                         !takes_requests(generation, place) || generation->room.draining);
    }
}

uint64_t generation_workers_room(const struct generation *generation)
{
    uint64_t room = 0;
    for (size_t place = 0; place <= generation->further_count; place++) {
        if (takes_requests(generation, place) || has_requests(generation, place))
            room += replica_room(replica_at(generation, place));
    }
    return room;
}

struct replica *generation_workers_next(const struct generation *generation)
{
    struct replica *best = NULL;
    for (size_t place = 0; place <= generation->further_count; place++) {
        struct replica *replica = replica_at(generation, place);
        if (takes_requests(generation, place) && replica_room(replica) &&
            (!best || replica_executions(replica) < replica_executions(best)))
            best = replica;
    }
    return best;
}

bool generation_workers_used(const struct generation *generation)
{
    for (size_t place = 0; place <= generation->further_count; place++) {
        if (replica_at(generation, place) && replica_requests(replica_at(generation, place)))
            return true;
    }
    return false;
}

bool generation_workers_busy(const struct generation *generation)
{
    for (size_t place = 0; place <= generation->further_count; place++) {
        if (replica_at(generation, place) && replica_executions(replica_at(generation, place)))
            return true;
    }
    return false;
}

bool generation_workers_each(const struct generation *generation, size_t *place,
                             struct replica **ret_replica)
{
    while (*place <= generation->further_count) {
        *ret_replica = replica_at(generation, (*place)++);
        if (*ret_replica)
            return true;
    }
    return false;
}

bool generation_workers_coming(const struct generation *generation)
{
    for (size_t place = 0; place <= generation->further_count; place++) {
        if (phase_at(generation, place) == GENERATION_LOADING)
            return true;
    }
    return generation->scale.wanted < generation->scale.max &&
           generation_workers_ready(generation) >= generation->scale.wanted;
}

/* ---- events of a further one, and what is done about them ---- */

static void perform(struct generation_worker *worker, struct generation_action action);

static void notice(struct generation_worker *worker, enum generation_event event)
{
    perform(worker, generation_step(&worker->state, event));
}

static void on_retry(struct timer *timer)
{
    struct generation_worker *worker = list_entry(timer, struct generation_worker, retry);
    worker->generation->version->statistics.metrics.worker_restarts++;
    notice(worker, GENERATION_TIME);
}

static void start(struct generation_worker *worker)
{
    struct error error;
    worker->replica = replica_start(worker->generation, false, &error);
    if (worker->replica)
        generation_watch(worker->generation);
    else
        generation_worker_lost(worker, GENERATION_END_DIED, 0, &error);
}

static void start_timer(struct generation_worker *worker, uint64_t after_ms)
{
    timer_start(&worker->retry, serving_of(worker->generation)->loop, after_ms, on_retry);
}

/* Others do not make room for a further one: it takes what is free, or waits. */
static void ask_room(struct generation_worker *worker)
{
    bool room = residence_grow(worker->generation, &worker->failure);
    notice(worker, room ? GENERATION_ROOM : GENERATION_NO_ROOM);
}

static void perform(struct generation_worker *worker, struct generation_action action)
{
    switch (action.deed) {
    case GENERATION_NOTHING:
    case GENERATION_SETTLE:
    case GENERATION_LEAVE_ROOM:
    case GENERATION_REFUSE:
        break;
    case GENERATION_ASK_ROOM:
        ask_room(worker);
        break;
    case GENERATION_START_PROBE:
    case GENERATION_START_WORKER:
        start(worker);
        break;
    case GENERATION_STOP_WORKER:
    case GENERATION_GIVE_UP:
        replica_stop(worker->replica);
        break;
    case GENERATION_START_TIMER:
        start_timer(worker, action.after_ms);
        break;
    case GENERATION_STOP_TIMER:
        timer_stop(&worker->retry);
        break;
    }
    assert(!worker->replica == !generation_has_worker(&worker->state));
    assert(timer_running(&worker->retry) == generation_has_timer(&worker->state));
}

struct generation_worker *generation_worker_with(struct generation *generation,
                                                 const struct replica *replica)
{
    for (size_t i = 0; i < generation->further_count; i++) {
        if (replica && generation->further[i].replica == replica)
            return &generation->further[i];
    }
    return NULL;
}

static void exchange(struct generation *generation, struct generation_worker *worker)
{
    struct replica *replica = generation->replica;
    bool waited = timer_running(&generation->retry);
    generation->replica = worker->replica;
    worker->replica = replica;
    timer_stop(&generation->retry);
    generation_state_exchange(&generation->state, &worker->state);
    if (waited) /* its pause begins anew */
        start_timer(worker, GENERATION_BACK_OFF_MS);
}

struct generation_worker *generation_workers_promote(struct generation *generation)
{
    for (size_t i = 0; i < generation->further_count; i++) {
        struct generation_worker *worker = &generation->further[i];
        if (worker->state.phase != GENERATION_READY)
            continue;
        exchange(generation, worker);
        return worker;
    }
    return NULL;
}

static void say_ready(const struct generation *generation)
{
    char line[LINE_BYTES];
    snprintf(line, sizeof line, "%zu of %u workers serve", generation_workers_ready(generation),
             generation->scale.wanted);
    version_say(generation->version, LOG_INFO, span_of(line));
}

void generation_worker_loaded(struct generation_worker *worker, enum generation_event event,
                              const struct error *error)
{
    struct generation *generation = worker->generation;
    worker->failure = (struct error){.code = ERROR_OK};
    if (event == GENERATION_UNFIT)
        worker->failure = *error;
    notice(worker, event);
    if (worker->state.phase == GENERATION_READY)
        say_ready(generation);
    generation_staff(generation);
}

void generation_worker_lost(struct generation_worker *worker, enum generation_end how,
                            uint64_t lived_ms, const struct error *error)
{
    struct generation *generation = worker->generation;
    worker->replica = NULL;
    residence_worker_ended(generation);
    bool rejected = worker->state.phase == GENERATION_REJECTED; /* for what failure says */
    struct generation_action action = generation_ended(&worker->state, how, lived_ms);
    if (!generation_has_timer(&worker->state))
        worker->failure.code = ERROR_OK; /* it was asked to end */
    else if (!rejected)
        worker->failure = *error;
    perform(worker, action);
    generation_staff(generation);
}

/* ---- who is to run ---- */

bool generation_workers_settled(const struct generation *generation)
{
    for (size_t place = 0; place < generation->scale.wanted; place++) {
        if (phase_at(generation, place) != GENERATION_READY &&
            (place == 0 || generation->further[place - 1].failure.code == ERROR_OK))
            return false;
    }
    return true;
}

/* Starts one that is wanted, ends one that is not once it has nothing to do. */
static void look_at(struct generation *generation, size_t place, bool serves)
{
    struct generation_worker *worker = &generation->further[place - 1];
    bool wanted = serves && place < generation->scale.wanted;
    switch (worker->state.phase) {
    case GENERATION_COLD:
        if (wanted && !generation->state.retired)
            notice(worker, GENERATION_LOAD);
        break;
    case GENERATION_READY:
        if (!wanted && serves &&
            (replica_executions(worker->replica) || replica_has_sequences(worker->replica)))
            generation->shrinks = true;
        else if (!wanted)
            notice(worker, GENERATION_IDLE);
        break;
    case GENERATION_LOADING:
    case GENERATION_RETRYING:
        if (!wanted)
            notice(worker, GENERATION_IDLE);
        break;
    default:
        break; /* it ends */
    }
}

/* Keeps in the version's note what is wrong with those that should run. */
static void note(struct generation *generation)
{
    struct version *version = generation->version;
    const struct error *failure = NULL;
    for (size_t i = 0; i + 1 < generation->scale.wanted && !failure; i++) {
        if (generation->further[i].failure.code != ERROR_OK)
            failure = &generation->further[i].failure;
    }
    if (version->current != generation)
        return;
    if (failure)
        version_note(version, "%zu of %u workers serve: another one ended: %s",
                     generation_workers_ready(generation), generation->scale.wanted,
                     failure->message);
    else if (generation->short_handed)
        version_note(version, "%s", "");
    generation->short_handed = failure != NULL;
}

static void look_at_all(struct generation *generation)
{
    bool starts = generation->state.phase == GENERATION_LOADING ||
                  generation->state.phase == GENERATION_RETRYING;
    if (starts && generation_workers_promote(generation))
        generation_settle(generation);
    bool serves = generation->state.phase == GENERATION_READY;
    if (starts && !serves)
        return; /* the others are as they were, until it is known what comes of this one */
    generation->shrinks = false;
    for (size_t place = 1; place <= generation->further_count; place++)
        look_at(generation, place, serves);
    if (!serves) {
        generation->scale.wanted = generation->scale.min; /* when it serves again */
        return;
    }
    schedule_set_slots(&generation->schedule,
                       generation_workers_ready(generation) * generation->schema->concurrency);
    generation_dispatch(generation);
    if (generation->version->next == generation)
        generation_settle(generation);
    note(generation);
}

static void staff(struct loop_task *task)
{
    struct generation *generation = list_entry(task, struct generation, staff);
    generation_ref(generation); /* the version may let go of it meanwhile */
    look_at_all(generation);
    generation_unref(generation);
}

void generation_staff(struct generation *generation)
{
    generation->staff.run = staff;
    if (generation->further_count)
        loop_defer(serving_of(generation)->loop, &generation->staff);
}

/* ---- how many are to run ---- */

static void say_wanted(const struct generation *generation, uint32_t before)
{
    char line[LINE_BYTES];
    uint32_t wanted = generation->scale.wanted;
    snprintf(line, sizeof line, "%u workers instead of %u: %s", wanted, before,
             wanted > before ? "requests have waited while all were busy"
                             : "fewer have been needed for a while");
    version_say(generation->version, LOG_INFO, span_of(line));
}

static void look_at_load(struct timer *timer)
{
    struct generation *generation = list_entry(timer, struct generation, scale_again);
    const struct schedule *schedule = &generation->schedule;
    uint64_t now_ns = clock_now_ns();
    uint32_t before = generation->scale.wanted;
    if (generation->state.retired || generation->state.phase != GENERATION_READY)
        return;
    const struct scale_load load = {
        .workers = (uint32_t)generation_workers_ready(generation),
        .slots = generation->schema->concurrency,
        .busy_ns = schedule_busy_ns(schedule, now_ns),
        .waiting = schedule_waiting(schedule),
    };
    if (scale_look(&generation->scale, &load, now_ns)) {
        say_wanted(generation, before);
        generation_staff(generation);
    }
    if (load.waiting || schedule->running || generation->scale.wanted > generation->scale.min)
        generation_workers_watch(generation);
}

void generation_workers_watch(struct generation *generation)
{
    if (generation->scale.min < generation->scale.max && !timer_running(&generation->scale_again))
        timer_start(&generation->scale_again, serving_of(generation)->loop, LOOK_MS, look_at_load);
}

void generation_workers_retire(struct generation *generation)
{
    for (size_t i = 0; i < generation->further_count; i++)
        notice(&generation->further[i], GENERATION_RETIRE);
}

/* ---- life ---- */

bool generation_workers_init(struct generation *generation, const struct model_workers *workers,
                             struct error *ret_error)
{
    size_t count = workers->max - 1;
    if (workers->max > MODEL_MAX_WORKERS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'instance_group' asks for %u workers; %d is the most", workers->max,
                         MODEL_MAX_WORKERS);
    scale_init(&generation->scale, workers->min, workers->max, SHORT_MS * CLOCK_NS_PER_MS,
               workers->idle_s * CLOCK_NS_PER_S);
    generation->further = calloc(count, sizeof *generation->further);
    if (!generation->further && count)
        return error_no_memory(ret_error);
    generation->further_count = count;
    for (size_t i = 0; i < count; i++) {
        generation->further[i].generation = generation;
        generation->further[i].state.further = true;
    }
    return true;
}

void generation_workers_fini(struct generation *generation)
{
    loop_undefer(&generation->staff);
    timer_stop(&generation->scale_again);
    for (size_t i = 0; i < generation->further_count; i++) {
        assert(!generation->further[i].replica);
        timer_stop(&generation->further[i].retry);
    }
    free(generation->further);
}
