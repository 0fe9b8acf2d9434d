/* What is with a worker; see executions.h. */
#include "serving/executions.h"

#include <assert.h>
#include <string.h>

struct execution *executions_add(struct executions *executions)
{
    assert(executions->count < EXECUTIONS_MAX);
    struct execution *added = &executions->items[executions->count++];
    *added = (struct execution){.id = executions->next_id++};
    return added;
}

struct execution *executions_find(struct executions *executions, uint64_t id)
{
    for (size_t i = 0; i < executions->count; i++) {
        if (executions->items[i].id == id)
            return &executions->items[i];
    }
    return NULL;
}

void executions_remove(struct executions *executions, struct execution *execution)
{
    size_t at = (size_t)(execution - executions->items);
    memmove(execution, execution + 1, (--executions->count - at) * sizeof *execution);
}

uint64_t executions_not_begun(const struct executions *executions, uint64_t slots)
{
    return executions->count > slots ? executions->items[slots].id : executions->next_id;
}

size_t executions_stuck(const struct executions *executions, uint64_t round, uint64_t slots)
{
    size_t found = 0;
    for (size_t i = 0; i < executions->count; i++)
        found += executions->items[i].stuck_round == round;
    return found >= slots ? executions->count : found;
}

bool executions_is_stuck(const struct executions *executions, uint64_t id, uint64_t round,
                         uint64_t slots)
{
    size_t stuck = executions_stuck(executions, round, slots);
    for (size_t i = 0; i < executions->count && stuck; i++) {
        if (executions->items[i].id == id)
            return executions->items[i].stuck_round == round || stuck >= slots;
    }
    return false;
}
