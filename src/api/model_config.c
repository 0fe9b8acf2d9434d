/* A model's config, completed by what was found out; see model_config.h. Over gRPC it is
 * grpc_metadata.c that answers with it. */
#include "api/model_config.h"

#include "api/metadata.h"
#include "api/routes.h"
#include "base/tensor.h"
#include "codec/protobuf_json.h"
#include "repository/model_config.h"
#include "repository/model_engine.h"
#include "repository/model_sequences.h"

#include <limits.h>

enum { /* numbers of fields */
       DIRECT = 3,
       OLDEST = 4,
       POLICY_ALL = 2
};

struct completer {
    const struct version *version;
    const struct schema *schema;
    struct arena *arena;
    struct inference_model_config *config;
};

static int32_t data_type_of(enum tensord_datatype datatype)
{
    static const int32_t data_types[] = {
        [TENSORD_BOOL] = INFERENCE_TYPE_BOOL,     [TENSORD_UINT8] = INFERENCE_TYPE_UINT8,
        [TENSORD_UINT16] = INFERENCE_TYPE_UINT16, [TENSORD_UINT32] = INFERENCE_TYPE_UINT32,
        [TENSORD_UINT64] = INFERENCE_TYPE_UINT64, [TENSORD_INT8] = INFERENCE_TYPE_INT8,
        [TENSORD_INT16] = INFERENCE_TYPE_INT16,   [TENSORD_INT32] = INFERENCE_TYPE_INT32,
        [TENSORD_INT64] = INFERENCE_TYPE_INT64,   [TENSORD_FP16] = INFERENCE_TYPE_FP16,
        [TENSORD_FP32] = INFERENCE_TYPE_FP32,     [TENSORD_FP64] = INFERENCE_TYPE_FP64,
        [TENSORD_BYTES] = INFERENCE_TYPE_STRING,  [TENSORD_BF16] = INFERENCE_TYPE_BF16,
    };
    size_t index = (size_t)datatype;
    return index < sizeof data_types / sizeof *data_types ? data_types[index] : 0;
}

/* The dimensions that a config lists: without that of the batch. */
static const int64_t *dims_of(const struct completer *completer, const struct tensor_info *info,
                              uint32_t *ret_count)
{
    uint32_t first = completer->schema->max_batch_size > 0 && info->shape.ndim > 0;
    *ret_count = info->shape.ndim - first;
    return info->shape.dims + first;
}

static bool complete_inputs(struct completer *completer)
{
    const struct schema *schema = completer->schema;
    struct inference_model_config *config = completer->config;
    struct inference_model_input *items =
        arena_calloc(completer->arena, schema->input_count, sizeof *items);
    if (!items)
        return false;
    for (size_t i = 0; i < schema->input_count; i++) {
        const struct tensor_info *info = &schema->inputs[i];
        for (uint32_t k = 0; k < config->input.count; k++) {
            if (span_equal(config->input.items[k].name, info->name))
                items[i] = config->input.items[k];
        }
        items[i].name = info->name;
        items[i].optional = info->optional;
        items[i].data_type = data_type_of(info->datatype);
        items[i].dims.items = (int64_t *)(uintptr_t)dims_of(completer, info, &items[i].dims.count);
    }
    config->input.items = items;
    config->input.count = (uint32_t)schema->input_count;
    return true;
}

static bool complete_outputs(struct completer *completer)
{
    const struct schema *schema = completer->schema;
    struct inference_model_config *config = completer->config;
    struct inference_model_output *items =
        arena_calloc(completer->arena, schema->output_count, sizeof *items);
    if (!items)
        return false;
    for (size_t i = 0; i < schema->output_count; i++) {
        const struct tensor_info *info = &schema->outputs[i];
        for (uint32_t k = 0; k < config->output.count; k++) {
            if (span_equal(config->output.items[k].name, info->name))
                items[i] = config->output.items[k];
        }
        items[i].name = info->name;
        items[i].data_type = data_type_of(info->datatype);
        items[i].dims.items = (int64_t *)(uintptr_t)dims_of(completer, info, &items[i].dims.count);
    }
    config->output.items = items;
    config->output.count = (uint32_t)schema->output_count;
    return true;
}

/* Groups have a name, a kind and a count; without any there is one. */
static bool complete_instances(struct completer *completer)
{
    struct inference_model_config *config = completer->config;
    struct span model = completer->version->model->name;
    if (config->which_scheduling_choice == MODEL_SCHEDULING_ENSEMBLE)
        return true; /* its steps' models have them */
    if (config->instance_group.count == 0) {
        struct inference_model_instance_group *group =
            arena_calloc(completer->arena, 1, sizeof *group);
        if (!group)
            return false;
        group->name = model;
        group->count = (int32_t)completer->schema->concurrency;
        config->instance_group.items = group;
        config->instance_group.count = 1;
    }
    for (uint32_t i = 0; i < config->instance_group.count; i++) {
        struct inference_model_instance_group *group = &config->instance_group.items[i];
        if (!group->name.size)
            group->name = span_of(arena_printf(completer->arena, "%.*s_%u", SPAN_ARGS(model), i));
        if (group->kind == INFERENCE_MODEL_INSTANCE_GROUP_KIND_AUTO)
            group->kind = group->gpus.count ? INFERENCE_MODEL_INSTANCE_GROUP_KIND_GPU
                                            : INFERENCE_MODEL_INSTANCE_GROUP_KIND_CPU;
        if (group->count == 0)
            group->count = 1;
    }
    return true;
}

