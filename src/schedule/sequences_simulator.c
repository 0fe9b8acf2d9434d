/* Worlds of sequences, on a clock of their own, from a seed: clients that start, go on, end, start
 * anew or fall silent; workers that come and go; a queue that gives up what it has. What must hold
 * is told in terms of what clients and workers see:
 *
 *     reordered  requests of one sequence run in the order in which they came, one at a time
 *     lost       each request has one answer, and at the end of the world all have
 *     exceeded   a worker has no more sequences than it has places
 *     strayed    all requests of a sequence run at the worker of its first; what has not begun does
 *                not run
 *     starved    what waits for a place has one before those that came later
 *
 * Its command line: seeds.h. */
#include "schedule/seeds.h"
#include "schedule/sequences.h"

#include "base/clock.h"

enum { NAMES = 12, WORKERS = 3, REQUESTS = 150, STEPS = 700, IDLE_NS = 400 };

struct request {
    struct sequence_request sequence; /* first */
    enum { TO_COME, WAITS, QUEUED, RUNS, ANSWERED } state;
    uint64_t name;
    size_t waits_since; /* for a place, in steps; 0: it does not */
};

struct name {
    size_t last_run; /* the latest request that has run, counted from 1 */
    int worker;      /* that its sequence is at; -1: none, as it has not begun */
    bool runs;
};

static struct {
    uint64_t random, now_ns;
    struct sequences sequences;
    struct sequence_worker workers[WORKERS];
    bool up[WORKERS];
    struct request requests[REQUESTS];
    size_t come, answered, step;
    struct name names[NAMES + 1];
    uint32_t places;
    const char *failure;
} world;

static uint64_t draw(uint64_t limit)
{
    uint64_t x = world.random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % limit;
}

static void check(bool holds, const char *word)
{
    if (!holds && !world.failure)
        world.failure = word;
}

static struct request *request_of(struct sequence_request *request)
{
    return (struct request *)request;
}

static size_t index_of(const struct request *request)
{
    return (size_t)(request - world.requests);
}

static void answer(struct request *request)
{
    check(request->state != ANSWERED, "lost");
    request->state = ANSWERED;
    world.answered++;
}

static void on_ended(struct sequence *sequence)
{
    uint64_t number;
    memcpy(&number, sequence->key + 1, sizeof number);
    world.names[number].worker = -1;
}

static void on_recalled(struct sequence_request *request)
{
    check(request_of(request)->state == QUEUED, "lost");
    request_of(request)->state = WAITS;
}

static const struct sequences_events events = {on_ended, on_recalled};

/* ---- what may happen ---- */

static void come(void)
{
    if (world.come == REQUESTS)
        return;
    struct request *request = &world.requests[world.come++];
    request->name = 1 + draw(NAMES);
    request->sequence = (struct sequence_request){.starts = draw(4) == 0, .ends = draw(5) == 0};
    request->state = WAITS;
    const struct sequence_id id = {.number = request->name};
    if (sequences_submit(&world.sequences, &request->sequence, &id) != SEQUENCES_TAKEN)
        answer(request);
}

/* What is first of its sequence, wants to begin it and has no place for that: since when, in steps.
 */
static void note_first(void)
{
    bool seen[NAMES + 1] = {false};
    for (size_t i = 0; i < world.come; i++) {
        struct request *request = &world.requests[i];
        if (request->state == ANSWERED)
            continue;
        bool first = request->state == WAITS && !seen[request->name];
        seen[request->name] = true;
        bool waits = first && request->sequence.starts && !request->sequence.sequence->worker;
        if (!waits)
            request->waits_since = 0;
        else if (!request->waits_since)
            request->waits_since = world.step;
    }
}

/* It has a place now: nobody has waited for one longer. */
static void check_turn(const struct request *taken)
{
    for (size_t i = 0; i < world.come && taken->waits_since; i++) {
        const struct request *other = &world.requests[i];
        if (other->state == WAITS && other != taken && other->waits_since)
            check(other->waits_since >= taken->waits_since, "starved");
    }
}

static void take(void)
{
    struct sequence_request *taken;
    note_first();
    while ((taken = sequences_next(&world.sequences, world.now_ns))) {
        struct request *request = request_of(taken);
        check(request->state == WAITS, "lost");
        check_turn(request);
        if (taken->state == SEQUENCE_NONE) {
            check(!taken->starts && world.names[request->name].worker < 0, "lost");
            answer(request);
        } else
            request->state = QUEUED;
        note_first();
    }
}

