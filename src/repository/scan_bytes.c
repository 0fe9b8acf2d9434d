/* Questions and answers of the process that looks at the repository; see scan_bytes.h. */
#include "repository/scan_bytes.h"

#include "base/pack.h"
#include "base/utf8.h"
#include "repository/model_config.h"
#include "repository/model_queue.h"
#include "repository/model_rollout.h"
#include "repository/model_sequences.h"
#include "repository/model_steps.h"

/* A new member must be written and read here as well; the last three are for the look alone, which
 * gives each version its model's rollout. */
_Static_assert(sizeof(struct model_config) == 624, "every member of a config crosses");

void scan_question_write(const struct scan_question *question, struct buf *buf)
{
    pack_number(buf, question->renamed_count);
    for (size_t i = 0; i < question->renamed_count; i++)
        pack_string(buf, question->renamed_in[i]);
    pack_number(buf, question->override_count);
    for (size_t i = 0; i < question->override_count; i++) {
        const struct repository_override *override = &question->overrides[i];
        pack_string(buf, override->model);
        pack_string(buf, override->config);
        pack_string(buf, override->folder);
        pack_number(buf, override->number);
        pack_number(buf, override->may_bring_code);
    }
}

bool scan_question_read(struct span bytes, struct scan_question *ret_question)
{
    struct unpack unpack = {.rest = bytes};
    ret_question->renamed_count = (size_t)unpack_number(&unpack, SCAN_MAX_RENAMED);
    for (size_t i = 0; i < ret_question->renamed_count; i++)
        ret_question->renamed_in[i] = unpack_string(&unpack);
    ret_question->override_count = (size_t)unpack_number(&unpack, REPOSITORY_MAX_OVERRIDES);
    for (size_t i = 0; i < ret_question->override_count; i++) {
        struct repository_override *override = &ret_question->overrides[i];
        override->model = unpack_string(&unpack);
        override->config = unpack_string(&unpack);
        override->folder = unpack_string(&unpack);
        override->number = unpack_number(&unpack, UINT64_MAX);
        override->may_bring_code = unpack_bool(&unpack);
    }
    return unpack_end(&unpack);
}

/* ---- configs and errors ---- */

static void write_python(const struct model_python *python, struct buf *buf)
{
    pack_string(buf, python->interpreter);
    pack_string(buf, python->version);
    pack_number(buf, python->requirement_count);
    for (size_t i = 0; i < python->requirement_count; i++)
        pack_string(buf, python->requirements[i]);
}

static void read_python(struct unpack *unpack, struct model_python *python)
{
    python->interpreter = unpack_string(unpack);
    python->version = unpack_string(unpack);
    python->requirements = unpack_array(unpack, MODEL_CONFIG_MAX_BYTES,
                                        sizeof *python->requirements, &python->requirement_count);
    for (size_t i = 0; i < python->requirement_count && !unpack->failed; i++)
        python->requirements[i] = unpack_string(unpack);
}

static void write_limits(const struct process_limits *limits, struct buf *buf)
{
    pack_number(buf, limits->memory_mib);
    pack_number(buf, limits->scratch_mib);
    pack_number(buf, limits->pids);
    pack_number(buf, limits->cpu_percent);
    pack_number(buf, limits->gpus);
}

static void write_placement(const struct model_placement *placement, struct buf *buf)
{
    pack_number(buf, placement->all_cpus);
    pack_number(buf, placement->cpus_count);
    for (size_t i = 0; i < placement->cpus_count; i++) {
        for (size_t k = 0; k < CPU_LIST_WORDS; k++)
            pack_number(buf, placement->cpus[i].words[k]);
    }
    pack_number(buf, placement->gpu_count);
    for (size_t i = 0; i < placement->gpu_count; i++)
        pack_number(buf, placement->gpus[i]);
}

static void read_placement(struct unpack *unpack, struct model_placement *placement)
{
    placement->all_cpus = unpack_bool(unpack);
    placement->cpus =
        unpack_array(unpack, MODEL_MAX_WORKERS, sizeof *placement->cpus, &placement->cpus_count);
    for (size_t i = 0; i < placement->cpus_count && !unpack->failed; i++) {
        for (size_t k = 0; k < CPU_LIST_WORDS; k++)
            placement->cpus[i].words[k] = unpack_number(unpack, UINT64_MAX);
    }
    placement->gpus =
        unpack_array(unpack, MODEL_MAX_WORKERS, sizeof *placement->gpus, &placement->gpu_count);
    for (size_t i = 0; i < placement->gpu_count && !unpack->failed; i++)
        placement->gpus[i] = (uint32_t)unpack_number(unpack, PROCESS_MAX_GPUS - 1);
}

static void read_limits(struct unpack *unpack, struct process_limits *limits)
{
    limits->memory_mib = (uint32_t)unpack_number(unpack, UINT32_MAX);
    limits->scratch_mib = (uint32_t)unpack_number(unpack, UINT32_MAX);
    limits->pids = (uint32_t)unpack_number(unpack, UINT32_MAX);
    limits->cpu_percent = (uint32_t)unpack_number(unpack, UINT32_MAX);
    limits->gpus = (uint32_t)unpack_number(unpack, UINT32_MAX);
}

