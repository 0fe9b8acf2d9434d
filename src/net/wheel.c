/* The timing wheel.
 *
 * A timer's level is that of the highest bit in which due_ms and now_ms differ. Hence all timers of
 * one level lie within one turn of that level's hand and ahead of it, and every timer of a lower
 * level is due before any of a higher one: the earliest slot is the lowest bit of the lowest level
 * that has one, with no wrapping round. */
#include "net/wheel.h"

#include <assert.h>

static unsigned level_shift(unsigned level)
{
    return level * WHEEL_SLOT_BITS;
}

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
    *wheel = (struct wheel){.now_ms = now_ms};
}

static void place(struct wheel *wheel, struct timer *timer)
{
    uint64_t differing = (timer->due_ms ^ wheel->now_ms) | (WHEEL_SLOTS - 1);
    unsigned level = (63 - (unsigned)__builtin_clzll(differing)) / WHEEL_SLOT_BITS;
    assert(level < WHEEL_LEVELS);
    unsigned slot = (timer->due_ms >> level_shift(level)) % WHEEL_SLOTS;

    timer->slot = (uint16_t)(level * WHEEL_SLOTS + slot);
    wheel->occupied[level] |= UINT64_C(1) << slot;
    struct timer *first = wheel->slots[timer->slot];
    if (!first) {
        timer->next = timer->previous = timer;
        wheel->slots[timer->slot] = timer;
        return;
    }
    timer->next = first;
    timer->previous = first->previous;
    first->previous->next = timer;
    first->previous = timer;
}

void wheel_add(struct wheel *wheel, struct timer *timer, uint64_t now_ms)
{
    if (wheel_next_ms(wheel) > now_ms)
        wheel->now_ms = now_ms; /* nothing to do in between: spares a fall through the levels */
    place(wheel, timer);
}

void wheel_remove(struct wheel *wheel, struct timer *timer)
{
    unsigned level = timer->slot / WHEEL_SLOTS, slot = timer->slot % WHEEL_SLOTS;
    if (timer->next == timer) {
        wheel->slots[timer->slot] = NULL;
        wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    } else {
        timer->next->previous = timer->previous;
        timer->previous->next = timer->next;
        if (wheel->slots[timer->slot] == timer)
            wheel->slots[timer->slot] = timer->next;
    }
    timer->next = timer->previous = NULL;
}

/* The earliest slot that is occupied: its index, and when it starts. */
static bool earliest_slot(const struct wheel *wheel, unsigned *ret_index, uint64_t *ret_start_ms)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        if (!wheel->occupied[level])
            continue;
        unsigned slot = (unsigned)__builtin_ctzll(wheel->occupied[level]);
        uint64_t turn = wheel->now_ms >> level_shift(level + 1);
        *ret_index = level * WHEEL_SLOTS + slot;
        *ret_start_ms = (turn << level_shift(level + 1)) + ((uint64_t)slot << level_shift(level));
        return true;
    }
    return false;
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
    unsigned index;
    uint64_t start_ms;
    return earliest_slot(wheel, &index, &start_ms) ? start_ms : UINT64_MAX;
}

/* Moves all timers of the slot to lower levels; only then is it known which of them is earliest. */
static void empty_slot(struct wheel *wheel, unsigned index)
{
    struct timer *timer;
    while ((timer = wheel->slots[index])) {
        wheel_remove(wheel, timer);
        place(wheel, timer);
    }
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
    unsigned index;
    uint64_t start_ms;
    while (earliest_slot(wheel, &index, &start_ms) && start_ms <= now_ms) {
        wheel->now_ms = start_ms;
        if (index >= WHEEL_SLOTS) {
            empty_slot(wheel, index);
            continue;
        }
        struct timer *timer = wheel->slots[index];
        wheel_remove(wheel, timer);
        timer->loop = NULL;
        timer->fire(timer);
    }
    if (wheel->now_ms < now_ms)
        wheel->now_ms = now_ms;
}