static struct request *any(int state)
{
    size_t at = world.come ? draw(world.come) : 0;
    for (size_t i = 0; i < world.come; i++) {
        struct request *request = &world.requests[(at + i) % world.come];
        if ((int)request->state == state)
            return request;
    }
    return NULL;
}

static void run(void)
{
    struct request *request = any(QUEUED);
    if (!request)
        return;
    struct name *name = &world.names[request->name];
    int worker = (int)(request->sequence.sequence->worker - world.workers);
    check(!name->runs && index_of(request) + 1 > name->last_run, "reordered");
    check(world.up[worker], "strayed");
    check(request->sequence.starts ? name->worker < 0 : name->worker == worker, "strayed");
    name->worker = worker;
    name->runs = true;
    name->last_run = index_of(request) + 1;
    request->state = RUNS;
    sequences_run(&request->sequence);
}

static void end(void)
{
    struct request *request = any(RUNS);
    if (!request)
        return;
    bool broken = draw(20) == 0;
    world.names[request->name].runs = false;
    sequences_answered(&world.sequences, &request->sequence, broken, world.now_ns);
    answer(request);
}

static void leave(void)
{
    struct request *request = any(draw(2) ? WAITS : QUEUED);
    if (!request)
        return;
    sequences_leave(&world.sequences, &request->sequence, world.now_ns);
    answer(request);
}

static void change_worker(void)
{
    size_t at = draw(WORKERS);
    world.up[at] = !world.up[at];
    if (!world.up[at]) {
        sequences_remove_worker(&world.sequences, &world.workers[at], world.now_ns);
        return;
    }
    world.workers[at] = (struct sequence_worker){.closed = draw(8) == 0};
    sequences_add_worker(&world.sequences, &world.workers[at]);
}

static void check_places(void)
{
    for (size_t i = 0; i < WORKERS; i++) {
        uint32_t used = 0;
        if (!world.up[i])
            continue;
        list_each(link, &world.workers[i].sequences) used++;
        check(used == world.workers[i].used && used <= world.places, "exceeded");
    }
}

static void step(void)
{
    world.now_ns += draw(10);
    switch (draw(12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        come();
        break;
    case 4:
    case 5:
    case 6:
        run();
        break;
    case 7:
    case 8:
    case 9:
        end();
        break;
    case 10:
        if (draw(6) == 0)
            leave();
        break;
    default:
        if (draw(40) == 0)
            change_worker();
        break;
    }
    sequences_expire(&world.sequences, world.now_ns);
    take();
    check_places();
    world.step++;
}

/* Everything comes to its end once there is a worker and nobody comes. */
static void finish(void)
{
    for (size_t i = 0; i < WORKERS; i++) {
        if (!world.up[i])
            sequences_add_worker(&world.sequences, (world.workers[i] = (struct sequence_worker){0},
                                                    &world.workers[i]));
        world.up[i] = true;
        world.workers[i].closed = false;
    }
    for (size_t i = 0; i < 4 * REQUESTS && world.answered < world.come && !world.failure; i++) {
        take();
        run();
        end();
        world.now_ns += IDLE_NS;
        sequences_expire(&world.sequences, world.now_ns);
    }
    check(world.answered == world.come, "lost");
}

/* Frees the sequences of a world that broke a rule: they are as they are, and not to be ended. */
static void drop_sequences(void)
{
    struct map_slot slot;
    for (size_t at = 0; map_next(&world.sequences.by_key, &at, &slot);)
        free(slot.value);
    map_fini(&world.sequences.by_key);
}

static const char *run_world(uint64_t seed, FILE *trace, const char **ret_detail)
{
    memset(&world, 0, sizeof world);
    world.random = seed;
    world.step = 1;
    world.places = 1 + (uint32_t)draw(4);
    for (size_t i = 0; i <= NAMES; i++)
        world.names[i].worker = -1;
    sequences_init(&world.sequences, &events);
    sequences_bound(&world.sequences, world.places, true, IDLE_NS);
    for (size_t i = 0; i < STEPS && !world.failure; i++)
        step();
    if (!world.failure)
        finish();
    if (world.failure) {
        drop_sequences();
        return world.failure;
    }
    sequences_fini(&world.sequences);
    return NULL;
}

static void count(void)
{
}

static void print(uint64_t seeds)
{
    printf("%llu seeds\n", (unsigned long long)seeds);
}

int main(int argc, char **argv)
{
    static const struct seeds seeds = {run_world, count, print};
    return seeds_main(argc, argv, &seeds);
}
