/* What becomes of a generation's tensor memory over time, and its gauges.
 *
 * A worker maps all of the sparse file and can make the kernel commit any of it, so what is
 * committed is compared with what was ever handed out: each second while there are requests, and
 * else now and then, for a worker may do so at any time. With several workers nobody knows which
 * one it was: they all go. */
#include "serving/generation_workers.h"
#include "serving/server_pool.h"

#include <stdio.h>

enum {
    ACTIVE_MS = 1000,
    IDLE_MS = 5000,
    REASON_BYTES = 128,
    TRIM_MS = 5000, /* of idleness, before free memory goes back to the kernel */
};

static bool is_busy(const struct generation *generation)
{
    return generation->active || tensor_memory_used_bytes(generation->memory) > 0;
}

static void trim_when_idle(struct generation *generation, uint64_t now_ns)
{
    if (is_busy(generation))
        generation->idle_since_ns = now_ns;
    else if (generation->idle_since_ns != CLOCK_NEVER &&
             now_ns - generation->idle_since_ns >= TRIM_MS * CLOCK_NS_PER_MS) {
        tensor_memory_trim(generation->memory);
        generation->idle_since_ns = CLOCK_NEVER;
    }
    generation->active = false;
}

static void kill_all(struct generation *generation, uint64_t excess)
{
    char reason[REASON_BYTES];
    snprintf(reason, sizeof reason, "%s took %llu bytes of memory that %s not given",
             generation->further_count ? "it or another worker" : "it", (unsigned long long)excess,
             generation->further_count ? "were" : "it was");
    generation_workers_kill(generation, reason);
}

static void look(struct timer *timer)
{
    struct generation *generation = list_entry(timer, struct generation, watch);
    trim_when_idle(generation, loop_now_ns(generation->version->model->serving->loop));
    bool lives = generation_workers_live(generation) > 0;
    uint64_t excess = lives ? tensor_memory_excess_bytes(generation->memory) : 0;
    if (excess)
        kill_all(generation, excess);
    if (lives || generation->idle_since_ns != CLOCK_NEVER)
        generation_watch(generation);
}

void generation_watch(struct generation *generation)
{
    bool settled = generation->idle_since_ns == CLOCK_NEVER && !generation->active;
    timer_start(&generation->watch, generation->version->model->serving->loop,
                settled ? IDLE_MS : ACTIVE_MS, look);
}

/* ---- gauges ---- */

static void add_learned(const struct learner *learner, struct model_metrics *to)
{
    to->batch_rows += learner->rows;
    to->slots += learner->slots;
    to->row_ns += learner_row_ns(learner);
}

void generation_measure(const struct generation *generation, struct model_metrics *to)
{
    to->pending += generation->state.queued;
    to->memory_bytes += generation->room.held.bytes;
    to->tensor_used_bytes += tensor_memory_used_bytes(generation->memory);
    to->tensor_committed_bytes += tensor_memory_committed_bytes(generation->memory);
    to->running += generation->pool ? generation->pool->lent : 0;
    generation_workers_measure(generation, to);
    if (generation->schema && !generation->pool)
        add_learned(&generation->schedule.learner, to);
}
