/* Stands between the program and malloc, by the linker's --wrap; see failing_allocation.h. */
#include "failing_allocation.h"

#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

/* Most things are decided by the first allocations. */
enum { FEW = 4, MOST = 64 };

static bool counting, failed;
static size_t left;

void failing_allocation_begin(const uint8_t *data, size_t size)
{
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += data[i];
    counting = true;
    failed = false;
    left = sum & 1 ? sum / 2 % FEW : sum / 2 % MOST;
}

bool failing_allocation_end(void)
{
    counting = false;
    return failed;
}

static bool fails(void)
{
    if (!counting)
        return false;
    if (left-- > 0)
        return false;
    counting = false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(memory, count, size);
}
