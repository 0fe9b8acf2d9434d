/* Which models of the server are in memory; see residence.h. */
#include "serving/residence.h"

#include "repository/repository.h"
#include "schedule/residency_trace.h"
#include "serving/generation_workers.h"
#include "serving/server_pool.h"
#include "serving/stateful.h"

#include <stdio.h>
#include <unistd.h>

enum { MIB = 1 << 20, HOLDERS = 3, HOLDERS_BYTES = 256, NAME_BYTES = 48 };

static struct residence *residence_of(const struct generation *generation)
{
    return &generation->version->model->serving->residence;
}

static struct generation *generation_of(struct residency_claim *claim)
{
    return list_entry(claim, struct generation, room);
}

static uint64_t mib(uint64_t bytes)
{
    return bytes / MIB + (bytes % MIB != 0);
}

/* ---- the trace ---- */

/* A line that cannot be written is missing: the trace is for looking at, not for the server. */
static void write_trace(void *context, const struct residency_event *event)
{
    const struct residence *residence = context;
    char line[RESIDENCY_LINE_BYTES + 1];
    size_t size = residency_event_write(event, line);
    line[size++] = '\n';
    ssize_t written = write(residence->trace_fd, line, size);
    (void)written;
}

void residence_init(struct residence *residence, struct loop *loop, int trace_fd)
{
    *residence = (struct residence){.loop = loop, .wake_ns = CLOCK_NEVER, .trace_fd = trace_fd};
    residency_init(&residence->residency);
    if (trace_fd > 0) {
        residence->residency.trace = write_trace;
        residence->residency.context = residence;
    }
}

void residence_fini(struct residence *residence)
{
    timer_stop(&residence->wake);
}

/* ---- why not ---- */

/* "'big' (pinned) 600 MiB, 'other' 300 MiB and 2 more": those that hold most of a place. */
static void list_holders(const struct residency *residency, const struct residency_claim *except,
                         unsigned place, char text[HOLDERS_BYTES])
{
    uint64_t below = UINT64_MAX;
    size_t size = 0, named = 0, others = 0;
    text[0] = '\0';
    for (;;) {
        const struct residency_claim *most = NULL;
        uint64_t most_bytes = 0;
        others = 0;
        list_each(link, &residency->claims)
        {
            const struct residency_claim *claim = list_entry(link, struct residency_claim, link);
            uint64_t bytes = place ? claim->held.device_bytes : claim->held.bytes;
            if (!bytes || claim == except || bytes >= below || (place && claim->device != place))
                continue;
            others++;
            if (bytes > most_bytes)
                most_bytes = bytes, most = claim;
        }
        if (!most || named++ == HOLDERS)
            break;
        struct span name = generation_of((struct residency_claim *)(uintptr_t)most)->spec.name;
        size += (size_t)snprintf(
            text + size, HOLDERS_BYTES - size, "%s'%.*s'%s %llu MiB", size ? ", " : "",
            name.size < NAME_BYTES ? (int)name.size : NAME_BYTES, name.data,
            most->pinned ? " (pinned)" : "", (unsigned long long)mib(most_bytes));
        below = most_bytes;
    }
    if (others && size < HOLDERS_BYTES)
        snprintf(text + size, HOLDERS_BYTES - size, "%s%zu more", size ? " and " : "", others);
}

/* The place where it lacks most. */
static unsigned tightest_place(const struct residency *residency,
                               const struct residency_claim *claim)
{
    struct residency_size need = residency_need(claim);
    unsigned place = claim->device;
    return place && residency->budget_bytes[place] &&
                   need.device_bytes > residency_most_bytes(residency, claim, place)
               ? place
               : 0;
}

