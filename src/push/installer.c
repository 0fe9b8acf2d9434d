/* The front's side of installers; see installer.h. */
#include "push/installer.h"

#include "base/file_bytes.h"
#include "telemetry/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_RUNNING = 4, MAX_WAITING = 64, MAX_TIDY_TRIES = 3 };

static void start_waiting(struct installer *installer);

void installer_init(struct installer *installer)
{
    list_init(&installer->jobs);
    installer->running = installer->waiting = 0;
    installer->tidy_fd = -1;
    installer->tidy_again = false;
}

/* The question in a memfd, or -1. */
static int question_fd(const struct install_question *question)
{
    struct buf buf;
    buf_init(&buf, INSTALL_MAX_BYTES);
    install_question_write(question, &buf);
    int fd = buf_ok(&buf) ? memfd_create("install", MFD_CLOEXEC) : -1;
    if (fd >= 0 && !file_bytes_write(fd, buf_span(&buf))) {
        close(fd);
        fd = -1;
    }
    buf_fini(&buf);
    return fd;
}

/* ---- a job's life ---- */

static void finish(struct install_job *job)
{
    list_remove(&job->link);
    struct arena arena = job->arena; /* `done` may free the job */
    job->done(job);
    arena_fini(&arena);
}

static void fail(struct install_job *job, const char *sentence)
{
    job->answer = (struct install_answer){.error.code = ERROR_OK};
    error_set(&job->answer.error, ERROR_INTERNAL, "%s", sentence);
}

static void read_answer(struct install_job *job, bool started, const char *reason)
{
    struct span bytes;
    if (!started || !file_bytes_read(job->fd, INSTALL_MAX_BYTES, &job->arena, &bytes) ||
        !install_answer_read(bytes, &job->arena, &job->answer)) {
        log_error("push", "an installer has failed: %s", reason);
        fail(job, "the process that changes models has failed; see the server's log");
        if (!job->place)
            installer_tidy(job->installer); /* what it was at */
    }
}

/* Has the change looked at; the job goes on when that was done. */
static void tell_change(struct install_job *job)
{
    char put[NAME_MAX + 32];
    struct installer *installer = job->installer;
    const struct install_question *question = &job->question;
    snprintf(put, sizeof put, "%.*s/%llu", SPAN_ARGS(question->name),
             (unsigned long long)job->answer.version);
    bool removed = question->kind == INSTALL_REMOVE;
    job->state = JOB_CHANGED;
    job->look =
        installer->changed(installer->context, question->name, removed ? SPAN("") : span_of(put));
}

static void on_ended(struct worker_process *process, bool started, const char *reason)
{
    struct install_job *job = list_entry(process, struct install_job, process);
    struct installer *installer = job->installer;
    bool changes = job->question.kind == INSTALL_PUT || job->question.kind == INSTALL_REMOVE;
    installer->running--;
    read_answer(job, started, reason);
    close(job->fd);
    if (changes && job->answer.error.code == ERROR_OK && !job->answer.unchanged)
        tell_change(job);
    else
        finish(job);
    start_waiting(installer);
}

static bool start(struct install_job *job, struct error *ret_error)
{
    struct installer *installer = job->installer;
    unsigned task = job->place ? job->place->task : installer->task;
    const char *models = job->place ? job->place->models : installer->models;
    job->process.ended = on_ended;
    if (!spawner_run_task(installer->spawner, &job->process, task, models, job->fd, ret_error)) {
        close(job->fd);
        return false;
    }
    job->state = JOB_RUNS;
    installer->running++;
    return true;
}

static void start_waiting(struct installer *installer)
{
    list_each(link, &installer->jobs)
    {
        struct install_job *job = list_entry(link, struct install_job, link);
        struct error error;
        if (installer->running >= MAX_RUNNING)
            return;
        if (job->state != JOB_WAITS)
            continue;
        installer->waiting--;
        if (start(job, &error))
            continue;
        fail(job, error.message);
        finish(job);
    }
}

/* ---- the callers' ---- */

