/* What the files of net/ share about a loop. */
#ifndef TENSORD_NET_LOOP_PRIVATE_H
#define TENSORD_NET_LOOP_PRIVATE_H

#include "net/loop.h"
#include "net/wheel.h"

#include <stdatomic.h>
#include <uv.h>

/* Bytes that are read only to be dropped go here, whatever connection they come from. */
enum { LOOP_DISCARD_BYTES = 16384 };

struct loop {
    uv_loop_t uv;
    uv_async_t wake;       /* messages were posted, or loop_stop was called */
    uv_prepare_t turn_end; /* runs the deferred tasks */
    uv_idle_t awake;       /* active while tasks are left for the next turn */
    uv_timer_t alarm;      /* rings at alarm_ms for the wheel */
    uv_tcp_t first_stream; /* never opened */
    uint64_t alarm_ms;     /* UINT64_MAX: not set */
    struct wheel wheel;
    struct list tasks;
    struct list resources;                 /* what loop_free has to close */
    size_t works;                          /* that run on threads; loop_free waits for them */
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

/* Rings when the wheel has something to do (timer.c). */
void timer_alarm(uv_timer_t *alarm);

#endif
