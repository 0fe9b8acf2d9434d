/* What is asked of the processes that plan and make environments, and what they answer: JSON, as
 * python/tensord/environments/plan.py and build.py have it. Pure. */
#ifndef TENSORD_ENVIRONMENTS_ENVIRONMENT_PLAN_H
#define TENSORD_ENVIRONMENTS_ENVIRONMENT_PLAN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "repository/repository.h"

enum {
    ENVIRONMENT_HASH_BYTES = 32,
    ENVIRONMENT_PATH_MAX_BYTES = 4096, /* of an interpreter */
};

/* What a model needs of Python, from its config and its files. */
struct environment_question {
    struct span model;  /* its name, for the collector's list */
    struct span path;   /* its file, or the folder of its version */
    struct span folder; /* where its own files lie, above those of its version; empty for a model of
                           one file */
    struct span engine; /* the format that serves it; empty: none was found */
    struct span file;   /* the one in `path` that its config names; empty: the files say it */
    const struct model_python *python;
};

/* The answer of a plan. */
struct environment_plan {
    struct span interpreter; /* absolute path */
    struct span hash;        /* of the environment; empty: none has to be made */
    bool ready;              /* it is there */
};

/* Appends the question about a model. environments: the folder of those that were made. */
void environment_plan_ask(struct buf *buf, const struct environment_question *question,
                          struct span environments);

/* Reads a plan's answer, whose spans are views of it or from the arena. False with why there is no
 * environment: the model's fault (INVALID_ARGUMENT), or an answer that makes no sense (INTERNAL).
 */
bool environment_plan_read(struct span answer, struct arena *arena,
                           struct environment_plan *ret_plan, struct error *ret_error);

/* Looks at what a builder has answered that was asked about the folder: JSON, which is good for
 * others when this is true; else *ret_error is what it says. */
bool environment_answer_check(struct span answer, struct arena *arena, struct error *ret_error);

/* Reads a builder's answer: true when the environment was made. */
bool environment_built_read(struct span answer, struct arena *arena, struct error *ret_error);

#endif
