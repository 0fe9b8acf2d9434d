/* From a config's text to what the server acts on; see model_config_read in model_config.h.
 *
 * Both formats fill the same message, Triton's ModelConfig; this file checks it and takes what we
 * use. What would change a model's answers and is not done here is refused; hints for engines and
 * schedulers that we have not are passed over. */
#include "codec/model_config.pb.h"
#include "codec/model_sections.pb.h"
#include "codec/protobuf_text.h"
#include "repository/model_config.h"
#include "repository/model_placement.h"
#include "repository/model_queue.h"
#include "repository/model_rollout.h"
#include "repository/model_sequences.h"
#include "repository/model_server.h"
#include "repository/model_shaping.h"
#include "repository/model_steps.h"
#include "repository/model_warm_up.h"
#include "repository/model_yaml.h"

#include <limits.h>

enum {
    MAX_INSTANCES = 1024,
    NOT_GIVEN = INT32_MIN,
    WRITTEN_MAX_BYTES = 2 * MODEL_CONFIG_MAX_BYTES
};

/* What is being made, from what, with what. */
struct maker {
    const struct inference_model_config *from;
    const struct tensord_model_sections *sections;
    struct arena *arena;
    struct model_config *config;
    struct error *error;
};

static bool invalid(struct maker *maker, const char *what, struct span name)
{
    return error_set(maker->error, ERROR_INVALID_ARGUMENT, "%s '%.*s'", what, SPAN_ARGS(name));
}

static bool check_supported(struct maker *maker)
{
    const struct inference_model_config *from = maker->from;
    const char *what = NULL;
    if (from->model_operations)
        what = "model_operations";
    else if (from->model_repository_agents)
        what = "model_repository_agents";
    return !what || error_set(maker->error, ERROR_UNIMPLEMENTED,
                              "'%s' is not supported by this version", what);
}

/* ---- engine and file ---- */

/* The engine that a backend or platform of Triton's means. */
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

struct span model_config_backend(struct span engine)
{
    for (size_t i = 0; i < sizeof engine_names / sizeof *engine_names; i++) {
        if (span_equal(engine, engine_names[i].engine))
            return engine_names[i].backend;
    }
    return engine;
}

static bool make_engine(struct maker *maker)
{
    struct span platform = maker->from->platform, engine = engine_of_backend(maker->from->backend);
    if (span_equal(platform, SPAN("ensemble")) && maker->from->which_scheduling_choice == 15)
        return true;
    if (platform.size > 0) {
        struct span named = {NULL, 0};
        for (size_t i = 0; i < sizeof engine_names / sizeof *engine_names; i++) {
            if (span_equal(platform, engine_names[i].platform))
                named = engine_names[i].engine;
        }
        if (span_equal(platform, maker->from->backend)) /* as the API shows a config */
            named = engine;
        if (named.size == 0)
            return invalid(maker, "there is no engine for platform", platform);
        if (engine.size > 0 && !span_equal(engine, named))
            return invalid(maker, "the backend does not fit the platform", platform);
        engine = named;
    }
    maker->config->engine = engine;
    return true;
}

/* A name of a file beside the config, so that it cannot lead out of the model's folder. */
static bool make_file(struct maker *maker)
{
    struct span file = maker->from->default_model_filename;
    if (file.size > 255 || span_equal(file, SPAN(".")) || span_equal(file, SPAN("..")) ||
        (file.size && (memchr(file.data, '/', file.size) || memchr(file.data, '\0', file.size))))
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'default_model_filename' must be the name of a file, without a path");
    maker->config->file = file;
    return true;
}

/* ---- inputs and outputs ---- */

enum tensord_datatype model_config_datatype(int32_t data_type)
{
    static const enum tensord_datatype datatypes[] = {
        [INFERENCE_TYPE_BOOL] = TENSORD_BOOL,     [INFERENCE_TYPE_UINT8] = TENSORD_UINT8,
        [INFERENCE_TYPE_UINT16] = TENSORD_UINT16, [INFERENCE_TYPE_UINT32] = TENSORD_UINT32,
        [INFERENCE_TYPE_UINT64] = TENSORD_UINT64, [INFERENCE_TYPE_INT8] = TENSORD_INT8,
        [INFERENCE_TYPE_INT16] = TENSORD_INT16,   [INFERENCE_TYPE_INT32] = TENSORD_INT32,
        [INFERENCE_TYPE_INT64] = TENSORD_INT64,   [INFERENCE_TYPE_FP16] = TENSORD_FP16,
        [INFERENCE_TYPE_FP32] = TENSORD_FP32,     [INFERENCE_TYPE_FP64] = TENSORD_FP64,
        [INFERENCE_TYPE_STRING] = TENSORD_BYTES,  [INFERENCE_TYPE_BF16] = TENSORD_BF16,
    };
    bool known = data_type > 0 && (size_t)data_type < sizeof datatypes / sizeof *datatypes;
    return known ? datatypes[data_type] : TENSORD_INVALID;
}

