/* `backend`, `platform` and `default_model_filename` of a model's config: which engine executes
 * which file. Pure. */
#ifndef TENSORD_REPOSITORY_MODEL_ENGINE_H
#define TENSORD_REPOSITORY_MODEL_ENGINE_H

#include "base/error.h"
#include "codec/model_config.pb.h"

/* Whether the config names one. An ensemble has none, whatever it says. */
bool model_engine_is_named(const struct inference_model_config *from);

/* The name of the engine that a config means, ours; empty: it names none. False with a sentence
 * when there is no such platform, or the backend is another (INVALID_ARGUMENT). */
bool model_engine_read(const struct inference_model_config *from, struct span *ret_engine,
                       struct error *ret_error);

/* The name of the file that the engine is to load, which lies beside the config or in the version's
 * folder; empty: the config does not say. False with a sentence when it could lead elsewhere. */
bool model_engine_read_file(const struct inference_model_config *from, struct span *ret_file,
                            struct error *ret_error);

/* What Triton calls the engine of that name: "onnxruntime" for "onnx"; others have the same name.
 */
struct span model_engine_backend(struct span engine);

#endif
