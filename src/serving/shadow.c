/* Copies of requests; see shadow.h. */
#include "serving/shadow.h"

#include "base/unset.h"
#include "net/loop_work.h"
#include "serving/generation.h"
#include "serving/only_answer.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BYTES = SHADOW_MOST_BYTES + (1 << 20) };

/* An output of the answer that the client got. */
struct saved_output {
    struct span name;
    struct compared tensor;
    struct difference difference;
    bool found; /* the shadow gave it, too */
};

/* One request on its way. */
struct copied {
    struct list_link link; /* in the serving's */
    struct model *model;
    struct arena arena;
    struct parameter *parameters; /* of the request, like what follows */
    size_t parameter_count;
    struct span *input_names, *output_names;
    struct span id;
    struct inference inference;
    struct only_answer only;
    struct inference_outputs outputs; /* of the shadow */
    struct saved_output *saved;
    size_t saved_count;
    uint64_t bytes; /* that it holds */
    bool primary_failed;
    bool told;
    bool works; /* a thread compares */
    struct loop_work work;
};

static struct model *model_of(const struct inference *inference)
{
    return inference->generation->version->model;
}

/* ---- the report ---- */

static struct version *shadow_version(const struct model *model)
{
    for (size_t i = 0; i < model->version_count; i++) {
        if (model->versions[i]->number == model->routing.now.shadow)
            return model->versions[i];
    }
    return NULL;
}

/* The report on this state of the version; NULL without memory. */
static struct shadow_report *report_for(struct model *model, const struct version *version)
{
    uint64_t number = model->routing.now.shadow;
    uint64_t fingerprint = version && version->current ? version->current->fingerprint : 0;
    struct shadow_report *report = model->shadow;
    bool fits = report && report->version == number &&
                (!fingerprint || !report->fingerprint || report->fingerprint == fingerprint);
    if (!report)
        report = model->shadow = malloc(sizeof *report);
    if (report && !fits)
        shadow_report_reset(report, number, fingerprint, clock_now_ns());
    if (report && fingerprint)
        report->fingerprint = fingerprint;
    return report;
}

/* The report on what the copy was sent to; NULL: it is of something else by now. */
static struct shadow_report *report_of(const struct copied *copied)
{
    const struct generation *generation = copied->inference.generation;
    struct shadow_report *report = copied->model->shadow;
    bool fits = report && report->version == generation->version->number &&
                report->fingerprint == generation->fingerprint;
    return fits ? report : NULL;
}

const struct shadow_report *shadow_report_of(const struct model *model)
{
    bool fits = model->shadow && model->shadow->version == model->routing.now.shadow;
    return fits ? model->shadow : NULL;
}

void shadow_forget(struct model *model)
{
    free(model->shadow);
    model->shadow = NULL;
}

static void count(const struct copied *copied, enum shadow_outcome outcome)
{
    copied->inference.generation->version->statistics.metrics.shadow_outcomes[outcome]++;
}

static void skip(struct model *model, enum shadow_skip why)
{
    struct version *version = shadow_version(model);
    struct shadow_report *report = report_for(model, version);
    if (version)
        version->statistics.metrics.shadow_outcomes[SHADOW_OUTCOME_SKIPPED]++;
    if (report)
        report->skipped[why]++;
}

/* ---- the end of a copy ---- */

static void destroy(struct copied *copied)
{
    struct serving *serving = copied->model->serving;
    list_remove(&copied->link);
    copied->model->shadow_copies--;
    serving->shadow_bytes -= copied->bytes;
    inference_fini(&copied->inference); /* the model may go with it */
    arena_fini(&copied->arena);
    free(copied);
}

static uint64_t worker_ns(const struct inference *inference)
{
    return inference->times.answered_ns - inference->times.executed_ns;
}

static void record_failure(const struct copied *copied, const struct error *error)
{
    struct shadow_report *report = report_of(copied);
    count(copied, SHADOW_OUTCOME_FAILED);
    if (!report)
        return;
    report->failed++;
    snprintf(report->failure, sizeof report->failure, "%s", error->message);
}

