/* The front's eye on the repository: its looks, what they bring into serving, and the models whose
 * files or config a load has given instead. */
#ifndef TENSORD_CMD_LOOKING_H
#define TENSORD_CMD_LOOKING_H

#include "cmd/pushing.h"
#include "repository/repository.h"
#include "serving/serving.h"

struct looking {
    struct repository_watch *watch; /* NULL until looking_start */
    struct worker_process look;     /* the process that looks */
    struct loop_task load_named;    /* asks for the models of --load-model */
    struct loop *loop;
    struct spawner_client *spawner;
    struct serving *serving;
    struct pushing *pushing;
    const struct settings *settings;
    /* A look has been taken in; first: there was none before. */
    void (*taken_in)(bool first);
};

/* Binds serving and pushing to what will be looked at. The other fields are the caller's to set
 * before, and all must live as long as the process. */
void looking_init(struct looking *looking);

/* Begins to look at the repository at `path`, which is absolute and must live. */
bool looking_start(struct looking *looking, const char *path, struct error *ret_error);

/* Looks again, if it looks yet. */
void looking_again(struct looking *looking);

#endif
