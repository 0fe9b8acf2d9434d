/* An event loop: one thread that waits for many things. A thin face over libuv; the rest of the
 * code needs from it only these calls and, inside net/ and worker/, the uv_loop_t itself.
 *
 * All calls are for the loop's own thread, except loop_post and loop_stop. Nothing that runs on a
 * loop may block. */
#ifndef TENSORD_NET_LOOP_H
#define TENSORD_NET_LOOP_H

#include "base/error.h"
#include "base/list.h"

struct loop;
struct uv_loop_s;

/* NULL when there is no memory or no descriptor left. The process ignores SIGPIPE from then on. */
struct loop *loop_new(struct error *ret_error);

/* Closes what is still open on the loop (`closed` is called for its connections), delivers what was
 * posted, and frees it. Nobody may post any more; timers do not fire and deferred tasks may or may
 * not run. Accepts NULL. Not from within loop_run. */
void loop_free(struct loop *loop);

/* Runs until loop_stop; at once when that was called before. May be called again. */
void loop_run(struct loop *loop);

/* Ends loop_run soon. Any thread. */
void loop_stop(struct loop *loop);

/* The time at which the loop last woke, nanoseconds of CLOCK_MONOTONIC, cut to whole milliseconds
 * (it is libuv's clock); costs nothing. For deadlines and timeouts: what is measured needs
 * clock_now_ns. */
uint64_t loop_now_ns(const struct loop *loop);

/* libuv's loop, for net/ and worker/ alone. */
struct uv_loop_s *loop_uv(struct loop *loop);

/* Registers a descriptor that libuv is about to watch, after its uv_*_open or uv_poll_start, in
 * this turn. False when the kernel has no room for it: libuv itself, which registers when it next
 * polls, would end the process then. What is registered already it only changes. */
bool loop_register(struct loop *loop, int fd);

/* A message to a loop from another thread; it is a member of what is posted. */
struct loop_message {
    struct loop_message *next;
    void (*deliver)(struct loop_message *message); /* runs on the loop's thread */
};

/* Hands the message to the loop: no allocation, no lock. Any thread. Messages of one thread arrive
 * in order. */
void loop_post(struct loop *loop, struct loop_message *message);

/* A task that runs on the loop's thread at the end of the current turn, before the loop sleeps; it
 * is a member of what it works on, zeroed at first. Used to gather small work: one write or one
 * doorbell for many requests. A task may defer itself or others: they run in the same turn, or
 * after a look at the sockets, without sleep. */
struct loop_task {
    struct list_link link;
    void (*run)(struct loop_task *task);
};

/* Schedules the task for this turn's end; does nothing when it is scheduled already. */
void loop_defer(struct loop *loop, struct loop_task *task);

/* Schedules the task for the next turn's end: for work that may be long, after others had theirs.
 */
void loop_yield(struct loop *loop, struct loop_task *task);

/* Takes the task back, if it is scheduled. */
void loop_undefer(struct loop_task *task);

/* A timer; a member of what it times, zeroed at first. Cheap to move: thousands of connections have
 * one. */
struct timer {
    struct loop *loop;             /* NULL: not running */
    struct timer *next, *previous; /* in the same slot of the wheel */
    uint64_t due_ms;               /* by the loop's clock */
    uint16_t slot;
    void (*fire)(struct timer *timer);
};

/* Starts the timer, or moves it. It fires once, at least after_ms after loop_now_ns; then it does
 * not run any more, and `fire` may start, stop or free it and others. */
void timer_start(struct timer *timer, struct loop *loop, uint64_t after_ms,
                 void (*fire)(struct timer *));

/* Stops the timer if it runs. */
void timer_stop(struct timer *timer);

static inline bool timer_running(const struct timer *timer)
{
    return timer->loop != NULL;
}

#endif
