/* One request's way through a pipeline: which step is to be called when. Events go in (a tensor is
 * there, a call has ended), what is to be done comes out. Pure: it knows no model, no tensor's
 * bytes, no clock.
 *
 * A step begins when each of its inputs is decided and its condition is known. It is skipped when
 * an input that its model needs is absent, or the condition says so; then what it gives is absent,
 * too. Steps that contribute to nothing that is wanted are not called. */
#ifndef TENSORD_PIPELINE_RUN_H
#define TENSORD_PIPELINE_RUN_H

#include "pipeline/graph.h"

enum pipeline_tensor_state { PIPELINE_UNDECIDED, PIPELINE_PRESENT, PIPELINE_ABSENT };

enum pipeline_step_state {
    PIPELINE_UNNEEDED, /* nothing that it gives is wanted */
    PIPELINE_WAITING,
    PIPELINE_BEGUN, /* its condition and number of calls are asked for */
    PIPELINE_CALLED,
    PIPELINE_DONE, /* or skipped */
};

struct pipeline_step_run {
    enum pipeline_step_state state;
    uint32_t waits;                /* inputs that are undecided, the condition among them */
    uint32_t calls, called, ended; /* in all; made; of which ended */
    bool full;                     /* the next one waits until one has ended */
};

struct pipeline_run {
    const struct pipeline_graph *graph;
    struct pipeline_step_run *steps;
    unsigned char *tensors; /* enum pipeline_tensor_state */
    unsigned char *givers;  /* needed steps that may still give it */
    uint32_t *users;        /* needed steps that may still look at it, and the answer */
    uint32_t *unused;       /* tensors that nobody looks at any more, not told yet */
    size_t unused_count;
    size_t steps_left; /* needed ones that are not done */
};

/* What is to be done. */
enum pipeline_deed {
    PIPELINE_WAIT,   /* for calls that run */
    PIPELINE_BEGIN,  /* the step: pipeline_run_calls, or pipeline_run_skip, before anything else */
    PIPELINE_CALL,   /* the step, its call `call`: pipeline_run_made, or pipeline_run_put_back,
                        before anything else, and pipeline_run_ended when it has ended */
    PIPELINE_FORGET, /* the tensor: nobody will look at it */
    PIPELINE_OVER,   /* all that is wanted is decided, nothing runs */
};

struct pipeline_task {
    enum pipeline_deed deed;
    uint32_t step, call, tensor;
};

/* Starts one; wanted[i]: tensor i belongs to the answer. The arena outlives it. False when there is
 * no memory. All inputs are to be decided next. */
bool pipeline_run_init(struct pipeline_run *run, const struct pipeline_graph *graph,
                       const bool *wanted, struct arena *arena);

/* An input of the pipeline was given, or was not. */
void pipeline_run_input(struct pipeline_run *run, uint32_t tensor, bool given);

/* The next thing to do; to be asked until it says WAIT or OVER. */
struct pipeline_task pipeline_run_next(struct pipeline_run *run);

/* A step that begins takes so many calls (0: there are no rows; it is done), or none. */
void pipeline_run_calls(struct pipeline_run *run, uint32_t step, uint32_t calls);
void pipeline_run_skip(struct pipeline_run *run, uint32_t step);

/* A call of the step was made: it has its inputs. */
void pipeline_run_made(struct pipeline_run *run, uint32_t step);

/* It cannot be made before another call of the step has ended. False: none runs, and it is to be
 * given up. */
bool pipeline_run_put_back(struct pipeline_run *run, uint32_t step);

/* A call of the step has ended well. True: it was the last, and each output of the step is to be
 * told by pipeline_run_output before anything else. */
bool pipeline_run_ended(struct pipeline_run *run, uint32_t step);

/* The step's output i is there, or the model gave none. */
void pipeline_run_output(struct pipeline_run *run, uint32_t step, size_t i, bool given);

/* Whether the tensor is there. */
static inline bool pipeline_run_has(const struct pipeline_run *run, uint32_t tensor)
{
    return run->tensors[tensor] == PIPELINE_PRESENT;
}

#endif