static void read_workers(struct unpack *unpack, struct model_workers *workers)
{
    workers->min = (uint32_t)unpack_number(unpack, MODEL_MAX_WORKERS);
    workers->max = (uint32_t)unpack_number(unpack, MODEL_MAX_WORKERS);
    workers->idle_s = (uint32_t)unpack_number(unpack, UINT32_MAX);
    if (workers->min > workers->max || (workers->max && !workers->min))
        unpack->failed = true;
}

static void write_labels(const struct model_config *config, struct buf *buf)
{
    pack_number(buf, config->label_count);
    for (size_t i = 0; i < config->label_count; i++) {
        pack_string(buf, config->labels[i].output);
        pack_string(buf, config->labels[i].file);
        pack_string(buf, config->labels[i].text);
    }
}

static void read_labels(struct unpack *unpack, struct model_config *config)
{
    config->labels =
        unpack_array(unpack, TENSOR_MAX_PER_REQUEST, sizeof *config->labels, &config->label_count);
    for (size_t i = 0; i < config->label_count && !unpack->failed; i++) {
        config->labels[i].output = unpack_string(unpack);
        config->labels[i].file = unpack_string(unpack);
        config->labels[i].text = unpack_string(unpack);
    }
}

static void write_config(const struct model_config *config, struct buf *buf)
{
    bool own = config != model_config_default();
    pack_number(buf, own);
    if (!own)
        return;
    pack_string(buf, config->engine);
    pack_string(buf, config->file);
    pack_number(buf, (uint64_t)config->max_batch_size);
    pack_tensors(buf, config->inputs, config->input_count);
    pack_tensors(buf, config->outputs, config->output_count);
    shaping_write(&config->shaping, buf);
    pack_parameters(buf, config->parameters, config->parameter_count);
    pack_number(buf, config->instance_count);
    pack_number(buf, config->workers.min);
    pack_number(buf, config->workers.max);
    pack_number(buf, config->workers.idle_s);
    write_placement(&config->placement, buf);
    pack_string(buf, config->device);
    pack_number(buf, config->decoupled);
    warm_ups_write(&config->warm_ups, buf);
    pack_number(buf, config->caches);
    pack_number(buf, config->coalesces);
    pack_number(buf, config->queue != NULL);
    if (config->queue)
        model_queue_pack(config->queue, buf);
    pack_number(buf, config->pipeline != NULL);
    if (config->pipeline)
        model_steps_pack(config->pipeline, buf);
    pack_number(buf, config->sequences != NULL);
    if (config->sequences)
        model_sequences_pack(config->sequences, buf);
    write_python(&config->python, buf);
    server_config_write(&config->server, buf);
    write_limits(&config->limits, buf);
    pack_number(buf, config->residency.pin);
    pack_number(buf, config->residency.idle_after_s);
    pack_number(buf, config->residency.memory_mib);
    write_labels(config, buf);
    pack_string(buf, config->written);
}

static const struct schedule_policy *read_queue(struct unpack *unpack)
{
    struct schedule_policy *policy = arena_alloc(unpack->arena, sizeof *policy);
    if (policy)
        model_queue_unpack(unpack, policy);
    else
        unpack->failed = true;
    return policy;
}

static const struct pipeline_graph *read_pipeline(struct unpack *unpack)
{
    struct pipeline_graph *graph = arena_alloc(unpack->arena, sizeof *graph);
    if (graph)
        model_steps_unpack(unpack, graph);
    else
        unpack->failed = true;
    return graph;
}

static struct model_sequences *read_sequences(struct unpack *unpack)
{
    struct model_sequences *sequences = arena_alloc(unpack->arena, sizeof *sequences);
    if (sequences)
        model_sequences_unpack(unpack, sequences);
    else
        unpack->failed = true;
    return sequences;
}

static const struct model_config *read_config(struct unpack *unpack)
{
    if (!unpack_bool(unpack))
        return model_config_default();
    struct model_config *config = arena_alloc(unpack->arena, sizeof *config);
    if (!config) {
        unpack->failed = true;
        return NULL;
    }
    *config = (struct model_config){.engine = unpack_string(unpack)};
    config->file = unpack_string(unpack);
    config->max_batch_size = (int64_t)unpack_number(unpack, UINT64_MAX);
    config->inputs = unpack_tensors(unpack, &config->input_count);
    config->outputs = unpack_tensors(unpack, &config->output_count);
    shaping_read(unpack, &config->shaping);
    config->parameters =
        unpack_parameters(unpack, MODEL_CONFIG_MAX_BYTES, &config->parameter_count);
    config->instance_count = (uint32_t)unpack_number(unpack, UINT32_MAX);
    read_workers(unpack, &config->workers);
    read_placement(unpack, &config->placement);
    config->device = unpack_string(unpack);
    config->decoupled = unpack_bool(unpack);
    warm_ups_read(unpack, &config->warm_ups);
    config->caches = unpack_bool(unpack);
    config->coalesces = unpack_bool(unpack);
    config->queue = unpack_bool(unpack) ? read_queue(unpack) : NULL;
    config->pipeline = unpack_bool(unpack) ? read_pipeline(unpack) : NULL;
    config->sequences = unpack_bool(unpack) ? read_sequences(unpack) : NULL;
    read_python(unpack, &config->python);
    server_config_read(unpack, &config->server);
    read_limits(unpack, &config->limits);
    config->residency.pin = unpack_bool(unpack);
    config->residency.idle_after_s = unpack_number(unpack, MODEL_MOST_IDLE_S);
    config->residency.memory_mib = unpack_number(unpack, UINT32_MAX);
    read_labels(unpack, config);
    config->written = unpack_bytes(unpack);
    return config;
}