static const struct inference_output *output_named(const struct inference_outputs *outputs,
                                                   struct span name)
{
    for (size_t i = 0; i < outputs->count; i++) {
        if (span_equal(outputs->items[i].info->name, name))
            return &outputs->items[i];
    }
    return NULL;
}

/* On a thread: nobody else looks at the copy now. */
static void compare(struct loop_work *work)
{
    struct copied *copied = list_entry(work, struct copied, work);
    for (size_t i = 0; i < copied->saved_count; i++) {
        struct saved_output *saved = &copied->saved[i];
        const struct inference_output *output = output_named(&copied->outputs, saved->name);
        saved->found = output != NULL;
        if (!output)
            continue;
        const struct compared other = {output->datatype, output->shape, output->data};
        compare_tensors(&saved->tensor, &other, &saved->difference);
    }
}

static void record_differences(const struct copied *copied)
{
    struct shadow_report *report = report_of(copied);
    struct model_metrics *counts = &copied->inference.generation->version->statistics.metrics;
    bool different = copied->saved_count != copied->outputs.count;
    double largest = different ? 1 : 0;
    for (size_t i = 0; i < copied->saved_count; i++) {
        const struct saved_output *saved = &copied->saved[i];
        const struct difference *found = &saved->difference;
        different = different || !saved->found || !found->comparable || found->unequal > 0;
        if (!saved->found || !found->comparable)
            largest = largest < 1 ? 1 : largest;
        if (found->max_relative > largest)
            largest = found->max_relative;
        if (report)
            shadow_report_tensor(report, saved->name, saved->tensor.datatype, found);
    }
    histogram_observe(&counts->shadow_difference, &histogram_differences,
                      (uint64_t)(largest / histogram_differences.unit));
    count(copied, different ? SHADOW_OUTCOME_DIFFERENT : SHADOW_OUTCOME_EQUAL);
    if (report)
        *(different ? &report->different : &report->equal) += 1;
}

static void was_compared(struct loop_work *work)
{
    struct copied *copied = list_entry(work, struct copied, work);
    record_differences(copied);
    destroy(copied);
}

/* The shadow has answered. */
static void took_outputs(struct copied *copied)
{
    struct error error;
    struct shadow_report *report = report_of(copied);
    if (report)
        shadow_report_shadow(report, worker_ns(&copied->inference));
    if (copied->primary_failed)
        return; /* there is nothing to compare with */
    copied->works =
        loop_work_start(copied->model->serving->loop, &copied->work, compare, was_compared, &error);
    if (!copied->works)
        skip(copied->model, SHADOW_BUSY);
}

/* It has not come to a worker, for want of room or because the server stops. */
static bool was_turned_away(const struct inference *inference, const struct error *error)
{
    return !inference->times.executed_ns &&
           (error->code == ERROR_UNAVAILABLE || error->code == ERROR_RESOURCE_EXHAUSTED ||
            error->code == ERROR_CANCELLED);
}

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct copied *copied = list_entry(inference, struct copied, inference);
    struct error error = answer->error;
    enum only_answer_step step = ONLY_ANSWER_WAITS;
    if (!copied->told)
        step = only_answer_take(&copied->only, inference, answer, &copied->outputs, &error);
    copied->told = copied->told || step != ONLY_ANSWER_WAITS;
    if (step == ONLY_ANSWER_GIVEN)
        took_outputs(copied);
    else if (step == ONLY_ANSWER_FAILED && was_turned_away(inference, &error))
        skip(copied->model, SHADOW_BUSY);
    else if (step == ONLY_ANSWER_FAILED)
        record_failure(copied, &error);
    if (!answer->final && copied->told)
        inference_cancel(inference);
    else if (answer->final && !copied->works)
        destroy(copied);
}

