/* Inferences from their making to their answers; see inference.h. */
#include "serving/inference.h"

#include "base/unset.h"
#include "schedule/schedule.h"
#include "serving/check.h"
#include "serving/flight.h"
#include "serving/inference_internal.h"
#include "serving/labels.h"
#include "serving/measure.h"
#include "serving/replica.h"
#include "serving/reuse.h"
#include "serving/sequence_check.h"
#include "serving/shadow.h"
#include "serving/stateful.h"

#include <assert.h>

static struct model *model_of(const struct inference *inference)
{
    return inference->generation->version->model;
}

static void bind_to(struct inference *inference, struct generation *generation)
{
    inference->generation = generation_ref(generation);
    inference->runs_alone = generation->plan != NULL; /* its steps are what is joined */
    serving_inference_began(generation->version->model->serving);
}

static bool bind(struct inference *inference, struct version *version, struct arena *arena,
                 struct error *ret_error)
{
    *inference = (struct inference){.arena = arena, .deadline_ns = CLOCK_NEVER};
    if (version->current && version->current->pool)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "model '%.*s' is a managed server, which answers in its own way: its "
                         "paths are beneath /tensord/v1/servers/%.*s/",
                         SPAN_ARGS(version->model->name), SPAN_ARGS(version->model->name));
    if (!version->current)
        return version_not_ready(version, ret_error);
    bind_to(inference, version->current);
    return true;
}

bool inference_init(struct inference *inference, struct version *version, struct arena *arena,
                    struct error *ret_error)
{
    *inference = (struct inference){.generation = NULL};
    return serving_takes_requests(version->model->serving, ret_error) &&
           bind(inference, version, arena, ret_error);
}

bool inference_init_nested(struct inference *inference, struct version *version,
                           struct arena *arena, const struct inference *parent,
                           struct error *ret_error)
{
    if (!bind(inference, version, arena, ret_error))
        return false;
    inference->depth = parent->depth + 1;
    inference->parent = parent;
    inference->caller = parent->caller;
    inference->deadline_ns = parent->deadline_ns;
    inference->times_out = parent->times_out;
    inference->priority = parent->priority;
    inference->trace = trace_context_child(&parent->trace);
    inference->sequence = parent->sequence;
    return true;
}

void inference_init_flight(struct inference *inference, struct generation *generation,
                           struct arena *arena)
{
    *inference = (struct inference){
        .arena = arena, .deadline_ns = CLOCK_NEVER, .reuse = {.is_flight = true}};
    bind_to(inference, generation);
}

void inference_fini(struct inference *inference)
{
    struct generation *generation = inference->generation;
    if (!generation)
        return;
    struct serving *serving = model_of(inference)->serving;
    assert(inference->state == INFERENCE_FILLING || inference->state == INFERENCE_DONE);
    inference_release(inference);
    inference->generation = NULL;
    generation_unref(generation);
    serving_inference_ended(serving);
}

void inference_outputs(struct inference *inference, const struct span *names, size_t count)
{
    inference->output_names = names;
    inference->output_name_count = count;
}

struct span inference_model(const struct inference *inference)
{
    return inference->generation->spec.name;
}

uint64_t inference_version(const struct inference *inference)
{
    return inference->generation->spec.version;
}

const struct labels *inference_labels(const struct inference *inference, struct span output)
{
    const struct generation *generation = inference->generation;
    for (size_t i = 0; generation && i < generation->label_count; i++) {
        if (span_equal(generation->labels[i].output, output))
            return &generation->labels[i];
    }
    return NULL;
}

const struct schema *inference_schema(const struct inference *inference)
{
    return generation_shown(inference->generation);
}

/* Keeps what the final answer will say. */
static void keep_error(struct inference *inference, const struct error *error)
{
    inference->fails = true;
    inference->early_error = arena_alloc(inference->arena, sizeof *error);
    if (inference->early_error)
        *inference->early_error = *error;
}

static void take_kept_error(const struct inference *inference, struct error *ret_error)
{
    if (inference->early_error)
        *ret_error = *inference->early_error;
    else
        error_no_memory(ret_error);
}

