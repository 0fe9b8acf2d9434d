/* The engine onnx: serves ONNX models by the user's own ONNX Runtime. This file says which models
 * it serves, and loads and unloads them. See README.md for the others. */
#include "onnx/cpus.h"
#include "onnx/model.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CERTAIN = 100, BY_NAME = 95, MOST_SLOTS = 4 };

/* ---- the model's file ---- */

static bool is_onnx(const char *name)
{
    size_t size = strlen(name);
    return size > 5 && strcmp(name + size - 5, ".onnx") == 0 && name[0] != '.';
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* How many *.onnx there are in a folder, and the path of one of them. */
static size_t count_models(const char *folder, char ret_path[static PATH_MAX])
{
    DIR *directory = opendir(folder);
    size_t found = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (is_onnx(entry->d_name) &&
            snprintf(ret_path, PATH_MAX, "%s/%s", folder, entry->d_name) < PATH_MAX)
            found++;
    }
    if (directory)
        closedir(directory);
    return found;
}

/* The file to load: the source itself, model.onnx in its folder, or the only *.onnx there. */
static bool model_file(const struct tensord_source *source, char ret_path[static PATH_MAX])
{
    struct stat status;
    if (!is_folder(source->path))
        return snprintf(ret_path, PATH_MAX, "%s", source->path) < PATH_MAX;
    if (snprintf(ret_path, PATH_MAX, "%s/model.onnx", source->path) >= PATH_MAX)
        return false;
    return stat(ret_path, &status) == 0 || count_models(source->path, ret_path) == 1;
}

static int onnx_match(const struct tensord_source *source)
{
    char path[PATH_MAX];
    if (source->config_engine)
        return strcmp(source->config_engine, "onnx") == 0 ||
                       strcmp(source->config_engine, "onnxruntime") == 0 ||
                       strcmp(source->config_engine, "onnxruntime_onnx") == 0
                   ? CERTAIN
                   : 0;
    /* Of a folder with several, loading says that one must be named. */
    bool is_ours =
        is_folder(source->path) ? count_models(source->path, path) > 0 : is_onnx(source->path);
    return is_ours ? BY_NAME : 0;
}

/* ---- loading ---- */

/* ONNX Runtime's lines go to the server's log; it may write them in threads of its own. */
static void on_log(void *data, int severity, const char *category, const char *id,
                   const char *place, const char *message)
{
    const struct tensord_host *host = data;
    enum tensord_log_level level = severity >= ORT_ERROR ? TENSORD_LOG_ERROR : TENSORD_LOG_WARNING;
    host->log(level, "onnxruntime: %s", message);
}

static enum tensord_status open_session(struct onnx_model *model,
                                        const struct tensord_source *source)
{
    const struct onnx_library *library = &model->library;
    char path[PATH_MAX];
    if (!model_file(source, path))
        return library->host->reason(
            TENSORD_INVALID_ARGUMENT,
            "there is no model.onnx, and not exactly one other *.onnx: name it by "
            "default_model_filename in the config");
    return onnx_sessions_open(&model->sessions, library, model->env, source, path,
                              model->slot_count);
}

static enum tensord_status open_env(struct onnx_model *model)
{
    const struct onnx_library *library = &model->library;
    const struct ort_api *api = library->api;
    enum tensord_status status = onnx_status(
        library, api->CreateEnvWithCustomLogger(on_log, (void *)(uintptr_t)library->host,
                                                ORT_WARNING, "tensord", &model->env));
    if (status == TENSORD_OK)
        status = onnx_status(library, api->DisableTelemetryEvents(model->env));
    if (status == TENSORD_OK)
        status = onnx_status(library, api->CreateCpuMemoryInfo(ORT_DEVICE_ALLOCATOR,
                                                               ORT_MEMORY_DEFAULT, &model->cpu));
    if (status == TENSORD_OK)
        status = onnx_status(library, api->GetAllocatorWithDefaultOptions(&model->allocator));
    return status;
}

static void onnx_unload(void *context)
{
    struct onnx_model *model = context;
    const struct ort_api *api = model->library.api;
    if (api) {
        onnx_slots_free(model);
        onnx_sessions_close(&model->sessions);
        if (model->cpu)
            api->ReleaseMemoryInfo(model->cpu);
        if (model->env)
            api->ReleaseEnv(model->env);
    }
    onnx_schema_free(model);
    pthread_mutex_destroy(&model->lock);
    free(model);
}

static enum tensord_status load_steps(struct onnx_model *model, const struct tensord_host *host,
                                      const struct tensord_source *source)
{
    enum tensord_status status = onnx_library_open(host, &model->library);
    if (status == TENSORD_OK)
        status = open_env(model);
    if (status == TENSORD_OK)
        status = open_session(model, source);
    if (status == TENSORD_OK)
        status = onnx_schema_read(model);
    if (status == TENSORD_OK)
        status = onnx_declared_apply(model, source);
    if (status == TENSORD_OK)
        status = onnx_slots_new(model);
    return status;
}

static void describe(const struct onnx_model *model, struct tensord_description *ret_description)
{
    ret_description->platform = "onnxruntime_onnx";
    ret_description->inputs = model->inputs;
    ret_description->input_count = model->input_count;
    ret_description->outputs = model->outputs;
    ret_description->output_count = model->output_count;
    ret_description->concurrency = model->slot_count;
    ret_description->batching = TENSORD_BATCHING_UNKNOWN;
}

/* Unless the config says how many executions are to run at once, as many may as make sense: the
 * server finds out whether this model gains more by that or by larger batches. A device takes one
 * at a time. */
static uint32_t slot_count(const struct tensord_source *source)
{
    unsigned cpus = onnx_cpu_count();
    if (source->concurrency)
        return source->concurrency;
    if (strcmp(source->device, "cpu") != 0)
        return 1;
    return cpus < MOST_SLOTS ? cpus : MOST_SLOTS;
}

static enum tensord_status onnx_load(const struct tensord_host *host,
                                     const struct tensord_source *source,
                                     struct tensord_description *ret_description, void **ret_model)
{
    struct onnx_model *model = calloc(1, sizeof *model);
    if (!model)
        return host->reason(TENSORD_UNAVAILABLE, "out of memory");
    pthread_mutex_init(&model->lock, NULL);
    model->slot_count = slot_count(source);
    enum tensord_status status = load_steps(model, host, source);
    if (status != TENSORD_OK) {
        onnx_unload(model);
        return status;
    }
    describe(model, ret_description);
    *ret_model = model;
    return TENSORD_OK;
}

static void onnx_cancel(void *model, struct tensord_execution *execution)
{
    onnx_slot_cancel(model, execution);
}

const struct tensord_engine *tensord_engine(void)
{
    static const struct tensord_engine engine = {
        .abi = TENSORD_ENGINE_ABI,
        .size = sizeof engine,
        .name = "onnx",
        .match = onnx_match,
        .load = onnx_load,
        .execute = onnx_execute,
        .cancel = onnx_cancel,
        .unload = onnx_unload,
    };
    return &engine;
}