/* Copies dims behind the batch dimension, when there is one. */
static bool make_shape(struct maker *maker, struct span name, const int64_t *dims, size_t count,
                       struct shape *ret_shape)
{
    struct shape shape = {0};
    if (maker->config->max_batch_size > 0)
        shape.dims[shape.ndim++] = -1;
    else if (count == 0)
        return invalid(maker, "dims are missing in", name);
    if (count > TENSOR_MAX_DIMS - shape.ndim)
        return invalid(maker, "there are too many dims in", name);
    for (size_t i = 0; i < count; i++) {
        if (dims[i] < 1 && dims[i] != -1)
            return invalid(maker, "dims must be -1 or above 0 in", name);
        shape.dims[shape.ndim++] = dims[i];
    }
    *ret_shape = shape;
    return true;
}

/* Checks what inputs and outputs have in common and appends one to a list of infos. */
static bool add_typed(struct maker *maker, struct tensor_info *infos, size_t *count,
                      struct tensor_info info, enum tensord_datatype datatype)
{
    if (info.name.size == 0)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "every input and output must have a name");
    for (size_t i = 0; i < *count; i++) {
        if (span_equal(infos[i].name, info.name))
            return invalid(maker, "there are two tensors with the name", info.name);
    }
    info.datatype = datatype;
    if (info.datatype == TENSORD_INVALID)
        return invalid(maker, "data_type is missing in", info.name);
    infos[(*count)++] = info;
    return true;
}

static bool add_info(struct maker *maker, struct tensor_info *infos, size_t *count,
                     struct tensor_info info, int32_t data_type)
{
    return add_typed(maker, infos, count, info, model_config_datatype(data_type));
}

static struct tensor_info *infos_alloc(struct maker *maker, uint32_t count)
{
    if (count > TENSOR_MAX_PER_REQUEST) {
        error_set(maker->error, ERROR_INVALID_ARGUMENT, "a model has at most %d inputs and outputs",
                  TENSOR_MAX_PER_REQUEST);
        return NULL;
    }
    struct tensor_info *infos = arena_calloc(maker->arena, count, sizeof *infos);
    if (!infos)
        error_no_memory(maker->error);
    return infos;
}

/* Tensors that are none of the clients' business, at most. */
static uint32_t of_sequences(const struct maker *maker)
{
    const struct model_sequences *sequences = maker->config->sequences;
    return sequences ? (uint32_t)(sequences->control_count + sequences->state_count) : 0;
}

static bool no_shape_tensor(struct maker *maker, struct span name)
{
    return error_set(maker->error, ERROR_UNIMPLEMENTED,
                     "'is_shape_tensor' of '%.*s' is not supported by this version",
                     SPAN_ARGS(name));
}

static bool make_inputs(struct maker *maker)
{
    struct model_config *config = maker->config;
    size_t made = model_shaping_made_inputs(maker->from);
    if (made > TENSOR_MAX_PER_REQUEST)
        made = TENSOR_MAX_PER_REQUEST;
    config->inputs =
        infos_alloc(maker, maker->from->input.count + of_sequences(maker) + (uint32_t)made);
    if (!config->inputs)
        return false;
    for (uint32_t i = 0; i < maker->from->input.count; i++) {
        const struct inference_model_input *input = &maker->from->input.items[i];
        struct tensor_info info = {.name = input->name, .optional = input->optional};
        if (input->is_shape_tensor)
            return no_shape_tensor(maker, input->name);
        if (!make_shape(maker, info.name, input->dims.items, input->dims.count, &info.shape) ||
            !add_info(maker, config->inputs, &config->input_count, info, input->data_type))
            return false;
    }
    return true;
}

