/* Whose turn it is; see queue.h. */
#include "schedule/queue.h"

#include "base/clock.h"
#include "schedule/plant.h"

#include <assert.h>
#include <string.h>

enum { MOST_ROWS = 1 << 20 }; /* that a request counts for */

void queue_init(struct queue *queue)
{
    memset(queue, 0, sizeof *queue);
    list_init(&queue->active);
}

static struct queue_entry *entry_of(const struct order_node *node)
{
    return node ? list_entry(node, struct queue_entry, node) : NULL;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What serving it counts for. */
static uint64_t service_of(const struct queue_entry *entry)
{
    uint32_t weight = entry->weight ? entry->weight : 1;
    weight = weight < QUEUE_MAX_WEIGHT ? weight : QUEUE_MAX_WEIGHT;
    if (SCHEDULE_PLANT == PLANT_UNFAIR)
        weight = 1;
    return least(entry->rows, MOST_ROWS) * QUEUE_MAX_WEIGHT / weight;
}

/* ---- flows ---- */

/* One that is as good as any when all are taken: of the same level, if there is one. */
static struct queue_flow *shared_flow(struct queue *queue, struct caller caller, uint32_t level)
{
    size_t start = (caller.id + (size_t)caller.kind) % QUEUE_FLOWS;
    for (size_t i = 0; i < QUEUE_FLOWS; i++) {
        struct queue_flow *flow = &queue->flows[(start + i) % QUEUE_FLOWS];
        if (flow->level == level)
            return flow;
    }
    return &queue->flows[start];
}

static struct queue_flow *flow_for(struct queue *queue, struct caller caller, uint32_t level)
{
    struct queue_flow *idle = NULL;
    for (size_t i = 0; i < QUEUE_FLOWS; i++) {
        struct queue_flow *flow = &queue->flows[i];
        if (flow->level == level && caller_equal(flow->caller, caller))
            return flow;
        if (flow->count == 0 && (!idle || flow->tag < idle->tag))
            idle = flow;
    }
    if (!idle)
        return shared_flow(queue, caller, level);
    *idle = (struct queue_flow){.caller = caller, .level = level};
    return idle;
}

/* Where a caller starts that had nothing to wait for: it has no claim on what others had then. */
static uint64_t starting_tag(const struct queue *queue, uint32_t level)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (size_t i = 0; i < QUEUE_FLOWS; i++) {
        const struct queue_flow *flow = &queue->flows[i];
        if (flow->level != level)
            continue;
        if (flow->count > 0 && flow->tag < least)
            least = flow->tag;
        most = flow->tag > most ? flow->tag : most;
    }
    return least < UINT64_MAX ? least : most;
}

static void enter(struct queue *queue, struct queue_flow *flow, struct queue_entry *entry)
{
    if (flow->count == 0) {
        uint64_t tag = starting_tag(queue, flow->level);
        flow->tag = flow->tag > tag ? flow->tag : tag;
        list_add(&queue->active, &flow->link);
    }
    flow->count++;
    entry->flow = flow;
    entry->waits = true;
    order_add(&flow->order, &entry->node);
    queue->count++;
    queue->rows += entry->node.size;
}

static void leave(struct queue *queue, struct queue_entry *entry)
{
    struct queue_flow *flow = entry->flow;
    assert(entry->waits && flow->count > 0);
    order_remove(&flow->order, &entry->node);
    entry->waits = false;
    if (--flow->count == 0)
        list_remove(&flow->link);
    queue->count--;
    queue->rows -= entry->node.size;
}

/* ---- entries ---- */

static uint64_t add_ns(uint64_t time_ns, uint64_t more_ns)
{
    return time_ns > CLOCK_NEVER - more_ns ? CLOCK_NEVER : time_ns + more_ns;
}

/* When its time in the queue is over. */
static void set_expiry(struct queue_entry *entry, const struct schedule_policy *policy)
{
    const struct policy_rule *rule = policy_rule(policy, entry->level);
    uint64_t timeout_ns = rule ? rule->timeout_ns : 0;
    if (rule && rule->override && entry->timeout_ns &&
        (!timeout_ns || entry->timeout_ns < timeout_ns))
        timeout_ns = entry->timeout_ns;
    entry->expires_ns = timeout_ns ? add_ns(entry->arrived_ns, timeout_ns) : CLOCK_NEVER;
    entry->action = rule ? rule->action : POLICY_REJECT;
}

static uint64_t due_ns(const struct queue_entry *entry, const struct schedule_policy *policy)
{
    uint64_t due = add_ns(entry->arrived_ns, policy->patience_ns);
    if (policy->preserve_order)
        return entry->arrived_ns;
    due = entry->deadline_ns < due ? entry->deadline_ns : due;
    due = entry->expires_ns < due ? entry->expires_ns : due;
    if (SCHEDULE_PLANT == PLANT_STARVED)
        return add_ns(due, entry->level * (UINT64_MAX >> 16));
    return add_ns(due, (entry->level - 1) * policy->aging_ns);
}

static void set_cost(struct queue_entry *entry, uint64_t cost)
{
    entry->cost = cost;
    entry->node.size = least(cost, MOST_ROWS);
}

