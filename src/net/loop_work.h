/* Work that may block, on a thread of its own, for a loop that may not. */
#ifndef TENSORD_NET_LOOP_WORK_H
#define TENSORD_NET_LOOP_WORK_H

#include "base/error.h"
#include "net/loop.h"

#include <pthread.h>

/* A member of what is worked on; it must live until `done`. */
struct loop_work {
    struct loop_message ended;
    struct loop *loop;
    pthread_t thread;
    void (*run)(struct loop_work *work);
    void (*done)(struct loop_work *work);
};

/* Calls `run` on a new thread, and afterwards `done` on the loop's. loop_free waits for it. False
 * when no thread can be started: neither is called. The loop's thread. */
bool loop_work_start(struct loop *loop, struct loop_work *work, void (*run)(struct loop_work *work),
                     void (*done)(struct loop_work *work), struct error *ret_error);

#endif
