/* Memory for libuv; see loop_memory.h.
 *
 * The table is the one thing that libuv reallocates in this process, and the loop that makes it
 * grow is the one loop that there is: the reserve serves one block. */
#include "net/loop_memory.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <uv.h>

/* A pointer for each of a million descriptors, the kernel's own limit (fs.nr_open), and the power
 * of two above. */
enum { RESERVE_BYTES = 16 << 20 };

static void *reserve;
static bool reserve_used;

static void *move_to_reserve(void *block, size_t size)
{
    if (reserve_used || size > RESERVE_BYTES) {
        fprintf(stderr, "tensord: out of memory: the event loop cannot take more descriptors\n");
        exit(EXIT_FAILURE);
    }
    reserve_used = true;
    if (block)
        memcpy(reserve, block, malloc_usable_size(block));
    free(block);
    return reserve;
}

static void *grow(void *block, size_t size)
{
    if (block == reserve)
        return size <= RESERVE_BYTES ? block : NULL;
    void *grown = realloc(block, size);
    /* cppcheck-suppress memleak ; it is returned */
    return grown ? grown : move_to_reserve(block, size);
}

static void release(void *block)
{
    if (block == reserve)
        reserve_used = false;
    else
        free(block);
}

bool loop_memory_init(struct error *ret_error)
{
    if (reserve)
        return true;
    void *made = mmap(NULL, RESERVE_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (made == MAP_FAILED)
        return error_no_memory(ret_error);
    reserve = made;
    return uv_replace_allocator(malloc, grow, calloc, release) == 0;
}
