/* An event loop over libuv.
 *
 * Two things are ours. Messages from other threads go through a stack that producers push to by
 * compare-and-swap and that the loop takes whole and turns round: no lock, no node to allocate, and
 * one system call for any number of messages that meet before the loop wakes. And tasks that run at
 * the end of a turn, from libuv's prepare phase, which comes right before it sleeps: they gather
 * what one turn's events have to say into one write or one doorbell. */
#include "net/loop_memory.h"
#include "net/loop_private.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>

/* Tasks that defer tasks are run on in the same turn, so that their work is not late, but only so
 * many: then sockets get their turn, without sleeping before. */
enum { TASKS_PER_TURN = 1024 };

bool loop_register(struct loop *loop, int fd)
{
    struct epoll_event nothing_yet = {.data.fd = fd};
    return epoll_ctl(uv_backend_fd(&loop->uv), EPOLL_CTL_ADD, fd, &nothing_yet) == 0 ||
           errno == EEXIST;
}

static void deliver_posted(struct loop *loop)
{
    struct loop_message *newest =
        atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
    struct loop_message *oldest = NULL;
    while (newest) {
        struct loop_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct loop_message *message = oldest;
        oldest = message->next; /* the message may be gone once delivered */
        message->deliver(message);
    }
}

static void on_wake(uv_async_t *wake)
{
    struct loop *loop = wake->data;
    deliver_posted(loop);
    if (atomic_exchange(&loop->stop, false))
        uv_stop(&loop->uv);
}

static void on_awake(uv_idle_t *awake)
{
    /* Its being active is its purpose: libuv then polls without sleeping. */
}

static void on_turn_end(uv_prepare_t *turn_end)
{
    struct loop *loop = turn_end->data;
    for (int i = 0; i < TASKS_PER_TURN && !list_empty(&loop->tasks); i++) {
        struct list_link *link = list_first(&loop->tasks);
        struct loop_task *task = list_entry(link, struct loop_task, link);
        list_remove(link);
        task->run(task);
    }
    struct list_link *next;
    while ((next = list_first(&loop->yielded))) {
        list_remove(next);
        list_add(&loop->tasks, next);
    }
    if (list_empty(&loop->tasks))
        uv_idle_stop(&loop->awake);
    else
        uv_idle_start(&loop->awake, on_awake);
}

/* Only what comes first, and takes descriptors, can fail. */
static int start_handles(struct loop *loop)
{
    if (!loop_register(loop, loop->uv.async_io_watcher.fd) ||
        !loop_register(loop, loop->uv.signal_io_watcher.fd))
        return UV_ENOSPC;
    int status = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (status != 0)
        return status;
    loop->wake.data = loop;
    uv_prepare_init(&loop->uv, &loop->turn_end);
    loop->turn_end.data = loop;
    uv_prepare_start(&loop->turn_end, on_turn_end);
    uv_idle_init(&loop->uv, &loop->awake);
    uv_timer_init(&loop->uv, &loop->alarm);
    loop->alarm.data = loop;
    if (!fine_timers_open(loop))
        return UV_EMFILE;
    /* With its first stream, libuv opens /dev/null; later this process may not. */
    return uv_tcp_init(&loop->uv, &loop->first_stream);
}

struct loop *loop_new(struct error *ret_error)
{
    struct loop *loop = loop_memory_init(ret_error) ? calloc(1, sizeof *loop) : NULL;
    if (!loop) {
        error_no_memory(ret_error);
        return NULL;
    }
    /* A peer that is gone is an error of write(2), not a signal. */
    signal(SIGPIPE, SIG_IGN);
    list_init(&loop->tasks);
    list_init(&loop->yielded);
    list_init(&loop->resources);
    loop->fine_fd = -1;
    loop_pool_init(&loop->pool);
    int status = uv_loop_init(&loop->uv);
    if (status == 0) {
        status = start_handles(loop);
        if (status == 0) {
            loop->alarm_ms = UINT64_MAX;
            wheel_init(&loop->wheel, uv_now(&loop->uv));
            return loop;
        }
        uv_loop_close(&loop->uv);
        fine_timers_close(loop);
    }
    loop_pool_fini(&loop->pool);
    free(loop);
    error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "cannot make an event loop: %s",
              uv_strerror(status));
    return NULL;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    uv_timer_stop(&loop->alarm);
    list_each(link, &loop->resources)
    {
        struct loop_resource *resource = list_entry(link, struct loop_resource, link);
        resource->close(resource);
    }
    while (!list_empty(&loop->resources) || loop->works)
        uv_run(&loop->uv, UV_RUN_ONCE);
    loop_pool_fini(&loop->pool);
    deliver_posted(loop);
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int status = uv_loop_close(&loop->uv);
    assert(status == 0);
    fine_timers_close(loop);
    free(loop);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop, true);
    uv_async_send(&loop->wake);
}

uint64_t loop_now_ns(const struct loop *loop)
{
    return uv_now(&loop->uv) * CLOCK_NS_PER_MS;
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

void loop_post(struct loop *loop, struct loop_message *message)
{
    struct loop_message *newest = atomic_load_explicit(&loop->posted, memory_order_relaxed);
    do {
        message->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posted, &newest, message,
                                                    memory_order_release, memory_order_relaxed));
    if (!newest) /* else whoever posted to the empty stack wakes the loop for us too */
        uv_async_send(&loop->wake);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    if (!list_linked(&task->link))
        list_add(&loop->tasks, &task->link);
}

void loop_yield(struct loop *loop, struct loop_task *task)
{
    if (!list_linked(&task->link))
        list_add(&loop->yielded, &task->link);
}

void loop_undefer(struct loop_task *task)
{
    list_remove(&task->link);
}

void loop_enter(struct loop *loop, struct loop_resource *resource,
                void (*close)(struct loop_resource *resource))
{
    resource->close = close;
    list_add(&loop->resources, &resource->link);
}

void loop_leave(struct loop_resource *resource)
{
    list_remove(&resource->link);
}