void shadow_cancel_all(struct serving *serving)
{
    list_each(link, &serving->shadows)
    {
        struct copied *copied = list_entry(link, struct copied, link);
        if (!copied->works)
            inference_cancel(&copied->inference);
    }
}

/* ---- what it is made of ---- */

static bool copy_bytes(struct arena *arena, struct span from, struct span *ret_copy)
{
    *ret_copy = (struct span){NULL, 0};
    return !from.size || arena_copy(arena, from, ret_copy);
}

static struct span *copy_names(struct arena *arena, const struct span *names, size_t count)
{
    struct span *copy = arena_calloc(arena, count, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++) {
        if (!copy_bytes(arena, names[i], &copy[i]))
            return NULL;
    }
    return copy;
}

static struct parameter *copy_parameters(struct arena *arena, const struct inference *from)
{
    struct parameter *copy = arena_calloc(arena, from->parameter_count, sizeof *copy);
    for (size_t i = 0; copy && i < from->parameter_count; i++) {
        if (!copy_bytes(arena, from->parameters[i].key, &copy[i].key) ||
            !copy_bytes(arena, from->parameters[i].value, &copy[i].value))
            return NULL;
    }
    return copy;
}

/* All but the tensors, which lie still for longer. */
static bool copy_head(struct copied *copied, const struct inference *from)
{
    struct arena *arena = &copied->arena;
    copied->parameters = copy_parameters(arena, from);
    copied->parameter_count = from->parameter_count;
    copied->input_names = copy_names(arena, from->input_names, from->input_count);
    copied->output_names = copy_names(arena, from->output_names, from->output_name_count);
    return copied->parameters && copied->input_names && copied->output_names &&
           copy_bytes(arena, from->id, &copied->id);
}

static bool save_outputs(struct copied *copied, const struct inference_outputs *outputs)
{
    copied->saved = arena_calloc(&copied->arena, outputs->count, sizeof *copied->saved);
    if (!copied->saved)
        return false;
    for (size_t i = 0; i < outputs->count; i++) {
        const struct inference_output *output = &outputs->items[i];
        struct saved_output *saved = &copied->saved[i];
        saved->tensor = (struct compared){.datatype = output->datatype, .shape = output->shape};
        if (!copy_bytes(&copied->arena, output->info->name, &saved->name) ||
            !copy_bytes(&copied->arena, output->data, &saved->tensor.data))
            return false;
    }
    copied->saved_count = outputs->count;
    return true;
}

static bool copy_input(struct copied *copied, const struct inference *from, size_t at)
{
    const struct channel_tensor *input = &from->inputs[at];
    struct error error;
    char *data;
    if (!inference_input(&copied->inference, copied->input_names[at], input->datatype,
                         &input->shape, input->extent.size, &data, &error))
        return false;
    if (input->extent.size)
        memcpy(data, tensor_memory_at(from->generation->memory, input->extent), input->extent.size);
    return true;
}

/* Never called: nobody waits. */
static void reserved(struct inference *inference, const struct error *error)
{
}

static bool copy_inputs(struct copied *copied, const struct inference *from)
{
    struct error error;
    uint64_t needed = 0;
    int64_t rows = 0;
    if (from->input_count && from->inputs[0].shape.ndim)
        rows = from->inputs[0].shape.dims[0];
    for (size_t i = 0; i < from->input_count; i++)
        needed += tensor_memory_charge(from->inputs[i].extent.size);
    copied->inference.reserved = reserved;
    if (inference_reserve(&copied->inference, needed, rows, NULL, &error) != INFERENCE_MEMORY_GIVEN)
        return false;
    for (size_t i = 0; i < from->input_count; i++) {
        if (!copy_input(copied, from, i))
            return false;
    }
    return true;
}

