/* The backlog of a connection: an array that is used from its front and moved down when full. */
#include "net/backlog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 8 };

void backlog_fini(struct backlog *backlog)
{
    free(backlog->vectors);
    *backlog = (struct backlog){0};
}

static bool make_room(struct backlog *backlog, size_t count)
{
    size_t needed, size_bytes;
    if (__builtin_add_overflow(backlog->count, count, &needed))
        return false;
    if (backlog->first > 0) {
        memmove(backlog->vectors, backlog->vectors + backlog->first,
                backlog->count * sizeof *backlog->vectors);
        backlog->first = 0;
    }
    if (needed <= backlog->capacity)
        return true;
    size_t capacity = backlog->capacity ? backlog->capacity : FIRST_CAPACITY;
    while (capacity < needed)
        if (__builtin_mul_overflow(capacity, 2, &capacity))
            return false;
    if (__builtin_mul_overflow(capacity, sizeof *backlog->vectors, &size_bytes))
        return false;
    struct iovec *vectors = realloc(backlog->vectors, size_bytes);
    if (!vectors)
        return false;
    backlog->vectors = vectors;
    backlog->capacity = capacity;
    return true;
}

bool backlog_add(struct backlog *backlog, const struct iovec *vectors, size_t count, size_t skip)
{
    while (count > 0 && skip >= vectors->iov_len) {
        skip -= vectors->iov_len;
        vectors++;
        count--;
    }
    assert(count > 0 || skip == 0);
    size_t bytes = backlog->bytes;
    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(bytes, vectors[i].iov_len, &bytes))
            return false;
    if (count == 0)
        return true;
    if (backlog->first + backlog->count + count > backlog->capacity && !make_room(backlog, count))
        return false;
    struct iovec *added = backlog->vectors + backlog->first + backlog->count;
    memcpy(added, vectors, count * sizeof *vectors);
    added->iov_base = (char *)added->iov_base + skip;
    added->iov_len -= skip;
    backlog->count += count;
    backlog->bytes = bytes - skip;
    return true;
}

void backlog_consume(struct backlog *backlog, size_t count)
{
    assert(count <= backlog->bytes);
    backlog->bytes -= count;
    if (backlog->bytes == 0) {
        backlog_fini(backlog);
        return;
    }
    struct iovec *first = backlog->vectors + backlog->first;
    while (count >= first->iov_len) { /* bytes are left, so a vector is; empty ones go too */
        count -= first->iov_len;
        first++;
        backlog->first++;
        backlog->count--;
    }
    first->iov_base = (char *)first->iov_base + count;
    first->iov_len -= count;
}

struct iovec backlog_first(const struct backlog *backlog, size_t limit)
{
    struct iovec first = backlog->vectors[backlog->first];
    if (first.iov_len > limit)
        first.iov_len = limit;
    return first;
}
