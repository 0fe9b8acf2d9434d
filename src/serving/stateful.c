/* Requests of sequences, and the inputs that the server gives them; see stateful.h. */
#include "serving/stateful.h"

#include "serving/batch.h"
#include "serving/generation_workers.h"
#include "serving/inference_internal.h"
#include "serving/replica.h"
#include "serving/states.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_ROW_INPUTS = 32 }; /* what 64 rows of them take in a record of the channel is bounded */

static struct serving *serving_of(const struct stateful *stateful)
{
    return stateful->generation->version->model->serving;
}

static struct span name_of(const struct stateful *stateful)
{
    return stateful->generation->spec.name;
}

static struct inference *inference_of(struct sequence_request *request)
{
    return list_entry(request, struct inference, turn);
}

/* ---- sequences that end, and time ---- */

static void on_ended(struct sequence *sequence)
{
    states_unref(sequence->data);
    sequence->data = NULL;
}

static void on_recalled(struct sequence_request *request)
{
    struct inference *inference = inference_of(request);
    schedule_leave(&inference->generation->schedule, &inference->entry);
    stateful_release(inference);
}

static const struct sequences_events events = {on_ended, on_recalled};

static void look_again(struct stateful *stateful);

static void time_passed(struct timer *timer)
{
    struct stateful *stateful = list_entry(timer, struct stateful, idle);
    sequences_expire(&stateful->sequences, clock_now_ns());
    look_again(stateful);
}

/* A sequence is not what it was: others may have their turn, a model may be idle, and some time
 * later there may be something to be dropped. */
static void look_again(struct stateful *stateful)
{
    struct generation *generation = stateful->generation;
    uint64_t now_ns = clock_now_ns(), at_ns = sequences_expires_ns(&stateful->sequences);
    timer_stop(&stateful->idle);
    if (at_ns != CLOCK_NEVER)
        timer_start(&stateful->idle, serving_of(stateful)->loop,
                    (at_ns > now_ns ? at_ns - now_ns : 0) / CLOCK_NS_PER_MS + 1, time_passed);
    if (generation->state.queued)
        generation_dispatch(generation);
    if (generation->shrinks)
        generation_staff(generation);
    if (sequences_count(&stateful->sequences) == 0)
        residence_rest(generation);
}

/* ---- life ---- */

struct stateful *stateful_new(struct generation *generation, const struct model_sequences *config,
                              struct error *ret_error)
{
    struct stateful *stateful = calloc(1, sizeof *stateful);
    const struct model_sequences *copy =
        stateful ? model_sequences_copy(&generation->arena, config) : NULL;
    if (copy)
        stateful->states =
            arena_calloc(&generation->arena, copy->state_count, sizeof *stateful->states);
    if (!copy || !stateful->states) {
        free(stateful);
        error_no_memory(ret_error);
        return NULL;
    }
    stateful->generation = generation;
    stateful->config = copy;
    sequences_init(&stateful->sequences, &events);
    return stateful;
}

void stateful_free(struct stateful *stateful)
{
    if (!stateful)
        return;
    struct generation *generation = stateful->generation;
    timer_stop(&stateful->idle);
    sequences_fini(&stateful->sequences);
    states_unref(stateful->initial);
    tensor_memory_release(generation->memory, stateful->constants);
    admission_leave(&generation->admission, &stateful->share);
    free(stateful);
}

/* ---- the model ---- */

static bool unfit(const struct stateful *stateful, const char *what, struct span name,
                  struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "'sequence_batching' of model '%.*s' names '%.*s', which %s",
                     SPAN_ARGS(name_of(stateful)), SPAN_ARGS(name), what);
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

/* ---- requests ---- */

static struct stateful *stateful_of(const struct inference *inference)
{
    return inference->generation->stateful;
}

static const struct model_control *id_control(const struct stateful *stateful)
{
    for (size_t i = 0; i < stateful->config->control_count; i++) {
        if (stateful->config->controls[i].kind == CONTROL_ID)
            return &stateful->config->controls[i];
    }
    return NULL;
}

static uint64_t most_id(enum tensord_datatype datatype)
{
    switch (datatype) {
    case TENSORD_INT32:
        return INT32_MAX;
    case TENSORD_UINT32:
        return UINT32_MAX;
    case TENSORD_INT64:
        return INT64_MAX;
    default:
        return UINT64_MAX;
    }
}

static bool check_id(const struct stateful *stateful, const struct sequence_id *id,
                     struct error *ret_error)
{
    const struct model_control *control = id_control(stateful);
    if (id->text.size > SEQUENCE_MAX_ID)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a 'sequence_id' that is text has at most %d bytes", SEQUENCE_MAX_ID);
    if (!control || control->datatype == TENSORD_BYTES)
        return true;
    if (!id->number)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a 'sequence_id' of model '%.*s' is a number, not text",
                         SPAN_ARGS(name_of(stateful)));
    return id->number <= most_id(control->datatype) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "a 'sequence_id' of model '%.*s' is at most %" PRIu64,
                     SPAN_ARGS(name_of(stateful)), most_id(control->datatype));
}

