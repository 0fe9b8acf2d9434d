/* What a session says of its inputs and outputs. Inputs are followed by the initializers that a
 * request may override, which it may thus leave out. */
#include "onnx/model.h"

#include <stdlib.h>
#include <string.h>

/* The three lists of a session are read by functions of one form. */
struct list {
    const char *what;
    struct ort_status *(*count)(const struct ort_session *, size_t *);
    struct ort_status *(*name)(const struct ort_session *, size_t, struct ort_allocator *, char **);
    struct ort_status *(*type)(const struct ort_session *, size_t, struct ort_type_info **);
};

enum { MAX_TENSORS = 1024 };

static enum tensord_status out_of_memory(const struct onnx_model *model)
{
    return model->library.host->reason(TENSORD_UNAVAILABLE, "out of memory");
}

static enum tensord_status read_name(const struct onnx_model *model, const struct list *list,
                                     size_t index, struct tensord_tensor_info *info)
{
    const struct ort_api *api = model->library.api;
    char *name;
    enum tensord_status status = onnx_status(
        &model->library, list->name(model->sessions.wide, index, model->allocator, &name));
    if (status != TENSORD_OK)
        return status;
    info->name = strdup(name);
    status = onnx_status(&model->library, api->AllocatorFree(model->allocator, name));
    return info->name ? status : out_of_memory(model);
}

/* Why a kind of value that is no tensor is not served. */
static enum tensord_status refuse(const struct onnx_model *model, const struct list *list,
                                  const char *name, int type)
{
    static const char *const kinds[] = {
        [ORT_TYPE_UNKNOWN] = "of an unknown kind",
        [ORT_TYPE_SEQUENCE] = "a sequence",
        [ORT_TYPE_MAP] = "a map",
        [ORT_TYPE_OPAQUE] = "an opaque value",
        [ORT_TYPE_SPARSE_TENSOR] = "a sparse tensor",
        [ORT_TYPE_OPTIONAL] = "of an optional type",
    };
    const struct tensord_host *host = model->library.host;
    const char *kind = "of an unknown kind";
    if (type >= 0 && type < (int)(sizeof kinds / sizeof *kinds) && kinds[type])
        kind = kinds[type];
    if (type == ORT_TYPE_SEQUENCE && strcmp(list->what, "output") == 0)
        return host->reason(TENSORD_UNSUPPORTED,
                            "output '%s' is a sequence, and only tensors can be served; for a "
                            "scikit-learn classifier, convert with options={'zipmap': False}",
                            name);
    return host->reason(TENSORD_UNSUPPORTED, "%s '%s' is %s, and only tensors can be served",
                        list->what, name, kind);
}

/* Symbolic names are kept; an unnamed dimension has an empty one. */
static enum tensord_status read_symbols(const struct onnx_model *model,
                                        const struct ort_tensor_info *tensor,
                                        struct tensord_tensor_info *info)
{
    const char *symbols[TENSORD_MAX_DIMS] = {0};
    enum tensord_status status = onnx_status(
        &model->library, model->library.api->GetSymbolicDimensions(tensor, symbols, info->ndim));
    for (uint32_t i = 0; status == TENSORD_OK && i < info->ndim; i++) {
        if (info->shape[i] >= 0 || !symbols[i] || !*symbols[i])
            continue;
        info->symbols[i] = strdup(symbols[i]);
        if (!info->symbols[i])
            status = out_of_memory(model);
    }
    return status;
}

static enum tensord_status read_tensor(const struct onnx_model *model, const struct list *list,
                                       const struct ort_tensor_info *tensor,
                                       struct tensord_tensor_info *info)
{
    const struct onnx_library *library = &model->library;
    int datatype;
    size_t ndim;
    enum tensord_status status =
        onnx_status(library, library->api->GetTensorElementType(tensor, &datatype));
    if (status == TENSORD_OK)
        status = onnx_status(library, library->api->GetDimensionsCount(tensor, &ndim));
    if (status != TENSORD_OK)
        return status;
    info->datatype = onnx_datatype_of(datatype);
    if (info->datatype == TENSORD_INVALID)
        return library->host->reason(TENSORD_UNSUPPORTED,
                                     "%s '%s' has a datatype that the protocol has not (ONNX's %d)",
                                     list->what, info->name, datatype);
    if (ndim > TENSORD_MAX_DIMS)
        return library->host->reason(TENSORD_UNSUPPORTED,
                                     "%s '%s' has %zu dimensions, %d are the most", list->what,
                                     info->name, ndim, TENSORD_MAX_DIMS);
    info->ndim = (uint32_t)ndim;
    if (ndim == 0)
        return TENSORD_OK;
    status = onnx_status(library, library->api->GetDimensions(tensor, info->shape, ndim));
    return status == TENSORD_OK ? read_symbols(model, tensor, info) : status;
}