static bool make_labels(struct maker *maker, const struct inference_model_output *output)
{
    struct model_labels *labels = &maker->config->labels[maker->config->label_count];
    struct span file = output->label_filename;
    if (!file.size)
        return true;
    if (file.size >= PATH_MAX || memchr(file.data, '\0', file.size))
        return invalid(maker, "label_filename is no path in", output->name);
    *labels = (struct model_labels){.output = output->name, .file = file};
    maker->config->label_count++;
    return true;
}

static bool make_outputs(struct maker *maker)
{
    struct model_config *config = maker->config;
    config->outputs = infos_alloc(maker, maker->from->output.count + of_sequences(maker));
    if (!config->outputs)
        return false;
    config->labels = arena_calloc(maker->arena, maker->from->output.count, sizeof *config->labels);
    if (!config->labels)
        return error_no_memory(maker->error);
    for (uint32_t i = 0; i < maker->from->output.count; i++) {
        const struct inference_model_output *output = &maker->from->output.items[i];
        struct tensor_info info = {.name = output->name};
        if (output->is_shape_tensor)
            return no_shape_tensor(maker, output->name);
        if (!make_labels(maker, output) ||
            !make_shape(maker, info.name, output->dims.items, output->dims.count, &info.shape) ||
            !add_info(maker, config->outputs, &config->output_count, info, output->data_type))
            return false;
    }
    return true;
}

/* What a config declares of controls and states counts as declared with the model's own inputs and
 * outputs, if it declares those. */
static bool declare_controls(struct maker *maker)
{
    struct model_config *config = maker->config;
    const struct model_sequences *sequences = config->sequences;
    const int64_t one = 1;
    for (size_t i = 0; i < sequences->control_count; i++) {
        struct tensor_info info = {.name = sequences->controls[i].name};
        if (!make_shape(maker, info.name, &one, 1, &info.shape) ||
            !add_typed(maker, config->inputs, &config->input_count, info,
                       sequences->controls[i].datatype))
            return false;
    }
    return true;
}

static bool has_output(const struct model_config *config, struct span name)
{
    for (size_t i = 0; i < config->output_count; i++) {
        if (span_equal(config->outputs[i].name, name))
            return true;
    }
    return false;
}

static bool declare_state(struct maker *maker, struct model_state *state)
{
    struct model_config *config = maker->config;
    struct tensor_info input = {.name = state->input}, output = {.name = state->output};
    state->shown = has_output(config, state->output);
    if (!state->shaped || state->datatype == TENSORD_INVALID)
        return true; /* the model says it */
    if (!make_shape(maker, state->input, state->shape.dims, state->shape.ndim, &input.shape))
        return false;
    output.shape = input.shape;
    return (!config->input_count ||
            add_typed(maker, config->inputs, &config->input_count, input, state->datatype)) &&
           (!config->output_count || state->shown ||
            add_typed(maker, config->outputs, &config->output_count, output, state->datatype));
}

static bool declare_sequences(struct maker *maker)
{
    const struct model_sequences *sequences = maker->config->sequences;
    if (!sequences)
        return true;
    if (maker->config->input_count && !declare_controls(maker))
        return false;
    for (size_t i = 0; i < sequences->state_count; i++) {
        if (!declare_state(maker, &sequences->states[i]))
            return false;
    }
    return true;
}

static bool make_shaping(struct maker *maker)
{
    return model_shaping_read(maker->from, maker->sections->scheduling, maker->arena, maker->config,
                              maker->error);
}

static bool has_limiter(const struct inference_model_config *from)
{
    for (uint32_t i = 0; i < from->instance_group.count; i++) {
        if (from->instance_group.items[i].rate_limiter)
            return true;
    }
    return false;
}

/* What the section says of batches is read like that of a model whose requests stand alone. */
static bool make_sequences(struct maker *maker,
                           struct inference_model_dynamic_batching *ret_batching)
{
    struct model_config *config = maker->config;
    config->sequences = arena_alloc(maker->arena, sizeof *config->sequences);
    if (!config->sequences)
        return error_no_memory(maker->error);
    return model_sequences_read(maker->from->sequence_batching, config->max_batch_size,
                                maker->arena, config->sequences, ret_batching, maker->error);
}

