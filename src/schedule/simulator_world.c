/* What the worlds of the simulator are like; see simulator.h. */
#include "base/clock.h"
#include "schedule/simulator.h"

#include <math.h>

uint64_t simulator_draw(struct simulator *simulator, uint64_t limit)
{
    uint64_t x = simulator->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return limit ? x % limit : 0;
}

double simulator_draw_share(struct simulator *simulator)
{
    return (double)simulator_draw(simulator, 1U << 30) / (double)(1U << 30);
}

/* As between events that know nothing of each other. */
uint64_t simulator_draw_ns(struct simulator *simulator, uint64_t mean_ns)
{
    return (uint64_t)(-log(1 - simulator_draw_share(simulator)) * (double)mean_ns) + 1;
}

static bool draw_one_in(struct simulator *simulator, uint64_t count)
{
    return simulator_draw(simulator, count) == 0;
}

static double execution_ns(const struct simulator_world *world, double rows)
{
    return world->first_row_ns + world->row_ns * rows + world->square_ns * rows * rows;
}

uint64_t simulator_draw_duration_ns(struct simulator *simulator,
                                    const struct simulator_worker *worker, uint64_t rows,
                                    size_t running)
{
    const struct simulator_world *world = &simulator->world;
    double time_ns = execution_ns(world, (double)rows) * worker->slowness;
    time_ns *= 1 + world->noise * (2 * simulator_draw_share(simulator) - 1);
    time_ns *= 1 + 0.1 * (double)running; /* they are in each other's way */
    if (simulator_draw_share(simulator) < world->hang_share)
        time_ns = 10.0 * (double)CLOCK_NS_PER_S;
    return (uint64_t)time_ns + 1;
}

/* ---- the policy ---- */

static void draw_sizes(struct simulator *simulator)
{
    struct simulator_world *world = &simulator->world;
    struct schedule_policy *policy = &world->policy;
    world->max_rows = draw_one_in(simulator, 5) ? 0 : 1 + simulator_draw(simulator, 24);
    if (world->max_rows > 2 && draw_one_in(simulator, 5)) {
        policy->preferred_rows[0] = 2;
        policy->preferred_rows[1] = (uint32_t)world->max_rows;
        policy->preferred_count = 1 + simulator_draw(simulator, 2);
    }
    if (world->max_rows > 1 && draw_one_in(simulator, 4))
        policy->delay_ns = simulator_draw(simulator, 20 * CLOCK_NS_PER_MS);
}

static void draw_rules(struct simulator *simulator)
{
    struct schedule_policy *policy = &simulator->world.policy;
    policy->rule_count = 1 + simulator_draw(simulator, 2);
    for (uint32_t i = 0; i < policy->rule_count; i++)
        policy->rules[i] = (struct policy_rule){
            .level = i,
            .queue_size =
                draw_one_in(simulator, 2) ? 1 + (uint32_t)simulator_draw(simulator, 50) : 0,
            .timeout_ns =
                draw_one_in(simulator, 2) ? 1 + simulator_draw(simulator, 50 * CLOCK_NS_PER_MS) : 0,
            .override = draw_one_in(simulator, 2),
            .action = draw_one_in(simulator, 2) ? POLICY_DELAY : POLICY_REJECT,
        };
}

static void draw_policy(struct simulator *simulator)
{
    struct schedule_policy *policy = &simulator->world.policy;
    *policy = (struct schedule_policy){
        .queue_limit = draw_one_in(simulator, 4) ? 1 + simulator_draw(simulator, 40) : 10000,
        .wait_limit_ns =
            draw_one_in(simulator, 5) ? 1 + simulator_draw(simulator, CLOCK_NS_PER_S) : 0,
        .patience_ns = 1 + simulator_draw(simulator, 20 * CLOCK_NS_PER_MS),
        .aging_ns = 1 + simulator_draw(simulator, 20 * CLOCK_NS_PER_MS),
        .grace_ns = draw_one_in(simulator, 2) ? 1 + simulator_draw(simulator, CLOCK_NS_PER_S) : 0,
        .max_running = draw_one_in(simulator, 8) ? 1 + simulator_draw(simulator, 8) : 0,
        .all_slots = draw_one_in(simulator, 2),
        .preserve_order = draw_one_in(simulator, 5),
    };
    if (!policy->preserve_order)
        policy->levels = (uint32_t)simulator_draw(simulator, SIMULATOR_LEVELS + 1);
    draw_sizes(simulator);
    if (draw_one_in(simulator, 4))
        draw_rules(simulator);
}

