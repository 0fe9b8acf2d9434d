/* Arenas; see arena.h. Blocks double in size, so that a large request costs few of them. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ALIGNMENT = 16,
    FIRST_BYTES = 256, /* of an array of small elements: holds the fields of a usual head */
};

struct arena_block {
    struct arena_block *next;
    size_t size; /* of data, bytes */
    _Alignas(ALIGNMENT) char data[];
};

void arena_init(struct arena *arena, size_t first_block_bytes, size_t limit_bytes)
{
    *arena = (struct arena){.first_block_bytes = first_block_bytes, .limit_bytes = limit_bytes};
}

/* All blocks have gone but this one, which may be NULL. */
static void restart(struct arena *arena, struct arena_block *block)
{
    size_t total = block ? block->size : 0;
    size_t held = total > arena->first_block_bytes ? total - arena->first_block_bytes : 0;
    budget_give(arena->budget, arena->held_bytes - held);
    arena->blocks = block;
    arena->used_bytes = 0;
    arena->total_bytes = total;
    arena->held_bytes = held;
    arena->unaffordable = false;
}

void arena_fini(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    restart(arena, NULL);
}

void arena_clear(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block && block->next) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    restart(arena, block);
}

/* Takes from the budget what a block more costs of it. */
static bool afford(struct arena *arena, size_t size)
{
    size_t spared = arena->first_block_bytes * (arena->unaffordable ? 2 : 1);
    size_t total = arena->total_bytes + size, held = total > spared ? total - spared : 0;
    size_t more = held > arena->held_bytes ? held - arena->held_bytes : 0;
    if (!budget_take(arena->budget, more)) {
        arena->unaffordable = true;
        return false;
    }
    arena->held_bytes += more;
    return true;
}

static size_t block_size(const struct arena *arena, size_t at_least)
{
    size_t left = arena->limit_bytes - arena->total_bytes, size = arena->first_block_bytes;
    if (arena->total_bytes > size && !arena->unaffordable)
        size = arena->total_bytes;
    if (size > left)
        size = left;
    return size < at_least ? at_least : size;
}

static bool add_block(struct arena *arena, size_t at_least)
{
    size_t size = block_size(arena, at_least);
    if (size > arena->limit_bytes - arena->total_bytes)
        return false;
    struct arena_block *block = afford(arena, size) ? malloc(sizeof *block + size) : NULL;
    if (!block)
        return false;
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->used_bytes = 0;
    arena->total_bytes += size;
    return true;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (!arena->blocks || arena->blocks->size - arena->used_bytes < size) {
        if (!add_block(arena, size))
            return NULL;
    }
    void *piece = arena->blocks->data + arena->used_bytes;
    arena->used_bytes += size;
    return piece;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *piece = arena_alloc(arena, bytes);
    if (piece)
        memset(piece, 0, bytes);
    return piece;
}

bool arena_copy(struct arena *arena, struct span from, struct span *ret_copy)
{
    size_t bytes;
    if (__builtin_add_overflow(from.size, 1u, &bytes))
        return false;
    char *copy = arena_alloc(arena, bytes);
    if (!copy)
        return false;
    if (from.size)
        memcpy(copy, from.data, from.size);
    copy[from.size] = '\0';
    *ret_copy = (struct span){copy, from.size};
    return true;
}

bool arena_grow(struct arena *arena, void **array, size_t count, size_t *capacity,
                size_t element_size)
{
    if (count < *capacity)
        return true;
    size_t first = element_size < FIRST_BYTES / 4 ? FIRST_BYTES / element_size : 4;
    size_t wanted = *capacity ? *capacity : first, bytes;
    if (*capacity && __builtin_mul_overflow(wanted, 2u, &wanted))
        return false;
    if (__builtin_mul_overflow(wanted, element_size, &bytes))
        return false;
    void *larger = arena_alloc(arena, bytes);
    if (!larger)
        return false;
    if (count)
        memcpy(larger, *array, count * element_size);
    *array = larger;
    *capacity = wanted;
    return true;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : arena_alloc(arena, (size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