static bool make_queue(struct maker *maker)
{
    const struct inference_model_dynamic_batching *batching =
        maker->from->which_scheduling_choice == 11 ? maker->from->dynamic_batching : NULL;
    struct inference_model_dynamic_batching of_sequences;
    if (maker->from->which_scheduling_choice == 13) {
        if (!make_sequences(maker, &of_sequences))
            return false;
        batching = &of_sequences;
    }
    if (!batching && !maker->sections->scheduling && !has_limiter(maker->from))
        return true;
    struct schedule_policy *policy = arena_alloc(maker->arena, sizeof *policy);
    if (!policy)
        return error_no_memory(maker->error);
    maker->config->queue = policy;
    return model_queue_read(batching, maker->sections->scheduling, maker->config->max_batch_size,
                            policy, maker->error) &&
           model_queue_read_needs(maker->from->instance_group.items,
                                  maker->from->instance_group.count, policy, maker->error);
}

static bool make_batching(struct maker *maker)
{
    int32_t size = maker->from->max_batch_size;
    if (size < 0 && size != NOT_GIVEN)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'max_batch_size' must be 0 or above");
    maker->config->max_batch_size = size == NOT_GIVEN ? -1 : size;
    const struct inference_model_transaction_policy *policy = maker->from->model_transaction_policy;
    maker->config->decoupled = policy && policy->decoupled;
    return make_queue(maker);
}

/* What may be asked again is kept; what streams, or answers in its own way, is not. */
static bool make_cache(struct maker *maker)
{
    const struct inference_model_response_cache *cache = maker->from->response_cache;
    const struct tensord_scheduling_section *scheduling = maker->sections->scheduling;
    maker->config->caches = cache && cache->enable;
    maker->config->coalesces = scheduling && scheduling->coalesce;
    if ((maker->config->caches || maker->config->coalesces) &&
        maker->from->which_scheduling_choice == 13)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'sequence_batching' excludes 'response_cache' and 'scheduling.coalesce': "
                         "an answer follows from the requests before it");
    if (maker->config->caches && maker->config->decoupled)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'response_cache' excludes a decoupled 'model_transaction_policy': only "
                         "single answers are kept");
    if (maker->config->coalesces && (maker->config->decoupled || maker->sections->server))
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'scheduling.coalesce' excludes 'server' and a decoupled "
                         "'model_transaction_policy': only single answers are shared");
    if (maker->config->caches && maker->sections->server)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'server' excludes 'response_cache': the program answers requests in its "
                         "own way");
    return true;
}

static bool make_warm_ups(struct maker *maker)
{
    const struct inference_model_config *from = maker->from;
    if (from->model_warmup.count && maker->sections->server)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'server' excludes 'model_warmup': the program is not asked by us");
    if (from->model_warmup.count &&
        (maker->sections->steps.count || from->which_scheduling_choice == 15))
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "a pipeline excludes 'model_warmup': its steps' models have it");
    return model_warm_up_read(from->model_warmup.items, from->model_warmup.count, maker->arena,
                              &maker->config->warm_ups, maker->error);
}

/* ---- instances and parameters ---- */

/* The device of a group; the CPU when it does not say. */
static bool device_of(struct maker *maker, const struct inference_model_instance_group *group,
                      struct span *ret_device)
{
    *ret_device = SPAN("cpu");
    if (group->kind == INFERENCE_MODEL_INSTANCE_GROUP_KIND_CPU)
        return true;
    if (group->kind != INFERENCE_MODEL_INSTANCE_GROUP_KIND_GPU && group->gpus.count == 0)
        return true;
    if (group->gpus.count > 1)
        return error_set(maker->error, ERROR_UNIMPLEMENTED,
                         "instances on several devices are not supported by this version");
    int32_t gpu = group->gpus.count ? group->gpus.items[0] : 0;
    if (gpu < 0)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT, "'gpus' must be 0 or above");
    char *device = arena_printf(maker->arena, "cuda:%d", gpu);
    *ret_device = span_of(device);
    return device || error_no_memory(maker->error);
}

