/* Processes that plan and make environments; see environment_job.h. */
#include "environments/environment_job.h"

#include "worker/errand.h"

#include <stdlib.h>

enum { ARENA_BYTES = 64 << 20 };

void environment_job_kill(struct environment_job *job)
{
    job->killed = true;
    errand_kill(job->errand);
}

static void on_limit(struct timer *timer)
{
    struct environment_job *job = list_entry(timer, struct environment_job, limit);
    job->late = true;
    errand_kill(job->errand);
}

static void on_line(void *owner, struct span line)
{
    struct environment_job *job = owner;
    if (!line.size)
        return;
    if (line.data[0] == '=') {
        buf_clear(&job->answer);
        buf_append(&job->answer, span_after(line, 1));
    } else if (job->events->told) {
        job->events->told(job, line);
    }
}

static void job_free(struct environment_job *job)
{
    timer_stop(&job->limit);
    arena_fini(&job->arena);
    buf_fini(&job->answer);
    free(job);
}

static void on_ended(void *owner, bool started, const char *reason)
{
    struct environment_job *job = owner;
    struct environment_jobs *jobs = job->jobs;
    job->errand = NULL;
    job->events->finished(job, started, reason);
    job_free(job);
    jobs->ended(jobs);
}

static const struct errand_events errand_events = {on_line, on_ended};

struct environment_job *environment_job_start(struct environment_jobs *jobs, unsigned task,
                                              const char *path, const struct buf *question,
                                              uint64_t limit_ms,
                                              const struct environment_job_events *events,
                                              void *subject, struct error *ret_error)
{
    struct environment_job *job = buf_ok(question) ? calloc(1, sizeof *job) : NULL;
    if (!job) {
        error_no_memory(ret_error);
        return NULL;
    }
    job->jobs = jobs;
    job->events = events;
    job->subject = subject;
    buf_init(&job->answer, ERRAND_LINE_MAX_BYTES);
    arena_init(&job->arena, 4096, ARENA_BYTES);
    job->errand = errand_start(jobs->loop, jobs->spawner, task, path, buf_span(question),
                               &errand_events, job, ret_error);
    if (!job->errand) {
        job_free(job);
        return NULL;
    }
    timer_start(&job->limit, jobs->loop, limit_ms, on_limit);
    return job;
}

bool environment_job_answered(const struct environment_job *job, bool started, const char *reason,
                              struct error *ret_error)
{
    if (job->late)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "preparing its environment took too long");
    if (started && buf_ok(&job->answer) && job->answer.size)
        return true;
    return error_set(ret_error, ERROR_INTERNAL, "preparing its environment failed: %s", reason);
}
