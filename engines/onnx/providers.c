/* Devices: ONNX Runtime's execution providers beside the CPU's, which is always there. A build of
 * the library has some of them; what it lacks is said with the package that has it. */
#include "onnx/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 64 };

struct provider {
    const char *name;    /* in execution_accelerators, and before '.' in parameters */
    const char *title;   /* in sentences */
    const char *listed;  /* as the library lists it */
    const char *package; /* that has it */
};

enum { CUDA, TENSORRT, OPENVINO, PROVIDER_COUNT };

static const struct provider providers[PROVIDER_COUNT] = {
    [CUDA] = {"cuda", "CUDA", "CUDAExecutionProvider", "onnxruntime-gpu"},
    [TENSORRT] = {"tensorrt", "TensorRT", "TensorrtExecutionProvider", "onnxruntime-gpu"},
    [OPENVINO] = {"openvino", "OpenVINO", "OpenVINOExecutionProvider", "onnxruntime-openvino"},
};

/* The options of one provider: from "cuda.KEY" the option KEY. */
struct options {
    const char *keys[MAX_OPTIONS];
    const char *values[MAX_OPTIONS];
    size_t count;
};

static void collect(const struct tensord_source *source, const struct provider *provider,
                    struct options *ret_options)
{
    size_t prefix = strlen(provider->name);
    for (size_t i = 0; i < source->parameter_count && ret_options->count < MAX_OPTIONS; i++) {
        const char *key = source->parameters[i].key;
        if (strncmp(key, provider->name, prefix) != 0 || key[prefix] != '.')
            continue;
        ret_options->keys[ret_options->count] = key + prefix + 1;
        ret_options->values[ret_options->count++] = source->parameters[i].value;
    }
}

static bool is_listed(char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static enum tensord_status check_build(const struct onnx_library *library,
                                       const struct provider *provider)
{
    char **names;
    int count;
    enum tensord_status status =
        onnx_status(library, library->api->GetAvailableProviders(&names, &count));
    if (status != TENSORD_OK)
        return status;
    bool listed = is_listed(names, count, provider->listed);
    status = onnx_status(library, library->api->ReleaseAvailableProviders(names, count));
    if (listed)
        return status;
    return library->host->reason(TENSORD_UNSUPPORTED,
                                 "this build of ONNX Runtime (%s) has no %s; install the package "
                                 "%s in its place",
                                 library->version, provider->title, provider->package);
}

/* CUDA's and TensorRT's options are objects of their own, handled by functions of one form. */
struct provider_calls {
    struct ort_status *(*create)(struct ort_provider_options **);
    struct ort_status *(*update)(struct ort_provider_options *, const char *const *,
                                 const char *const *, size_t);
    struct ort_status *(*append)(struct ort_session_options *, const struct ort_provider_options *);
    void (*release)(struct ort_provider_options *);
};

static enum tensord_status add_object(const struct onnx_library *library,
                                      const struct provider_calls *calls,
                                      const struct options *provider_options,
                                      struct ort_session_options *options)
{
    struct ort_provider_options *object;
    enum tensord_status status = onnx_status(library, calls->create(&object));
    if (status != TENSORD_OK)
        return status;
    status = onnx_status(library, calls->update(object, provider_options->keys,
                                                provider_options->values, provider_options->count));
    if (status == TENSORD_OK)
        status = onnx_status(library, calls->append(options, object));
    calls->release(object);
    return status;
}

static enum tensord_status add(const struct onnx_library *library,
                               const struct tensord_source *source, int which, const char *id,
                               struct ort_session_options *options)
{
    const struct ort_api *api = library->api;
    const struct provider_calls cuda = {
        api->CreateCUDAProviderOptions, api->UpdateCUDAProviderOptions,
        api->SessionOptionsAppendExecutionProvider_CUDA_V2, api->ReleaseCUDAProviderOptions};
    const struct provider_calls tensorrt = {api->CreateTensorRTProviderOptions,
                                            api->UpdateTensorRTProviderOptions,
                                            api->SessionOptionsAppendExecutionProvider_TensorRT_V2,
                                            api->ReleaseTensorRTProviderOptions};
    struct options own = {.keys = {which == OPENVINO ? "device_type" : "device_id"},
                          .values = {id},
                          .count = *id ? 1 : 0};
    enum tensord_status status = check_build(library, &providers[which]);
    if (status != TENSORD_OK)
        return status;
    collect(source, &providers[which], &own);
    if (which == OPENVINO)
        return onnx_status(library, api->SessionOptionsAppendExecutionProvider_OpenVINO_V2(
                                        options, own.keys, own.values, own.count));
    return add_object(library, which == CUDA ? &cuda : &tensorrt, &own, options);
}

/* The provider whose name is these `size` characters, or -1. */
static int provider_of(const char *name, size_t size)
{
    if (size == 3 && memcmp(name, "gpu", 3) == 0)
        return CUDA;
    for (int i = 0; i < PROVIDER_COUNT; i++) {
        if (strlen(providers[i].name) == size && memcmp(providers[i].name, name, size) == 0)
            return i;
    }
    return -1;
}

/* "tensorrt, cuda": in the order named, each once. */
static enum tensord_status add_accelerators(const struct onnx_library *library,
                                            const struct tensord_source *source, const char *id,
                                            unsigned *added, struct ort_session_options *options)
{
    const char *rest = onnx_parameter(source, "execution_accelerators");
    while (rest && *(rest += strspn(rest, ", "))) {
        size_t size = strcspn(rest, ", ");
        int which = provider_of(rest, size);
        if (which < 0)
            return library->host->reason(
                TENSORD_INVALID_ARGUMENT,
                "'%.*s' is no accelerator; there are cuda, tensorrt and openvino",
                (int)(size < 64 ? size : 64), rest);
        rest += size;
        if (*added & 1U << which)
            continue;
        *added |= 1U << which;
        enum tensord_status status =
            add(library, source, which, which == OPENVINO ? "" : id, options);
        if (status != TENSORD_OK)
            return status;
    }
    return TENSORD_OK;
}

enum tensord_status onnx_providers_add(const struct onnx_library *library,
                                       const struct tensord_source *source,
                                       struct ort_session_options *options)
{
    unsigned added = 0;
    size_t size = strcspn(source->device, ":");
    const char *id = source->device[size] ? source->device + size + 1 : "";
    int device = provider_of(source->device, size);
    if (device < 0 && strcmp(source->device, "cpu") != 0)
        return library->host->reason(
            TENSORD_UNSUPPORTED,
            "the engine onnx knows no device '%s'; there are cpu, cuda:N, tensorrt:N and "
            "openvino:TYPE",
            source->device);
    enum tensord_status status = add_accelerators(library, source, id, &added, options);
    if (status == TENSORD_OK && device >= 0 && !(added & 1U << device))
        status = add(library, source, device, id, options);
    /* What TensorRT cannot run, CUDA may. */
    if (status == TENSORD_OK && device == TENSORRT && !(added & 1U << CUDA))
        status = add(library, source, CUDA, id, options);
    return status;
}