bool inference_answer_is_end(const struct inference *inference,
                             const struct inference_answer *answer)
{
    const struct schema *schema = inference->generation->schema;
    return answer->final && answer->error.code == ERROR_OK && answer->outputs.count == 0 &&
           (inference->times.responses > 0 || (schema && schema->streams));
}

static void refuse(struct loop_task *task)
{
    struct inference *inference = list_entry(task, struct inference, refusal);
    struct inference_answer answer = {.final = true};
    take_kept_error(inference, &answer.error);
    timer_stop(&inference->deadline);
    inference->state = INFERENCE_DONE;
    measure_answer(inference, &answer.error, NULL);
    inference->answered(inference, &answer);
}

void inference_refuse(struct inference *inference, const struct error *error)
{
    keep_error(inference, error);
    if (inference->turn.sequence)
        stateful_leave(inference);
    inference->refusal.run = refuse;
    loop_defer(model_of(inference)->serving->loop, &inference->refusal);
}

static bool check_all_strings(const struct inference *inference, struct error *ret_error)
{
    const struct tensor_memory *memory = inference->generation->memory;
    for (size_t i = 0; i < inference->input_count; i++) {
        const struct channel_tensor *input = &inference->inputs[i];
        struct span data = {NULL, input->extent.size};
        if (input->datatype != TENSORD_BYTES)
            continue;
        if (data.size)
            data.data = tensor_memory_at(memory, input->extent);
        if (!check_strings(model_of(inference)->name, inference->input_names[i], &input->shape,
                           data, ret_error))
            return false;
    }
    return true;
}

bool inference_check(struct inference *inference, struct error *ret_error)
{
    const struct schema *schema = inference->generation->schema;
    if (!check_inputs(schema, model_of(inference)->name, inference->inputs, inference->input_names,
                      inference->input_count, ret_error) ||
        !check_padding(schema, &inference->generation->spec.shaping, model_of(inference)->name,
                       inference->inputs, inference->input_count, ret_error) ||
        !check_all_strings(inference, ret_error))
        return false;
    for (size_t i = 0; i < inference->input_count; i++)
        inference->runs_alone |= schema->inputs[inference->inputs[i].index].runs_alone;
    if (!check_outputs(schema, model_of(inference)->name, inference->output_names,
                       inference->output_name_count, &inference->request.wanted_outputs, ret_error))
        return false;
    if (!inference->generation->stateful)
        return true;
    inference->request.wanted_outputs |= inference->generation->stateful->kept_outputs;
    return sequence_check(inference, ret_error);
}

void inference_urge(struct inference *inference, uint64_t priority, uint64_t timeout_us)
{
    const struct schedule_policy *policy = &inference->generation->schedule.policy;
    uint64_t timeout_ns, deadline_ns;
    inference->priority = priority;
    if (!timeout_us || __builtin_mul_overflow(timeout_us, CLOCK_NS_PER_US, &timeout_ns) ||
        __builtin_add_overflow(timeout_ns, loop_now_ns(model_of(inference)->serving->loop),
                               &deadline_ns))
        return;
    if (policy_rule(policy, policy_level(policy, priority))) {
        inference->entry.timeout_ns = timeout_ns;
    } else if (deadline_ns < inference->deadline_ns) {
        inference->deadline_ns = deadline_ns;
        inference->times_out = true;
    }
}

/* A timeout of Triton's is UNAVAILABLE. Whoever was with a worker is not invited to come back. */
void inference_deadline_error(const struct inference *inference, bool ran, struct error *ret_error)
{
    enum error_code code = ran ? ERROR_INTERRUPTED : ERROR_UNAVAILABLE;
    error_set(ret_error, inference->times_out ? code : ERROR_DEADLINE_EXCEEDED,
              "Request timeout expired");
}

static void watch_time(struct inference *inference);