void queue_add(struct queue *queue, struct queue_entry *entry, const struct schedule_policy *policy,
               uint64_t now_ns)
{
    assert(!entry->waits && entry->rows > 0 && entry->level > 0);
    entry->arrived_ns = now_ns;
    set_expiry(entry, policy);
    entry->node.key = due_ns(entry, policy);
    entry->node.sequence = queue->sequence++;
    set_cost(entry, entry->cost);
    queue_add_again(queue, entry, policy);
}

void queue_add_again(struct queue *queue, struct queue_entry *entry,
                     const struct schedule_policy *policy)
{
    struct caller all = {.kind = CALLER_NOBODY};
    assert(!entry->waits);
    if (policy->preserve_order)
        enter(queue, flow_for(queue, all, 1), entry);
    else
        enter(queue, flow_for(queue, entry->caller, entry->level), entry);
}

void queue_return(struct queue *queue, struct queue_entry *entry)
{
    assert(!entry->waits);
    struct queue_flow *flow = entry->flow;
    if (SCHEDULE_PLANT == PLANT_LOST)
        return;
    if (SCHEDULE_PLANT == PLANT_REORDERED)
        entry->node.sequence = queue->sequence++;
    uint64_t service = service_of(entry);
    flow->tag = flow->tag > service ? flow->tag - service : 0;
    enter(queue, flow, entry);
}

void queue_remove(struct queue *queue, struct queue_entry *entry, bool served)
{
    if (served)
        entry->flow->tag += service_of(entry);
    leave(queue, entry);
}

void queue_recount(struct queue *queue, struct queue_entry *entry, uint64_t rows, uint64_t cost)
{
    assert(entry->waits && rows > 0);
    queue->rows -= entry->node.size;
    order_remove(&entry->flow->order, &entry->node);
    entry->rows = rows;
    set_cost(entry, cost);
    order_add(&entry->flow->order, &entry->node);
    queue->rows += entry->node.size;
}

void queue_delay(struct queue *queue, struct queue_entry *entry, uint64_t delay_ns)
{
    struct queue_flow *flow = entry->flow;
    leave(queue, entry);
    entry->node.key = add_ns(entry->node.key, delay_ns);
    entry->node.sequence = queue->sequence++;
    enter(queue, flow, entry);
}

/* ---- turns ---- */

/* In the level of what is due earliest: that, if its caller is ahead of none by more than `slack`,
 * else the first of the caller that has had least. */
static struct queue_entry *look(const struct queue *queue, uint64_t slack)
{
    struct queue_flow *urgent = NULL, *turn;
    list_each(link, &queue->active)
    {
        struct queue_flow *flow = list_entry(link, struct queue_flow, link);
        if (flow->next && (!urgent || flow->next->key < urgent->next->key))
            urgent = flow;
    }
    if (!urgent)
        return NULL;
    turn = urgent;
    list_each(link, &queue->active)
    {
        struct queue_flow *flow = list_entry(link, struct queue_flow, link);
        if (flow->next && flow->level == urgent->level && flow->next_tag < turn->next_tag)
            turn = flow;
    }
    if (urgent->next_tag - turn->next_tag <= slack)
        turn = urgent;
    return entry_of(turn->next);
}

struct queue_entry *queue_look_first(struct queue *queue, uint64_t batch_rows)
{
    list_each(link, &queue->active)
    {
        struct queue_flow *flow = list_entry(link, struct queue_flow, link);
        flow->next = flow->order.first;
        flow->next_tag = flow->tag;
    }
    return look(queue, least(batch_rows, MOST_ROWS) * QUEUE_MAX_WEIGHT);
}

struct queue_entry *queue_look_next(struct queue *queue, const struct queue_entry *last, bool taken)
{
    struct queue_flow *flow = last->flow;
    flow->next = order_next(&last->node);
    if (taken)
        flow->next_tag += service_of(last);
    return look(queue, 0);
}

/* ---- what waits ---- */

struct queue_entry *queue_first(const struct queue *queue)
{
    struct list_link *link = list_first((struct list *)&queue->active);
    return link ? entry_of(list_entry(link, struct queue_flow, link)->order.first) : NULL;
}

struct queue_entry *queue_after(const struct queue *queue, const struct queue_entry *entry)
{
    const struct order_node *node = order_next(&entry->node);
    if (node)
        return entry_of(node);
    const struct list_link *link = entry->flow->link.next;
    if (link == &queue->active.head)
        return NULL;
    return entry_of(list_entry(link, struct queue_flow, link)->order.first);
}

/* Of its own caller, what is due earlier; of each other caller at its level, no more than that; of
 * other levels, what is due earlier. */
uint64_t queue_rows_before(const struct queue *queue, const struct queue_entry *entry)
{
    uint64_t key = entry->node.key, sequence = entry->node.sequence;
    uint64_t own = order_size_before(&entry->flow->order, key, sequence), rows = own;
    list_each(link, &queue->active)
    {
        const struct queue_flow *flow = list_entry(link, struct queue_flow, link);
        if (flow == entry->flow)
            continue;
        uint64_t theirs = order_size(&flow->order);
        if (flow->level != entry->flow->level)
            theirs = order_size_before(&flow->order, key, sequence);
        else if (theirs > own)
            theirs = own;
        rows += theirs;
    }
    return rows;
}

size_t queue_level_count(const struct queue *queue, uint32_t level)
{
    size_t count = 0;
    list_each(link, &queue->active)
    {
        const struct queue_flow *flow = list_entry(link, struct queue_flow, link);
        count += flow->level == level ? flow->count : 0;
    }
    return count;
}
