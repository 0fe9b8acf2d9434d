/* A limit: the least that a program over ONNX Runtime can do. It loads library and model, runs once
 * and says so ("answered"), then, when a time is given, runs for that long in each of several
 * threads, batches of so many rows, and prints how many rows a second that made, the CPU time of
 * each, and the median time of a run, both in microseconds. For models with one input of shape
 * (batch, width) of INT32 or FP32. No thread spins, as the server's engine has it on a busy
 * machine. ort_loop LIBRARY MODEL [BATCH SECONDS [CALLERS THREADS]], THREADS being those of one run
 */
#include "onnx/api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_BATCH = 64, MAX_CALLERS = 16, MAX_RUNS = 1 << 20 };

struct model {
    struct ort_session *session;
    struct ort_value *input;
    char *input_name, *output_name;
};

/* One thread that runs the model again and again. */
struct caller {
    pthread_t thread;
    const struct model *model;
    double until; /* on the monotonic clock */
    uint32_t *took_us;
    size_t runs;
};

static const struct ort_api *api;

static void must(struct ort_status *status)
{
    if (status) {
        fprintf(stderr, "%s\n", api->GetErrorMessage(status));
        exit(1);
    }
}

static void load_library(const char *path)
{
    const struct ort_api_base *(*get_base)(void);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "OrtGetApiBase") : NULL;
    if (!symbol) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    memcpy(&get_base, &symbol, sizeof get_base);
    api = get_base()->GetApi(ORT_API_VERSION);
    if (!api) {
        fprintf(stderr, "this ONNX Runtime is too old\n");
        exit(1);
    }
}

static void ignore(void *data, int severity, const char *category, const char *id,
                   const char *place, const char *message)
{
}

static void load_model(struct model *model, const char *path, int threads)
{
    struct ort_env *env;
    struct ort_session_options *options;
    struct ort_allocator *allocator;
    must(api->CreateEnvWithCustomLogger(ignore, NULL, ORT_ERROR, "bench", &env));
    must(api->CreateSessionOptions(&options));
    must(api->SetIntraOpNumThreads(options, threads));
    must(api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
    must(api->CreateSession(env, path, options, &model->session));
    must(api->GetAllocatorWithDefaultOptions(&allocator));
    must(api->SessionGetInputName(model->session, 0, allocator, &model->input_name));
    must(api->SessionGetOutputName(model->session, 0, allocator, &model->output_name));
}

static void make_input(struct model *model, int64_t batch)
{
    struct ort_memory_info *memory;
    struct ort_type_info *type;
    const struct ort_tensor_info *tensor;
    int64_t dims[2];
    int datatype;
    must(api->SessionGetInputTypeInfo(model->session, 0, &type));
    must(api->CastTypeInfoToTensorInfo(type, &tensor));
    must(api->GetTensorElementType(tensor, &datatype));
    must(api->GetDimensions(tensor, dims, 2));
    size_t size_bytes = (size_t)(batch * dims[1]) * sizeof(int32_t);
    void *data = calloc(1, size_bytes);
    must(api->CreateCpuMemoryInfo(ORT_DEVICE_ALLOCATOR, ORT_MEMORY_DEFAULT, &memory));
    must(api->CreateTensorWithDataAsOrtValue(memory, data, size_bytes, (int64_t[]){batch, dims[1]},
                                             2, datatype, &model->input));
}

static void run(const struct model *model)
{
    const char *input_name = model->input_name, *output_name = model->output_name;
    struct ort_value *result = NULL;
    const struct ort_value *input = model->input;
    must(api->Run(model->session, NULL, &input_name, &input, 1, &output_name, 1, &result));
    api->ReleaseValue(result);
}

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *run_again(void *argument)
{
    struct caller *caller = argument;
    double now = seconds_of(CLOCK_MONOTONIC);
    while (now < caller->until && caller->runs < MAX_RUNS) {
        double start = now;
        run(caller->model);
        now = seconds_of(CLOCK_MONOTONIC);
        caller->took_us[caller->runs++] = (uint32_t)((now - start) * 1e6);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return (*(const uint32_t *)a > *(const uint32_t *)b) -
           (*(const uint32_t *)a < *(const uint32_t *)b);
}

/* Runs the first caller in this thread: with one there is no other. */
static void run_for(const struct model *model, int64_t batch, double seconds, size_t count)
{
    static struct caller callers[MAX_CALLERS];
    double start = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    int64_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        callers[i] = (struct caller){.model = model, .until = start + seconds};
        callers[i].took_us = calloc(MAX_RUNS, sizeof *callers[i].took_us);
    }
    for (size_t i = 1; i < count; i++)
        pthread_create(&callers[i].thread, NULL, run_again, &callers[i]);
    run_again(&callers[0]);
    for (size_t i = 1; i < count; i++)
        pthread_join(callers[i].thread, NULL);
    double took = seconds_of(CLOCK_MONOTONIC) - start;
    for (size_t i = 0; i < count; i++)
        rows += batch * (int64_t)callers[i].runs;
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    qsort(callers[0].took_us, callers[0].runs, sizeof(uint32_t), compare);
    printf("%.1f %.1f %u\n", (double)rows / took, cpu / (double)rows * 1e6,
           callers[0].took_us[callers[0].runs / 2]);
}

int main(int count, char **arguments)
{
    struct model model;
    int64_t batch = count >= 5 ? strtol(arguments[3], NULL, 10) : 1;
    long callers = count == 7 ? strtol(arguments[5], NULL, 10) : 1;
    long threads = count == 7 ? strtol(arguments[6], NULL, 10) : 1;
    if ((count != 3 && count != 5 && count != 7) || batch < 1 || batch > MAX_BATCH || callers < 1 ||
        callers > MAX_CALLERS || threads < 1)
        return 2;
    load_library(arguments[1]);
    load_model(&model, arguments[2], (int)threads);
    make_input(&model, batch);
    run(&model);
    puts("answered");
    fflush(stdout);
    if (count >= 5)
        run_for(&model, batch, strtod(arguments[4], NULL), (size_t)callers);
    return 0;
}
