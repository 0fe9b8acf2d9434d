/* A pipeline: what stands in a worker's place for a generation whose model is a graph of other
 * models (pipeline/graph.h). It waits until the schemas of its steps' models are known, sees that
 * they fit together, and then executes requests (pipeline_request.h), several at once.
 *
 * All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_PIPELINE_H
#define TENSORD_SERVING_PIPELINE_H

#include "base/error.h"
#include "base/list.h"
#include "net/loop.h"
#include "pipeline/graph.h"
#include "telemetry/metrics.h"

struct generation;
struct inference_outputs;
struct pipeline_request;
struct schema;
struct serving;
struct version;

enum {
    PIPELINE_MAX_DEPTH = 8,          /* of pipelines in pipelines */
    PIPELINE_MAX_STEPS_BELOW = 1024, /* in all of them */
    PIPELINE_USUAL_REQUESTS = 16,    /* at once, where the config does not say */
};

/* What was counted of one step. */
struct step_statistics {
    struct duration success, fail; /* from the step's begin to the end of its last call */
    uint64_t calls;                /* several where a step is called for parts of rows */
    uint64_t skipped;
};

/* What a generation knows of itself as a pipeline, for as long as it lives. */
struct pipeline_plan {
    struct pipeline_graph graph;
    struct step_statistics *statistics; /* by step */
    unsigned depth;                     /* 1: no step is a pipeline; 0: not known yet */
    size_t steps_below;                 /* its own, and those of its steps' */
    char reason[320];                   /* of pipeline_reason */
};

/* What it tells. */
struct pipeline_events {
    /* Its steps fit together. The schema is the callee's to copy. */
    void (*ready)(void *owner, const struct schema *schema);
    /* They never will, as they are. The pipeline is to be closed. */
    void (*failed)(void *owner, const struct error *error);
    /* A request has ended: with its outputs, or NULL and the error. */
    void (*ended)(void *owner, struct pipeline_request *request,
                  const struct inference_outputs *outputs, const struct error *error);
};

struct pipeline {
    struct list_link link; /* in serving.pipelines */
    struct generation *generation;
    const struct pipeline_events *events;
    void *owner;
    struct loop_task look; /* at its steps, at the end of a turn */
    bool loaded;
    struct list requests; /* of struct pipeline_request: those that run */
};

/* Starts looking; events come in later turns. NULL when there is no memory. */
struct pipeline *pipeline_open(struct generation *generation, const struct pipeline_events *events,
                               void *owner, struct error *ret_error);

/* Ends the requests that run, in a later turn. True: there are none. */
bool pipeline_stop(struct pipeline *pipeline);

/* No request runs any more. */
void pipeline_close(struct pipeline *pipeline);

/* A copy of the graph in the generation's arena; NULL when there is no memory. */
struct pipeline_plan *pipeline_plan_new(struct arena *arena, const struct pipeline_graph *graph);

/* The model's version has been loaded, or was changed: pipelines with it among their steps look
 * again. */
void pipelines_settled(struct serving *serving, const struct version *version);

/* A scan was taken in: those that wait for their steps look again. */
void pipelines_scanned(struct serving *serving);

/* What the version is as a pipeline; NULL: it is none, or not loaded. */
const struct pipeline_plan *pipeline_plan_of(const struct version *version);

/* A step whose model cannot be called now; NULL: there is none. */
const struct pipeline_step *pipeline_unready_step(const struct generation *generation,
                                                  const struct version **ret_version);

/* Why a pipeline whose schema is known is not ready; empty when it is. Valid until the next call
 * for it. */
const char *pipeline_reason(const struct generation *generation);

#endif
