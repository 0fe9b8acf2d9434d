/* The schema in a model's config beside that of the model itself: what the config promises must be
 * what the model takes. A config may count dimensions without the batch's, as Triton's do, and may
 * give them where the model leaves even their number open. */
#include "onnx/model.h"

#include <stdio.h>
#include <string.h>

static const struct tensord_tensor_info *find(const struct tensord_tensor_info *infos, size_t count,
                                              const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(infos[i].name, name) == 0)
            return &infos[i];
    }
    return NULL;
}

/* "'a', 'b'", cut to fit. */
static void list_names(const struct tensord_tensor_info *infos, size_t count, char *text,
                       size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && at + 1 < size; i++) {
        int written = snprintf(text + at, size - at, "%s'%s'", i ? ", " : "", infos[i].name);
        at += written > 0 ? (size_t)written : 0;
    }
}

static void format_shape(const int64_t *shape, uint32_t ndim, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "[");
    for (uint32_t i = 0; i < ndim && at + 1 < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? "," : "", (long long)shape[i]);
    if (at + 1 < size)
        snprintf(text + at, size - at, "]");
}

/* Fits when each dimension is the same, or unknown to either. */
static bool dims_fit(const int64_t *declared, const int64_t *own, uint32_t ndim)
{
    for (uint32_t i = 0; i < ndim; i++) {
        if (declared[i] >= 0 && own[i] >= 0 && declared[i] != own[i])
            return false;
    }
    return true;
}

static bool shape_fits(const struct tensord_tensor_info *declared,
                       const struct tensord_tensor_info *own, bool batches)
{
    if (declared->ndim == own->ndim && dims_fit(declared->shape, own->shape, own->ndim))
        return true;
    return batches && own->ndim > 0 && own->shape[0] < 0 && declared->ndim == own->ndim - 1 &&
           dims_fit(declared->shape, own->shape + 1, declared->ndim);
}

static enum tensord_status check(const struct tensord_host *host, const char *what,
                                 const struct tensord_tensor_info *declared,
                                 const struct tensord_tensor_info *own, bool batches)
{
    char theirs[160], ours[160];
    if (declared->datatype != TENSORD_INVALID && declared->datatype != own->datatype)
        return host->reason(TENSORD_INVALID_ARGUMENT,
                            "the config says that %s '%s' is %s, the model that it is %s", what,
                            own->name, onnx_datatype_name(declared->datatype),
                            onnx_datatype_name(own->datatype));
    if (declared->any_rank || shape_fits(declared, own, batches))
        return TENSORD_OK;
    format_shape(declared->shape, declared->ndim, theirs, sizeof theirs);
    format_shape(own->shape, own->ndim, ours, sizeof ours);
    return host->reason(TENSORD_INVALID_ARGUMENT,
                        "the config gives %s '%s' the shape %s, the model has %s", what, own->name,
                        theirs, ours);
}

static enum tensord_status check_all(const struct tensord_host *host, const char *what,
                                     const struct tensord_tensor_info *declared, size_t count,
                                     const struct tensord_tensor_info *own, size_t own_count,
                                     bool batches)
{
    char names[300];
    for (size_t i = 0; i < count; i++) {
        const struct tensord_tensor_info *match = find(own, own_count, declared[i].name);
        if (!match) {
            list_names(own, own_count, names, sizeof names);
            return host->reason(TENSORD_INVALID_ARGUMENT,
                                "the config has %s '%s', which the model has not; it has %s", what,
                                declared[i].name, names);
        }
        enum tensord_status status = check(host, what, &declared[i], match, batches);
        if (status != TENSORD_OK)
            return status;
    }
    return TENSORD_OK;
}

/* A tensor of unknown rank looks like a scalar; the config may know better. Returns whether it
 * does.
 */
static bool adopt_rank(const struct tensord_tensor_info *declared, size_t count,
                       struct tensord_tensor_info *own)
{
    const struct tensord_tensor_info *match = find(declared, count, own->name);
    if (!match || own->ndim > 0 || match->ndim == 0 || match->any_rank)
        return false;
    own->ndim = match->ndim;
    memcpy(own->shape, match->shape, sizeof own->shape);
    return true;
}

static void adopt_ranks(struct onnx_model *model, const struct tensord_source *source)
{
    for (size_t i = 0; i < model->input_count; i++)
        adopt_rank(source->inputs, source->input_count, &model->inputs[i]);
    for (size_t i = 0; i < model->output_count; i++) {
        if (adopt_rank(source->outputs, source->output_count, &model->outputs[i]))
            model->rules[i].foretelling = ONNX_FORETELL_NEVER;
    }
}

enum tensord_status onnx_declared_apply(struct onnx_model *model,
                                        const struct tensord_source *source)
{
    const struct tensord_host *host = model->library.host;
    bool batches = source->max_batch_size > 0;
    adopt_ranks(model, source);
    enum tensord_status status = check_all(host, "input", source->inputs, source->input_count,
                                           model->inputs, model->input_count, batches);
    if (status != TENSORD_OK)
        return status;
    return check_all(host, "output", source->outputs, source->output_count, model->outputs,
                     model->output_count, batches);
}
