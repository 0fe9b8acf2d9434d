/* The options of a session. Each parameter that the engine knows is a row of a table; those that
 * begin with "session." are handed to ONNX Runtime as they are. */
#include "onnx/options.h"

#include "onnx/cpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 1024 };

const char *onnx_parameter(const struct tensord_source *source, const char *key)
{
    for (size_t i = 0; i < source->parameter_count; i++) {
        if (strcmp(source->parameters[i].key, key) == 0)
            return source->parameters[i].value;
    }
    return NULL;
}

/* ---- one setting each ---- */

static bool read_number(const char *value, int most, int *ret_number)
{
    char *end;
    long number = strtol(value, &end, 10);
    if (end == value || *end || number < 0 || number > most)
        return false;
    *ret_number = (int)number;
    return true;
}

typedef struct ort_status *set_number(struct ort_session_options *, int);

static struct ort_status *set_threads(set_number *set, struct ort_session_options *options,
                                      const char *value, bool *ret_valid)
{
    int threads;
    *ret_valid = read_number(value, MAX_THREADS, &threads) && threads > 0;
    return *ret_valid ? set(options, threads) : NULL;
}

static struct ort_status *set_intra(const struct ort_api *api, struct ort_session_options *options,
                                    const char *value, bool *ret_valid)
{
    return set_threads(api->SetIntraOpNumThreads, options, value, ret_valid);
}

static struct ort_status *set_inter(const struct ort_api *api, struct ort_session_options *options,
                                    const char *value, bool *ret_valid)
{
    return set_threads(api->SetInterOpNumThreads, options, value, ret_valid);
}

static struct ort_status *set_mode(const struct ort_api *api, struct ort_session_options *options,
                                   const char *value, bool *ret_valid)
{
    int mode;
    *ret_valid = read_number(value, ORT_PARALLEL, &mode);
    return *ret_valid ? api->SetSessionExecutionMode(options, mode) : NULL;
}

static struct ort_status *set_optimization(const struct ort_api *api,
                                           struct ort_session_options *options, const char *value,
                                           bool *ret_valid)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = {{"off", ORT_OPTIMIZE_NOTHING},
                  {"basic", ORT_OPTIMIZE_BASIC},
                  {"extended", ORT_OPTIMIZE_EXTENDED},
                  {"all", ORT_OPTIMIZE_ALL}};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        *ret_valid = strcmp(levels[i].name, value) == 0;
        if (*ret_valid)
            return api->SetSessionGraphOptimizationLevel(options, levels[i].level);
    }
    return NULL;
}

static struct ort_status *switch_off(struct ort_status *(*disable)(struct ort_session_options *),
                                     struct ort_session_options *options, const char *value,
                                     bool *ret_valid)
{
    int on = 1;
    *ret_valid = read_number(value, 1, &on);
    return on ? NULL : disable(options);
}

static struct ort_status *set_arena(const struct ort_api *api, struct ort_session_options *options,
                                    const char *value, bool *ret_valid)
{
    return switch_off(api->DisableCpuMemArena, options, value, ret_valid);
}

static struct ort_status *set_pattern(const struct ort_api *api,
                                      struct ort_session_options *options, const char *value,
                                      bool *ret_valid)
{
    return switch_off(api->DisableMemPattern, options, value, ret_valid);
}

/* ---- the table ---- */

static const struct row {
    const char *key;
    const char *values; /* for the error, and docs/onnx.md */
    struct ort_status *(*set)(const struct ort_api *, struct ort_session_options *, const char *,
                              bool *ret_valid);
} rows[] = {
    {"intra_op_thread_count", "1 to 1024", set_intra},
    {"inter_op_thread_count", "1 to 1024", set_inter},
    {"execution_mode", "0 (one operator after the other) or 1 (several at once)", set_mode},
    {"graph_optimization_level", "off, basic, extended or all", set_optimization},
    {"enable_mem_arena", "0 or 1", set_arena},
    {"enable_mem_pattern", "0 or 1", set_pattern},
};

static bool begins_with(const char *key, const char *start)
{
    return strncmp(key, start, strlen(start)) == 0;
}

/* Those that are read elsewhere: providers.c. */
static bool is_providers(const char *key)
{
    return strcmp(key, "execution_accelerators") == 0 || begins_with(key, "cuda.") ||
           begins_with(key, "tensorrt.") || begins_with(key, "openvino.");
}

static enum tensord_status apply(const struct onnx_library *library,
                                 struct ort_session_options *options,
                                 const struct tensord_parameter *parameter)
{
    const struct ort_api *api = library->api;
    if (begins_with(parameter->key, "session."))
        return onnx_status(library,
                           api->AddSessionConfigEntry(options, parameter->key, parameter->value));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].key, parameter->key) != 0)
            continue;
        bool valid = true;
        struct ort_status *status = rows[i].set(api, options, parameter->value, &valid);
        if (!valid)
            return library->host->reason(TENSORD_INVALID_ARGUMENT,
                                         "parameter '%s' must be %s, not '%s'", parameter->key,
                                         rows[i].values, parameter->value);
        return onnx_status(library, status);
    }
    if (!is_providers(parameter->key))
        library->host->log(TENSORD_LOG_WARNING,
                           "parameter '%s' means nothing to the engine onnx (docs/onnx.md)",
                           parameter->key);
    return TENSORD_OK;
}

/* Threads that wait for work sleep instead of spinning: an idle model takes no time, and what
 * spinning would save is less than what it takes from other models. */
static enum tensord_status apply_defaults(const struct onnx_library *library,
                                          const struct tensord_source *source,
                                          struct ort_session_options *options)
{
    const struct ort_api *api = library->api;
    unsigned threads = source->threads ? source->threads : onnx_cpu_count();
    enum tensord_status status = onnx_status(
        library,
        api->SetIntraOpNumThreads(options, (int)(threads < MAX_THREADS ? threads : MAX_THREADS)));
    if (status == TENSORD_OK)
        status = onnx_status(library, api->SetInterOpNumThreads(options, 1));
    if (status == TENSORD_OK)
        status =
            onnx_status(library, api->SetSessionGraphOptimizationLevel(options, ORT_OPTIMIZE_ALL));
    if (status == TENSORD_OK)
        status = onnx_status(
            library, api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
    if (status == TENSORD_OK)
        status = onnx_status(
            library, api->AddSessionConfigEntry(options, "session.inter_op.allow_spinning", "0"));
    return status;
}

enum tensord_status onnx_options_new(const struct onnx_library *library,
                                     const struct tensord_source *source,
                                     struct ort_session_options **ret_options)
{
    struct ort_session_options *options;
    enum tensord_status status = onnx_status(library, library->api->CreateSessionOptions(&options));
    if (status != TENSORD_OK)
        return status;
    status = apply_defaults(library, source, options);
    for (size_t i = 0; i < source->parameter_count && status == TENSORD_OK; i++)
        status = apply(library, options, &source->parameters[i]);
    if (status == TENSORD_OK)
        status = onnx_providers_add(library, source, options);
    if (status == TENSORD_OK)
        *ret_options = options;
    else
        library->api->ReleaseSessionOptions(options);
    return status;
}
