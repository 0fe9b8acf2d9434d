/* Fine timers: a list by time, and one timerfd for the first of it, which the loop watches. */
#include "net/fine_timer.h"

#include "base/clock.h"
#include "net/loop_private.h"

#include <assert.h>
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Rings when the first of the list is due. Setting it, even to never, also makes the descriptor
 * unreadable again, so that nobody has to read it. */
static void set_clock(struct loop *loop)
{
    struct itimerspec when = {0};
    if (!list_empty(&loop->fine_timers)) {
        uint64_t due_ns =
            list_entry(list_first(&loop->fine_timers), struct fine_timer, link)->due_ns;
        due_ns = due_ns ? due_ns : 1; /* 0 would be never */
        when.it_value.tv_sec = (time_t)(due_ns / CLOCK_NS_PER_S);
        when.it_value.tv_nsec = (long)(due_ns % CLOCK_NS_PER_S);
    }
    int status = timerfd_settime(loop->fine_fd, TFD_TIMER_ABSTIME, &when, NULL);
    assert(status == 0);
}

static struct fine_timer *take_due(struct loop *loop, uint64_t now_ns)
{
    if (list_empty(&loop->fine_timers))
        return NULL;
    struct fine_timer *first = list_entry(list_first(&loop->fine_timers), struct fine_timer, link);
    if (first->due_ns > now_ns)
        return NULL;
    list_remove(&first->link);
    first->loop = NULL;
    return first;
}

static void on_clock(uv_poll_t *poll, int status, int events)
{
    struct loop *loop = poll->data;
    struct fine_timer *timer;
    uint64_t now_ns = clock_now_ns(); /* what they start anew is for the next time */
    while ((timer = take_due(loop, now_ns)))
        timer->fire(timer);
    set_clock(loop);
}

bool fine_timers_open(struct loop *loop)
{
    list_init(&loop->fine_timers);
    loop->fine_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->fine_fd < 0)
        return false;
    if (uv_poll_init(&loop->uv, &loop->fine_poll, loop->fine_fd) != 0)
        return false;
    loop->fine_poll.data = loop;
    return uv_poll_start(&loop->fine_poll, UV_READABLE, on_clock) == 0 &&
           loop_register(loop, loop->fine_fd);
}

void fine_timers_close(struct loop *loop)
{
    if (loop->fine_fd >= 0)
        close(loop->fine_fd);
}

static bool is_first(const struct fine_timer *timer)
{
    return list_first(&timer->loop->fine_timers) == &timer->link;
}

void fine_timer_start(struct fine_timer *timer, struct loop *loop, uint64_t due_ns,
                      void (*fire)(struct fine_timer *))
{
    assert(!timer->loop || timer->loop == loop);
    if (timer->loop)
        list_remove(&timer->link);
    timer->loop = loop;
    timer->due_ns = due_ns;
    timer->fire = fire;
    struct list_link *later = loop->fine_timers.head.next;
    while (later != &loop->fine_timers.head &&
           list_entry(later, struct fine_timer, link)->due_ns <= due_ns)
        later = later->next;
    list_insert_before(later, &timer->link);
    if (is_first(timer))
        set_clock(loop);
}

void fine_timer_stop(struct fine_timer *timer)
{
    if (!timer->loop)
        return;
    struct loop *loop = timer->loop;
    bool first = is_first(timer);
    list_remove(&timer->link);
    timer->loop = NULL;
    if (first)
        set_clock(loop);
}
