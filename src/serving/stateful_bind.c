/* What a model has of its sequences: controls, states, and places; see stateful_bind in stateful.h.
 */
#include "serving/generation.h"
#include "serving/stateful.h"
#include "serving/states.h"

enum { MOST_ROW_INPUTS = 32 }; /* what 64 rows of them take in a record of the channel is bounded */

static bool unfit(const struct stateful *stateful, const char *what, struct span name,
                  struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "'sequence_batching' of model '%.*s' names '%.*s', which %s",
                     SPAN_ARGS(stateful->generation->spec.name), SPAN_ARGS(name), what);
}

/* A tensor's shape for one sequence: what may be of any size is 1, where the config does not say
 * more. */
static struct shape shape_for_one(const struct tensor_info *info, const struct shape *declared)
{
    struct shape shape = info->shape;
    uint32_t first = declared && declared->ndim < shape.ndim ? shape.ndim - declared->ndim : 0;
    for (uint32_t i = 0; i < shape.ndim; i++) {
        if (shape.dims[i] >= 0)
            continue;
        shape.dims[i] = 1;
        if (declared && i >= first && i - first < declared->ndim && declared->dims[i - first] > 0)
            shape.dims[i] = declared->dims[i - first];
    }
    return shape;
}

static bool bind_control(struct stateful *stateful, struct schema *schema, size_t at,
                         struct error *ret_error)
{
    const struct model_control *config = &stateful->config->controls[at];
    struct stateful_control *control = &stateful->controls[at];
    int input = schema_input(schema, config->name);
    if (input < 0)
        return unfit(stateful, "is no input of the model", config->name, ret_error);
    struct tensor_info *info = &schema->inputs[input];
    if (info->datatype != config->datatype)
        return unfit(stateful, "has another datatype in the model", config->name, ret_error);
    uint64_t count;
    struct shape shape = shape_for_one(info, NULL);
    if (!shape_count(&shape, &count) || count != 1)
        return unfit(stateful, "is not of one element in the model", config->name, ret_error);
    info->hidden = true;
    *control =
        (struct stateful_control){.config = config, .input = (uint32_t)input, .shape = shape};
    return true;
}

static bool shape_is_possible(const struct tensor_info *info, const struct shape *declared)
{
    uint32_t rank = declared->ndim;
    if (rank == 0)
        return true;
    if (info->shape.ndim != rank && info->shape.ndim != rank + 1)
        return false;
    uint32_t first = info->shape.ndim - rank;
    for (uint32_t i = 0; i < rank; i++) {
        if (declared->dims[i] > 0 && info->shape.dims[first + i] >= 0 &&
            declared->dims[i] != info->shape.dims[first + i])
            return false;
    }
    return true;
}

static bool bind_state(struct stateful *stateful, struct schema *schema, size_t at,
                       struct error *ret_error)
{
    const struct model_state *config = &stateful->config->states[at];
    int input = schema_input(schema, config->input), output = schema_output(schema, config->output);
    if (input < 0)
        return unfit(stateful, "is no input of the model", config->input, ret_error);
    if (output < 0)
        return unfit(stateful, "is no output of the model", config->output, ret_error);
    struct tensor_info *info = &schema->inputs[input];
    if (info->datatype != schema->outputs[output].datatype ||
        (config->datatype != TENSORD_INVALID && config->datatype != info->datatype))
        return unfit(stateful, "has another datatype in the model", config->input, ret_error);
    const struct shape *declared =
        config->initial_shape.ndim ? &config->initial_shape : &config->shape;
    if (!shape_is_possible(info, declared))
        return unfit(stateful, "has another shape in the model", config->input, ret_error);
    info->hidden = true;
    schema->outputs[output].hidden = !config->shown;
    if (output < 64)
        stateful->kept_outputs |= UINT64_C(1) << output;
    stateful->states[at] = (struct stateful_state){
        .config = config,
        .input = (uint32_t)input,
        .output = (uint32_t)output,
        .datatype = info->datatype,
        .shape = shape_for_one(info, declared),
    };
    return true;
}