void residence_error(const struct generation *generation, enum residency_reason reason,
                     struct error *ret_error)
{
    const struct residency *residency = &residence_of(generation)->residency;
    const struct residency_claim *claim = &generation->room;
    unsigned place = tightest_place(residency, claim);
    struct residency_size need = residency_need(claim);
    char holders[HOLDERS_BYTES];
    list_holders(residency, claim, place, holders);
    const char *measured = claim->figures.loading.bytes ? "as was measured"
                           : claim->declared_bytes      ? "as its config says"
                                                        : "going by its files";
    const char *setting = place ? "--gpu-memory-budget-mib" : "--memory-budget-mib";
    bool large = reason == RESIDENCY_TOO_LARGE;
    error_set(ret_error, large ? ERROR_NO_SPACE : ERROR_UNAVAILABLE,
              "%s: it needs %llu MiB (%s), and of the budget of %llu MiB (%s) %s%s%s%s",
              large ? "it does not fit into memory" : "there is no room in memory now",
              (unsigned long long)mib(place ? need.device_bytes : need.bytes), measured,
              (unsigned long long)mib(residency->budget_bytes[place]), setting,
              holders[0] ? "these hold: " : "nothing is in use", holders,
              large ? "; raise the budget, or pin less" : "",
              large ? "" : "; all of it is busy: try again later");
}

/* ---- decisions ---- */

static void decide(struct residence *residence);

static void note_eviction(struct generation *generation, enum residency_reason reason)
{
    struct version *version = generation->version;
    const char *why = reason == RESIDENCY_IDLE ? "asleep: nobody used it for a while"
                                               : "asleep: it made room in memory for others";
    version->statistics.metrics.evictions++;
    version_say(version, LOG_INFO, span_of(why));
    if (version->current == generation)
        version_note(version, "%s", why);
}

static void refuse(struct generation *generation, enum residency_reason reason)
{
    struct error error;
    limit_hit(LIMIT_memory_budget_mib);
    residence_error(generation, reason, &error);
    generation_no_room(generation, reason == RESIDENCY_TOO_LARGE, &error);
}

/* Else what it has is ending already. */
static bool may_rest(const struct generation *generation)
{
    enum generation_phase phase = generation->state.phase;
    return phase == GENERATION_READY || phase == GENERATION_LOADING || phase == GENERATION_RETRYING;
}

static void perform(const struct residency_decision *decision)
{
    struct generation *generation = generation_of(decision->claim);
    switch (decision->verdict) {
    case RESIDENCY_NOTHING:
        break;
    case RESIDENCY_GRANT:
        generation_notice(generation, GENERATION_ROOM);
        break;
    case RESIDENCY_GRANT_PROBE:
        generation_notice(generation, GENERATION_ROOM_TO_PROBE);
        break;
    case RESIDENCY_EVICT:
        note_eviction(generation, decision->reason);
        if (may_rest(generation))
            generation_notice(generation, GENERATION_IDLE);
        break;
    case RESIDENCY_DRAIN:
        residence_rest(generation);
        break;
    case RESIDENCY_KEEP:
        generation_dispatch(generation);
        residence_rest(generation);
        break;
    case RESIDENCY_REFUSE:
        refuse(generation, decision->reason);
        break;
    case RESIDENCY_SLEEP:
        generation_notice(generation, GENERATION_NO_ROOM);
        break;
    }
}

static void on_wake(struct timer *timer)
{
    struct residence *residence = list_entry(timer, struct residence, wake);
    residence->wake_ns = CLOCK_NEVER;
    decide(residence);
}

static void wake_at(struct residence *residence, uint64_t time_ns, uint64_t now_ns)
{
    if (time_ns >= residence->wake_ns)
        return;
    uint64_t left_ns = time_ns > now_ns ? time_ns - now_ns : 0;
    residence->wake_ns = time_ns;
    timer_start(&residence->wake, residence->loop, left_ns / CLOCK_NS_PER_MS + 1, on_wake);
}

/* What is done may bring about more to decide: that is for the outermost call. */
static void decide(struct residence *residence)
{
    struct residency_decision decision;
    if (residence->deciding)
        return;
    residence->deciding = true;
    uint64_t now_ns;
    do {
        now_ns = clock_now_ns();
        residency_next(&residence->residency, now_ns, &decision);
        perform(&decision);
    } while (decision.verdict != RESIDENCY_NOTHING);
    residence->deciding = false;
    wake_at(residence, decision.wake_ns, now_ns);
}