/* States as the model has them. */
static void complete_states(struct completer *completer,
                            struct inference_model_sequence_batching *sequences)
{
    for (uint32_t i = 0; i < sequences->state.count; i++) {
        struct inference_model_sequence_batching_state *state = &sequences->state.items[i];
        const struct tensor_info *info = version_input(completer->version, state->input_name);
        if (!info)
            continue;
        state->data_type = data_type_of(info->datatype);
        if (!state->dims.count)
            state->dims.items = (int64_t *)(uintptr_t)dims_of(completer, info, &state->dims.count);
    }
}

/* What is done where the config leaves it open. */
static bool complete_sequences(struct completer *completer)
{
    struct inference_model_config *config = completer->config;
    struct inference_model_sequence_batching *sequences = config->sequence_batching;
    if (config->which_scheduling_choice != MODEL_SCHEDULING_SEQUENCE_BATCHING)
        return true;
    complete_states(completer, sequences);
    if (!sequences->max_sequence_idle_microseconds)
        sequences->max_sequence_idle_microseconds = MODEL_SEQUENCE_IDLE_US;
    if (sequences->which_strategy_choice == 0 && version_joins_oldest(completer->version)) {
        sequences->oldest = arena_calloc(completer->arena, 1, sizeof *sequences->oldest);
        sequences->which_strategy_choice = OLDEST;
    } else if (sequences->which_strategy_choice == 0) {
        sequences->direct = arena_calloc(completer->arena, 1, sizeof *sequences->direct);
        sequences->which_strategy_choice = DIRECT;
    }
    if (sequences->which_strategy_choice == DIRECT)
        return sequences->direct != NULL;
    if (sequences->oldest && !sequences->oldest->max_candidate_sequences)
        sequences->oldest->max_candidate_sequences = MODEL_CANDIDATES;
    return sequences->oldest != NULL;
}

/* Says that requests are joined, and that there are several answers, where that was found out. */
static bool complete_scheduling(struct completer *completer)
{
    struct inference_model_config *config = completer->config;
    config->max_batch_size =
        (int32_t)(completer->schema->max_batch_size < INT32_MAX ? completer->schema->max_batch_size
                                                                : INT32_MAX);
    if (config->which_scheduling_choice == 0 && completer->schema->joins) {
        config->dynamic_batching =
            arena_calloc(completer->arena, 1, sizeof *config->dynamic_batching);
        config->which_scheduling_choice = MODEL_SCHEDULING_DYNAMIC_BATCHING;
        if (!config->dynamic_batching)
            return false;
    }
    if (!completer->schema->streams)
        return true;
    struct inference_model_transaction_policy *policy =
        arena_calloc(completer->arena, 1, sizeof *policy);
    config->model_transaction_policy = policy;
    if (policy)
        policy->decoupled = true;
    return policy != NULL;
}

/* Unless the config says otherwise, all versions that lie there are served. */
static bool complete_version_policy(struct completer *completer)
{
    const struct inference_model_version_policy *said = completer->config->version_policy;
    if (said && said->which_policy_choice)
        return true;
    struct inference_model_version_policy *policy =
        arena_calloc(completer->arena, 1, sizeof *policy);
    if (!policy)
        return false;
    policy->all = arena_calloc(completer->arena, 1, sizeof *policy->all);
    policy->which_policy_choice = POLICY_ALL;
    completer->config->version_policy = policy;
    return policy->all != NULL;
}

static bool complete(struct completer *completer)
{
    struct inference_model_config *config = completer->config;
    const struct schema *schema = completer->schema;
    config->name = completer->version->model->name;
    if (!config->platform.size)
        config->platform = schema->platform;
    if (!config->backend.size && config->which_scheduling_choice != MODEL_SCHEDULING_ENSEMBLE)
        config->backend = model_engine_backend(schema->engine);
    return complete_scheduling(completer) && complete_sequences(completer) &&
           complete_inputs(completer) && complete_outputs(completer) &&
           complete_instances(completer) && complete_version_policy(completer);
}

const struct inference_model_config *completed_config(const struct version *version,
                                                      struct arena *arena, struct error *ret_error)
{
    const struct schema *schema = described_schema(version, ret_error);
    if (!schema)
        return NULL;
    struct inference_model_config *config = arena_calloc(arena, 1, sizeof *config);
    struct completer completer = {version, schema, arena, config};
    if (!config) {
        error_no_memory(ret_error);
        return NULL;
    }
    if (!pb_decode(&inference_model_config_pb, version_config(version), arena, config, ret_error))
        return NULL;
    if (!complete(&completer)) {
        error_no_memory(ret_error);
        return NULL;
    }
    return config;
}

void serve_model_config(struct api_call *call)
{
    struct error error;
    struct json_writer json;
    struct version *version = call_version(call, &error);
    const struct inference_model_config *config =
        version ? completed_config(version, &call->exchange->arena, &error) : NULL;
    if (!config) {
        reply_error(call, &error);
        return;
    }
    json_writer_init(&json, &call->reply);
    pb_json_write(&inference_model_config_pb, config, &json);
    reply_json(call, 200);
}