static bool is_being_changed(const struct installer *installer, const struct install_job *job)
{
    list_each(link, &installer->jobs)
    {
        const struct install_job *other = list_entry(link, struct install_job, link);
        if (span_equal(other->question.name, job->question.name) && !other->place &&
            other->question.kind != INSTALL_LIST)
            return true;
    }
    return false;
}

bool installer_ask(struct installer *installer, struct install_job *job, struct error *ret_error)
{
    if (!installer->models[0] && !job->place)
        return error_set(ret_error, ERROR_PERMISSION_DENIED, "%s", installer->why_not);
    if (job->question.kind != INSTALL_LIST && !job->place && is_being_changed(installer, job))
        return error_set(ret_error, ERROR_CONFLICT, "the model '%.*s' is being changed just now",
                         SPAN_ARGS(job->question.name));
    if (installer->waiting >= MAX_WAITING)
        return error_set(ret_error, ERROR_UNAVAILABLE, "as many changes as may wait are waiting");
    job->installer = installer;
    job->state = JOB_WAITS;
    job->question.blobs = span_of(job->place ? job->place->blobs : installer->blobs);
    job->fd = question_fd(&job->question);
    if (job->fd < 0)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "out of memory or descriptors");
    arena_init(&job->arena, 4096, (size_t)4 * INSTALL_MAX_BYTES);
    if (installer->running >= MAX_RUNNING)
        installer->waiting++;
    else if (!start(job, ret_error))
        return false;
    list_add(&installer->jobs, &job->link);
    return true;
}

void installer_looked(struct installer *installer, uint64_t number)
{
    struct list finished;
    list_init(&finished);
    list_each(link, &installer->jobs)
    {
        struct install_job *job = list_entry(link, struct install_job, link);
        if (job->state != JOB_CHANGED || job->look > number)
            continue;
        list_remove(&job->link);
        list_add(&finished, &job->link);
    }
    while (!list_empty(&finished)) /* `done` may ask for more */
        finish(list_entry(list_first(&finished), struct install_job, link));
}

/* ---- tidying ---- */

static void start_tidying(struct installer *installer);

/* What the tidier says, or why it says nothing. False when it has not done it. */
static bool read_tidied(const struct installer *installer, bool started, const char *reason)
{
    struct install_answer answer = {.error.code = ERROR_OK};
    struct arena arena;
    struct span bytes;
    arena_init(&arena, 4096, INSTALL_MAX_BYTES);
    bool answered = started &&
                    file_bytes_read(installer->tidy_fd, INSTALL_MAX_BYTES, &arena, &bytes) &&
                    install_answer_read(bytes, &arena, &answer);
    bool good = answered && answer.error.code == ERROR_OK;
    if (!good)
        log_warning("push", "what may have been left in the folder of models stays there: %s",
                    answered ? answer.error.message : reason);
    arena_fini(&arena);
    return good;
}

static void tidied(struct worker_process *process, bool started, const char *reason)
{
    struct installer *installer = list_entry(process, struct installer, tidying);
    bool good = read_tidied(installer, started, reason);
    close(installer->tidy_fd);
    installer->tidy_fd = -1;
    if (installer->tidy_again || (!good && --installer->tidy_tries > 0))
        start_tidying(installer);
}

static void start_tidying(struct installer *installer)
{
    struct error error;
    const struct install_question question = {.kind = INSTALL_TIDY};
    installer->tidy_again = false;
    installer->tidy_fd = question_fd(&question);
    installer->tidying.ended = tidied;
    if (installer->tidy_fd < 0)
        return;
    if (!spawner_run_task(installer->spawner, &installer->tidying, installer->task,
                          installer->models, installer->tidy_fd, &error)) {
        log_warning("push", "%s", error.message);
        close(installer->tidy_fd);
        installer->tidy_fd = -1;
    }
}

void installer_tidy(struct installer *installer)
{
    if (!installer->models[0])
        return;
    installer->tidy_tries = MAX_TIDY_TRIES;
    installer->tidy_again = installer->tidy_fd >= 0; /* it may have looked there already */
    if (!installer->tidy_again)
        start_tidying(installer);
}