/* ---- bounds and figures ---- */

static void set_budget(struct residency *residency, unsigned place, uint64_t bytes)
{
    if (residency->budget_bytes[place] != bytes)
        residency_set_budget(residency, place, bytes, clock_now_ns());
}

void residence_bound(struct residence *residence, uint64_t budget_bytes, uint64_t gpu_budget_bytes,
                     uint64_t wait_limit_ns)
{
    struct residency *residency = &residence->residency;
    set_budget(residency, 0, budget_bytes);
    for (unsigned place = 1; place < RESIDENCY_PLACES; place++)
        set_budget(residency, place, gpu_budget_bytes);
    if (residency->wait_limit_ns != wait_limit_ns)
        residency_set_limit(residency, wait_limit_ns, clock_now_ns());
    decide(residence);
}

void residence_measure(const struct residence *residence)
{
    const struct residency *residency = &residence->residency;
    metrics.memory_budget_bytes = residency->budget_bytes[0];
    metrics.memory_held_bytes = residency->held_bytes[0];
    metrics.memory_waiting = 0;
    list_each(link, &residency->claims)
    {
        const struct residency_claim *claim = list_entry(link, struct residency_claim, link);
        metrics.memory_waiting += claim->state == RESIDENCY_WAITS;
    }
}

/* ---- what happens ---- */

/* The GPU that it runs on, as a place. */
static unsigned place_of(const struct repository_version *found)
{
    uint64_t number;
    struct span device = found->config->device;
    return span_starts_with(device, SPAN("cuda:")) && span_to_u64(span_after(device, 5), &number) &&
                   number < PROCESS_MAX_GPUS
               ? 1 + (unsigned)number
               : 0;
}

static struct learned_subject subject_of(const struct generation *generation)
{
    const struct version *version = generation->version;
    return (struct learned_subject){.model = version->model->name,
                                    .version = version->number,
                                    .fingerprint = generation->fingerprint};
}

void residence_keep_learned(const struct generation *generation)
{
    const struct learned_subject subject = subject_of(generation);
    learned_keep_memory(&generation->version->model->serving->learned, &subject,
                        &generation->room.figures);
}

void residence_add(struct generation *generation, const struct repository_version *found)
{
    struct residence *residence = residence_of(generation);
    struct version *version = generation->version;
    const struct model_residency *config = &found->config->residency;
    const struct learned_subject subject = subject_of(generation);
    struct residency_figures figures = {.load_ns = 0};
    if (!version->serial)
        version->serial = ++residence->last_id;
    generation->room.id = ++residence->last_id;
    generation->room.model = version->serial;
    generation->room.device = place_of(found);
    generation->room.pinned = config->pin;
    generation->room.idle_after_ns = config->idle_after_s * CLOCK_NS_PER_S;
    generation->room.files_bytes = found->size_bytes;
    generation->room.declared_bytes = (uint64_t)config->memory_mib * MIB;
    learned_recall_memory(&version->model->serving->learned, &subject, &figures);
    residency_add(&residence->residency, &generation->room, &figures, clock_now_ns());
}

void residence_remove(struct generation *generation)
{
    if (!generation->room.id)
        return; /* it was never added */
    residence_keep_learned(generation);
    residency_remove(&residence_of(generation)->residency, &generation->room, clock_now_ns());
}

static enum residency_kind kind_of(const struct generation *generation)
{
    const struct version *version = generation->version;
    if (generation->state.queued || version->next == generation || version->model->urged)
        return RESIDENCY_DEMAND;
    if (generation->state.probe_only)
        return RESIDENCY_PROBE;
    return generation->schema ? RESIDENCY_WISH : RESIDENCY_FIRST_WISH;
}

