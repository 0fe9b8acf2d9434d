/* Environments: which Python a generation runs on, and the building of it.
 *
 *   generation ─► plan (a process that reads the model's files) ─► nothing to make: the base Python
 *                                                              └─► environment, by its hash
 *                                                                    └─► builder, one for all users
 *
 * Whoever uses an environment is a struct environment_use, from its question until it leaves; an
 * environment that has users is never collected. All calls are for the loop's thread. */
#ifndef TENSORD_ENVIRONMENTS_ENVIRONMENT_H
#define TENSORD_ENVIRONMENTS_ENVIRONMENT_H

#include "base/map.h"
#include "environments/environment_job.h"
#include "environments/environment_plan.h"
#include "net/loop.h"

struct environment;
struct json_writer;
struct environment_use;

/* Of the server; strings outlive the environments. */
struct environment_options {
    const char *folder;             /* where they lie, absolute; empty: none can be made */
    const char *uv;                 /* path of the installer; empty: look for it */
    unsigned plan_task, build_task; /* the spawner's */
    uint64_t build_timeout_s;
    uint64_t max_mib;  /* of one environment */
    uint64_t unused_h; /* after which one that nobody uses is removed; 0: never */
    size_t builds;     /* at once */
    bool exist;        /* the folder is there at the start, perhaps with old ones */
};

struct environments {
    struct environment_jobs jobs;
    struct environment_options options;
    struct map by_hash;                /* struct environment */
    struct list questions;             /* of struct environment_use: wait to be planned */
    struct list buildable;             /* of struct environment: wait to be built */
    size_t planning, building;         /* processes */
    struct environment_job *collector; /* runs */
    bool removing;                     /* it may remove environments: no plan runs */
    struct timer collect;
    struct loop_task look; /* starts what can be started */
    bool stopping;
    /* The last process has ended after environments_stop; not when there was none. */
    void (*stopped)(struct environments *environments);
};

/* Told what becomes of a use; but for `noted`, never from within environment_ask. */
struct environment_events {
    /* The interpreter is known and ready to be executed; a view that lives as long as the use.
     * error: there is none, and why. */
    void (*ready)(struct environment_use *use, struct span interpreter, const struct error *error);
    /* A line about what it waits for. */
    void (*noted)(struct environment_use *use, const char *what);
    /* A line about the building of it. */
    void (*told)(struct environment_use *use, struct span line);
};

/* A member of what uses an environment, zeroed at first. */
struct environment_use {
    struct list_link link; /* among the questions, or an environment's users */
    struct environments *all;
    struct environment *environment;
    struct environment_job *job; /* its plan, while that runs */
    const struct environment_events *events;
    struct environment_question question;
    char *interpreter;
};

/* Those of whom the job is. */
static inline struct environments *environments_of(const struct environment_job *job)
{
    return list_entry(job->jobs, struct environments, jobs);
}

/* A question about the folder of environments. */
struct environments_ask {
    /* Set by the caller; called once, in a later turn: the answer as JSON, or why there is none. */
    void (*done)(struct environments_ask *ask, struct span answer, const struct error *error);
};

void environments_init(struct environments *environments, struct loop *loop,
                       struct spawner_client *spawner, const struct environment_options *options);

/* No process is started any more, and the collector ends; the others end as their users leave. */
void environments_stop(struct environments *environments);

/* Frees everything; no process runs any more and nobody uses any. */
void environments_fini(struct environments *environments);

/* Writes which models use which environment: an object of lists of names, by hash. */
void environments_put_users(const struct environments *environments, struct json_writer *writer);

/* True while processes of it run. */
bool environments_busy(const struct environments *environments);

/* Finds the interpreter for a model; `ready` will be called, unless the use leaves before. What the
 * question points to must live until then. */
void environment_ask(struct environments *environments, struct environment_use *use,
                     const struct environment_question *question,
                     const struct environment_events *events);

/* Asks what there is: {"environments": […]}, as build.py has it. False when that cannot be asked
 * now: `done` is not called. */
bool environments_list(struct environments *environments, struct environments_ask *ask,
                       struct error *ret_error);

/* Removes the environment of that hash, or with an empty one all, that no model uses: {"removed":
 * […]}. False as above. */
bool environments_remove(struct environments *environments, struct environments_ask *ask,
                         struct span hash, struct error *ret_error);

/* True when `ready` has told of an interpreter; it stays as it is. */
bool environment_is_ready(const struct environment_use *use);

/* The use ends, whatever it has come to; does nothing to one that is zeroed or has left. */
void environment_leave(struct environment_use *use);

#endif
