/* Timers: the wheel, driven by one timer of libuv's.
 *
 * libuv's own timers lie in a heap: moving one among ten thousand costs a dozen cache misses, and a
 * connection moves its timer with each request. In the wheel it costs two short lists, and the
 * alarm is set anew only when something has become due earlier than it rings; an alarm that turns
 * out too early is set again when it rings. Without timers there is no alarm. */
#include "net/loop_private.h"

#include <assert.h>

/* Longer times mean never, and the wheel ends at 2^42. */
static const uint64_t MAX_AFTER_MS = UINT64_C(1) << 41;

static void set_alarm(struct loop *loop)
{
    uint64_t next_ms = wheel_next_ms(&loop->wheel), now_ms = uv_now(&loop->uv);
    if (next_ms >= loop->alarm_ms)
        return;
    loop->alarm_ms = next_ms;
    uv_timer_start(&loop->alarm, timer_alarm, next_ms > now_ms ? next_ms - now_ms : 0, 0);
}

void timer_alarm(uv_timer_t *alarm)
{
    struct loop *loop = alarm->data;
    loop->alarm_ms = 0; /* timers that are started meanwhile need not set it */
    wheel_advance(&loop->wheel, uv_now(&loop->uv));
    loop->alarm_ms = UINT64_MAX;
    set_alarm(loop);
}

void timer_start(struct timer *timer, struct loop *loop, uint64_t after_ms,
                 void (*fire)(struct timer *))
{
    assert(!timer->loop || timer->loop == loop);
    uint64_t now_ms = uv_now(&loop->uv);
    if (timer->loop)
        wheel_remove(&loop->wheel, timer);
    timer->loop = loop;
    timer->fire = fire;
    /* One more, because the loop's clock shows whole milliseconds that have begun. */
    timer->due_ms = now_ms + (after_ms < MAX_AFTER_MS ? after_ms : MAX_AFTER_MS) + 1;
    wheel_add(&loop->wheel, timer, now_ms);
    set_alarm(loop);
}

void timer_stop(struct timer *timer)
{
    if (!timer->loop)
        return;
    wheel_remove(&timer->loop->wheel, timer);
    timer->loop = NULL;
}
