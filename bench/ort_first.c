/* A limit: the least that a program over ONNX Runtime can do before the first answer: load library
 * and model, run once. For models with one INT32 input of shape (1, 2048). ort_first LIBRARY MODEL
 */
#include "onnx/api.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 2048 };

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
    api = get_base()->GetApi(19);
}

static void ignore(void *data, int severity, const char *category, const char *id,
                   const char *place, const char *message)
{
}

int main(int count, char **arguments)
{
    static int32_t input[WIDTH];
    static const int64_t shape[] = {1, WIDTH};
    static const char *const inputs[] = {"bytes"}, *const outputs[] = {"target_label"};
    struct ort_env *env;
    struct ort_session_options *options;
    struct ort_session *session;
    struct ort_memory_info *memory;
    struct ort_value *value, *result = NULL;
    if (count != 3)
        return 2;
    load_library(arguments[1]);
    must(api->CreateEnvWithCustomLogger(ignore, NULL, ORT_ERROR, "bench", &env));
    must(api->CreateSessionOptions(&options));
    must(api->CreateSession(env, arguments[2], options, &session));
    must(api->CreateCpuMemoryInfo(0, 0, &memory));
    must(api->CreateTensorWithDataAsOrtValue(memory, input, sizeof input, shape, 2, ORT_INT32,
                                             &value));
    must(api->Run(session, NULL, inputs, (const struct ort_value *const *)&value, 1, outputs, 1,
                  &result));
    return 0;
}
