/* The engine of a model; see model_engine.h. */
#include "repository/model_engine.h"

#include "repository/model_config.h"

/* What an engine of ours is as a backend, and as a platform, of Triton's. */
static const struct engine_name {
    struct span backend, platform, engine;
} engine_names[] = {
    {{"onnxruntime", 11}, {"onnxruntime_onnx", 16}, {"onnx", 4}},
    {{"pytorch", 7}, {"pytorch_libtorch", 16}, {"pytorch", 7}},
    {{"tensorflow", 10}, {"tensorflow_savedmodel", 21}, {"tensorflow", 10}},
};

static struct span engine_of_backend(struct span backend)
{
    for (size_t i = 0; i < sizeof engine_names / sizeof *engine_names; i++) {
        if (span_equal(backend, engine_names[i].backend))
            return engine_names[i].engine;
    }
    return backend; /* our own name of an engine, or of a plug-in */
}

static struct span engine_of_platform(struct span platform)
{
    for (size_t i = 0; i < sizeof engine_names / sizeof *engine_names; i++) {
        if (span_equal(platform, engine_names[i].platform))
            return engine_names[i].engine;
    }
    return (struct span){NULL, 0};
}

struct span model_engine_backend(struct span engine)
{
    for (size_t i = 0; i < sizeof engine_names / sizeof *engine_names; i++) {
        if (span_equal(engine, engine_names[i].engine))
            return engine_names[i].backend;
    }
    return engine;
}

static bool invalid(const char *what, struct span name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s '%.*s'", what, SPAN_ARGS(name));
}

bool model_engine_is_named(const struct inference_model_config *from)
{
    bool ensemble = span_equal(from->platform, SPAN("ensemble")) &&
                    from->which_scheduling_choice == MODEL_SCHEDULING_ENSEMBLE;
    return !ensemble && (from->backend.size || from->platform.size);
}

bool model_engine_read(const struct inference_model_config *from, struct span *ret_engine,
                       struct error *ret_error)
{
    struct span platform = from->platform, engine = engine_of_backend(from->backend);
    *ret_engine = (struct span){NULL, 0};
    if (!model_engine_is_named(from))
        return true;
    if (platform.size > 0) {
        /* The API shows a config with the same name as both. */
        struct span named =
            span_equal(platform, from->backend) ? engine : engine_of_platform(platform);
        if (named.size == 0)
            return invalid("there is no engine for platform", platform, ret_error);
        if (engine.size > 0 && !span_equal(engine, named))
            return invalid("the backend does not fit the platform", platform, ret_error);
        engine = named;
    }
    *ret_engine = engine;
    return true;
}

bool model_engine_read_file(const struct inference_model_config *from, struct span *ret_file,
                            struct error *ret_error)
{
    struct span file = from->default_model_filename;
    if (file.size > 255 || span_equal(file, SPAN(".")) || span_equal(file, SPAN("..")) ||
        (file.size && (memchr(file.data, '/', file.size) || memchr(file.data, '\0', file.size))))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'default_model_filename' must be the name of a file, without a path");
    *ret_file = file;
    return true;
}
