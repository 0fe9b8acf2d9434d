/* Timers that ring to the microsecond, for waits of less than a millisecond, which the timers of
 * loop.h round up. Starting one is a system call and a walk along those that run: for a few at a
 * time. All calls are for the loop's own thread. */
#ifndef TENSORD_NET_FINE_TIMER_H
#define TENSORD_NET_FINE_TIMER_H

#include "net/loop.h"

#include <stdint.h>

/* A member of what it times, zeroed at first. */
struct fine_timer {
    struct loop *loop;     /* NULL: not running */
    struct list_link link; /* in the loop's, by due_ns */
    uint64_t due_ns;       /* of CLOCK_MONOTONIC */
    void (*fire)(struct fine_timer *timer);
};

/* Starts the timer, or moves it. It fires once, at due_ns or soon after; then it does not run any
 * more, and `fire` may start, stop or free it and others. */
void fine_timer_start(struct fine_timer *timer, struct loop *loop, uint64_t due_ns,
                      void (*fire)(struct fine_timer *));

/* Stops the timer if it runs. */
void fine_timer_stop(struct fine_timer *timer);

#endif
