/* An arena: memory that is taken piece by piece and dropped all at once. A request has one.
 *
 * Pieces come from blocks; the first block is the caller's choice of size, so that an ordinary
 * request costs one malloc. Not for several threads at once. */
#ifndef TENSORD_BASE_ARENA_H
#define TENSORD_BASE_ARENA_H

#include "base/budget.h"
#include "base/span.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used_bytes;          /* of the newest block */
    size_t total_bytes;         /* of all blocks */
    size_t limit_bytes;         /* of all blocks; asking for more fails */
    size_t first_block_bytes;
    struct budget *budget; /* what it has beyond first_block_bytes is held of this; NULL: of none.
                            * The owner's to set, before anything is allocated */
    size_t held_bytes;     /* of the budget */
    bool unaffordable;     /* the budget has refused it; as much again as first_block_bytes then
                            * costs nothing, so that there is room for saying so */
};

/* Starts an empty arena; nothing is allocated yet. */
void arena_init(struct arena *arena, size_t first_block_bytes, size_t limit_bytes);

/* Frees everything that came from the arena; it is empty and usable again, with the same limits. */
void arena_fini(struct arena *arena);

/* Frees everything that came from the arena but keeps its first block for what comes next. */
void arena_clear(struct arena *arena);

/* size bytes, aligned to 16, not cleared; NULL when there is no memory or a limit is reached.
 * size 0 gives a pointer that may not be read. */
void *arena_alloc(struct arena *arena, size_t size);

/* count × size bytes, cleared; NULL also when the product overflows. */
void *arena_calloc(struct arena *arena, size_t count, size_t size);

/* Copies; the copy is followed by a NUL that its size does not count. False when there is no
 * memory. */
bool arena_copy(struct arena *arena, struct span from, struct span *ret_copy);

/* Grows an array in the arena by doubling: after success (*array)[count] is valid. *capacity starts
 * at 0. */
bool arena_grow(struct arena *arena, void **array, size_t count, size_t *capacity,
                size_t element_size);

/* The formatted string, terminated; NULL when there is no memory. */
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
