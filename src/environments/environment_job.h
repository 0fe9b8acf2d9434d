/* A process that plans or makes environments, or looks at their folder: it is asked one thing, may
 * say how it goes on, and answers within a time. */
#ifndef TENSORD_ENVIRONMENTS_ENVIRONMENT_JOB_H
#define TENSORD_ENVIRONMENTS_ENVIRONMENT_JOB_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "net/loop.h"

struct environment_job;
struct spawner_client;

/* What they are started with, all of them. */
struct environment_jobs {
    struct loop *loop;
    struct spawner_client *spawner;
    /* One has ended, and is freed: another may be started. */
    void (*ended)(struct environment_jobs *jobs);
};

/* What jobs of a kind are told. */
struct environment_job_events {
    /* A line that is no answer, with its first character, which says what it is. NULL: none of them
     * matter. */
    void (*told)(struct environment_job *job, struct span line);
    /* The process has ended; the job is freed after this. */
    void (*finished)(struct environment_job *job, bool started, const char *reason);
};

struct environment_job {
    struct environment_jobs *jobs;
    void *subject;      /* what it is for; its owner's to change */
    struct buf answer;  /* the last one */
    struct arena arena; /* for what is read of that */
    bool killed;        /* by environment_job_kill */
    bool late;          /* its time was over */
    struct errand *errand;
    struct timer limit;
    const struct environment_job_events *events;
};

/* Asks a process of that task of the spawner's, which may read `path`; it is ended after limit_ms.
 * NULL, and *ret_error, when it cannot be started, or the question found no memory. */
struct environment_job *environment_job_start(struct environment_jobs *jobs, unsigned task,
                                              const char *path, const struct buf *question,
                                              uint64_t limit_ms,
                                              const struct environment_job_events *events,
                                              void *subject, struct error *ret_error);

/* Its end comes later. */
void environment_job_kill(struct environment_job *job);

/* In `finished`: whether there is an answer; else *ret_error says why not. */
bool environment_job_answered(const struct environment_job *job, bool started, const char *reason,
                              struct error *ret_error);

#endif
