/* Installers: processes that change the folder of models, one for each change (push/install.h). The
 * front asks for them here; two changes of one model at once are refused, and a few models may be
 * changed at the same time.
 *
 * What was changed is known to the caller when the next look at the repository has seen it. All
 * calls are for the loop's thread. */
#ifndef TENSORD_PUSH_INSTALLER_H
#define TENSORD_PUSH_INSTALLER_H

#include "push/install_bytes.h"
#include "worker/spawner.h"

#include <limits.h>

struct installer {
    struct spawner_client *spawner;
    unsigned task;         /* the spawner's that runs install_run */
    char models[PATH_MAX]; /* the folder of models; empty: nothing can be changed */
    char blobs[PATH_MAX];
    const char *why_not; /* nothing can be changed: a sentence */
    /* The folder of models was changed, of that model: has it looked at, with the name of what was
     * put there whole ("iris/3"; empty: something was removed), and returns the number of the look.
     */
    uint64_t (*changed)(void *context, struct span model, struct span put);
    void *context;
    struct list jobs; /* of struct install_job: those that run, those that wait, and those that wait
                         for a look */
    size_t running, waiting;
    struct worker_process tidying;
    int tidy_fd;         /* -1: none runs */
    bool tidy_again;     /* more may have been left since it started */
    unsigned tidy_tries; /* that are left */
};

/* Where a job has its files put, when that is not the folder of models: a folder of its own. */
struct install_place {
    unsigned task;              /* the spawner's that may write there and runs install_run */
    const char *models, *blobs; /* absolute; they live until `done` */
};

enum install_state { JOB_WAITS, JOB_RUNS, JOB_CHANGED };

/* One change; the caller's memory until `done`. */
struct install_job {
    struct list_link link;
    struct worker_process process;
    struct installer *installer;
    const struct install_place *place; /* NULL: the folder of models */
    struct install_question question;  /* the name stays until `done`, the rest during the call */
    enum install_state state;
    int fd;                       /* of question and answer */
    uint64_t look;                /* that will have seen the change */
    struct arena arena;           /* of the answer */
    struct install_answer answer; /* until `done` returns */
    void (*done)(struct install_job *job);
};

/* Starts without jobs; the members before `jobs` are set. */
void installer_init(struct installer *installer);

/* Removes what was left in the folder of models by an installer that was killed; tries some times
 * when that is killed, too. */
void installer_tidy(struct installer *installer);

/* Asks for what job->question says; its name must be sound (model_name_check). `done` is called, in
 * a later turn, when it is done or has failed (answer.error). False: CONFLICT when the model is
 * being changed already, PERMISSION_DENIED when nothing can be changed here, UNAVAILABLE when too
 * many wait. A job with a place of its own meets only the last. */
bool installer_ask(struct installer *installer, struct install_job *job, struct error *ret_error);

/* A look at the repository has been taken in; `number` as `changed` gave it. */
void installer_looked(struct installer *installer, uint64_t number);

#endif