/* The values of controls, each on a line of its own. */
static bool make_constants(struct stateful *stateful, struct error *ret_error)
{
    struct generation *generation = stateful->generation;
    size_t count = stateful->config->control_count;
    uint64_t size = (2 * count + 1) * TENSOR_ALIGNMENT;
    if (!admission_grow(&generation->admission, &stateful->share, size) ||
        !tensor_memory_alloc(generation->memory, size, &stateful->constants, NULL))
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "the model's memory for tensors is in use");
    char *data = tensor_memory_at(generation->memory, stateful->constants);
    memset(data, 0, size);
    stateful->no_id = (struct extent){stateful->constants.offset + size - TENSOR_ALIGNMENT, 0};
    for (size_t i = 0; i < 2 * count; i++) {
        struct stateful_control *control = &stateful->controls[i / 2];
        memcpy(data + i * TENSOR_ALIGNMENT, &control->config->values[i % 2], sizeof(uint32_t));
        control->values[i % 2] = (struct extent){
            stateful->constants.offset + i * TENSOR_ALIGNMENT,
            datatype_size_bytes(control->config->datatype),
        };
    }
    return true;
}

/* Batches of at least so many rows go at once, others when they have waited. */
static void wait_for_rows(const struct stateful *stateful, struct schedule_policy *policy)
{
    uint32_t rows = stateful->places, least = stateful->config->least_percent;
    policy->preferred_count = 0;
    if (!least)
        policy->delay_ns = 0;
    for (uint32_t size = (rows * least + 99) / 100;
         policy->delay_ns && size < rows && policy->preferred_count < POLICY_MAX_PREFERRED - 1;
         size++)
        policy->preferred_rows[policy->preferred_count++] = size;
    if (policy->delay_ns)
        policy->preferred_rows[policy->preferred_count++] = rows;
}

/* How many sequences a worker has at once. Where the config says nothing of that, and the model
 * cannot know, as many as there are. */
static bool make_places(struct stateful *stateful, const struct schema *schema,
                        struct error *ret_error)
{
    const struct model_sequences *config = stateful->config;
    struct schedule *schedule = &stateful->generation->schedule;
    int64_t declared = stateful->generation->spec.max_batch_size;
    uint32_t rows = schema->max_batch_size;
    if (rows == 0 && declared > 0)
        rows = (uint32_t)declared;
    stateful->oldest = config->strategy == SEQUENCES_OLDEST ||
                       (config->strategy == SEQUENCES_ANY && stateful->generation->repeatable);
    stateful->keeps_rows = !stateful->oldest && schema->joins && rows > 1;
    if (!stateful->oldest)
        stateful->places = rows ? rows : 1;
    else
        stateful->places = config->candidates ? config->candidates : MODEL_CANDIDATES;
    if (stateful->keeps_rows && rows > SEQUENCES_MAX_ROWS)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "the strategy 'direct' with a 'max_batch_size' of more than %d is not "
                         "supported by this version; 'oldest' has no such bound",
                         SEQUENCES_MAX_ROWS);
    if (stateful->keeps_rows && schema->input_count > MOST_ROW_INPUTS)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "the strategy 'direct' is for models of at most %d inputs",
                         MOST_ROW_INPUTS);
    schedule->whole = stateful->keeps_rows;
    if (stateful->keeps_rows)
        wait_for_rows(stateful, &schedule->policy);
    uint64_t idle_ns = config->idle_us < UINT64_MAX / CLOCK_NS_PER_US
                           ? config->idle_us * CLOCK_NS_PER_US
                           : CLOCK_NEVER;
    sequences_bound(&stateful->sequences, stateful->places, stateful->keeps_rows, idle_ns);
    return true;
}

bool stateful_bind(struct stateful *stateful, struct schema *schema, struct error *ret_error)
{
    const struct model_sequences *config = stateful->config;
    for (size_t i = 0; i < config->control_count; i++) {
        if (!bind_control(stateful, schema, i, ret_error))
            return false;
    }
    for (size_t i = 0; i < config->state_count; i++) {
        if (!bind_state(stateful, schema, i, ret_error))
            return false;
    }
    stateful->initial = states_first(stateful, ret_error);
    if (!stateful->initial || !make_constants(stateful, ret_error))
        return false;
    if (!make_places(stateful, schema, ret_error))
        return false;
    schema->sequences = true;
    return true;
}