static void take_back(struct inference *inference)
{
    struct error error;
    if (inference->cancelled)
        return;
    inference->cancelled = true;
    if (inference->state == INFERENCE_RUNNING) {
        inference->cancelled_ns = clock_now_ns();
        watch_time(inference);
        replica_cancel(inference->replica, inference);
        generation_abandon(inference->generation);
        return;
    }
    if (inference->reuse.flight)
        flight_leave(inference);
    else if (inference_is_waiting(inference))
        generation_withdraw(inference->generation, inference);
    else
        return; /* refused already, or about to be answered */
    error_set(&error, ERROR_CANCELLED, "the request was cancelled");
    inference_refuse(inference, &error);
}

static void time_passed(struct timer *timer)
{
    struct inference *inference = list_entry(timer, struct inference, deadline);
    if (inference_is_waiting(inference))
        generation_expire(inference->generation, inference);
    if (inference_is_waiting(inference) || inference->state == INFERENCE_RUNNING)
        watch_time(inference);
}

/* Does what is to be done of a request that is with a worker. Returns when to look again. */
static uint64_t watch_running(struct inference *inference)
{
    uint64_t next_ns;
    switch (schedule_watch(&inference->generation->schedule, inference->deadline_ns,
                           inference->cancelled_ns, clock_now_ns(), &next_ns)) {
    case SCHEDULE_GO_ON:
        break;
    case SCHEDULE_CANCEL:
        take_back(inference); /* which watches on */
        break;
    case SCHEDULE_REPLACE:
        replica_replace(inference->replica);
        break;
    }
    return next_ns;
}

/* Comes back to it when something is to be done about the time that has passed. */
static void watch_time(struct inference *inference)
{
    struct loop *loop = model_of(inference)->serving->loop;
    uint64_t until = inference->entry.waits            ? schedule_expires_ns(&inference->entry)
                     : inference_is_waiting(inference) ? inference->deadline_ns
                                                       : watch_running(inference);
    uint64_t now = loop_now_ns(loop), left = until > now ? until - now : 0;
    if (until != CLOCK_NEVER)
        timer_start(&inference->deadline, loop, left / CLOCK_NS_PER_MS + 1, time_passed);
}

void inference_waits(struct inference *inference)
{
    inference->state = INFERENCE_QUEUED;
    watch_time(inference);
}

void inference_submit(struct inference *inference)
{
    assert(inference->state == INFERENCE_FILLING && inference->answered);
    inference->state = INFERENCE_QUEUED;
    measure_submit(inference);
    generation_submit(inference->generation, inference);
    if (inference_is_waiting(inference))
        watch_time(inference);
}

void inference_more(struct inference *inference, uint32_t count)
{
    if (inference->state == INFERENCE_RUNNING && count)
        channel_credit(inference->request.channel, &inference->request, count);
}

void inference_cancel(struct inference *inference)
{
    if (inference->state == INFERENCE_QUEUED || inference->state == INFERENCE_RUNNING)
        take_back(inference);
}

static const struct channel_tensor *find_output(const struct channel_response *response, int index)
{
    for (size_t i = 0; i < response->output_count; i++) {
        if ((int)response->outputs[i].index == index)
            return &response->outputs[i];
    }
    return NULL;
}

static struct inference_output output_of(const struct generation *generation,
                                         const struct channel_tensor *tensor)
{
    struct extent extent = tensor->extent;
    return (struct inference_output){
        .info = &generation->schema->outputs[tensor->index],
        .datatype = tensor->datatype,
        .shape = tensor->shape,
        .data = {extent.size ? tensor_memory_at(generation->memory, extent) : NULL, extent.size},
    };
}

/* Lists the outputs of a response: all of them, or those that the client asked for in its order. */
static bool list_outputs(const struct inference *inference, const struct channel_response *response,
                         struct inference_output *outputs, size_t *ret_count,
                         struct error *ret_error)
{
    const struct generation *generation = inference->generation;
    if (!inference->output_name_count) {
        *ret_count = 0;
        for (size_t i = 0; i < response->output_count; i++) {
            if (!generation->schema->outputs[response->outputs[i].index].hidden)
                outputs[(*ret_count)++] = output_of(generation, &response->outputs[i]);
        }
        return true;
    }
    for (size_t i = 0; i < inference->output_name_count; i++) {
        struct span name = inference->output_names[i];
        const struct channel_tensor *tensor =
            find_output(response, schema_output(generation->schema, name));
        if (!tensor)
            return error_set(ret_error, ERROR_INTERNAL, "the model gave no output '%.*s'",
                             SPAN_ARGS(name));
        outputs[i] = output_of(generation, tensor);
    }
    *ret_count = inference->output_name_count;
    return true;
}

