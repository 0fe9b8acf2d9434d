/* What a connection was given to send and the other side has not taken: vectors of memory that
 * belongs to the owner, in order. Only the array of vectors is copied. */
#ifndef TENSORD_NET_BACKLOG_H
#define TENSORD_NET_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* All zero: empty. An empty backlog holds no memory. */
struct backlog {
    struct iovec *vectors; /* [first, first + count) are in use */
    size_t first;
    size_t count;
    size_t capacity;
    size_t bytes; /* of all vectors */
};

/* Forgets everything. */
void backlog_fini(struct backlog *backlog);

/* Appends the vectors without their first `skip` bytes. False when there is no memory; then the
 * backlog is as it was. */
bool backlog_add(struct backlog *backlog, const struct iovec *vectors, size_t count, size_t skip);

/* Drops the first `count` bytes; count ≤ bytes. */
void backlog_consume(struct backlog *backlog, size_t count);

/* The first vector, at most `limit` bytes of it; the backlog is not empty. */
struct iovec backlog_first(const struct backlog *backlog, size_t limit);

#endif
