/* Decides again what a server has decided, from what it has written down (--residency-trace):
 *
 *     residency_replay TRACE
 *
 * fails where a decision is another one, or where more is held than the budget has. Then it tells
 * how many loads there were, and how few would have done for somebody who knew all requests in
 * advance: who evicts what is used again the latest, for what it costs and takes (with equal models
 * that is the best that can be; Belady). */
#include "schedule/residency.h"
#include "schedule/residency_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20, LINE_BYTES = 512 };

/* A claim, by its id. */
struct known {
    struct residency_claim claim; /* first; id 0: there is none */
    size_t model;                 /* its place among models */
};

/* What the offline policy knows of a model. */
struct model {
    uint64_t number, bytes, peak_bytes;
    double cost;
    bool loaded;
    size_t next; /* its next use, from where the policy is */
};

static struct residency residency;
static struct known *all_known[1 << 16];
static struct model models[1 << 12];
static size_t *uses; /* places of models, in the order of requests */
static size_t model_count, use_count, use_capacity, line_number;
static size_t loads, probes, evictions, drains, refusals;
static uint64_t most_held, over_bytes;
static struct residency_decision decided; /* by the last look, and not yet compared */

static _Noreturn void fail(const char *why)
{
    fprintf(stderr, "line %zu: %s\n", line_number, why);
    exit(EXIT_FAILURE);
}

static struct known *known_of(uint64_t id)
{
    if (id >= sizeof all_known / sizeof *all_known || !all_known[id])
        fail("a claim that was never added");
    return all_known[id];
}

static size_t model_of(uint64_t number)
{
    for (size_t i = 0; i < model_count; i++)
        if (models[i].number == number)
            return i;
    if (model_count == sizeof models / sizeof *models)
        fail("too many models");
    models[model_count].number = number;
    return model_count++;
}

static void add(const struct residency_event *event)
{
    const uint64_t *values = event->values;
    if (event->id >= sizeof all_known / sizeof *all_known || all_known[event->id])
        fail("a claim that cannot be added");
    struct known *known = all_known[event->id] = calloc(1, sizeof *known);
    if (!known)
        fail("no memory");
    if (values[1] >= RESIDENCY_PLACES)
        fail("a GPU that cannot be");
    known->claim = (struct residency_claim){.id = event->id,
                                            .model = values[0],
                                            .device = (unsigned)values[1],
                                            .pinned = values[2],
                                            .idle_after_ns = values[3],
                                            .files_bytes = values[4],
                                            .declared_bytes = values[5]};
    known->model = model_of(values[0]);
    const struct residency_figures figures = {
        {values[6], values[7]}, {values[8], values[9]}, values[10]};
    residency_add(&residency, &known->claim, &figures, event->time_ns);
}

static void learn(const struct known *known)
{
    struct model *model = &models[known->model];
    const struct residency_figures *figures = &known->claim.figures;
    model->bytes =
        figures->loaded.bytes ? figures->loaded.bytes : residency_need(&known->claim).bytes;
    model->peak_bytes = residency_need(&known->claim).bytes;
    model->cost = (double)figures->load_ns;
}

static void note_use(const struct known *known)
{
    if (use_count == use_capacity) {
        use_capacity = use_capacity ? 2 * use_capacity : 1024;
        uses = reallocarray(uses, use_capacity, sizeof *uses);
        if (!uses)
            fail("no memory");
    }
    uses[use_count++] = known->model;
}

static void compare(const struct residency_event *event)
{
    if (decided.verdict == RESIDENCY_NOTHING)
        fail("here nothing is decided");
    if (decided.verdict != event->values[0] || decided.reason != event->values[1] ||
        decided.claim->id != event->id)
        fail("here something else is decided");
    loads += decided.verdict == RESIDENCY_GRANT;
    probes += decided.verdict == RESIDENCY_GRANT_PROBE;
    evictions += decided.verdict == RESIDENCY_EVICT;
    drains += decided.verdict == RESIDENCY_DRAIN;
    refusals += decided.verdict == RESIDENCY_REFUSE;
    decided.verdict = RESIDENCY_NOTHING;
}

static void take_about_all(const struct residency_event *event)
{
    if (event->kind == RESIDENCY_ON_LOOK)
        residency_next(&residency, event->time_ns, &decided);
    else if (event->kind == RESIDENCY_ON_LIMIT)
        residency_set_limit(&residency, event->values[0], event->time_ns);
    else if (event->values[0] < RESIDENCY_PLACES)
        residency_set_budget(&residency, (unsigned)event->values[0], event->values[1],
                             event->time_ns);
}