void residence_ask(struct generation *generation)
{
    struct residence *residence = residence_of(generation);
    if (generation->plan) { /* its steps take room, each for itself */
        generation_notice(generation, GENERATION_ROOM);
        return;
    }
    generation->asks_room = generation->room.state == RESIDENCY_LEAVES;
    if (generation->asks_room)
        return;
    if (generation->room.state == RESIDENCY_STAYS ||
        generation->room.state == RESIDENCY_LOADS) { /* others of its workers are there still */
        residency_grow(&residence->residency, &generation->room, true, clock_now_ns());
        generation_notice(generation, GENERATION_ROOM);
        return;
    }
    residency_ask(&residence->residency, &generation->room, kind_of(generation), clock_now_ns());
    decide(residence);
    if (generation->state.phase == GENERATION_WAITING && !generation->state.retired)
        version_note(generation->version, "waits for room in memory");
}

void residence_unask(struct generation *generation)
{
    struct residence *residence = residence_of(generation);
    generation->asks_room = false;
    if (generation->room.state != RESIDENCY_WAITS)
        return;
    residency_ended(&residence->residency, &generation->room, clock_now_ns());
    decide(residence);
}

bool residence_grow(struct generation *generation, struct error *ret_error)
{
    struct residence *residence = residence_of(generation);
    bool there =
        generation->room.state == RESIDENCY_STAYS || generation->room.state == RESIDENCY_LOADS;
    if (there && residency_grow(&residence->residency, &generation->room, false, clock_now_ns()))
        return true;
    residence_error(generation, RESIDENCY_NO_ROOM, ret_error);
    return false;
}

void residence_worker_ended(struct generation *generation)
{
    struct residence *residence = residence_of(generation);
    if (generation->plan)
        return;
    if (generation_workers_live(generation)) {
        residency_shrink(&residence->residency, &generation->room, clock_now_ns());
        return;
    }
    residency_ended(&residence->residency, &generation->room, clock_now_ns());
    if (generation->asks_room)
        residence_ask(generation);
    decide(residence);
}

void residence_leave(struct generation *generation)
{
    if (generation->plan)
        return;
    residency_leave(&residence_of(generation)->residency, &generation->room, clock_now_ns());
}

static struct residency_size size_now(const struct generation *generation,
                                      const struct channel_stats *stats)
{
    if (generation->pool) /* what the keeper uses says nothing of the server */
        return (struct residency_size){0};
    return (struct residency_size){stats->memory_bytes, stats->device_memory_bytes};
}

void residence_loaded(struct generation *generation, const struct channel_stats *stats)
{
    struct residence *residence = residence_of(generation);
    if (generation->room.state != RESIDENCY_LOADS)
        return; /* a pipeline, or others of its workers were there before */
    struct residency_size now = size_now(generation, stats);
    struct residency_size most = {stats->most_memory_bytes, now.device_bytes};
    residency_loaded(&residence->residency, &generation->room, now, most, clock_now_ns());
    if (generation->state.phase == GENERATION_PROBED)
        residence_leave(generation); /* it has found out what the model is, and ends */
    else
        residence_rest(generation);
    decide(residence);
}

void residence_measured(struct generation *generation, const struct channel_stats *stats)
{
    struct residence *residence = residence_of(generation);
    residency_measured(&residence->residency, &generation->room, size_now(generation, stats),
                       clock_now_ns());
    if (residency_matters(&residence->residency))
        decide(residence);
}

void residence_use(struct generation *generation)
{
    if (generation->plan)
        return;
    residency_use(&residence_of(generation)->residency, &generation->room, clock_now_ns());
}

static bool is_used(const struct generation *generation)
{
    bool sequences = generation->stateful && sequences_count(&generation->stateful->sequences) > 0;
    return ((generation->state.queued || sequences) && !generation->room.draining) ||
           generation_workers_used(generation) || (generation->pool && generation->pool->lent);
}

void residence_rest(struct generation *generation)
{
    struct residence *residence = residence_of(generation);
    const struct residency_claim *claim = &generation->room;
    if (!claim->busy || is_used(generation))
        return;
    uint64_t now_ns = clock_now_ns();
    residency_rest(&residence->residency, &generation->room, now_ns);
    if (residency_matters(&residence->residency))
        decide(residence);
    else if (claim->idle_after_ns)
        wake_at(residence, now_ns + claim->idle_after_ns, now_ns);
}
