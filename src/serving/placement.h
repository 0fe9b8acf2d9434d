/* Where the workers of a model run: each has its processors, and its GPU, by its place among them.
 * Pure. */
#ifndef TENSORD_SERVING_PLACEMENT_H
#define TENSORD_SERVING_PLACEMENT_H

#include "base/arena.h"
#include "base/error.h"
#include "repository/repository.h"

struct serving_options;

struct placement {
    struct cpu_list *cpus; /* of each worker; NULL: they run on all of the server's */
    uint32_t *gpus;        /* NULL: the config does not say */
    size_t gpu_count;
    bool taken[MODEL_MAX_WORKERS]; /* the places that have a worker */
};

/* What the config says, for so many workers at most, as this machine allows it. False with an error
 * that says what to change. */
bool placement_make(struct placement *placement, struct arena *arena,
                    const struct model_placement *config, uint32_t workers,
                    const struct serving_options *options, struct error *ret_error);

/* The threads of an execution, where nobody has said how many: of workers that run on the same
 * processors each has its share. 0: the engine decides. cpu_percent: of one worker; 0: no limit. */
uint32_t placement_threads(const struct placement *placement, uint32_t workers,
                           uint32_t cpu_percent, const struct serving_options *options);

/* Takes the first place that is free, and gives it back. There are as many as workers. */
size_t placement_take(struct placement *placement);
void placement_leave(struct placement *placement, size_t place);

/* Adds what the worker at a place has. */
void placement_limit(const struct placement *placement, size_t place,
                     struct process_limits *limits);

#endif
