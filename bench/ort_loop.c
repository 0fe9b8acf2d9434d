/* A limit: the least that a program over ONNX Runtime can do. It loads library and model, runs once
 * and says so ("answered"), then, when a time is given, runs for that long and prints how many rows
 * a second it made and the CPU time of each, microseconds. For models with one INT32 input of shape
 * (batch, 2048). One thread, and none that spins, as the server's engine has it on a busy machine.
 * ort_loop LIBRARY MODEL [BATCH SECONDS] */
#include "onnx/api.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 2048, MAX_BATCH = 64 };

struct model {
    struct ort_session *session;
    struct ort_value *input;
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

static void load_model(struct model *model, const char *path)
{
    struct ort_env *env;
    struct ort_session_options *options;
    must(api->CreateEnvWithCustomLogger(ignore, NULL, ORT_ERROR, "bench", &env));
    must(api->CreateSessionOptions(&options));
    must(api->SetIntraOpNumThreads(options, 1));
    must(api->CreateSession(env, path, options, &model->session));
}

static void make_input(struct model *model, int64_t batch)
{
    static int32_t data[MAX_BATCH * WIDTH];
    struct ort_memory_info *memory;
    size_t size_bytes = (size_t)batch * WIDTH * sizeof *data;
    must(api->CreateCpuMemoryInfo(ORT_DEVICE_ALLOCATOR, ORT_MEMORY_DEFAULT, &memory));
    must(api->CreateTensorWithDataAsOrtValue(memory, data, size_bytes, (int64_t[]){batch, WIDTH}, 2,
                                             ORT_INT32, &model->input));
}

static void run(struct model *model)
{
    static const char *const inputs[] = {"bytes"}, *const outputs[] = {"target_label"};
    struct ort_value *result = NULL;
    const struct ort_value *input = model->input;
    must(api->Run(model->session, NULL, inputs, &input, 1, outputs, 1, &result));
    api->ReleaseValue(result);
}

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void run_for(struct model *model, int64_t batch, double seconds)
{
    double start = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), took;
    int64_t rows = 0;
    do {
        run(model);
        rows += batch;
        took = seconds_of(CLOCK_MONOTONIC) - start;
    } while (took < seconds);
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.1f %.1f\n", (double)rows / took, cpu / (double)rows * 1e6);
}

int main(int count, char **arguments)
{
    struct model model;
    int64_t batch = count == 5 ? strtol(arguments[3], NULL, 10) : 1;
    if ((count != 3 && count != 5) || batch < 1 || batch > MAX_BATCH)
        return 2;
    load_library(arguments[1]);
    load_model(&model, arguments[2]);
    make_input(&model, batch);
    run(&model);
    puts("answered");
    fflush(stdout);
    if (count == 5)
        run_for(&model, batch, strtod(arguments[4], NULL));
    return 0;
}