static void say_id(const struct sequence_id *id, char *text, size_t size)
{
    if (id->number)
        snprintf(text, size, "%" PRIu64, id->number);
    else
        snprintf(text, size, "%.*s", SPAN_ARGS(id->text));
}

void stateful_broken_off(const struct inference *inference, const char *reason,
                         struct error *ret_error)
{
    char id[SEQUENCE_MAX_ID + 1];
    say_id(&inference->sequence.id, id, sizeof id);
    error_set(ret_error, inference->sequence.starts ? ERROR_INTERRUPTED : ERROR_CONFLICT,
              "the worker of model '%.*s' ended (%s), and with it sequence %s: begin it anew, with "
              "the START flag",
              SPAN_ARGS(inference->generation->spec.name), reason, id);
}

bool stateful_check(const struct inference *inference, struct error *ret_error)
{
    const struct stateful *stateful = stateful_of(inference);
    if (!sequence_is_named(&inference->sequence))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "inference request to model '%.*s' must specify a non-zero or non-empty "
                         "correlation ID: its parameter 'sequence_id'",
                         SPAN_ARGS(name_of(stateful)));
    if (!check_id(stateful, &inference->sequence.id, ret_error))
        return false;
    const struct schema *schema = inference->generation->schema;
    bool rows =
        schema && (schema->max_batch_size || inference->generation->spec.max_batch_size > 0);
    return !rows || batch_rows(inference) == 1 ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "inference request to model '%.*s' must specify batch-size 1 due to "
                     "requirements of sequence batcher",
                     SPAN_ARGS(name_of(stateful)));
}

static bool not_started(const struct inference *inference, struct error *ret_error)
{
    char id[SEQUENCE_MAX_ID + 1];
    say_id(&inference->sequence.id, id, sizeof id);
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "inference request for sequence %s to model '%.*s' must specify the START "
                     "flag on the first request of the sequence",
                     id, SPAN_ARGS(inference->generation->spec.name));
}

static bool lost(const struct inference *inference, struct error *ret_error)
{
    char id[SEQUENCE_MAX_ID + 1];
    say_id(&inference->sequence.id, id, sizeof id);
    return error_set(ret_error, ERROR_CONFLICT,
                     "sequence %s of model '%.*s' is over: its worker ended, and what it had come "
                     "to is lost; begin it anew, with the START flag",
                     id, SPAN_ARGS(inference->generation->spec.name));
}

bool stateful_submit(struct inference *inference, struct error *ret_error)
{
    struct stateful *stateful = stateful_of(inference);
    inference->turn = (struct sequence_request){.starts = inference->sequence.starts,
                                                .ends = inference->sequence.ends};
    switch (sequences_submit(&stateful->sequences, &inference->turn, &inference->sequence.id)) {
    case SEQUENCES_TAKEN:
        return true;
    case SEQUENCES_LOST:
        return lost(inference, ret_error);
    case SEQUENCES_NOT_STARTED:
        return not_started(inference, ret_error);
    case SEQUENCES_NO_MEMORY:
        break;
    }
    return error_no_memory(ret_error);
}

/* ---- the inputs that the server gives ---- */

/* The bytes of a control that tells the id, in memory of the request. */
static bool put_id(struct inference *inference, enum tensord_datatype datatype,
                   struct extent *ret_extent, struct error *ret_error)
{
    const struct sequence_id *id = &inference->sequence.id;
    char text[SEQUENCE_MAX_ID + 1];
    say_id(id, text, sizeof text);
    uint32_t length = (uint32_t)strlen(text);
    size_t size =
        datatype == TENSORD_BYTES ? sizeof length + length : datatype_size_bytes(datatype);
    if (!inference_take_extra(inference, size, ret_extent, ret_error))
        return false;
    char *data = tensor_memory_at(inference->generation->memory, *ret_extent);
    if (datatype != TENSORD_BYTES) {
        memcpy(data, &id->number, size); /* little-endian, as is every machine we run on */
        return true;
    }
    memcpy(data, &length, sizeof length);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): its length stands before it */
    memcpy(data + sizeof length, text, length);
    return true;
}

static bool control_is_true(const struct inference *inference, enum model_control_kind kind)
{
    return kind == CONTROL_READY || (kind == CONTROL_START && inference->sequence.starts) ||
           (kind == CONTROL_END && inference->sequence.ends);
}

static bool put_control(struct inference *inference, const struct stateful_control *control,
                        struct channel_tensor *tensor, struct error *ret_error)
{
    enum model_control_kind kind = control->config->kind;
    *tensor = (struct channel_tensor){
        .index = control->input, .datatype = control->config->datatype, .shape = control->shape};
    if (kind == CONTROL_ID)
        return put_id(inference, tensor->datatype, &tensor->extent, ret_error);
    tensor->extent = control->values[control_is_true(inference, kind)];
    return true;
}

/* Few, mostly in order already. */
static void sort_by_index(struct channel_tensor *inputs, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct channel_tensor input = inputs[i];
        size_t at = i;
        for (; at > 0 && inputs[at - 1].index > input.index; at--)
            inputs[at] = inputs[at - 1];
        inputs[at] = input;
    }
}

