/* Growable buffers; see buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM_BYTES = 64 * 1024 };

void buf_init(struct buf *buf, size_t limit_bytes)
{
    buf_init_within(buf, limit_bytes, NULL);
}

void buf_init_within(struct buf *buf, size_t limit_bytes, struct budget *budget)
{
    *buf = (struct buf){.limit_bytes = limit_bytes, .budget = budget};
}

static size_t cost(size_t capacity)
{
    return capacity > BUF_FREE_BYTES ? capacity : 0;
}

void buf_fini(struct buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    budget_give(buf->budget, cost(buf->capacity));
    buf_init_within(buf, buf->limit_bytes, buf->budget);
}

static bool grow(struct buf *buf, size_t wanted)
{
    size_t capacity = buf->capacity ? buf->capacity : 256;
    while (capacity < wanted)
        capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
    if (capacity > buf->limit_bytes)
        capacity = buf->limit_bytes;
    size_t more = cost(capacity) - cost(buf->capacity);
    buf->unaffordable = !budget_take(buf->budget, more);
    char *data = buf->unaffordable ? NULL : realloc(buf->data, capacity);
    if (!data) {
        budget_give(buf->budget, buf->unaffordable ? 0 : more);
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

char *buf_reserve(struct buf *buf, size_t count)
{
    size_t wanted;
    if (buf->failed)
        return NULL;
    if (__builtin_add_overflow(buf->size, count, &wanted) || wanted > buf->limit_bytes ||
        ((wanted > buf->capacity || !buf->data) && !grow(buf, wanted))) {
        buf->failed = true;
        return NULL;
    }
    return buf->data + buf->size;
}

struct room buf_room(struct buf *buf, size_t count)
{
    size_t most = buf->size > ROOM_BYTES ? buf->size : ROOM_BYTES;
    if (count > most)
        count = most;
    char *data = buf_reserve(buf, count);
    return (struct room){data, data ? count : 0};
}

bool buf_append(struct buf *buf, struct span bytes)
{
    char *to = buf_reserve(buf, bytes.size);
    if (!to)
        return false;
    if (bytes.size)
        memcpy(to, bytes.data, bytes.size);
    buf->size += bytes.size;
    return true;
}

bool buf_append_char(struct buf *buf, char c)
{
    return buf_append(buf, (struct span){&c, 1});
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *to = length < 0 ? NULL : buf_reserve(buf, (size_t)length + 1);
    if (to) {
        vsnprintf(to, (size_t)length + 1, format, again);
        buf->size += (size_t)length;
    } else {
        buf->failed = true;
    }
    va_end(again);
    return to != NULL;
}

void buf_consume(struct buf *buf, size_t count)
{
    assert(count <= buf->size);
    buf->size -= count;
    if (buf->size)
        memmove(buf->data, buf->data + count, buf->size);
}