static void write_error(const struct error *error, struct buf *buf)
{
    pack_number(buf, error->code);
    pack_string(buf, span_of(error->message));
}

static void read_error(struct unpack *unpack, struct error *ret_error)
{
    enum error_code code = (enum error_code)unpack_number(unpack, ERROR_CODE_COUNT - 1);
    struct span message = unpack_string(unpack);
    error_set(ret_error, code == ERROR_OK ? ERROR_INTERNAL : code, "%.*s", SPAN_ARGS(message));
}

/* ---- versions ---- */

static void write_version(const struct repository_version *version, struct buf *buf)
{
    pack_string(buf, version->model);
    pack_number(buf, version->version);
    pack_string(buf, version->path);
    pack_string(buf, version->root);
    pack_string(buf, version->folder);
    pack_number(buf, version->fingerprint);
    pack_number(buf, version->size_bytes);
    pack_number(buf, version->complete);
    pack_number(buf, version->renamed_in);
    pack_number(buf, version->unreadable);
    pack_number(buf, version->runtime);
    pack_string(buf, version->format);
    pack_number(buf, version->code);
    pack_number(buf, version->packages);
    pack_number(buf, version->doubled);
    write_config(version->config, buf);
    pack_number(buf, version->rollout != NULL);
    if (version->rollout)
        model_rollout_pack(version->rollout, buf);
    pack_number(buf, version->error != NULL);
    if (version->error)
        write_error(version->error, buf);
}

static const struct error *read_own_error(struct unpack *unpack)
{
    struct error *error = arena_alloc(unpack->arena, sizeof *error);
    if (error)
        read_error(unpack, error);
    else
        unpack->failed = true;
    return error;
}

static const struct rollout *read_rollout(struct unpack *unpack)
{
    struct rollout *rollout = arena_alloc(unpack->arena, sizeof *rollout);
    if (rollout)
        model_rollout_unpack(unpack, rollout);
    else
        unpack->failed = true;
    return rollout;
}

static void read_version(struct unpack *unpack, struct repository_version *version)
{
    version->model = unpack_string(unpack);
    version->version = unpack_number(unpack, INT64_MAX);
    version->path = unpack_string(unpack);
    version->root = unpack_string(unpack);
    version->folder = unpack_string(unpack);
    version->fingerprint = unpack_number(unpack, UINT64_MAX);
    version->size_bytes = unpack_number(unpack, UINT64_MAX);
    version->complete = unpack_bool(unpack);
    version->renamed_in = unpack_bool(unpack);
    version->unreadable = unpack_bool(unpack);
    version->runtime = (enum format_runtime)unpack_number(unpack, RUNTIME_COUNT - 1);
    version->format = unpack_string(unpack);
    version->code = unpack_bool(unpack);
    version->packages = unpack_bool(unpack);
    version->doubled = unpack_bool(unpack);
    version->config = read_config(unpack);
    version->rollout = unpack_bool(unpack) ? read_rollout(unpack) : NULL;
    if (unpack_bool(unpack))
        version->error = read_own_error(unpack);
    if (!version->model.size || !utf8_valid(version->model) ||
        (!version->error && (!version->path.size || !version->root.size)))
        unpack->failed = true;
}

void scan_answer_write(const struct repository_scan *scan, struct buf *buf)
{
    pack_number(buf, true);
    pack_string(buf, scan->root);
    pack_number(buf, scan->version_count);
    for (size_t i = 0; i < scan->version_count; i++)
        write_version(&scan->versions[i], buf);
}

void scan_answer_write_error(const struct error *error, struct buf *buf)
{
    pack_number(buf, false);
    write_error(error, buf);
}

bool scan_answer_read(struct span bytes, struct repository_scan *scan, struct error *ret_error)
{
    struct unpack unpack = {.rest = bytes, .arena = &scan->arena};
    struct error error = {.code = ERROR_OK};
    bool good = unpack_bool(&unpack);
    if (!good)
        read_error(&unpack, &error);
    else {
        scan->root = unpack_string(&unpack);
        scan->versions =
            unpack_array(&unpack, SCAN_MAX_BYTES, sizeof *scan->versions, &scan->version_count);
    }
    for (size_t i = 0; i < scan->version_count && !unpack.failed; i++)
        read_version(&unpack, &scan->versions[i]);
    if (!unpack_end(&unpack))
        return error_set(ret_error, ERROR_INTERNAL, "the look at the repository has failed");
    if (!good && ret_error)
        *ret_error = error;
    return good;
}
