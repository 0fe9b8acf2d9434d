/* A host in miniature; see engine_try.h. Outputs are malloc'd, so that sanitizers see each byte
 * written beyond them. */
#include "engine_try.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char last_reason[TRY_REASON_BYTES];
static atomic_uint log_lines;

static void on_log(enum tensord_log_level level, const char *format, ...)
{
    atomic_fetch_add(&log_lines, 1);
}

static void on_progress(double done)
{
}

__attribute__((format(printf, 2, 3))) static enum tensord_status
on_reason(enum tensord_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_reason, sizeof last_reason, format, arguments);
    va_end(arguments);
    return status;
}

static size_t element_size(enum tensord_datatype datatype)
{
    static const size_t sizes[TENSORD_DATATYPE_COUNT] = {
        [TENSORD_BOOL] = 1,   [TENSORD_UINT8] = 1, [TENSORD_UINT16] = 2, [TENSORD_UINT32] = 4,
        [TENSORD_UINT64] = 8, [TENSORD_INT8] = 1,  [TENSORD_INT16] = 2,  [TENSORD_INT32] = 4,
        [TENSORD_INT64] = 8,  [TENSORD_FP16] = 2,  [TENSORD_FP32] = 4,   [TENSORD_FP64] = 8,
        [TENSORD_BF16] = 2,
    };
    return sizes[datatype];
}

static void *on_output(struct tensord_execution *tensord, uint32_t index,
                       enum tensord_datatype datatype, const int64_t *shape, uint32_t ndim,
                       size_t size_bytes)
{
    struct try_execution *execution = (struct try_execution *)tensord;
    struct tensord_tensor tensor = {.index = index, .datatype = datatype, .ndim = ndim};
    size_t size = element_size(datatype);
    if (execution->output_count == TRY_MAX_OUTPUTS || try_output(execution, index))
        return NULL;
    for (uint32_t i = 0; i < ndim; i++) {
        tensor.shape[i] = shape[i];
        size *= (size_t)shape[i];
    }
    tensor.size_bytes = datatype == TENSORD_BYTES ? size_bytes : size;
    tensor.data = malloc(tensor.size_bytes ? tensor.size_bytes : 1);
    execution->outputs[execution->output_count++].tensor = tensor;
    return tensor.data;
}

static bool on_output_input(struct tensord_execution *tensord, uint32_t index,
                            const struct tensord_tensor *input)
{
    void *copy =
        on_output(tensord, index, input->datatype, input->shape, input->ndim, input->size_bytes);
    if (copy && input->size_bytes)
        memcpy(copy, input->data, input->size_bytes);
    return copy != NULL;
}

static bool on_output_bytes(struct tensord_execution *tensord, uint32_t index,
                            enum tensord_datatype datatype, const int64_t *shape, uint32_t ndim,
                            const void *data, size_t size_bytes)
{
    void *copy = on_output(tensord, index, datatype, shape, ndim, size_bytes);
    if (copy && size_bytes)
        memcpy(copy, data, size_bytes);
    return copy != NULL;
}

static void *on_room(struct tensord_execution *tensord, size_t size_bytes)
{
    struct try_execution *execution = (struct try_execution *)tensord;
    if (execution->room_count == TRY_MAX_ROOMS)
        return NULL;
    return execution->rooms[execution->room_count++] = malloc(size_bytes ? size_bytes : 1);
}

static bool on_respond(struct tensord_execution *tensord, bool final)
{
    struct try_execution *execution = (struct try_execution *)tensord;
    execution->answers += final;
    execution->status = TENSORD_OK;
    return true;
}

static void on_fail(struct tensord_execution *tensord, enum tensord_status status)
{
    struct try_execution *execution = (struct try_execution *)tensord;
    execution->answers++;
    execution->status = status;
    memcpy(execution->reason, last_reason, sizeof last_reason);
}

static bool on_cancelled(const struct tensord_execution *tensord)
{
    return atomic_load(&((const struct try_execution *)tensord)->cancelled);
}

static bool on_call(struct tensord_execution *tensord, struct tensord_call *call)
{
    return false;
}

const struct tensord_host *engine_try_host(void)
{
    static const struct tensord_host host = {
        .size = sizeof host,
        .log = on_log,
        .progress = on_progress,
        .reason = on_reason,
        .output = on_output,
        .output_input = on_output_input,
        .respond = on_respond,
        .fail = on_fail,
        .cancelled = on_cancelled,
        .call = on_call,
        .output_bytes = on_output_bytes,
        .room = on_room,
    };
    return &host;
}

const struct tensord_engine *engine_try_open(const char *library)
{
    const struct tensord_engine *(*entry)(void);
    void *loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void *symbol = loaded ? dlsym(loaded, "tensord_engine") : NULL;
    if (!symbol) {
        fprintf(stderr, "no engine: %s\n", dlerror());
        exit(1);
    }
    memcpy(&entry, &symbol, sizeof entry);
    return entry();
}

const char *engine_try_reason(void)
{
    return last_reason;
}

unsigned engine_try_log_count(void)
{
    return atomic_load(&log_lines);
}

void try_execution_init(struct try_execution *execution, const struct tensord_tensor *inputs,
                        size_t count)
{
    memset(execution, 0, sizeof *execution);
    execution->tensord = (struct tensord_execution){.host = engine_try_host(),
                                                    .inputs = inputs,
                                                    .input_count = count,
                                                    .wanted_outputs = UINT64_MAX,
                                                    .deadline_ns = UINT64_MAX};
}

void try_execution_fini(struct try_execution *execution)
{
    for (size_t i = 0; i < execution->output_count; i++)
        free(execution->outputs[i].tensor.data);
    for (size_t i = 0; i < execution->room_count; i++)
        free(execution->rooms[i]);
}

const struct tensord_tensor *try_output(const struct try_execution *execution, uint32_t index)
{
    for (size_t i = 0; i < execution->output_count; i++) {
        if (execution->outputs[i].tensor.index == index)
            return &execution->outputs[i].tensor;
    }
    return NULL;
}
