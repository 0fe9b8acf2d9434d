/* Work on threads; see loop_work.h. Threads are started as they are needed and stay, so that most
 * loops have one. That one cannot be started is an error like any other, and none at all while
 * there is another (libuv's pool ends the process). */
#include "net/loop_work.h"

#include "net/loop_private.h"

#include <signal.h>
#include <string.h>

static void on_ended(struct loop_message *message)
{
    struct loop_work *work = list_entry(message, struct loop_work, ended);
    work->loop->works--;
    work->done(work);
}

/* The next piece; NULL when the loop ends. */
static struct loop_work *take(struct loop_pool *pool)
{
    struct list_link *link = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->idle++;
    while (list_empty(&pool->line) && !pool->closing)
        pthread_cond_wait(&pool->wanted, &pool->lock);
    pool->idle--;
    if (!list_empty(&pool->line)) {
        link = list_first(&pool->line);
        list_remove(link);
        pool->waiting--;
    }
    pthread_mutex_unlock(&pool->lock);
    return link ? list_entry(link, struct loop_work, link) : NULL;
}

static void *run_thread(void *context)
{
    struct loop *loop = context;
    for (struct loop_work *work; (work = take(&loop->pool));) {
        work->run(work);
        loop_post(loop, &work->ended);
    }
    return NULL;
}

/* 0, or an errno. */
static int start_thread(struct loop *loop)
{
    struct loop_pool *pool = &loop->pool;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the loop's thread */
    int failure = pthread_create(&pool->threads[pool->thread_count], NULL, run_thread, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pool->thread_count += failure == 0;
    return failure;
}

bool loop_work_start(struct loop *loop, struct loop_work *work, void (*run)(struct loop_work *work),
                     void (*done)(struct loop_work *work), struct error *ret_error)
{
    struct loop_pool *pool = &loop->pool;
    pthread_mutex_lock(&pool->lock);
    bool all_busy = pool->waiting >= pool->idle;
    pthread_mutex_unlock(&pool->lock);
    int failure = all_busy && pool->thread_count < LOOP_THREADS ? start_thread(loop) : 0;
    if (pool->thread_count == 0)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "cannot start a thread: %s",
                         strerrordesc_np(failure));
    *work = (struct loop_work){.ended.deliver = on_ended, .loop = loop, .run = run, .done = done};
    loop->works++;
    pthread_mutex_lock(&pool->lock);
    list_add(&pool->line, &work->link);
    pool->waiting++;
    pthread_cond_signal(&pool->wanted);
    pthread_mutex_unlock(&pool->lock);
    return true;
}

void loop_work_skip(struct loop *loop, struct loop_work *work, void (*done)(struct loop_work *work))
{
    *work = (struct loop_work){.ended.deliver = on_ended, .loop = loop, .done = done};
    loop->works++;
    loop_post(loop, &work->ended);
}

void loop_pool_init(struct loop_pool *pool)
{
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wanted, NULL);
    list_init(&pool->line);
}

void loop_pool_fini(struct loop_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->wanted);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wanted);
    pthread_mutex_destroy(&pool->lock);
}
