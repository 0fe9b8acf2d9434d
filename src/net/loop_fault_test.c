/* A loop for which memory, threads and the kernel's watches run out, by the linker's --wrap. */
#include "net/loop_memory.h"
#include "net/loop_work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

static bool no_realloc, no_thread, no_watch;

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size)
{
    return no_realloc ? NULL : __real_realloc(block, size);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context)
{
    return no_thread ? EAGAIN : __real_pthread_create(thread, attributes, run, context);
}

int __real_epoll_ctl(int fd, int what, int of, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int what, int of, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int what, int of, struct epoll_event *event)
{
    if (!no_watch || what != EPOLL_CTL_ADD)
        return __real_epoll_ctl(fd, what, of, event);
    errno = ENOSPC;
    return -1;
}

static struct loop *make(void)
{
    struct error error;
    struct loop *loop = loop_new(&error);
    assert_non_null(loop);
    return loop;
}

struct job {
    struct loop_work work;
    pthread_t ran_on;
    unsigned done;
};

static void run(struct loop_work *work)
{
    list_entry(work, struct job, work)->ran_on = pthread_self();
}

static void done(struct loop_work *work)
{
    list_entry(work, struct job, work)->done++;
    loop_stop(work->loop);
}

static void work_runs_elsewhere_and_ends_here(void **state)
{
    struct loop *loop = make();
    struct job job = {.done = 0};
    struct error error;
    assert_true(loop_work_start(loop, &job.work, run, done, &error));
    loop_run(loop);
    assert_int_equal(job.done, 1);
    assert_false(pthread_equal(job.ran_on, pthread_self()));
    assert_true(loop_work_start(loop, &job.work, run, done, &error));
    loop_free(loop);
    assert_int_equal(job.done, 2); /* waited for */
}

/* More than there are threads for. */
static void all_work_is_done(void **state)
{
    enum { JOBS = 50 };
    struct loop *loop = make();
    struct job jobs[JOBS] = {0};
    struct error error;
    for (size_t i = 0; i < JOBS; i++) {
        no_thread = i > 0; /* one is enough */
        assert_true(loop_work_start(loop, &jobs[i].work, run, done, &error));
    }
    no_thread = false;
    struct job skipped = {.done = 0};
    loop_work_skip(loop, &skipped.work, done);
    loop_free(loop);
    for (size_t i = 0; i < JOBS; i++)
        assert_int_equal(jobs[i].done, 1);
    assert_int_equal(skipped.done, 1);
}

static void work_without_a_thread_is_an_error(void **state)
{
    struct loop *loop = make();
    struct job job = {.done = 0};
    struct error error;
    no_thread = true;
    assert_false(loop_work_start(loop, &job.work, run, done, &error));
    no_thread = false;
    assert_int_equal(error.code, ERROR_RESOURCE_EXHAUSTED);
    loop_free(loop);
    assert_int_equal(job.done, 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    uv_poll_stop(poll);
    loop_stop(poll->data);
}

/* Watches the highest descriptor that there may be: libuv's table must grow. */
static void watch_a_high_one(struct loop *loop)
{
    struct rlimit limit;
    int fds[2];
    uv_poll_t poll = {.data = loop};
    getrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(pipe(fds), 0);
    int high = fcntl(fds[0], F_DUPFD_CLOEXEC, (int)limit.rlim_cur - 1);
    assert_true(high > 500);
    assert_int_equal(uv_poll_init(loop_uv(loop), &poll, high), 0);
    uv_poll_start(&poll, UV_READABLE, on_readable);
    assert_true(loop_register(loop, high));
    assert_int_equal(write(fds[1], "", 1), 1);
    loop_run(loop);
    uv_close((uv_handle_t *)&poll, NULL);
    uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    close(high);
    close(fds[0]);
    close(fds[1]);
}

static void the_table_of_descriptors_grows_without_memory(void **state)
{
    for (int round = 0; round < 2; round++) {
        no_realloc = round == 0; /* from the beginning, or once it is there */
        struct loop *loop = make();
        no_realloc = true;
        watch_a_high_one(loop);
        watch_a_high_one(loop);
        no_realloc = false;
        watch_a_high_one(loop);
        loop_free(loop);
    }
}

static void a_loop_without_watches_is_an_error(void **state)
{
    struct error error;
    no_watch = true;
    assert_null(loop_new(&error));
    no_watch = false;
    assert_int_equal(error.code, ERROR_RESOURCE_EXHAUSTED);
    loop_free(make());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_runs_elsewhere_and_ends_here),
        cmocka_unit_test(all_work_is_done),
        cmocka_unit_test(work_without_a_thread_is_an_error),
        cmocka_unit_test(the_table_of_descriptors_grows_without_memory),
        cmocka_unit_test(a_loop_without_watches_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
