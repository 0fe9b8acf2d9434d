/* How a model is to be loaded: the session's options from the source's fields and parameters. */
#ifndef TENSORD_ENGINES_ONNX_OPTIONS_H
#define TENSORD_ENGINES_ONNX_OPTIONS_H

#include "onnx/library.h"

/* Makes the options of a session for this source; the caller releases them. Says what cannot be:
 * a value that is none, a device or an accelerator that this build has not. */
enum tensord_status onnx_options_new(const struct onnx_library *library,
                                     const struct tensord_source *source,
                                     struct ort_session_options **ret_options);

/* providers.c: has the session run on the source's device, and on the accelerators that the
 * parameter "execution_accelerators" names. */
enum tensord_status onnx_providers_add(const struct onnx_library *library,
                                       const struct tensord_source *source,
                                       struct ort_session_options *options);

/* The value of a parameter, or NULL. */
const char *onnx_parameter(const struct tensord_source *source, const char *key);

#endif