/* False: there is no room for it now. */
static bool fill(struct copied *copied, const struct inference *from, struct version *version)
{
    struct inference *inference = &copied->inference;
    struct error error;
    if (!save_outputs(copied, &from->shadow.outputs) ||
        !inference_init(inference, version, &copied->arena, &error))
        return false;
    inference->answered = answered;
    inference->id = copied->id;
    inference->parameters = copied->parameters;
    inference->parameter_count = copied->parameter_count;
    inference->priority = inference->generation->schedule.policy.levels;
    inference->deadline_ns = clock_now_ns() + SHADOW_PATIENCE_S * CLOCK_NS_PER_S;
    inference_outputs(inference, copied->output_names, from->output_name_count);
    return copy_inputs(copied, from);
}

/* ---- the copy ---- */

/* A version that sleeps is started when there is room, for later copies: nobody leaves for it. */
static bool runs(struct version *version)
{
    struct generation *generation = version ? version->current : NULL;
    if (!generation || generation->pool || !generation->schema)
        return false;
    if (generation_is_asleep(generation))
        generation_start(generation, false);
    return generation->state.phase == GENERATION_READY;
}

void shadow_copy(struct inference *inference)
{
    struct copied *copied = inference->shadow.copied;
    struct model *model = model_of(inference);
    struct version *version = shadow_version(model);
    struct shadow_report *report = model->routing.now.shadow ? report_for(model, version) : NULL;
    inference->shadow.copied = NULL;
    if (!report || !runs(version) || !fill(copied, inference, version)) {
        if (report)
            skip(model, SHADOW_BUSY);
        destroy(copied);
        return;
    }
    if (copied->primary_failed)
        report->primary_failed++;
    else
        shadow_report_primary(report, worker_ns(inference));
    report->copied++;
    inference_submit(&copied->inference);
}

static uint64_t bytes_of(const struct inference *inference, const struct inference_outputs *outputs)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < inference->input_count; i++)
        bytes += inference->inputs[i].extent.size;
    for (size_t i = 0; i < outputs->count; i++)
        bytes += outputs->items[i].data.size;
    return bytes;
}

static struct copied *copied_new(struct model *model, const struct inference *from, uint64_t bytes)
{
    struct serving *serving = model->serving;
    if (model->shadow_copies >= SHADOW_MAX_COPIES ||
        serving->shadow_bytes + bytes > SHADOW_MOST_ALL_BYTES)
        return NULL;
    struct copied *copied = calloc(1, sizeof *copied);
    if (!copied)
        return NULL;
    arena_init(&copied->arena, 1024, ARENA_BYTES);
    copied->model = model;
    copied->bytes = bytes;
    list_add(&serving->shadows, &copied->link);
    model->shadow_copies++;
    serving->shadow_bytes += bytes;
    if (copy_head(copied, from))
        return copied;
    destroy(copied);
    return NULL;
}

/* Whether the answer is one that can be compared, of a request that was executed. */
static bool is_comparable(const struct inference *inference, const struct inference_answer *answer)
{
    return answer->error.code != ERROR_OK ||
           (inference->times.responses <= 1 && answer->outputs.count > 0);
}

void shadow_note(struct inference *inference, const struct inference_answer *answer)
{
    struct model *model = model_of(inference);
    const struct rollout *now = &model->routing.now;
    if (!now->shadow || now->shadow == inference->generation->version->number ||
        !inference->times.executed_ns || inference->cancelled ||
        !rollout_copies(now, &model->routing.turns))
        return;
    struct copied *copied = NULL;
    uint64_t bytes = bytes_of(inference, &answer->outputs);
    if (!is_comparable(inference, answer))
        skip(model, SHADOW_SEVERAL);
    else if (!runs(shadow_version(model)))
        skip(model, SHADOW_NOT_READY);
    else if (bytes > SHADOW_MOST_BYTES)
        skip(model, SHADOW_TOO_LARGE);
    else if (!(copied = copied_new(model, inference, bytes)))
        skip(model, SHADOW_BUSY);
    if (!copied)
        return;
    copied->primary_failed = answer->error.code != ERROR_OK;
    inference->shadow = (struct shadow_wish){copied, answer->outputs};
}