static bool make_instances(struct maker *maker)
{
    struct model_config *config = maker->config;
    for (uint32_t i = 0; i < maker->from->instance_group.count; i++) {
        const struct inference_model_instance_group *group = &maker->from->instance_group.items[i];
        struct span device;
        if (!device_of(maker, group, &device))
            return false;
        if (i > 0 && !span_equal(device, config->device))
            return error_set(maker->error, ERROR_UNIMPLEMENTED,
                             "instances on several devices are not supported by this version");
        if (group->count < 0 || group->count > MAX_INSTANCES ||
            config->instance_count + (uint32_t)group->count > MAX_INSTANCES)
            return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                             "the counts of 'instance_group' must be 0 to %d in all",
                             MAX_INSTANCES);
        config->device = device;
        config->instance_count += (uint32_t)group->count;
    }
    return true;
}

static bool make_workers(struct maker *maker)
{
    const struct tensord_workers_section *section = maker->sections->workers;
    struct model_workers *workers = &maker->config->workers;
    if (!section)
        return true;
    uint32_t max = section->count ? section->count : section->max;
    uint32_t min = section->count ? section->count : section->min ? section->min : 1;
    if (section->count && (section->min || section->max))
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'workers' is a number, or has 'min' and 'max'");
    if (section->min && !max)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'workers.min' needs a 'workers.max'");
    if (max == 0 || max > MODEL_MAX_WORKERS)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'workers', or 'workers.max', is 1 to %d", MODEL_MAX_WORKERS);
    if (min > max)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'workers.min' is more than 'workers.max'");
    if (maker->sections->server)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'server' excludes 'workers': the program runs once");
    if (maker->sections->steps.count || maker->from->which_scheduling_choice == 15)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "a pipeline excludes 'workers': its steps' models have them");
    workers->min = min;
    workers->max = max;
    workers->idle_s = section->idle_after_s ? section->idle_after_s : MODEL_WORKER_IDLE_S;
    return true;
}

static bool make_placement(struct maker *maker)
{
    struct model_config *config = maker->config;
    bool pipeline = maker->sections->steps.count || maker->from->which_scheduling_choice == 15;
    if ((maker->sections->cpuset || maker->sections->gpus.count) && pipeline)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "a pipeline excludes 'cpuset' and 'gpus': its steps' models have them");
    if (!model_placement_read(maker->sections, config->device, maker->arena, &config->placement,
                              maker->error))
        return false;
    if (config->placement.gpu_count) /* CUDA shows each worker the one that it has as this */
        config->device = SPAN("cuda:0");
    return true;
}

static bool make_parameters(struct maker *maker)
{
    struct model_config *config = maker->config;
    size_t count = maker->from->parameters.count;
    config->parameters = arena_calloc(maker->arena, count, sizeof *config->parameters);
    if (!config->parameters)
        return error_no_memory(maker->error);
    for (size_t i = 0; i < count; i++) {
        config->parameters[i].key = maker->from->parameters.items[i].key;
        config->parameters[i].value = maker->from->parameters.items[i].value->string_value;
    }
    config->parameter_count = count;
    return true;
}

static bool is_path(struct span path)
{
    return path.data[0] == '/' && path.size < PATH_MAX && !memchr(path.data, '\0', path.size);
}

/* Triton's way to name an environment, which it has as a packed archive, too. */
static bool make_execution_environment(struct maker *maker)
{
    struct span path = {0};
    for (size_t i = 0; i < maker->config->parameter_count; i++)
        if (span_equal(maker->config->parameters[i].key, SPAN("EXECUTION_ENV_PATH")))
            path = maker->config->parameters[i].value;
    if (path.size < 2 || !span_equal(maker->config->engine, SPAN("python")))
        return true;
    if (span_equal(span_after(path, path.size - 2), SPAN("gz")))
        return error_set(maker->error, ERROR_UNIMPLEMENTED,
                         "EXECUTION_ENV_PATH names an archive: unpack it and name the folder, or "
                         "list the packages in requirements.txt");
    if (!is_path(path) && !span_starts_with(path, SPAN("$$TRITON_MODEL_DIRECTORY/")))
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "EXECUTION_ENV_PATH must be an absolute path, or one in "
                         "$$TRITON_MODEL_DIRECTORY");
    maker->config->python.interpreter = path;
    return true;
}

