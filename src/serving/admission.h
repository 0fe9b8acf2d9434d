/* Who gets how much of a model's tensor memory, and who waits for it. Pure: it counts bytes;
 * worker/memory.h hands them out.
 *
 * A request gets all that it is known to need at once, or waits and holds nothing. What turns out
 * later to be needed as well (room for outputs that nobody foresaw) is given at once or refused:
 * nobody who holds memory waits for more. So whoever holds some goes on, ends, and gives it back,
 * and the first in the queue, which never asks for more than the common part, gets its turn: there
 * is no deadlock and no starving.
 *
 *     |  common: 3/4, first come, first served  |  small: 1/8  |  unforeseen: the rest  |
 *
 * Small requests that would have to wait have a part of their own, so that a few large bodies that
 * come slowly do not hold up everybody. One connection's requests get no more than half of the
 * common part, unless one alone needs more: those of others overtake what waits for that. */
#ifndef TENSORD_SERVING_ADMISSION_H
#define TENSORD_SERVING_ADMISSION_H

#include "base/list.h"

#include <stdint.h>

struct admission {
    uint64_t limit_bytes;
    uint64_t common_bytes, small_bytes; /* held in these parts */
    uint64_t held_bytes;                /* in all */
    struct list waiting;                /* of struct admission_share, oldest first */
    size_t waiting_count;
};

/* What one request holds or waits for; all zero: nothing. */
struct admission_share {
    struct list_link link; /* in admission.waiting */
    uint64_t held_bytes;   /* in all */
    uint64_t asked_bytes;  /* in the part that it asked for them */
    bool small;            /* that part */
    uint64_t *connection;  /* the common bytes that its connection holds; NULL: not counted */
};

/* Nobody holds anything of limit_bytes, and nobody waits. */
void admission_init(struct admission *admission, uint64_t limit_bytes);

/* The most that one request can ask for. */
uint64_t admission_most_bytes(const struct admission *admission);

/* Asks for all that a request is known to need, at most admission_most_bytes; the share holds
 * nothing yet. True: it holds that now. False: it waits, until admission_next returns it or
 * admission_leave. connection may be NULL and must live until admission_leave or
 * admission_disconnect. */
bool admission_ask(struct admission *admission, struct admission_share *share, uint64_t bytes,
                   uint64_t *connection);

/* Takes more for a request; false when there is none now. */
bool admission_grow(struct admission *admission, struct admission_share *share, uint64_t bytes);

/* Gives all back that the share holds, or leaves the queue. */
void admission_leave(struct admission *admission, struct admission_share *share);

/* Of what the share holds, `bytes` pass to another one, which holds nothing yet, as something
 * unforeseen; the rest is given back. */
void admission_pass(struct admission *admission, struct admission_share *share, uint64_t bytes,
                    struct admission_share *to);

/* The connection has gone: the share does not count for it any more. */
void admission_disconnect(struct admission_share *share);

/* The next that has waited and now holds what it asked for; NULL when nobody can have it now. To be
 * asked again and again after something was given back. */
struct admission_share *admission_next(struct admission *admission);

#endif
