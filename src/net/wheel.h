/* A hierarchical timing wheel: where running timers wait. Pure: it knows no clock and no loop.
 *
 * Level 0 has a slot for each of 64 ms, level 1 one for each of 64 times 64 ms, and so on; a timer
 * lies in the level of the highest bit in which its time differs from the present, and moves down
 * as the present comes nearer. Adding, moving and removing touch one list and one bit; the earliest
 * slot is found by counting zeros. See Varghese and Lauck, "Hashed and hierarchical timing wheels".
 */
#ifndef TENSORD_NET_WHEEL_H
#define TENSORD_NET_WHEEL_H

#include "net/loop.h"

enum {
    WHEEL_SLOT_BITS = 6,
    WHEEL_SLOTS = 1 << WHEEL_SLOT_BITS, /* of a level: a bit of a word each */
    WHEEL_LEVELS = 7,                   /* times below 2^42 ms: 139 years */
};

struct wheel {
    uint64_t now_ms; /* every slot that starts before it is empty */
    uint64_t occupied[WHEEL_LEVELS];
    struct timer *slots[WHEEL_LEVELS * WHEEL_SLOTS]; /* first of a ring, or NULL */
};

/* Starts an empty wheel at that time. */
void wheel_init(struct wheel *wheel, uint64_t now_ms);

/* Adds a timer that is in no wheel; its due_ms lies after now_ms and below 2^42. */
void wheel_add(struct wheel *wheel, struct timer *timer, uint64_t now_ms);

/* Takes out a timer that was added. */
void wheel_remove(struct wheel *wheel, struct timer *timer);

/* When wheel_advance has to be called next: not after the earliest timer is due, but perhaps
 * before. UINT64_MAX when the wheel is empty. */
uint64_t wheel_next_ms(const struct wheel *wheel);

/* Takes out every timer whose due_ms is now_ms or earlier, sets its loop to NULL and calls its
 * `fire`, earliest first. `fire` may add and remove any timer. */
void wheel_advance(struct wheel *wheel, uint64_t now_ms);

#endif
