/* What the workers of a generation are to serve, copied out of a scan; see generation_spec.h. */
#include "serving/generation_spec.h"

static bool copy_infos(struct arena *arena, const struct tensor_info *from, size_t count,
                       const struct tensor_info **ret_copy)
{
    struct tensor_info *copy = arena_calloc(arena, count, sizeof *copy);
    if (!copy)
        return false;
    for (size_t i = 0; i < count; i++) {
        copy[i] = from[i];
        if (!arena_copy(arena, from[i].name, &copy[i].name))
            return false;
    }
    *ret_copy = copy;
    return true;
}

static bool copy_parameters(struct arena *arena, const struct model_config *config,
                            struct worker_spec *spec)
{
    struct parameter *copy = arena_calloc(arena, config->parameter_count, sizeof *copy);
    if (!copy)
        return false;
    for (size_t i = 0; i < config->parameter_count; i++) {
        if (!arena_copy(arena, config->parameters[i].key, &copy[i].key) ||
            !arena_copy(arena, config->parameters[i].value, &copy[i].value))
            return false;
    }
    spec->parameters = copy;
    spec->parameter_count = config->parameter_count;
    return true;
}

/* The path that an engine is given: the version's folder, or the file that the config names in it.
 */
static bool copy_path(struct arena *arena, const struct repository_version *found,
                      struct span *ret_path)
{
    struct span file = found->config->file;
    if (!file.size)
        return arena_copy(arena, found->path, ret_path);
    char *path = arena_printf(arena, "%.*s/%.*s", SPAN_ARGS(found->path), SPAN_ARGS(file));
    *ret_path = span_of(path);
    return path != NULL;
}

/* What loads it. A Python worker is told the format that was found, so that it loads as what it was
 * judged by, whatever else lies beside it. */
static struct span engine_of(const struct repository_version *found)
{
    return found->runtime == RUNTIME_PYTHON ? found->format : found->config->engine;
}

static bool copy_texts(struct arena *arena, const struct repository_version *found,
                       struct worker_spec *spec)
{
    const struct model_config *config = found->config;
    return copy_path(arena, found, &spec->path) && arena_copy(arena, found->root, &spec->root) &&
           arena_copy(arena, found->model, &spec->name) &&
           arena_copy(arena, engine_of(found), &spec->engine) &&
           arena_copy(arena, config->device, &spec->device) &&
           copy_parameters(arena, config, spec) &&
           copy_infos(arena, config->inputs, config->input_count, &spec->inputs) &&
           copy_infos(arena, config->outputs, config->output_count, &spec->outputs) &&
           shaping_copy(arena, &config->shaping, &spec->shaping) &&
           warm_ups_copy(arena, &config->warm_ups, &spec->warm_ups);
}

/* The Python that the worker is, if the model wants one. */
static bool copy_interpreter(struct arena *arena, const struct repository_version *found,
                             const struct serving_options *options, struct worker_spec *spec,
                             struct error *ret_error)
{
    bool server = found->runtime == RUNTIME_SERVER && found->packages;
    if (found->runtime != RUNTIME_PYTHON && !server)
        return true;
    if (!options->python)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "no Python was found to run it on: install python3 (3.11 or newer), or "
                         "name one with --python");
    return server || arena_copy(arena, span_of(options->python), &spec->interpreter) ||
           error_no_memory(ret_error);
}

static uint32_t first_said(uint32_t own, uint32_t otherwise)
{
    return own ? own : otherwise;
}

static struct process_limits limits_of(const struct process_limits *own,
                                       const struct process_limits *usual)
{
    return (struct process_limits){
        .memory_mib = first_said(own->memory_mib, usual->memory_mib),
        .scratch_mib = first_said(own->scratch_mib, usual->scratch_mib),
        .pids = first_said(own->pids, usual->pids),
        .cpu_percent = own->cpu_percent,
        .gpus = own->gpus,
    };
}

/* Beside what requests may ask for (admission.h), so that what is kept is in nobody's way. */
static uint64_t keep_limit_bytes(const struct serving_options *options)
{
    uint64_t part = options->memory_limit_bytes / KEPT_SHARE;
    return part < KEPT_MOST_BYTES ? part : KEPT_MOST_BYTES;
}

/* Python models are as many processes as Triton makes of them. */
struct model_workers generation_workers_of(const struct repository_version *found)
{
    uint32_t count = found->runtime == RUNTIME_PYTHON ? found->config->instance_count : 0;
    if (found->config->workers.max)
        return found->config->workers;
    if (!count)
        count = 1;
    return (struct model_workers){count, count, 0};
}

bool generation_spec_copy(struct arena *arena, const struct repository_version *found,
                          const struct serving_options *options, struct worker_spec *ret_spec,
                          struct error *ret_error)
{
    const struct model_config *config = found->config;
    struct worker_spec *spec = ret_spec;
    const struct process_limits *usual =
        found->runtime == RUNTIME_SERVER ? &options->server_limits : &options->worker_limits;
    *spec = (struct worker_spec){
        .version = found->version,
        .input_count = config->input_count,
        .output_count = config->output_count,
        .max_batch_size = config->max_batch_size,
        .decoupled = config->decoupled,
        .may_batch = config->max_batch_size != 0,
        .threads = options->threads,
        .concurrency = found->runtime == RUNTIME_PYTHON ? 0 : config->instance_count,
        .keep_limit_bytes = keep_limit_bytes(options),
        .renamed_in = found->renamed_in,
        .limits = limits_of(&config->limits, usual),
    };
    if (found->runtime == RUNTIME_SERVER &&
        !server_config_copy(arena, &config->server, &spec->server))
        return error_no_memory(ret_error);
    return (copy_texts(arena, found, spec) || error_no_memory(ret_error)) &&
           copy_interpreter(arena, found, options, spec, ret_error);
}

static struct model_python *copy_python(struct arena *arena, const struct model_python *from)
{
    struct model_python *to = arena_alloc(arena, sizeof *to);
    size_t count = from->requirement_count;
    if (!to)
        return NULL;
    *to = (struct model_python){.requirement_count = count};
    to->requirements = arena_calloc(arena, count, sizeof *to->requirements);
    bool copied = to->requirements && arena_copy(arena, from->interpreter, &to->interpreter) &&
                  arena_copy(arena, from->version, &to->version);
    for (size_t i = 0; i < count && copied; i++)
        copied = arena_copy(arena, from->requirements[i], &to->requirements[i]);
    return copied ? to : NULL;
}

bool generation_question_copy(struct arena *arena, const struct repository_version *found,
                              struct environment_question *ret_question, struct error *ret_error)
{
    bool server = found->runtime == RUNTIME_SERVER && found->packages;
    if (found->runtime != RUNTIME_PYTHON && !server)
        return true;
    ret_question->python = copy_python(arena, &found->config->python);
    return (ret_question->python && arena_copy(arena, found->model, &ret_question->model) &&
            arena_copy(arena, found->path, &ret_question->path) &&
            arena_copy(arena, found->folder, &ret_question->folder) &&
            arena_copy(arena, engine_of(found), &ret_question->engine) &&
            arena_copy(arena, found->config->file, &ret_question->file)) ||
           error_no_memory(ret_error);
}