/* ---- the workers ---- */

static void draw_workers(struct simulator *simulator)
{
    struct simulator_world *world = &simulator->world;
    world->worker_count = 1 + simulator_draw(simulator, SIMULATOR_WORKERS);
    world->slots = 1 + simulator_draw(simulator, SIMULATOR_SLOTS);
    world->first_row_ns = 1e4 + 5e6 * simulator_draw_share(simulator);
    world->row_ns = 1e4 + 2e6 * simulator_draw_share(simulator);
    world->square_ns = draw_one_in(simulator, 3) ? 1e5 * simulator_draw_share(simulator) : 0;
    world->noise = 0.5 * simulator_draw_share(simulator);
    world->hang_share = draw_one_in(simulator, 4) ? 0.01 : 0;
    world->send_failure_share = draw_one_in(simulator, 2) ? 0.05 : 0;
    world->one_ahead = draw_one_in(simulator, 2);
    world->repeats = draw_one_in(simulator, 2);
    world->death_ns = draw_one_in(simulator, 3) ? 300 * CLOCK_NS_PER_MS : 0;
    world->slow_ns = draw_one_in(simulator, 3) ? 200 * CLOCK_NS_PER_MS : 0;
    for (size_t i = 0; i < world->worker_count; i++)
        simulator->workers[i] = (struct simulator_worker){.slowness = 1};
    world->least_workers = draw_one_in(simulator, 2) ? 1 : (uint32_t)world->worker_count;
    world->short_ns = 1 + simulator_draw(simulator, 100 * CLOCK_NS_PER_MS);
    world->idle_ns = 1 + simulator_draw(simulator, CLOCK_NS_PER_S);
}

/* ---- the requests ---- */

static void draw_request(struct simulator *simulator, struct simulator_request *request,
                         uint64_t arrives_ns, double deadline_share)
{
    struct simulator_world *world = &simulator->world;
    struct queue_entry *entry = &request->entry;
    uint64_t single_ns = (uint64_t)execution_ns(world, 1);
    request->arrives_ns = arrives_ns;
    request->shape = draw_one_in(simulator, 4) ? 1 + (unsigned)simulator_draw(simulator, 2) : 0;
    request->leaves_ns = CLOCK_NEVER;
    entry->caller.kind = CALLER_TOKEN;
    entry->caller.id = (uint32_t)simulator_draw(simulator, world->callers);
    entry->weight = world->weights[entry->caller.id];
    entry->rows = draw_one_in(simulator, 4) ? 1 + simulator_draw(simulator, 4) : 1;
    entry->level = policy_level(&world->policy, simulator_draw(simulator, SIMULATOR_LEVELS + 2));
    entry->deadline_ns = CLOCK_NEVER;
    entry->alone = draw_one_in(simulator, 20);
    if (simulator_draw_share(simulator) < deadline_share)
        entry->deadline_ns = arrives_ns + simulator_draw_ns(simulator, 20 * single_ns);
    if (draw_one_in(simulator, 4))
        entry->timeout_ns = simulator_draw_ns(simulator, 20 * single_ns);
    if (draw_one_in(simulator, 20))
        request->leaves_ns = arrives_ns + simulator_draw_ns(simulator, 10 * single_ns);
}

static void draw_requests(struct simulator *simulator)
{
    struct simulator_world *world = &simulator->world;
    double load = 0.2 + 3 * simulator_draw_share(simulator);
    double deadline_share = draw_one_in(simulator, 2) ? simulator_draw_share(simulator) : 0;
    double slots = (double)(world->worker_count * world->slots);
    uint64_t between_ns = (uint64_t)(execution_ns(world, 1) / slots / load), now_ns = 1;
    uint64_t burst = draw_one_in(simulator, 3) ? 10 : 1;
    world->request_count = 20 + simulator_draw(simulator, SIMULATOR_REQUESTS - 20);
    world->callers = 1 + simulator_draw(simulator, SIMULATOR_CALLERS);
    for (size_t i = 0; i < world->callers; i++)
        world->weights[i] = draw_one_in(simulator, 2) ? 1 : (uint32_t)simulator_draw(simulator, 4);
    for (size_t i = 0; i < world->request_count; i++) {
        if (i % burst == 0)
            now_ns += simulator_draw_ns(simulator, between_ns * burst);
        draw_request(simulator, &simulator->requests[i], now_ns, deadline_share);
    }
}

void simulator_make_world(struct simulator *simulator)
{
    draw_policy(simulator);
    draw_workers(simulator);
    draw_requests(simulator);
}
