/* A list of blocks, each behind its head; see http2_memory.h. */
#include "protocol/http2_memory.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct block {
    struct list_link link;
    size_t size_bytes; /* with this head */
    _Alignas(max_align_t) char data[];
};

static struct block *block_of(void *data)
{
    return (struct block *)(void *)((char *)data - offsetof(struct block, data));
}

/* The size of a block for so many bytes; 0 when the limit forbids it, given that `released_bytes`
 * come back. */
static size_t block_size(const struct http2_memory *memory, size_t bytes, size_t released_bytes)
{
    size_t size, total;
    if (__builtin_add_overflow(bytes, sizeof(struct block), &size) ||
        __builtin_add_overflow(memory->size_bytes - released_bytes, size, &total) ||
        total > memory->limit_bytes)
        return 0;
    return size;
}

static void *take(struct http2_memory *memory, struct block *block, size_t size_bytes)
{
    if (!block) {
        memory->failed = true;
        return NULL;
    }
    block->size_bytes = size_bytes;
    memory->size_bytes += size_bytes;
    list_add(&memory->blocks, &block->link);
    return block->data;
}

static void *memory_malloc(size_t bytes, void *context)
{
    struct http2_memory *memory = context;
    size_t size = block_size(memory, bytes, 0);
    return take(memory, size ? malloc(size) : NULL, size);
}

static void *memory_calloc(size_t count, size_t bytes, void *context)
{
    size_t total;
    void *data = __builtin_mul_overflow(count, bytes, &total) ? take(context, NULL, 0)
                                                              : memory_malloc(total, context);
    if (data)
        memset(data, 0, total);
    return data;
}

static void memory_free(void *data, void *context)
{
    struct http2_memory *memory = context;
    if (!data)
        return;
    struct block *block = block_of(data);
    memory->size_bytes -= block->size_bytes;
    list_remove(&block->link);
    free(block);
}

static void *memory_realloc(void *data, size_t bytes, void *context)
{
    struct http2_memory *memory = context;
    if (!data)
        return memory_malloc(bytes, context);
    struct block *block = block_of(data);
    size_t old_size = block->size_bytes, size = block_size(memory, bytes, old_size);
    list_remove(&block->link);
    struct block *moved = size ? realloc(block, size) : NULL;
    if (moved) {
        memory->size_bytes -= old_size;
        return take(memory, moved, size);
    }
    list_add(&memory->blocks, &block->link); /* as it was */
    memory->failed = true;
    return NULL;
}

void http2_memory_init(struct http2_memory *memory, size_t limit_bytes)
{
    *memory = (struct http2_memory){.limit_bytes = limit_bytes};
    list_init(&memory->blocks);
}

void http2_memory_fini(struct http2_memory *memory)
{
    list_each(link, &memory->blocks)
        memory_free(list_entry(link, struct block, link)->data, memory);
}

nghttp2_mem http2_memory_calls(struct http2_memory *memory)
{
    return (nghttp2_mem){memory, memory_malloc, memory_free, memory_calloc, memory_realloc};
}
