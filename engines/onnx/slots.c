/* The slots of a model: what an execution needs while it runs, made once, so that running takes no
 * memory of its own. The lock also keeps a cancellation from reaching the slot's next execution. */
#include "onnx/model.h"

#include <stdlib.h>

static bool slot_init(const struct onnx_model *model, struct onnx_slot *slot)
{
    size_t inputs = model->input_count + 1, outputs = model->output_count + 1; /* never 0 */
    slot->inputs = calloc(inputs, sizeof *slot->inputs);
    slot->value_names = calloc(inputs, sizeof *slot->value_names);
    slot->values = calloc(inputs, sizeof *slot->values);
    slot->wanted = calloc(outputs, sizeof *slot->wanted);
    slot->wanted_names = calloc(outputs, sizeof *slot->wanted_names);
    slot->results = calloc(outputs, sizeof *slot->results);
    slot->foretold = calloc(outputs, sizeof *slot->foretold);
    return slot->inputs && slot->value_names && slot->values && slot->wanted &&
           slot->wanted_names && slot->results && slot->foretold;
}

enum tensord_status onnx_slots_new(struct onnx_model *model)
{
    const struct onnx_library *library = &model->library;
    model->slots = calloc(model->slot_count, sizeof *model->slots);
    for (uint32_t i = 0; i < model->slot_count; i++) {
        if (!model->slots || !slot_init(model, &model->slots[i]))
            return library->host->reason(TENSORD_UNAVAILABLE, "out of memory");
        enum tensord_status status =
            onnx_status(library, library->api->CreateRunOptions(&model->slots[i].run_options));
        if (status != TENSORD_OK)
            return status;
    }
    return TENSORD_OK;
}

static void slot_fini(const struct onnx_model *model, struct onnx_slot *slot)
{
    if (slot->run_options)
        model->library.api->ReleaseRunOptions(slot->run_options);
    free(slot->inputs);
    free(slot->value_names);
    free(slot->values);
    free(slot->wanted);
    free(slot->wanted_names);
    free(slot->results);
    free(slot->foretold);
}

void onnx_slots_free(struct onnx_model *model)
{
    for (uint32_t i = 0; model->slots && i < model->slot_count; i++)
        slot_fini(model, &model->slots[i]);
    free(model->slots);
}

static struct onnx_slot *slot_of(struct onnx_model *model,
                                 const struct tensord_execution *execution)
{
    for (uint32_t i = 0; i < model->slot_count; i++) {
        if (model->slots[i].execution == execution)
            return &model->slots[i];
    }
    return NULL;
}

struct onnx_slot *onnx_slot_take(struct onnx_model *model, struct tensord_execution *execution)
{
    pthread_mutex_lock(&model->lock);
    struct onnx_slot *slot = slot_of(model, NULL);
    if (slot) {
        slot->execution = execution;
        model->running++;
    }
    uint32_t at_once = model->running;
    pthread_mutex_unlock(&model->lock);
    if (slot)
        slot->session = onnx_sessions_choose(&model->sessions, at_once);
    return slot;
}

static void release_values(const struct ort_api *api, struct ort_value **values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i])
            api->ReleaseValue(values[i]);
        values[i] = NULL;
    }
}

void onnx_slot_give(struct onnx_model *model, struct onnx_slot *slot)
{
    const struct ort_api *api = model->library.api;
    release_values(api, slot->values, slot->value_count);
    release_values(api, slot->results, slot->wanted_count);
    slot->value_count = slot->wanted_count = 0;
    pthread_mutex_lock(&model->lock);
    struct ort_status *failure = api->RunOptionsUnsetTerminate(slot->run_options);
    slot->execution = NULL;
    model->running--;
    pthread_mutex_unlock(&model->lock);
    if (failure)
        api->ReleaseStatus(failure);
}

void onnx_slot_cancel(struct onnx_model *model, const struct tensord_execution *execution)
{
    const struct ort_api *api = model->library.api;
    struct ort_status *failure = NULL;
    pthread_mutex_lock(&model->lock);
    struct onnx_slot *slot = slot_of(model, execution);
    if (slot)
        failure = api->RunOptionsSetTerminate(slot->run_options);
    pthread_mutex_unlock(&model->lock);
    if (failure)
        api->ReleaseStatus(failure);
}