static void take_about_one(const struct residency_event *event)
{
    struct known *known = known_of(event->id);
    struct residency_claim *claim = &known->claim;
    const uint64_t *values = event->values;
    switch (event->kind) {
    case RESIDENCY_ON_ASK:
        residency_ask(&residency, claim, (enum residency_kind)values[0], event->time_ns);
        break;
    case RESIDENCY_ON_LOADED:
        residency_loaded(&residency, claim, (struct residency_size){values[0], values[1]},
                         (struct residency_size){values[2], values[3]}, event->time_ns);
        learn(known);
        break;
    case RESIDENCY_ON_MEASURED:
        residency_measured(&residency, claim, (struct residency_size){values[0], values[1]},
                           event->time_ns);
        learn(known);
        break;
    case RESIDENCY_ON_GROW:
        residency_grow(&residency, claim, values[0], event->time_ns);
        break;
    case RESIDENCY_ON_SHRINK:
        residency_shrink(&residency, claim, event->time_ns);
        break;
    case RESIDENCY_ON_LEAVE:
        residency_leave(&residency, claim, event->time_ns);
        break;
    case RESIDENCY_ON_ENDED:
        residency_ended(&residency, claim, event->time_ns);
        break;
    case RESIDENCY_ON_USE:
        residency_use(&residency, claim, event->time_ns);
        note_use(known);
        break;
    case RESIDENCY_ON_REST:
        residency_rest(&residency, claim, event->time_ns);
        break;
    case RESIDENCY_ON_REMOVE:
        residency_remove(&residency, claim, event->time_ns);
        all_known[event->id] = NULL;
        free(known);
        break;
    default:
        fail("an event that cannot be");
    }
}

static void take(const struct residency_event *event)
{
    bool about_all = event->kind == RESIDENCY_ON_BUDGET || event->kind == RESIDENCY_ON_LIMIT ||
                     event->kind == RESIDENCY_ON_LOOK;
    if (event->kind != RESIDENCY_ON_DECISION && decided.verdict != RESIDENCY_NOTHING)
        fail("here something is decided");
    if (event->kind == RESIDENCY_ON_DECISION)
        compare(event);
    else if (about_all)
        take_about_all(event);
    else if (event->kind == RESIDENCY_ON_ADD)
        add(event);
    else
        take_about_one(event);
    uint64_t held = residency.held_bytes[0], budget = residency.budget_bytes[0];
    most_held = held > most_held ? held : most_held;
    if (budget && held > budget && held - budget > over_bytes)
        over_bytes = held - budget;
}

/* ---- who knows all in advance ---- */

static uint64_t loaded_bytes(void)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < model_count; i++)
        bytes += models[i].loaded ? models[i].bytes : 0;
    return bytes;
}

/* Marks when each is used next, from `from` on. */
static void look_ahead(size_t from)
{
    for (size_t i = 0; i < model_count; i++)
        models[i].next = SIZE_MAX;
    size_t found = 0;
    for (size_t i = from; i < use_count && found < model_count; i++) {
        struct model *model = &models[uses[i]];
        if (model->next == SIZE_MAX)
            model->next = i, found++;
    }
}

/* The one whose load is saved the latest, and for the most room and least cost. */
static struct model *worst(size_t now)
{
    struct model *worst = NULL;
    double most = -1;
    for (size_t i = 0; i < model_count; i++) {
        struct model *model = &models[i];
        double distance = model->next == SIZE_MAX ? 1e18 : (double)(model->next - now);
        double regret = distance * (double)model->bytes / (model->cost > 0 ? model->cost : 1);
        if (model->loaded && regret > most)
            worst = model, most = regret;
    }
    return worst;
}

static size_t offline_loads(uint64_t budget)
{
    size_t count = 0;
    for (size_t i = 0; i < use_count; i++) {
        struct model *model = &models[uses[i]], *out;
        if (model->loaded)
            continue;
        look_ahead(i + 1);
        while (loaded_bytes() + model->peak_bytes > budget && (out = worst(i)))
            out->loaded = false;
        model->loaded = true;
        count++;
    }
    return count;
}

static void read_trace(FILE *file)
{
    char line[LINE_BYTES];
    struct residency_event event;
    while (fgets(line, sizeof line, file)) {
        line_number++;
        struct span text = {line, strcspn(line, "\n")};
        if (!residency_event_read(text, &event))
            fail("this is no event");
        take(&event);
    }
}

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!file) {
        fprintf(stderr, "usage: residency_replay TRACE\n");
        return EXIT_FAILURE;
    }
    residency_init(&residency);
    read_trace(file);
    fclose(file);
    uint64_t budget = residency.budget_bytes[0];
    size_t best = budget ? offline_loads(budget) : 0;
    printf(
        "%zu lines replayed; requests %zu loads %zu probes %zu evictions %zu drains %zu refusals "
        "%zu\n",
        line_number, use_count, loads, probes, evictions, drains, refusals);
    printf("held at most %llu of %llu MiB\n", (unsigned long long)most_held / MIB,
           (unsigned long long)budget / MIB);
    printf("offline %zu ratio %.3f\n", best, best ? (double)loads / (double)best : 0);
    if (over_bytes)
        fprintf(stderr, "%llu KiB more than the budget were held\n",
                (unsigned long long)over_bytes >> 10);
    free(uses);
    return over_bytes ? EXIT_FAILURE : EXIT_SUCCESS;
}
