/* Requests and executions that are with a worker; see channel_table.h.
 *
 * Places are reused last in, first out, and the upper half of an id counts the uses of its place.
 */
#include "worker/channel_table.h"

#include "worker/channel_layout.h"

#include <assert.h>
#include <stdlib.h>

enum { NO_PLACE = UINT32_MAX, MAX_EXTRAS = 1024, MAX_EXECUTIONS = 1024, FIRST_CAPACITY = 16 };

static uint64_t next_id(uint64_t id)
{
    return id + (UINT64_C(1) << 32);
}

void channel_table_init(struct channel_table *table)
{
    *table = (struct channel_table){.request_free = NO_PLACE, .execution_free = NO_PLACE};
}

void channel_table_fini(struct channel_table *table)
{
    for (uint32_t i = 0; i < table->request_capacity; i++)
        free(table->requests[i].extras);
    free(table->requests);
    free(table->executions);
    channel_table_init(table);
}

/* Doubles an array whose free places are linked by next_free, until `needed` elements fit. */
static uint32_t grown_capacity(uint32_t capacity, size_t needed)
{
    if (capacity == 0)
        capacity = FIRST_CAPACITY;
    while (capacity < needed)
        capacity *= 2;
    return capacity;
}

static bool reserve_requests(struct channel_table *table, size_t count)
{
    if (count > CHANNEL_MAX_REQUESTS - table->request_count)
        return false;
    uint32_t old = table->request_capacity;
    if (table->request_count + count <= old)
        return true;
    uint32_t capacity = grown_capacity(old, table->request_count + count);
    struct request_entry *grown = reallocarray(table->requests, capacity, sizeof *grown);
    if (!grown)
        return false;
    table->requests = grown;
    table->request_capacity = capacity;
    for (uint32_t i = capacity; i-- > old;) {
        grown[i] = (struct request_entry){.id = i, .next_free = table->request_free};
        table->request_free = i;
    }
    return true;
}

static bool reserve_execution(struct channel_table *table)
{
    if (table->execution_free != NO_PLACE)
        return true;
    uint32_t old = table->execution_capacity, capacity = grown_capacity(old, (size_t)old + 1);
    if (capacity > MAX_EXECUTIONS)
        return false;
    struct execution_entry *grown = reallocarray(table->executions, capacity, sizeof *grown);
    if (!grown)
        return false;
    table->executions = grown;
    table->execution_capacity = capacity;
    for (uint32_t i = capacity; i-- > old;) {
        grown[i] = (struct execution_entry){.id = i, .next_free = table->execution_free};
        table->execution_free = i;
    }
    return true;
}

static void add_request(struct channel_table *table, struct channel_request *request,
                        uint32_t execution)
{
    uint32_t place = table->request_free;
    struct request_entry *entry = &table->requests[place];
    table->request_free = entry->next_free;
    table->request_count++;
    entry->id = next_id(entry->id);
    entry->request = request;
    entry->execution = execution;
    entry->credits = request->credits;
    request->slot = place;
    request->execution = table->executions[execution].owner_id;
}

bool channel_table_add(struct channel_table *table, uint64_t owner_id,
                       struct channel_request *const *requests, size_t count,
                       struct execution_entry **ret_execution)
{
    if (!reserve_requests(table, count) || !reserve_execution(table))
        return false;
    uint32_t place = table->execution_free;
    struct execution_entry *execution = &table->executions[place];
    table->execution_free = execution->next_free;
    execution->live = true;
    execution->id = next_id(execution->id);
    execution->owner_id = owner_id;
    execution->unanswered = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        add_request(table, requests[i], place);
    *ret_execution = execution;
    return true;
}

struct request_entry *channel_table_request(struct channel_table *table, uint64_t id)
{
    uint32_t place = (uint32_t)id;
    if (place >= table->request_capacity)
        return NULL;
    struct request_entry *entry = &table->requests[place];
    return entry->request && entry->id == id ? entry : NULL;
}

struct execution_entry *channel_table_execution(struct channel_table *table, uint64_t id)
{
    uint32_t place = (uint32_t)id;
    if (place >= table->execution_capacity)
        return NULL;
    struct execution_entry *execution = &table->executions[place];
    return execution->live && execution->id == id ? execution : NULL;
}

void channel_table_remove(struct channel_table *table, struct request_entry *entry)
{
    assert(entry->request && table->executions[entry->execution].unanswered > 0);
    table->executions[entry->execution].unanswered--;
    free(entry->extras);
    entry->extras = NULL;
    entry->extra_count = entry->extra_capacity = 0;
    entry->request = NULL;
    entry->next_free = table->request_free;
    table->request_free = (uint32_t)(entry - table->requests);
    table->request_count--;
}

void channel_table_end(struct channel_table *table, struct execution_entry *execution)
{
    assert(execution->live && execution->unanswered == 0);
    execution->live = false;
    execution->next_free = table->execution_free;
    table->execution_free = (uint32_t)(execution - table->executions);
}

bool request_entry_add_extra(struct request_entry *entry, struct extent extent)
{
    if (entry->extra_count == entry->extra_capacity) {
        uint32_t capacity = entry->extra_capacity ? entry->extra_capacity * 2 : 4;
        if (capacity > MAX_EXTRAS)
            return false;
        struct extent *grown = reallocarray(entry->extras, capacity, sizeof *grown);
        if (!grown)
            return false;
        entry->extras = grown;
        entry->extra_capacity = capacity;
    }
    entry->extras[entry->extra_count++] = extent;
    return true;
}

/* Written so that no sum can overflow. */
static bool within(struct extent inner, struct extent outer)
{
    return inner.offset >= outer.offset && inner.size <= outer.size &&
           inner.offset - outer.offset <= outer.size - inner.size;
}

bool request_entry_owns(const struct request_entry *entry, struct extent extent)
{
    const struct channel_request *request = entry->request;
    if (within(extent, request->grant))
        return true;
    for (uint32_t i = 0; i < entry->extra_count; i++) {
        if (within(extent, entry->extras[i]))
            return true;
    }
    for (size_t i = 0; i < request->input_count; i++) {
        if (within(extent, request->inputs[i].extent))
            return true;
    }
    return false;
}