static bool make_python(struct maker *maker)
{
    const struct tensord_python_section *section = maker->sections->python;
    struct model_python *python = &maker->config->python;
    if (!section)
        return make_execution_environment(maker);
    if (section->interpreter.size && !is_path(section->interpreter))
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'python.interpreter' must be an absolute path");
    if (section->interpreter.size && (section->version.size || section->requirements.count))
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'python.interpreter' excludes 'version' and 'requirements': nothing is "
                         "installed into what is there already");
    python->interpreter = section->interpreter;
    python->version = section->version;
    python->requirements = section->requirements.items;
    python->requirement_count = section->requirements.count;
    return true;
}

static bool make_server(struct maker *maker)
{
    const struct model_config *config = maker->config;
    if (!maker->sections->server)
        return true;
    if (config->engine.size || config->input_count || config->output_count || config->sequences)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'server' excludes 'backend', 'platform', 'input', 'output' and "
                         "'sequence_batching': the program answers requests in its own way");
    return model_server_read(maker->sections->server, maker->arena, &maker->config->server,
                             maker->error);
}

/* The model is a pipeline. */
static bool make_steps(struct maker *maker)
{
    struct model_config *config = maker->config;
    bool ensemble = maker->from->which_scheduling_choice == 15;
    if (!maker->sections->steps.count && !ensemble)
        return true;
    if (maker->sections->steps.count && ensemble)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'steps' excludes 'ensemble_scheduling', which says the same");
    if (config->engine.size || config->file.size || config->server.command_count ||
        maker->sections->python || config->decoupled || config->sequences)
        return error_set(
            maker->error, ERROR_INVALID_ARGUMENT,
            "a pipeline excludes 'backend', 'platform', 'default_model_filename', "
            "'model_transaction_policy', 'sequence_batching', 'python' and 'server': its steps do "
            "the work");
    struct pipeline_graph *graph = arena_alloc(maker->arena, sizeof *graph);
    if (!graph)
        return error_no_memory(maker->error);
    config->pipeline = graph;
    return model_steps_read(maker->sections, ensemble ? maker->from->ensemble_scheduling : NULL,
                            maker->arena, graph, maker->error);
}

static bool make_gpus(struct maker *maker, const struct tensord_sandbox_section *section)
{
    struct process_limits *limits = &maker->config->limits;
    for (uint32_t i = 0; section && i < section->gpu.count; i++) {
        if (section->gpu.items[i] >= PROCESS_MAX_GPUS)
            return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                             "'sandbox.gpu' lists the numbers of GPUs, 0 to %d",
                             PROCESS_MAX_GPUS - 1);
        limits->gpus |= UINT32_C(1) << section->gpu.items[i];
    }
    uint64_t number; /* the one that its instances run on */
    if (span_starts_with(maker->config->device, SPAN("cuda:")) &&
        span_to_u64(span_after(maker->config->device, 5), &number) && number < PROCESS_MAX_GPUS)
        limits->gpus |= UINT32_C(1) << number;
    return true;
}

/* The least with which an interpreter, or an engine, starts at all. */
enum { LEAST_MEMORY_MIB = 16, LEAST_PIDS = 8, MOST_MIB = 1 << 30, MOST_CPUS = 65536 };

static bool make_sandbox(struct maker *maker)
{
    const struct tensord_sandbox_section *section = maker->sections->sandbox;
    struct process_limits *limits = &maker->config->limits;
    if (!make_gpus(maker, section))
        return false;
    if (!section)
        return true;
    if ((section->memory_mib && section->memory_mib < LEAST_MEMORY_MIB) ||
        section->memory_mib > MOST_MIB || section->scratch_mib > MOST_MIB)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'sandbox.memory_mib' is %d or more, and like 'scratch_mib' at most %d",
                         LEAST_MEMORY_MIB, MOST_MIB);
    if (section->pids && section->pids < LEAST_PIDS)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT, "'sandbox.pids' is %d or more",
                         LEAST_PIDS);
    if (!(section->cpus >= 0 && section->cpus <= (double)MOST_CPUS))
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'sandbox.cpus' is a number of processors, such as 2.5");
    limits->memory_mib = section->memory_mib;
    limits->scratch_mib = section->scratch_mib;
    limits->pids = section->pids;
    limits->cpu_percent = (uint32_t)(section->cpus * 100);
    if (section->cpus > 0 && limits->cpu_percent == 0)
        limits->cpu_percent = 1;
    return true;
}

