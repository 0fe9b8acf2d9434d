/* One request of a pipeline, from its first step to its answer. What runs when, pipeline/run.h
 * says; pipeline_step.h makes the calls and moves the tensors; this has one follow the other.
 *
 * Models share no memory, so that each input of a step is copied once, from where it lies into the
 * memory of the step's model: out of the request's inputs, or out of the memory of the model that
 * gave it, whose call is kept until the last step that takes it has it. Outputs of the pipeline are
 * sent from where they lie. Where a step is called for parts of rows, what each call gives is
 * copied into the pipeline's own memory, so that many parts do not fill that of the step's model;
 * pieces become one when they are copied on. */
#ifndef TENSORD_SERVING_PIPELINE_REQUEST_H
#define TENSORD_SERVING_PIPELINE_REQUEST_H

#include "serving/inference.h"
#include "serving/pipeline.h"

/* Starts the inference, which is bound to the pipeline's generation and was checked. execution is
 * the caller's. Its end is told in a later turn. False, and nothing is told, when there is no
 * memory. */
bool pipeline_request_begin(struct pipeline *pipeline, struct inference *inference,
                            uint64_t execution);

/* It ends as soon as may be, with this error unless it has ended already: steps that run are
 * cancelled. */
void pipeline_request_fail(struct pipeline_request *request, const struct error *error);

/* The request whose link in pipeline->requests this is. */
struct pipeline_request *pipeline_request_of(struct list_link *link);

/* The inference and the execution that it was begun with, and what it has taken so far. */
struct inference *pipeline_request_inference(const struct pipeline_request *request);
uint64_t pipeline_request_execution(const struct pipeline_request *request);
uint64_t pipeline_request_ns(const struct pipeline_request *request);

/* Its outputs are no longer looked at. It does not run any more. NULL is no request. */
void pipeline_request_free(struct pipeline_request *request);

#endif
