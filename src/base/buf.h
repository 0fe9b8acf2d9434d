/* A growable buffer of bytes with a limit, for text and messages that are built piece by piece.
 *
 * Appending after a failure does nothing, so that a writer may check buf_ok() once, at the end. */
#ifndef TENSORD_BASE_BUF_H
#define TENSORD_BASE_BUF_H

#include "base/budget.h"
#include "base/span.h"

enum { BUF_FREE_BYTES = 4096 }; /* cost nothing of a budget */

struct buf {
    char *data;
    size_t size;
    size_t capacity;
    size_t limit_bytes;
    struct budget *budget; /* its memory is held of this; NULL: of none */
    bool failed;           /* an append found no memory or passed the limit */
    bool unaffordable;     /* that was the budget's */
};

/* Starts an empty buffer; nothing is allocated yet. */
void buf_init(struct buf *buf, size_t limit_bytes);

/* The same within a budget, which outlives it. */
void buf_init_within(struct buf *buf, size_t limit_bytes, struct budget *budget);

/* Frees the memory; the buffer is empty and usable again, with the same limits. */
void buf_fini(struct buf *buf);

/* True when every append since buf_init or buf_clear has succeeded. */
static inline bool buf_ok(const struct buf *buf)
{
    return !buf->failed;
}

static inline struct span buf_span(const struct buf *buf)
{
    return (struct span){buf->data, buf->size};
}

/* Empties the buffer, keeps its memory and forgets a failure. */
static inline void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->failed = buf->unaffordable = false;
}

/* Makes room for `count` more bytes and returns where they go, or NULL. The caller adds what it
 * wrote to buf->size. */
char *buf_reserve(struct buf *buf, size_t count);

/* Where bytes go of which at most `count` are to come: 64 KiB, or as much again as there is, so
 * that memory is taken as they come. */
struct room buf_room(struct buf *buf, size_t count);

bool buf_append(struct buf *buf, struct span bytes);
bool buf_append_char(struct buf *buf, char c);
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first `count` bytes; count ≤ buf->size. */
void buf_consume(struct buf *buf, size_t count);

#endif
