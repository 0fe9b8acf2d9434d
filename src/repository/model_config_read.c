/* From a config's text to what the server acts on; see model_config_read in model_config.h.
 *
 * Both formats fill the same message, Triton's ModelConfig; this file has its sections checked and
 * read, each by the file that knows it, in an order in which one may build on another. What would
 * change a model's answers and is not done here is refused; hints for engines and schedulers that
 * we have not are passed over. */
#include "codec/protobuf_text.h"
#include "repository/model_config.h"
#include "repository/model_engine.h"
#include "repository/model_exclusions.h"
#include "repository/model_placement.h"
#include "repository/model_python.h"
#include "repository/model_queue.h"
#include "repository/model_resources.h"
#include "repository/model_rollout.h"
#include "repository/model_sequences.h"
#include "repository/model_server.h"
#include "repository/model_shaping.h"
#include "repository/model_steps.h"
#include "repository/model_tensors.h"
#include "repository/model_warm_up.h"
#include "repository/model_yaml.h"

enum { NOT_GIVEN = INT32_MIN, WRITTEN_MAX_BYTES = 2 * MODEL_CONFIG_MAX_BYTES };

/* What is being made, from what, with what. */
struct maker {
    const struct inference_model_config *from;
    const struct tensord_model_sections *sections;
    struct arena *arena;
    struct model_config *config;
    struct error *error;
};

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

static bool make_batching(struct maker *maker)
{
    int32_t size = maker->from->max_batch_size;
    if (size < 0 && size != NOT_GIVEN)
        return error_set(maker->error, ERROR_INVALID_ARGUMENT,
                         "'max_batch_size' must be 0 or above");
    maker->config->max_batch_size = size == NOT_GIVEN ? -1 : size;
    const struct inference_model_transaction_policy *policy = maker->from->model_transaction_policy;
    maker->config->decoupled = policy && policy->decoupled;
    return true;
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
        maker->from->which_scheduling_choice == MODEL_SCHEDULING_DYNAMIC_BATCHING
            ? maker->from->dynamic_batching
            : NULL;
    struct inference_model_dynamic_batching of_sequences;
    if (maker->from->which_scheduling_choice == MODEL_SCHEDULING_SEQUENCE_BATCHING) {
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

/* Which answers are kept, or given to several: the exclusions say which cannot be. */
static void make_reuse(struct maker *maker)
{
    const struct inference_model_response_cache *cache = maker->from->response_cache;
    const struct tensord_scheduling_section *scheduling = maker->sections->scheduling;
    maker->config->caches = cache && cache->enable;
    maker->config->coalesces = scheduling && scheduling->coalesce;
}

/* How many workers there are, where they run, and what they take. */
static bool make_resources(struct maker *maker)
{
    const struct inference_model_config *from = maker->from;
    const struct tensord_model_sections *sections = maker->sections;
    struct model_config *config = maker->config;
    if (!model_resources_read_instances(from->instance_group.items, from->instance_group.count,
                                        maker->arena, config, maker->error) ||
        (sections->workers &&
         !model_resources_read_workers(sections->workers, &config->workers, maker->error)) ||
        !model_placement_read(sections, config->device, maker->arena, &config->placement,
                              maker->error))
        return false;
    if (config->placement.gpu_count) /* CUDA shows each worker the one that it has as this */
        config->device = SPAN("cuda:0");
    return model_resources_read_sandbox(sections->sandbox, config->device, &config->limits,
                                        maker->error) &&
           (!sections->residency ||
            model_resources_read_residency(sections->residency, &config->residency, maker->error));
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

/* The model is a pipeline. */
static bool make_steps(struct maker *maker)
{
    bool ensemble = maker->from->which_scheduling_choice == MODEL_SCHEDULING_ENSEMBLE;
    if (!maker->sections->steps.count && !ensemble)
        return true;
    struct pipeline_graph *graph = arena_alloc(maker->arena, sizeof *graph);
    if (!graph)
        return error_no_memory(maker->error);
    maker->config->pipeline = graph;
    return model_steps_read(maker->sections, ensemble ? maker->from->ensemble_scheduling : NULL,
                            maker->arena, graph, maker->error);
}

static bool make_rollout(struct maker *maker)
{
    struct rollout *rollout;
    if (!maker->sections->rollout)
        return true;
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
    if (maker->config->pipeline && message->which_scheduling_choice == MODEL_SCHEDULING_NONE) {
        message->ensemble_scheduling = model_steps_describe(maker->config->pipeline, maker->arena);
        message->which_scheduling_choice = MODEL_SCHEDULING_ENSEMBLE;
        if (!message->ensemble_scheduling)
            return error_no_memory(maker->error);
    }
    buf_init(&buf, WRITTEN_MAX_BYTES);
    bool good = pb_encode(&inference_model_config_pb, message, &buf) &&
                arena_copy(maker->arena, buf_span(&buf), &maker->config->written);
    buf_fini(&buf);
    return good || error_no_memory(maker->error);
}

static bool make(struct maker *maker)
{
    const struct inference_model_config *from = maker->from;
    const struct tensord_model_sections *sections = maker->sections;
    struct arena *arena = maker->arena;
    struct model_config *config = maker->config;
    struct error *error = maker->error;
    make_reuse(maker);
    return check_supported(maker) && model_exclusions_check(from, sections, error) &&
           model_engine_read(from, &config->engine, error) &&
           model_engine_read_file(from, &config->file, error) && make_batching(maker) &&
           make_queue(maker) &&
           model_warm_up_read(from->model_warmup.items, from->model_warmup.count, arena,
                              &config->warm_ups, error) &&
           model_tensors_read(from, arena, config, error) && make_resources(maker) &&
           make_parameters(maker) && model_python_read(sections->python, config, error) &&
           (!sections->server ||
            model_server_read(sections->server, arena, &config->server, error)) &&
           make_steps(maker) &&
           model_shaping_read(from, sections->scheduling, arena, config, error) &&
           make_rollout(maker) && make_versions(maker) && make_digest(maker);
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
    struct model_config config = {.caches = false};
    struct maker maker = {&message, &sections, arena, &config, ret_error};
    if (!make(&maker) || !keep_written(&maker, &message))
        return false;
    *ret_config = config;
    return true;
}
