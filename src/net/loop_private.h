/* What the files of net/ share about a loop. */
#ifndef TENSORD_NET_LOOP_PRIVATE_H
#define TENSORD_NET_LOOP_PRIVATE_H

#include "net/loop.h"
#include "net/wheel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

/* Bytes that are read only to be dropped go here, whatever connection they come from. */
enum { LOOP_DISCARD_BYTES = 16384 };

enum { LOOP_THREADS = 4 };

/* The threads for work that blocks (loop_work.c). */
struct loop_pool {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct list line;     /* of struct loop_work */
    size_t waiting, idle; /* pieces in the line; threads without one */
    bool closing;
    pthread_t threads[LOOP_THREADS]; /* the loop's thread alone starts them */
    size_t thread_count;
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;       /* messages were posted, or loop_stop was called */
    uv_prepare_t turn_end; /* runs the deferred tasks */
    uv_idle_t awake;       /* active while tasks are left for the next turn */
    uv_timer_t alarm;      /* rings at alarm_ms for the wheel */
    uv_tcp_t first_stream; /* never opened */
    uint64_t alarm_ms;     /* UINT64_MAX: not set */
    struct wheel wheel;
    struct list fine_timers; /* by time */
    int fine_fd;             /* rings for the first of them */
    uv_poll_t fine_poll;
    struct list tasks;
    struct list yielded;   /* tasks of the next turn */
    struct list resources; /* what loop_free has to close */
    size_t works;          /* not done yet; loop_free waits for them */
    struct loop_pool pool;
    _Atomic(struct loop_message *) posted; /* newest first */
    atomic_bool stop;
    char discard[LOOP_DISCARD_BYTES];
};

/* Something open on a loop; a member of it. loop_free calls `close`, and waits until loop_leave. */
struct loop_resource {
    struct list_link link;
    void (*close)(struct loop_resource *resource); /* a second call does nothing */
};

/* Says that the resource is open, and that it is gone. loop_leave comes from the loop, never from
 * within `close`. */
void loop_enter(struct loop *loop, struct loop_resource *resource,
                void (*close)(struct loop_resource *resource));
void loop_leave(struct loop_resource *resource);

/* Starts without threads; ends them, when no work is left. */
void loop_pool_init(struct loop_pool *pool);
void loop_pool_fini(struct loop_pool *pool);

/* fine_timer.c: makes the clock of the fine timers; closes it, when libuv
 * watches it no more. */
bool fine_timers_open(struct loop *loop);
void fine_timers_close(struct loop *loop);

/* Rings when the wheel has something to do (timer.c). */
void timer_alarm(uv_timer_t *alarm);

#endif
