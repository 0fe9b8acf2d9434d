/* Work that may block, on threads of their own, for a loop that may not. */
#ifndef TENSORD_NET_LOOP_WORK_H
#define TENSORD_NET_LOOP_WORK_H

#include "base/error.h"
#include "net/loop.h"

/* A member of what is worked on; it must live until `done`. */
struct loop_work {
    struct loop_message ended;
    struct list_link link; /* in the line of what waits for a thread */
    struct loop *loop;
    void (*run)(struct loop_work *work);
    void (*done)(struct loop_work *work);
};

/* Calls `run` on a thread, and afterwards `done` on the loop's, never from within. A few pieces of
 * work run at once, others wait in line; loop_free waits for all. False when there is no thread and
 * none can be started: neither is called. The loop's thread. */
bool loop_work_start(struct loop *loop, struct loop_work *work, void (*run)(struct loop_work *work),
                     void (*done)(struct loop_work *work), struct error *ret_error);

/* For whoever goes on in `done` alone: calls it, later and on the loop's thread, without any work.
 */
void loop_work_skip(struct loop *loop, struct loop_work *work,
                    void (*done)(struct loop_work *work));

#endif