/* Room for `count` outputs of one answer; answer after answer uses the same. */
static bool outputs_room(struct inference *inference, size_t count)
{
    if (count <= inference->output_capacity)
        return true;
    struct inference_output *outputs = arena_calloc(inference->arena, count, sizeof *outputs);
    if (!outputs)
        return false;
    inference->outputs = outputs;
    inference->output_capacity = count;
    return true;
}

/* Fills in the outputs, or why there are none. Nobody is told those of a cancelled request, and
 * their names may be the memory of a client that has gone. */
static void take_outputs(struct inference *inference, const struct channel_response *response,
                         struct inference_answer *answer)
{
    size_t count = response->output_count > inference->output_name_count
                       ? response->output_count
                       : inference->output_name_count;
    if (answer->error.code != ERROR_OK || !response->output_count || inference->cancelled)
        return;
    if (!outputs_room(inference, count))
        error_no_memory(&answer->error);
    else if (list_outputs(inference, response, inference->outputs, &answer->outputs.count,
                          &answer->error))
        answer->outputs.items = inference->outputs;
}

/* The request ends with this error when its worker has heard that it was cancelled. */
static void fail_running(struct inference *inference, const struct error *error)
{
    keep_error(inference, error);
    inference_cancel(inference);
}

static void answer_more(struct inference *inference, const struct inference_answer *answer)
{
    if (inference->cancelled)
        return;
    if (answer->error.code != ERROR_OK) {
        fail_running(inference, &answer->error);
        return;
    }
    measure_response(inference);
    inference->answered(inference, answer);
}

static void answer_last(struct inference *inference, struct inference_answer *answer,
                        const struct channel_times *times)
{
    if (inference->cancelled)
        generation_reclaim(inference->generation);
    timer_stop(&inference->deadline);
    inference->state = INFERENCE_DONE;
    if (inference->deadline_ns != CLOCK_NEVER && clock_now_ns() >= inference->deadline_ns) {
        inference->cancelled = true; /* by its worker, if not from here */
        inference_deadline_error(inference, inference->times.executed_ns != 0, &answer->error);
    } else if (inference->fails)
        take_kept_error(inference, &answer->error);
    if (inference->reuse.keeps)
        reuse_keep(inference, answer);
    measure_last_response(inference, answer);
    measure_answer(inference, &answer->error, times);
    if (inference->routed)
        shadow_note(inference, answer);
    inference->answered(inference, answer);
}

/* What its sequence has come to with this answer. */
static void keep_states(struct inference *inference, const struct channel_response *response,
                        struct inference_answer *answer)
{
    bool kept = answer->error.code != ERROR_OK || response->output_count == 0 ||
                stateful_keep(inference, response, &answer->error);
    if (!kept || answer->final)
        stateful_answered(inference, !kept);
}

void inference_answer(struct inference *inference, const struct channel_response *response)
{
    struct inference_answer answer UNSET;
    answer.outputs = (struct inference_outputs){NULL, 0};
    answer.final = response->final;
    answer.error = response->error;
    if (inference->turn.sequence)
        keep_states(inference, response, &answer);
    take_outputs(inference, response, &answer);
    if (answer.final)
        answer_last(inference, &answer, &response->times);
    else
        answer_more(inference, &answer);
}

void inference_answer_steps(struct inference *inference, const struct inference_outputs *outputs,
                            const struct error *error, const struct channel_times *times)
{
    struct inference_answer answer = {.final = true, .error = *error};
    if (outputs)
        answer.outputs = *outputs;
    answer_last(inference, &answer, times);
}
