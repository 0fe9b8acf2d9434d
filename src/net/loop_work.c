/* Work on threads; see loop_work.h. A thread for each piece of work: there is one every few
 * seconds, a thread costs some microseconds, and its failure is an error like any other (libuv's
 * pool ends the process when its threads cannot be started). */
#include "net/loop_work.h"

#include "net/loop_private.h"

#include <signal.h>
#include <string.h>

static void on_ended(struct loop_message *message)
{
    struct loop_work *work = list_entry(message, struct loop_work, ended);
    pthread_join(work->thread, NULL); /* it has nothing left to do */
    work->loop->works--;
    work->done(work);
}

static void *run_thread(void *context)
{
    struct loop_work *work = context;
    work->run(work);
    loop_post(work->loop, &work->ended);
    return NULL;
}

bool loop_work_start(struct loop *loop, struct loop_work *work, void (*run)(struct loop_work *work),
                     void (*done)(struct loop_work *work), struct error *ret_error)
{
    sigset_t all, before;
    *work = (struct loop_work){.ended.deliver = on_ended, .loop = loop, .run = run, .done = done};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the loop's thread */
    int failure = pthread_create(&work->thread, NULL, run_thread, work);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "cannot start a thread: %s",
                         strerrordesc_np(failure));
    loop->works++;
    return true;
}
