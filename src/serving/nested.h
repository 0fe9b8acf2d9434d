/* Nested inferences: those that are made inside the server for a request that runs, by its model or
 * as a step of a pipeline.
 *
 * They go through the scheduler like any other; deadline, priority and caller are those of the
 * request they are made for, and their depth is limited, so that models that call each other in a
 * circle fail instead of waiting. Exactly one answer is taken. Models share no memory: who makes
 * one copies its inputs into the model's memory, and reads its outputs where they lie.
 *
 * All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_NESTED_H
#define TENSORD_SERVING_NESTED_H

#include "serving/inference.h"
#include "serving/only_answer.h"

enum { NESTED_MAX_DEPTH = 8 };

struct nested {
    /* Set by the owner before nested_submit. Called once, in a later turn, unless nested_free comes
     * first: with the outputs, valid until nested_free, or NULL and the error. */
    void (*ended)(struct nested *nested, const struct inference_outputs *outputs,
                  const struct error *error);
    void *owner;
    struct inference inference;
    /* The module's own. */
    struct only_answer only;
    struct arena arena;
    struct span *output_names;
    size_t output_count, output_capacity;
    bool told;                   /* `ended` was called */
    bool final;                  /* it has its final answer */
    bool left;                   /* freed by its owner, and freed for good with its final answer */
    struct list_link watch_link; /* of deadlock.h, with: */
    bool seen, stuck, was_stuck;
};

/* One for the parent, of a model's version (-1: the one whose turn it is). NULL when the model is
 * unknown, does not serve, or calls would go in a circle or too deep. */
struct nested *nested_new(struct inference *parent, struct span model, int64_t version,
                          struct error *ret_error);

/* As inference_input; the name is copied. */
bool nested_input(struct nested *nested, struct span name, enum tensord_datatype datatype,
                  const struct shape *shape, uint64_t size_bytes, char **ret_data,
                  struct error *ret_error);

/* Asks for this output, beside others that were asked for; without the call, all are given. One
 * that the model does not give now is missing in the answer, or an error. The name is copied. */
bool nested_output(struct nested *nested, struct span name, struct error *ret_error);

void nested_submit(struct nested *nested);

/* It is to end early; `ended` is still called. */
void nested_cancel(struct nested *nested);

/* It ends now, with this error: `ended` is called from within. It has not been told. */
void nested_fail(struct nested *nested, const struct error *error);

/* Nobody wants it any more, whatever it has come to; from within `ended`, too. */
void nested_free(struct nested *nested);

#endif
