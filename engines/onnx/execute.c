/* Running a model. Inputs are handed to ONNX Runtime where they lie. An output whose shape is known
 * beforehand is written by it to where the host wants it; any other is allocated by it and copied
 * once. */
#include "onnx/model.h"
#include "onnx/strings.h"

#include <string.h>

/* ---- inputs ---- */

static enum tensord_status wrap_input(const struct onnx_model *model,
                                      const struct tensord_tensor *input,
                                      struct ort_value **ret_value)
{
    static uint64_t nothing; /* an address for tensors without elements */
    if (input->datatype == TENSORD_BYTES)
        return onnx_strings_in(model, input, ret_value);
    return onnx_status(&model->library, model->library.api->CreateTensorWithDataAsOrtValue(
                                            model->cpu, input->size_bytes ? input->data : &nothing,
                                            input->size_bytes, input->shape, input->ndim,
                                            onnx_datatype_to(input->datatype), ret_value));
}

static enum tensord_status wrap_inputs(const struct onnx_model *model, struct onnx_slot *slot,
                                       const struct tensord_execution *execution)
{
    memset(slot->inputs, 0, model->input_count * sizeof *slot->inputs);
    for (size_t i = 0; i < execution->input_count; i++) {
        const struct tensord_tensor *input = &execution->inputs[i];
        slot->inputs[input->index] = input;
        slot->value_names[i] = model->inputs[input->index].name;
        slot->values[i] = NULL;
        slot->value_count = i + 1;
        enum tensord_status status = wrap_input(model, input, &slot->values[i]);
        if (status != TENSORD_OK)
            return status;
    }
    return TENSORD_OK;
}

/* ---- outputs ---- */

static bool is_wanted(const struct tensord_execution *execution, size_t index)
{
    return index >= 64 || (execution->wanted_outputs >> index & 1);
}

static void choose_outputs(const struct onnx_model *model, struct onnx_slot *slot,
                           const struct tensord_execution *execution)
{
    size_t count = 0;
    for (size_t i = 0; i < model->output_count; i++) {
        if (!is_wanted(execution, i))
            continue;
        slot->wanted[count] = (uint32_t)i;
        slot->wanted_names[count] = model->outputs[i].name;
        slot->results[count] = NULL;
        slot->foretold[count] = false;
        count++;
    }
    slot->wanted_count = count;
}

/* The output's shape by its rule. False when an input that it depends on is not given. */
static bool foretell(const struct onnx_model *model, const struct onnx_slot *slot, uint32_t index,
                     int64_t *ret_shape)
{
    const struct tensord_tensor_info *info = &model->outputs[index];
    for (uint32_t i = 0; i < info->ndim; i++) {
        const struct onnx_dim_source *source = &model->rules[index].dims[i];
        const struct tensord_tensor *input = source->fixed ? NULL : slot->inputs[source->input];
        if (!source->fixed && (!input || source->dim >= input->ndim))
            return false;
        ret_shape[i] = source->fixed ? info->shape[i] : input->shape[source->dim];
    }
    return true;
}

static bool shape_size(enum tensord_datatype datatype, const int64_t *shape, size_t ndim,
                       size_t *ret_size)
{
    size_t size = onnx_datatype_size(datatype);
    for (size_t i = 0; i < ndim; i++) {
        if (shape[i] < 0 || __builtin_mul_overflow(size, (size_t)shape[i], &size))
            return false;
    }
    *ret_size = size;
    return true;
}

/* Has the outputs whose shapes are known written straight to the host's memory. */
static enum tensord_status place_outputs(const struct onnx_model *model, struct onnx_slot *slot,
                                         struct tensord_execution *execution)
{
    for (size_t i = 0; i < slot->wanted_count; i++) {
        uint32_t index = slot->wanted[i];
        const struct tensord_tensor_info *info = &model->outputs[index];
        int64_t shape[TENSORD_MAX_DIMS];
        size_t size;
        if (atomic_load_explicit(&model->rules[index].foretelling, memory_order_relaxed) !=
                ONNX_FORETELL ||
            !foretell(model, slot, index, shape) ||
            !shape_size(info->datatype, shape, info->ndim, &size) || size == 0)
            continue;
        void *data =
            execution->host->output(execution, index, info->datatype, shape, info->ndim, size);
        if (!data)
            return TENSORD_UNAVAILABLE; /* the host has said why */
        enum tensord_status status =
            onnx_status(&model->library, model->library.api->CreateTensorWithDataAsOrtValue(
                                             model->cpu, data, size, shape, info->ndim,
                                             onnx_datatype_to(info->datatype), &slot->results[i]));
        if (status != TENSORD_OK)
            return status;
        slot->foretold[i] = true;
    }
    return TENSORD_OK;
}

/* Learns whether the rule of an output tells its shape. */
static void learn(const struct onnx_model *model, const struct onnx_slot *slot, uint32_t index,
                  const int64_t *shape, size_t ndim)
{
    int64_t expected[TENSORD_MAX_DIMS];
    struct onnx_output_rule *rule = &model->rules[index];
    if (atomic_load_explicit(&rule->foretelling, memory_order_relaxed) == ONNX_FORETELL_NEVER ||
        !foretell(model, slot, index, expected))
        return;
    bool agrees =
        ndim == model->outputs[index].ndim && memcmp(shape, expected, ndim * sizeof *shape) == 0;
    atomic_store_explicit(&rule->foretelling, agrees ? ONNX_FORETELL : ONNX_FORETELL_NEVER,
                          memory_order_relaxed);
}