static bool make_rollout(struct maker *maker)
{
    struct rollout *rollout;
    if (!maker->sections->rollout)
        return true;
    if (maker->config->sequences)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'sequence_batching' excludes 'rollout': a sequence is with one version");
    rollout = arena_alloc(maker->arena, sizeof *rollout);
    maker->config->rollout = rollout;
    return rollout ? model_rollout_read(maker->sections->rollout, rollout, maker->error)
                   : error_no_memory(maker->error);
}

static bool make_versions(struct maker *maker)
{
    struct model_versions *versions = arena_alloc(maker->arena, sizeof *versions);
    maker->config->versions = versions;
    return versions ? model_versions_read(maker->from->version_policy, versions, maker->error)
                    : error_no_memory(maker->error);
}

/* Two configs have the same digest when they differ in nothing but `rollout`. */
static bool make_digest(struct maker *maker)
{
    struct tensord_model_sections sections = *maker->sections;
    struct buf buf;
    sections.rollout = NULL;
    buf_init(&buf, 2 * WRITTEN_MAX_BYTES);
    bool good = pb_encode(&inference_model_config_pb, maker->from, &buf) &&
                pb_encode(&tensord_model_sections_pb, &sections, &buf);
    maker->config->digest = rollout_key(buf_span(&buf));
    buf_fini(&buf);
    return good || error_no_memory(maker->error);
}

/* Keeps all that the file says, for whoever asks for the config. */
static bool keep_written(struct maker *maker, struct inference_model_config *message)
{
    struct buf buf;
    if (message->max_batch_size == NOT_GIVEN)
        message->max_batch_size = 0;
    if (maker->config->pipeline && message->which_scheduling_choice == 0) {
        message->ensemble_scheduling = model_steps_describe(maker->config->pipeline, maker->arena);
        message->which_scheduling_choice = 15;
        if (!message->ensemble_scheduling)
            return error_no_memory(maker->error);
    }
    buf_init(&buf, WRITTEN_MAX_BYTES);
    bool good = pb_encode(&inference_model_config_pb, message, &buf) &&
                arena_copy(maker->arena, buf_span(&buf), &maker->config->written);
    buf_fini(&buf);
    return good || error_no_memory(maker->error);
}

static bool make_residency(struct maker *maker)
{
    const struct tensord_residency_section *section = maker->sections->residency;
    struct model_residency *residency = &maker->config->residency;
    if (!section)
        return true;
    if (section->idle_after_s > MODEL_MOST_IDLE_S)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'residency.idle_after_s' is at most %d, a year", MODEL_MOST_IDLE_S);
    if (section->pin && section->idle_after_s)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'residency' has 'pin' and 'idle_after_s': what is pinned does not leave");
    if (section->memory_mib > MOST_MIB)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'residency.memory_mib' is at most %d", MOST_MIB);
    *residency = (struct model_residency){section->pin, section->idle_after_s, section->memory_mib};
    return true;
}

bool model_config_read(enum model_config_format format, struct span text, struct arena *arena,
                       struct model_config *ret_config, struct error *ret_error)
{
    struct inference_model_config message = {.max_batch_size = NOT_GIVEN};
    struct tensord_model_sections sections = {0};
    const struct model_yaml_target targets[] = {{&inference_model_config_pb, &message},
                                                {&tensord_model_sections_pb, &sections}};
    if (!(format == MODEL_CONFIG_PBTXT
              ? pb_text_read(&inference_model_config_pb, text, arena, &message, ret_error)
              : model_yaml_read(targets, 2, text, arena, ret_error)))
        return false;
    struct model_config config = {.device = SPAN("cpu")};
    struct maker maker = {&message, &sections, arena, &config, ret_error};
    if (!check_supported(&maker) || !make_engine(&maker) || !make_file(&maker) ||
        !make_batching(&maker) || !make_cache(&maker) || !make_warm_ups(&maker) ||
        !make_inputs(&maker) || !make_outputs(&maker) || !declare_sequences(&maker) ||
        !make_instances(&maker) || !make_workers(&maker) || !make_placement(&maker) ||
        !make_parameters(&maker) || !make_python(&maker) || !make_server(&maker) ||
        !make_steps(&maker) || !make_shaping(&maker) || !make_sandbox(&maker) ||
        !make_residency(&maker) || !make_rollout(&maker) || !make_versions(&maker) ||
        !make_digest(&maker) || !keep_written(&maker, &message))
        return false;
    *ret_config = config;
    return true;
}
