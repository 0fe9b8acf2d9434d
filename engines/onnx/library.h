/* The loaded library of ONNX Runtime, and how its errors are passed on. */
#ifndef TENSORD_ENGINES_ONNX_LIBRARY_H
#define TENSORD_ENGINES_ONNX_LIBRARY_H

#include "onnx/api.h"

#include "tensord/engine.h"

struct onnx_library {
    const struct tensord_host *host;
    const struct ort_api *api;
    const char *version; /* "1.19.0" */
};

/* Finds (TENSORD_ONNXRUNTIME, else find.h) and loads the library; it stays loaded until the process
 * ends. Otherwise says by host->reason what is missing and how to install it. */
enum tensord_status onnx_library_open(const struct tensord_host *host,
                                      struct onnx_library *ret_library);

/* What a call returned, as the engine's status; releases it. Of an error the library's own sentence
 * is said by host->reason, without paths. What is nobody else's fault is taken to be that of what
 * was handed in: the model while loading, the request while running. */
enum tensord_status onnx_status(const struct onnx_library *library, struct ort_status *status);

/* sentence.c: copies a sentence into text (cut to fit, terminated): one line, of every path only
 * its last part, and without places in ONNX Runtime's source. */
void onnx_sentence(const char *sentence, char *text, size_t size);

#endif