static enum tensord_status result_shape(const struct onnx_model *model,
                                        const struct ort_value *result, const char *name,
                                        int64_t *ret_shape, size_t *ret_ndim)
{
    const struct onnx_library *library = &model->library;
    struct ort_tensor_info *info;
    size_t ndim;
    enum tensord_status status =
        onnx_status(library, library->api->GetTensorTypeAndShape(result, &info));
    if (status != TENSORD_OK)
        return status;
    status = onnx_status(library, library->api->GetDimensionsCount(info, &ndim));
    if (status == TENSORD_OK && ndim > TENSORD_MAX_DIMS)
        status = library->host->reason(TENSORD_UNSUPPORTED,
                                       "output '%s' has %zu dimensions, %d "
                                       "are the most",
                                       name, ndim, TENSORD_MAX_DIMS);
    if (status == TENSORD_OK)
        status = onnx_status(library, library->api->GetDimensions(info, ret_shape, ndim));
    library->api->ReleaseTensorTypeAndShapeInfo(info);
    *ret_ndim = ndim;
    return status;
}

static enum tensord_status copy_result(const struct onnx_model *model,
                                       struct tensord_execution *execution, uint32_t index,
                                       struct ort_value *result, const int64_t *shape, size_t ndim)
{
    const struct tensord_tensor_info *info = &model->outputs[index];
    void *from;
    size_t size;
    if (!shape_size(info->datatype, shape, ndim, &size))
        return execution->host->reason(TENSORD_INTERNAL, "output '%s' has an impossible shape",
                                       info->name);
    enum tensord_status status =
        onnx_status(&model->library, model->library.api->GetTensorMutableData(result, &from));
    if (status != TENSORD_OK)
        return status;
    void *to =
        execution->host->output(execution, index, info->datatype, shape, (uint32_t)ndim, size);
    if (!to)
        return TENSORD_UNAVAILABLE;
    if (size)
        memcpy(to, from, size);
    return TENSORD_OK;
}

static enum tensord_status take_result(const struct onnx_model *model, const struct onnx_slot *slot,
                                       struct tensord_execution *execution, size_t i)
{
    uint32_t index = slot->wanted[i];
    int64_t shape[TENSORD_MAX_DIMS];
    size_t ndim;
    struct ort_value *result = slot->results[i];
    if (!result)
        return execution->host->reason(TENSORD_INTERNAL, "the model made no output '%s'",
                                       model->outputs[index].name);
    enum tensord_status status =
        result_shape(model, result, model->outputs[index].name, shape, &ndim);
    if (status != TENSORD_OK)
        return status;
    learn(model, slot, index, shape, ndim);
    if (model->outputs[index].datatype == TENSORD_BYTES)
        return onnx_strings_out(model, execution, index, result, shape, (uint32_t)ndim);
    return copy_result(model, execution, index, result, shape, ndim);
}

/* ---- running ---- */

/* A run may fail because an output has not the shape that it was given room for. Room that was
 * asked for cannot be given back, but the client may try again, and then nothing is foretold. */
static enum tensord_status explain_failure(const struct onnx_model *model,
                                           const struct onnx_slot *slot,
                                           const struct tensord_execution *execution,
                                           struct ort_status *failure)
{
    const char *sentence = model->library.api->GetErrorMessage(failure);
    /* As 1.19 and as 1.32 say it. */
    bool surprise =
        strstr(sentence, "shape verification failed") || strstr(sentence, "pre-allocated output");
    enum tensord_status status = onnx_status(&model->library, failure);
    for (size_t i = 0; surprise && i < slot->wanted_count; i++) {
        if (slot->foretold[i]) {
            atomic_store_explicit(&model->rules[slot->wanted[i]].foretelling, ONNX_FORETELL_NEVER,
                                  memory_order_relaxed);
            status = TENSORD_UNAVAILABLE;
        }
    }
    if (execution->host->cancelled(execution))
        return execution->host->reason(TENSORD_CANCELLED, "cancelled");
    return status;
}

static enum tensord_status run(struct onnx_model *model, struct onnx_slot *slot,
                               struct tensord_execution *execution)
{
    enum tensord_status status = wrap_inputs(model, slot, execution);
    if (status != TENSORD_OK)
        return status;
    choose_outputs(model, slot, execution);
    if (slot->wanted_count == 0)
        return TENSORD_OK;
    status = place_outputs(model, slot, execution);
    if (status != TENSORD_OK)
        return status;
    /* A cancellation that came before the slot was taken has not reached it. */
    if (execution->host->cancelled(execution))
        return execution->host->reason(TENSORD_CANCELLED, "cancelled");
    struct ort_status *failure =
        model->library.api->Run(slot->session, slot->run_options, slot->value_names,
                                (const struct ort_value *const *)slot->values, slot->value_count,
                                slot->wanted_names, slot->wanted_count, slot->results);
    if (failure)
        return explain_failure(model, slot, execution, failure);
    for (size_t i = 0; i < slot->wanted_count && status == TENSORD_OK; i++) {
        if (!slot->foretold[i])
            status = take_result(model, slot, execution, i);
    }
    return status;
}

void onnx_execute(void *context, struct tensord_execution *execution)
{
    struct onnx_model *model = context;
    const struct tensord_host *host = execution->host;
    struct onnx_slot *slot = onnx_slot_take(model, execution);
    enum tensord_status status =
        slot ? run(model, slot, execution)
             : host->reason(TENSORD_INTERNAL, "more executions at once than agreed");
    if (slot)
        onnx_slot_give(model, slot);
    if (status == TENSORD_OK)
        host->respond(execution, true);
    else
        host->fail(execution, status);
}