/* What the request says of its sequence is for models whose requests are executed one by one:
 * others have controls. */
static bool leave_out_marks(struct inference *inference)
{
    size_t count = 0;
    struct parameter *parameters =
        arena_calloc(inference->arena, inference->parameter_count, sizeof *parameters);
    for (size_t i = 0; parameters && i < inference->parameter_count; i++) {
        struct span key = inference->parameters[i].key;
        if (!span_equal(key, SPAN("sequence_id")) && !span_equal(key, SPAN("sequence_start")) &&
            !span_equal(key, SPAN("sequence_end")))
            parameters[count++] = inference->parameters[i];
    }
    inference->parameters = parameters;
    inference->parameter_count = count;
    return parameters != NULL;
}

static bool put_inputs(struct inference *inference, struct error *ret_error)
{
    struct stateful *stateful = stateful_of(inference);
    const struct model_sequences *config = stateful->config;
    size_t count = inference->input_count;
    struct channel_tensor *inputs = arena_calloc(
        inference->arena, count + config->control_count + config->state_count, sizeof *inputs);
    if (!inputs || (inference->generation->schema->joins && !leave_out_marks(inference)))
        return error_no_memory(ret_error);
    if (count)
        memcpy(inputs, inference->inputs, count * sizeof *inputs);
    for (size_t i = 0; i < config->control_count; i++) {
        if (!put_control(inference, &stateful->controls[i], &inputs[count++], ret_error))
            return false;
    }
    struct states *states = inference->turn.sequence->data;
    inference->states = states_ref(states ? states : stateful->initial);
    for (size_t i = 0; i < config->state_count; i++)
        inputs[count++] = states_input(inference->states, &stateful->states[i], i);
    sort_by_index(inputs, count);
    inference->request.inputs = inputs;
    inference->request.input_count = count;
    return true;
}

struct inference *stateful_next(struct stateful *stateful, struct error *ret_error)
{
    struct sequence_request *request = sequences_next(&stateful->sequences, clock_now_ns());
    if (!request)
        return NULL;
    struct inference *inference = inference_of(request);
    *ret_error = (struct error){.code = ERROR_OK};
    if (request->state == SEQUENCE_NONE && request->lost)
        lost(inference, ret_error);
    else if (request->state == SEQUENCE_NONE)
        not_started(inference, ret_error);
    else
        put_inputs(inference, ret_error);
    return inference;
}

struct replica *stateful_replica(const struct inference *inference)
{
    return replica_with_seat(inference->turn.sequence->worker);
}

bool stateful_may_go(const struct queue_entry *entry)
{
    const struct inference *inference = list_entry(entry, struct inference, entry);
    const struct replica *replica = stateful_replica(inference);
    if (stateful_of(inference)->keeps_rows && replica_executions(replica))
        return false; /* each row is in all of them */
    return replica_room(replica) > 0;
}

void stateful_put_absent(const struct stateful *stateful, struct channel_tensor *inputs,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < stateful->config->control_count; k++) {
            const struct stateful_control *control = &stateful->controls[k];
            if (inputs[i].index != control->input)
                continue;
            inputs[i].extent = control->values[0];
            if (control->config->kind == CONTROL_ID) {
                inputs[i].extent = stateful->no_id;
                inputs[i].extent.size = control->config->datatype == TENSORD_BYTES
                                            ? sizeof(uint32_t)
                                            : datatype_size_bytes(control->config->datatype);
            }
        }
    }
}

void stateful_leave(struct inference *inference)
{
    struct stateful *stateful = stateful_of(inference);
    sequences_leave(&stateful->sequences, &inference->turn, clock_now_ns());
    look_again(stateful);
}

void stateful_release(struct inference *inference)
{
    states_unref(inference->states);
    inference->states = NULL;
    inference->request.inputs = NULL;
}

/* ---- answers ---- */

bool stateful_keep(struct inference *inference, const struct channel_response *response,
                   struct error *ret_error)
{
    struct sequence *sequence = inference->turn.sequence;
    struct stateful *stateful = stateful_of(inference);
    if (!sequence->worker || inference->turn.ends || !stateful->config->state_count ||
        (inference->generation->schema->streams && !states_are_in(stateful, response)))
        return true;
    struct states *states = states_of_answer(stateful, response, ret_error);
    if (!states)
        return false;
    states_unref(sequence->data);
    sequence->data = states;
    return true;
}

void stateful_answered(struct inference *inference, bool broken)
{
    struct stateful *stateful = stateful_of(inference);
    sequences_answered(&stateful->sequences, &inference->turn, broken, clock_now_ns());
    look_again(stateful);
}

/* ---- workers ---- */

void stateful_add_worker(struct stateful *stateful, struct sequence_worker *worker)
{
    sequences_add_worker(&stateful->sequences, worker);
}

void stateful_remove_worker(struct stateful *stateful, struct sequence_worker *worker)
{
    sequences_remove_worker(&stateful->sequences, worker, clock_now_ns());
    look_again(stateful);
}