static enum tensord_status read_type(const struct onnx_model *model, const struct list *list,
                                     size_t index, struct tensord_tensor_info *info)
{
    const struct onnx_library *library = &model->library;
    struct ort_type_info *type;
    const struct ort_tensor_info *tensor;
    int kind;
    enum tensord_status status =
        onnx_status(library, list->type(model->sessions.wide, index, &type));
    if (status != TENSORD_OK)
        return status;
    status = onnx_status(library, library->api->GetOnnxTypeFromTypeInfo(type, &kind));
    if (status == TENSORD_OK && kind != ORT_TYPE_TENSOR)
        status = refuse(model, list, info->name, kind);
    if (status == TENSORD_OK)
        status = onnx_status(library, library->api->CastTypeInfoToTensorInfo(type, &tensor));
    if (status == TENSORD_OK)
        status = read_tensor(model, list, tensor, info);
    library->api->ReleaseTypeInfo(type);
    return status;
}

/* Appends the list's members to *infos. */
static enum tensord_status read_list(const struct onnx_model *model, const struct list *list,
                                     struct tensord_tensor_info **infos, size_t *info_count)
{
    size_t count;
    enum tensord_status status =
        onnx_status(&model->library, list->count(model->sessions.wide, &count));
    if (status != TENSORD_OK)
        return status;
    if (count > MAX_TENSORS - *info_count)
        return model->library.host->reason(TENSORD_UNSUPPORTED, "more than %d %ss", MAX_TENSORS,
                                           list->what);
    struct tensord_tensor_info *grown =
        realloc(*infos, (*info_count + count + 1) * sizeof *grown); /* never 0 */
    if (!grown)
        return out_of_memory(model);
    *infos = grown;
    memset(grown + *info_count, 0, (count + 1) * sizeof *grown);
    for (size_t i = 0; i < count && status == TENSORD_OK; i++) {
        struct tensord_tensor_info *info = &grown[(*info_count)++];
        status = read_name(model, list, i, info);
        if (status == TENSORD_OK)
            status = read_type(model, list, i, info);
    }
    return status;
}

/* ---- rules ---- */

/* Do both have the same name, or are both nameless? */
static bool same_symbol(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* An input's dimension that has the symbol; a nameless first dimension is taken to be that of the
 * first input. */
static bool find_source(const struct onnx_model *model, const char *symbol, uint32_t dim,
                        struct onnx_dim_source *ret_source)
{
    for (size_t i = 0; i < model->input_count; i++) {
        const struct tensord_tensor_info *input = &model->inputs[i];
        for (uint32_t d = 0; d < input->ndim; d++) {
            if (input->shape[d] >= 0 || !same_symbol(input->symbols[d], symbol) ||
                (!symbol && (d != 0 || dim != 0)))
                continue;
            *ret_source = (struct onnx_dim_source){.input = (uint32_t)i, .dim = d};
            return true;
        }
    }
    return false;
}

static void make_rule(const struct onnx_model *model, const struct tensord_tensor_info *output,
                      struct onnx_output_rule *rule)
{
    bool known = output->datatype != TENSORD_BYTES;
    for (uint32_t i = 0; i < output->ndim && known; i++) {
        if (output->shape[i] >= 0)
            rule->dims[i].fixed = true;
        else
            known = find_source(model, output->symbols[i], i, &rule->dims[i]);
    }
    atomic_init(&rule->foretelling, known ? ONNX_FORETELL_UNTRIED : ONNX_FORETELL_NEVER);
}

/* ---- the whole ---- */

enum tensord_status onnx_schema_read(struct onnx_model *model)
{
    const struct ort_api *api = model->library.api;
    const struct list inputs = {"input", api->SessionGetInputCount, api->SessionGetInputName,
                                api->SessionGetInputTypeInfo};
    const struct list overridable = {"input", api->SessionGetOverridableInitializerCount,
                                     api->SessionGetOverridableInitializerName,
                                     api->SessionGetOverridableInitializerTypeInfo};
    const struct list outputs = {"output", api->SessionGetOutputCount, api->SessionGetOutputName,
                                 api->SessionGetOutputTypeInfo};
    enum tensord_status status = read_list(model, &inputs, &model->inputs, &model->input_count);
    if (status != TENSORD_OK)
        return status;
    size_t required = model->input_count;
    status = read_list(model, &overridable, &model->inputs, &model->input_count);
    for (size_t i = required; i < model->input_count; i++)
        model->inputs[i].optional = true;
    if (status == TENSORD_OK)
        status = read_list(model, &outputs, &model->outputs, &model->output_count);
    if (status != TENSORD_OK)
        return status;
    model->rules = calloc(model->output_count + 1, sizeof *model->rules);
    if (!model->rules)
        return out_of_memory(model);
    for (size_t i = 0; i < model->output_count; i++)
        make_rule(model, &model->outputs[i], &model->rules[i]);
    return TENSORD_OK;
}

static void free_infos(struct tensord_tensor_info *infos, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)infos[i].name);
        for (uint32_t d = 0; d < TENSORD_MAX_DIMS; d++)
            free((char *)(uintptr_t)infos[i].symbols[d]);
    }
    free(infos);
}

void onnx_schema_free(struct onnx_model *model)
{
    free_infos(model->inputs, model->input_count);
    free_infos(model->outputs, model->output_count);
    free(model->rules);
}
