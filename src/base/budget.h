/* A budget: the memory that many buffers and arenas may hold together, each within a limit of its
 * own. What one needs at least costs nothing of it, so that who needs little gets on, whatever
 * others hold. For one thread. */
#ifndef TENSORD_BASE_BUDGET_H
#define TENSORD_BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct budget {
    size_t limit_bytes; /* may become smaller than what is held */
    size_t held_bytes;
};

/* Takes so much more; false, and nothing is taken, when that passes the limit. budget may be NULL,
 * which is without limit; so it may for budget_give. */
static inline bool budget_take(struct budget *budget, size_t bytes)
{
    if (!budget || !bytes)
        return true;
    if (budget->held_bytes > budget->limit_bytes ||
        bytes > budget->limit_bytes - budget->held_bytes)
        return false;
    budget->held_bytes += bytes;
    return true;
}

/* Gives back what was taken. */
static inline void budget_give(struct budget *budget, size_t bytes)
{
    if (budget)
        budget->held_bytes -= bytes;
}

#endif
