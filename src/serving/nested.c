/* Nested inferences; see nested.h. */
#include "serving/nested.h"

#include "base/unset.h"
#include "serving/deadlock.h"
#include "serving/generation.h"
#include "serving/measure.h"

#include <assert.h>
#include <stdlib.h>

enum { ARENA_BYTES = 1 << 20 };

static void destroy(struct nested *nested)
{
    inference_fini(&nested->inference);
    arena_fini(&nested->arena);
    free(nested);
}

/* ---- the answer ---- */

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct nested *nested = list_entry(inference, struct nested, inference);
    struct inference_outputs outputs UNSET;
    struct error error = answer->error;
    enum only_answer_step step = ONLY_ANSWER_WAITS;
    bool tells = !nested->told && !nested->left;
    if (tells)
        step = only_answer_take(&nested->only, inference, answer, &outputs, &error);
    if (answer->final)
        measure_span(inference, &error, inference->times.answered_ns);
    if (answer->final || step != ONLY_ANSWER_WAITS)
        deadlock_leave(nested);
    if (step != ONLY_ANSWER_WAITS) {
        nested->told = true;
        nested->ended(nested, step == ONLY_ANSWER_GIVEN ? &outputs : NULL, &error);
    }
    nested->final = answer->final;
    if (nested->final && nested->left)
        destroy(nested);
    else if (!nested->final && (nested->told || nested->left))
        inference_cancel(inference);
}

/* ---- the request ---- */

/* True when one of the requests that wait for this one is for the same model: it would wait for
 * itself. */
static bool is_circle(const struct inference *parent, const struct version *version)
{
    for (; parent; parent = parent->parent) {
        if (parent->generation->version == version)
            return true;
    }
    return false;
}

static bool bind(struct nested *nested, struct inference *parent, struct span name, int64_t number,
                 struct error *ret_error)
{
    struct serving *serving = parent->generation->version->model->serving;
    struct model *model = serving_model(serving, name, ret_error);
    struct version *version = NULL;
    if (model)
        version = number < 0 ? routing_nested(model, parent, ret_error)
                             : model_version(model, number, ret_error);
    if (parent->depth >= NESTED_MAX_DEPTH)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "models call each other more than %d deep", NESTED_MAX_DEPTH);
    if (version && is_circle(parent, version))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "models call each other in a circle, which would never end");
    if (!version ||
        !inference_init_nested(&nested->inference, version, &nested->arena, parent, ret_error))
        return false;
    nested->inference.routed = number < 0;
    return true;
}

struct nested *nested_new(struct inference *parent, struct span model, int64_t version,
                          struct error *ret_error)
{
    struct nested *nested = calloc(1, sizeof *nested);
    if (!nested) {
        error_no_memory(ret_error);
        return NULL;
    }
    arena_init(&nested->arena, 1024, ARENA_BYTES);
    if (!bind(nested, parent, model, version, ret_error)) {
        destroy(nested);
        return NULL;
    }
    nested->inference.answered = answered;
    return nested;
}

bool nested_input(struct nested *nested, struct span name, enum tensord_datatype datatype,
                  const struct shape *shape, uint64_t size_bytes, char **ret_data,
                  struct error *ret_error)
{
    struct span copy;
    if (!arena_copy(&nested->arena, name, &copy))
        return error_no_memory(ret_error);
    return inference_input(&nested->inference, copy, datatype, shape, size_bytes, ret_data,
                           ret_error);
}

bool nested_output(struct nested *nested, struct span name, struct error *ret_error)
{
    if (!arena_grow(&nested->arena, (void **)&nested->output_names, nested->output_count,
                    &nested->output_capacity, sizeof *nested->output_names) ||
        !arena_copy(&nested->arena, name, &nested->output_names[nested->output_count]))
        return error_no_memory(ret_error);
    nested->output_count++;
    return true;
}

void nested_submit(struct nested *nested)
{
    inference_outputs(&nested->inference, nested->output_names, nested->output_count);
    deadlock_enter(nested);
    inference_submit(&nested->inference);
}

void nested_cancel(struct nested *nested)
{
    inference_cancel(&nested->inference);
}

void nested_fail(struct nested *nested, const struct error *error)
{
    assert(!nested->told && !nested->left && !nested->final);
    deadlock_leave(nested);
    nested->told = true;
    nested->ended(nested, NULL, error);
    if (!nested->left)
        inference_cancel(&nested->inference);
}

void nested_free(struct nested *nested)
{
    if (!nested)
        return;
    deadlock_leave(nested);
    nested->left = true;
    if (nested->final || nested->inference.state == INFERENCE_FILLING) {
        destroy(nested);
        return;
    }
    nested->inference.parent = NULL; /* it may go before this one's last answer comes */
    nested->inference.id = (struct span){0};
    nested->inference.parameter_count = 0;
    inference_cancel(&nested->inference);
}
