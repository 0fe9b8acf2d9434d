/* The Python that a model runs on; see model_python.h. */
#include "repository/model_python.h"

#include <limits.h>

static bool is_path(struct span path)
{
    return path.data[0] == '/' && path.size < PATH_MAX && !memchr(path.data, '\0', path.size);
}

/* Triton's way to name an environment, which it has as a packed archive, too. */
static bool read_parameter(struct model_config *config, struct error *ret_error)
{
    struct span path = {0};
    for (size_t i = 0; i < config->parameter_count; i++)
        if (span_equal(config->parameters[i].key, SPAN("EXECUTION_ENV_PATH")))
            path = config->parameters[i].value;
    if (path.size < 2 || !span_equal(config->engine, SPAN("python")))
        return true;
    if (span_equal(span_after(path, path.size - 2), SPAN("gz")))
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "EXECUTION_ENV_PATH names an archive: unpack it and name the folder, or "
                         "list the packages in requirements.txt");
    if (!is_path(path) && !span_starts_with(path, SPAN("$$TRITON_MODEL_DIRECTORY/")))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "EXECUTION_ENV_PATH must be an absolute path, or one in "
                         "$$TRITON_MODEL_DIRECTORY");
    config->python.interpreter = path;
    return true;
}

bool model_python_read(const struct tensord_python_section *section, struct model_config *config,
                       struct error *ret_error)
{
    struct model_python *python = &config->python;
    if (!section)
        return read_parameter(config, ret_error);
    if (section->interpreter.size && !is_path(section->interpreter))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'python.interpreter' must be an absolute path");
    if (section->interpreter.size && (section->version.size || section->requirements.count))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'python.interpreter' excludes 'version' and 'requirements': nothing is "
                         "installed into what is there already");
    python->interpreter = section->interpreter;
    python->version = section->version;
    python->requirements = section->requirements.items;
    python->requirement_count = section->requirements.count;
    return true;
}
