/* Loading ONNX Runtime; see library.h. RTLD_LOCAL, because the process may hold other libraries
 * with functions of the same names. */
#include "onnx/library.h"

#include "onnx/find.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* api_test.py compares the members' names in their order; this, that nothing lies between them. */
_Static_assert(sizeof(struct ort_api) == 276 * sizeof(ort_unused *), "the start of the table");

enum { OLDEST_MAJOR = 1, OLDEST_MINOR = 19 };

#define INSTALL                                                                                    \
    "install it (pip install onnxruntime) in the Python environment that the server runs in, or "  \
    "name its folder by --onnxruntime"

/* The table of functions, or NULL with the reason said. */
static const struct ort_api_base *open_base(const struct tensord_host *host)
{
    char path[PATH_MAX], sentence[400];
    const struct ort_api_base *(*entry)(void);
    if (!onnx_find(getenv("TENSORD_ONNXRUNTIME"), path)) {
        host->reason(TENSORD_UNSUPPORTED, "there is no ONNX Runtime where --onnxruntime says; "
                                          "name the folder of the package onnxruntime");
        return NULL;
    }
    /* From 1.32 on it would begin to collect what it sends home before it can be told not to. */
    setenv("ORT_DISABLE_TELEMETRY", "1", 1);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "OrtGetApiBase") : NULL;
    if (symbol) {
        /* ISO C knows no conversion from void * to a function. */
        memcpy(&entry, &symbol, sizeof entry);
        return entry();
    }
    onnx_sentence(dlerror(), sentence, sizeof sentence);
    if (strchr(path, '/'))
        host->reason(TENSORD_UNSUPPORTED, "ONNX Runtime cannot be loaded: %s", sentence);
    else
        host->reason(TENSORD_UNSUPPORTED, "ONNX Runtime is not installed; " INSTALL);
    return NULL;
}

static bool is_new_enough(const char *version)
{
    int major = 0, minor = 0;
    /* NOLINTNEXTLINE(cert-err34-c): numbers of a release, which are small */
    return sscanf(version, "%d.%d", &major, &minor) == 2 &&
           (major > OLDEST_MAJOR || (major == OLDEST_MAJOR && minor >= OLDEST_MINOR));
}

enum tensord_status onnx_library_open(const struct tensord_host *host,
                                      struct onnx_library *ret_library)
{
    const struct ort_api_base *base = open_base(host);
    if (!base)
        return TENSORD_UNSUPPORTED;
    const char *version = base->GetVersionString();
    const struct ort_api *api = is_new_enough(version) ? base->GetApi(ORT_API_VERSION) : NULL;
    if (!api)
        return host->reason(TENSORD_UNSUPPORTED,
                            "ONNX Runtime %s is too old, %d.%d is needed: pip install --upgrade "
                            "onnxruntime",
                            version, OLDEST_MAJOR, OLDEST_MINOR);
    *ret_library = (struct onnx_library){.host = host, .api = api, .version = version};
    return TENSORD_OK;
}

/* ---- errors ---- */

static enum tensord_status meaning(int code, const char *sentence)
{
    if (strstr(sentence, "bad_alloc") || strstr(sentence, "Failed to allocate memory"))
        return TENSORD_UNAVAILABLE;
    if (code == ORT_NOT_IMPLEMENTED || strstr(sentence, "not a registered function/op"))
        return TENSORD_UNSUPPORTED;
    if (code == ORT_EP_FAIL || code == ORT_ENGINE_ERROR)
        return TENSORD_INTERNAL;
    return TENSORD_INVALID_ARGUMENT;
}

enum tensord_status onnx_status(const struct onnx_library *library, struct ort_status *status)
{
    char text[440];
    if (!status)
        return TENSORD_OK;
    const char *sentence = library->api->GetErrorMessage(status);
    enum tensord_status result = meaning(library->api->GetErrorCode(status), sentence);
    bool custom = strstr(sentence, "is not a registered function/op") != NULL;
    onnx_sentence(sentence, text, sizeof text);
    library->api->ReleaseStatus(status);
    return library->host->reason(result, "%s%s", text,
                                 custom ? " (libraries of custom operators are not loaded)" : "");
}
