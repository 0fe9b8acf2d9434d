/* Checking what a worker says; see channel_inbox.h.
 *
 * One function for each type of record. Each returns NULL or the rule that was broken, a fixed
 * sentence; it tells the owner only after everything was checked. */
#include "worker/channel_inbox.h"

#include "base/clock.h"
#include "base/unset.h"
#include "base/utf8.h"
#include "telemetry/metrics.h"
#include "worker/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_OPEN_CALLS = 256,
    MAX_CONCURRENCY = 1024,
    MAX_TEXT_BYTES = 4096,        /* a log line, a note, a name */
    MAX_NAME_BYTES = 1024 * 1024, /* of all inputs and outputs together */
    LOG_LINES_AT_ONCE = 200,
    LOG_LINES_PER_S = 10,
    MAX_SCHEMA_BYTES = 4096 * 1024, /* of the schema in memory */
};

static const char malformed[] = "malformed record";

static enum error_code code_of_status(uint32_t status)
{
    switch (status) {
    case TENSORD_OK:
        return ERROR_OK;
    case TENSORD_INVALID_ARGUMENT:
        return ERROR_INVALID_ARGUMENT;
    case TENSORD_UNAVAILABLE:
        return ERROR_UNAVAILABLE;
    case TENSORD_UNSUPPORTED:
        return ERROR_UNIMPLEMENTED;
    case TENSORD_CANCELLED:
        return ERROR_CANCELLED;
    default:
        return ERROR_INTERNAL;
    }
}

/* A string that clients are sent: as JSON and in protobuf it must be UTF-8. */
static bool take_text(struct record_reader *reader, uint32_t size, struct span *ret_text)
{
    return record_take_string(reader, size, ret_text) && utf8_valid(*ret_text);
}

/* ---- loading ---- */

static const char *take_loading(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_loading *head = record_take(reader, sizeof *head);
    if (!head || head->parts_per_million > 1000000)
        return malformed;
    if (inbox->state != INBOX_LOADING)
        return "load progress of a loaded model";
    inbox->events->loading(inbox->owner, head->parts_per_million / 1e6);
    return NULL;
}

static bool take_dims(struct record_reader *reader, uint32_t ndim, struct shape *ret_shape)
{
    const int64_t *dims = ndim <= TENSOR_MAX_DIMS ? record_take(reader, ndim * sizeof *dims) : NULL;
    if (!dims)
        return false;
    ret_shape->ndim = ndim;
    for (uint32_t i = 0; i < ndim; i++) {
        if (dims[i] < -1)
            return false;
        ret_shape->dims[i] = dims[i];
    }
    return true;
}

static const char *take_schema(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_schema *head = record_take(reader, sizeof *head);
    struct tensor_info info = {0};
    if (!head || head->datatype == TENSORD_INVALID || head->datatype >= TENSORD_DATATYPE_COUNT ||
        head->name_size == 0 || head->name_size > MAX_TEXT_BYTES ||
        !take_text(reader, head->name_size, &info.name) ||
        !take_dims(reader, head->ndim, &info.shape))
        return malformed;
    struct schema *schema = &inbox->schema;
    size_t *count = head->is_output ? &schema->output_count : &schema->input_count;
    inbox->name_bytes += head->name_size;
    if (inbox->state != INBOX_LOADING || *count >= TENSOR_MAX_PER_REQUEST ||
        inbox->name_bytes > MAX_NAME_BYTES)
        return "too large a schema, or a late one";
    info.datatype = (enum tensord_datatype)head->datatype;
    info.optional = head->optional != 0;
    info.any_rank = head->any_rank != 0;
    info.runs_alone = info.optional && head->runs_alone != 0;
    struct tensor_info **list = head->is_output ? &schema->outputs : &schema->inputs;
    if (!arena_copy(&inbox->arena, info.name, &info.name) ||
        !arena_grow(&inbox->arena, (void **)list, *count,
                    head->is_output ? &inbox->output_capacity : &inbox->input_capacity,
                    sizeof info))
        return "no memory for its schema";
    (*list)[(*count)++] = info;
    return NULL;
}

static const char *take_ready(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_ready *head = record_take(reader, sizeof *head);
    struct schema *schema = &inbox->schema;
    if (!head || head->concurrency == 0 || head->concurrency > MAX_CONCURRENCY ||
        head->max_batch_size > INT32_MAX || head->platform_size > MAX_TEXT_BYTES ||
        head->engine_size > MAX_TEXT_BYTES || head->note_size > MAX_TEXT_BYTES ||
        !take_text(reader, head->platform_size, &schema->platform) ||
        !take_text(reader, head->engine_size, &schema->engine) ||
        !take_text(reader, head->note_size, &schema->batch_note))
        return malformed;
    if (inbox->state != INBOX_LOADING)
        return "ready twice";
    schema->concurrency = head->concurrency;
    schema->max_batch_size = head->max_batch_size;
    schema->joins = head->max_batch_size > 0 && (head->rows & ROWS_JOIN) != 0;
    schema->bounds_rows = (head->rows & ROWS_BOUNDED) != 0;
    schema->streams = head->streams != 0;
    schema->starts_at_once = head->starts_at_once != 0;
    inbox->outputs = arena_calloc(&inbox->arena, schema->output_count, sizeof *inbox->outputs);
    inbox->output_seen = arena_calloc(&inbox->arena, schema->output_count, sizeof(bool));
    if (!inbox->outputs || !inbox->output_seen)
        return "no memory for its schema";
    inbox->state = INBOX_READY;
    inbox->events->ready(inbox->owner, schema);
    return NULL;
}

static const char *take_failed(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_failed *head = record_take(reader, sizeof *head);
    struct span message;
    if (!head || head->status == TENSORD_OK ||
        !record_take_string(reader, head->message_size, &message))
        return malformed;
    if (inbox->state != INBOX_LOADING)
        return "failed after it was ready";
    struct error error;
    error_set(&error, code_of_status(head->status), "%.*s", SPAN_ARGS(message));
    inbox->state = INBOX_FAILED;
    inbox->events->failed(inbox->owner, &error);
    return NULL;
}

/* ---- responses ---- */

static const char *take_output(struct channel_inbox *inbox, const struct request_entry *entry,
                               struct record_reader *reader, struct channel_tensor *ret_output)
{
    struct channel_tensor output;
    struct span name;
    if (!record_take_tensor(reader, &output, &name))
        return "an output whose type, shape and size disagree";
    if (output.index >= inbox->schema.output_count || inbox->output_seen[output.index])
        return "an output that the model does not have, or twice";
    if (output.datatype != inbox->schema.outputs[output.index].datatype)
        return "an output of another datatype than the model's";
    if (output.extent.size && !request_entry_owns(entry, output.extent))
        return "an output outside the request's memory";
    inbox->output_seen[output.index] = true;
    *ret_output = output;
    return NULL;
}

static const char *take_outputs(struct channel_inbox *inbox, const struct request_entry *entry,
                                struct record_reader *reader, uint32_t count)
{
    if (count > inbox->schema.output_count)
        return "more outputs than the model has";
    memset(inbox->output_seen, 0, inbox->schema.output_count * sizeof(bool));
    for (uint32_t i = 0; i < count; i++) {
        const char *broken = take_output(inbox, entry, reader, &inbox->outputs[i]);
        if (broken)
            return broken;
    }
    return NULL;
}

static const char *take_response(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_response *head = record_take(reader, sizeof *head);
    struct span message;
    if (!head || !record_take_string(reader, head->message_size, &message) ||
        (head->status != TENSORD_OK && (!head->final || head->output_count)))
        return malformed;
    struct request_entry *entry = channel_table_request(inbox->table, head->request);
    if (!entry || inbox->state != INBOX_READY)
        return "a response to no request, or before it was ready";
    const char *broken = take_outputs(inbox, entry, reader, head->output_count);
    if (broken)
        return broken;
    if (!head->final && entry->credits == 0)
        return "more responses than it has credits for";
    struct channel_response response UNSET;
    response.error.code = ERROR_OK;
    response.final = head->final != 0;
    response.kept = response.final && head->kept != 0;
    response.id = head->request;
    response.times = (struct channel_times){head->input_ns, head->compute_ns, head->output_ns};
    response.outputs = inbox->outputs;
    response.output_count = head->output_count;
    if (head->status != TENSORD_OK)
        error_set(&response.error, code_of_status(head->status), "%.*s", SPAN_ARGS(message));
    struct channel_request *request = entry->request;
    if (response.final) {
        channel_table_remove(inbox->table, entry);
        request->channel = NULL;
    } else {
        entry->credits--;
    }
    inbox->events->response(inbox->owner, request, &response);
    return NULL;
}

static const char *take_executed(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_executed *head = record_take(reader, sizeof *head);
    if (!head)
        return malformed;
    struct execution_entry *execution = channel_table_execution(inbox->table, head->execution);
    if (!execution || execution->unanswered > 0)
        return "the end of no execution, or of one with unanswered requests";
    uint64_t id = execution->owner_id;
    channel_table_end(inbox->table, execution);
    inbox->events->executed(inbox->owner, id, head->compute_ns);
    return NULL;
}

/* ---- what a running request asks for ---- */

static const char *take_need_room(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_need_room *head = record_take(reader, sizeof *head);
    struct request_entry *entry = head ? channel_table_request(inbox->table, head->request) : NULL;
    if (!entry || head->size == 0)
        return "room for no request, or none at all";
    uint64_t id = head->request;
    struct extent extent = {0};
    struct error error = {.code = ERROR_OK};
    /* The place is noted first: what the owner grants cannot be taken back. */
    if (!request_entry_add_extra(entry, extent)) {
        error_set(&error, ERROR_RESOURCE_EXHAUSTED, "the request has too many pieces of memory");
        inbox->grant(inbox, id, extent, &error);
        return NULL;
    }
    bool granted =
        inbox->events->need_room(inbox->owner, entry->request, head->size, &extent, &error);
    entry = inbox->closed ? NULL : channel_table_request(inbox->table, id); /* it may have moved */
    if (!entry)
        return NULL;
    if (granted)
        entry->extras[entry->extra_count - 1] = extent;
    else
        entry->extra_count--;
    inbox->grant(inbox, id, granted ? extent : (struct extent){0}, &error);
    return NULL;
}

static const char *take_call_inputs(const struct request_entry *entry, struct record_reader *reader,
                                    struct channel_call *call)
{
    for (size_t i = 0; i < call->input_count; i++) {
        struct channel_tensor *input = &call->inputs[i];
        if (!record_take_tensor(reader, input, &call->input_names[i]) ||
            call->input_names[i].size == 0)
            return malformed;
        if (input->extent.size && !request_entry_owns(entry, input->extent))
            return "an input of a call outside the request's memory";
    }
    return NULL;
}

static const char *take_call(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_call *head = record_take(reader, sizeof *head);
    struct channel_call call;
    if (!head || head->version < -1 || !record_take_string(reader, head->model_size, &call.model) ||
        head->input_count > sizeof call.inputs / sizeof call.inputs[0])
        return malformed;
    struct request_entry *entry = channel_table_request(inbox->table, head->request);
    if (!entry || inbox->open_calls >= MAX_OPEN_CALLS)
        return "a call for no request, or too many calls";
    call.id = head->call;
    call.parent = entry->request;
    call.version = head->version;
    call.input_count = head->input_count;
    const char *broken = take_call_inputs(entry, reader, &call);
    if (broken)
        return broken;
    inbox->open_calls++;
    inbox->events->call(inbox->owner, &call);
    return NULL;
}

/* ---- the rest ---- */

/* A worker may say so much at once, and then so often; the log is everybody's, and so is its disk.
 */
static bool log_has_room(struct channel_inbox *inbox)
{
    const uint64_t line_ns = CLOCK_NS_PER_S / LOG_LINES_PER_S;
    uint64_t from = inbox->log_until_ns > inbox->now_ns ? inbox->log_until_ns : inbox->now_ns;
    if (from - inbox->now_ns >= LOG_LINES_AT_ONCE * line_ns) {
        inbox->log_dropped++;
        metrics.limit_hits[LIMIT_log_rate]++;
        return false;
    }
    inbox->log_until_ns = from + line_ns;
    return true;
}

static void tell_dropped(struct channel_inbox *inbox)
{
    char line[64];
    if (!inbox->log_dropped)
        return;
    snprintf(line, sizeof line, "%" PRIu64 " lines were left out", inbox->log_dropped);
    inbox->log_dropped = 0;
    inbox->events->log(inbox->owner, TENSORD_LOG_WARNING, span_of(line));
}

static const char *take_log(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_log *head = record_take(reader, sizeof *head);
    struct span line;
    if (!head || head->level > TENSORD_LOG_ERROR || head->line_size > MAX_TEXT_BYTES ||
        !record_take_string(reader, head->line_size, &line))
        return malformed;
    if (!log_has_room(inbox))
        return NULL;
    tell_dropped(inbox);
    inbox->events->log(inbox->owner, (enum tensord_log_level)head->level, line);
    return NULL;
}

/* So that sums of what workers say do not overflow. */
static const uint64_t MOST_MEMORY_BYTES = UINT64_C(1) << 48;

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

static const char *take_stats(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_stats *head = record_take(reader, sizeof *head);
    if (!head)
        return malformed;
    const struct channel_stats stats = {
        .memory_bytes = at_most(head->memory_bytes, MOST_MEMORY_BYTES),
        .most_memory_bytes = at_most(head->most_memory_bytes, MOST_MEMORY_BYTES),
        .device_memory_bytes = at_most(head->device_memory_bytes, MOST_MEMORY_BYTES),
    };
    inbox->events->stats(inbox->owner, &stats);
    return NULL;
}

static const char *take_released(struct channel_inbox *inbox, struct record_reader *reader)
{
    const struct record_request_id *head = record_take(reader, sizeof *head);
    if (!head)
        return malformed;
    return inbox->events->released(inbox->owner, head->request)
               ? NULL
               : "memory released that it does not keep";
}

void channel_inbox_init(struct channel_inbox *inbox, const struct channel_events *events,
                        void *owner, struct channel_table *table)
{
    *inbox = (struct channel_inbox){.events = events, .owner = owner, .table = table};
    arena_init(&inbox->arena, 1024, MAX_SCHEMA_BYTES);
}

void channel_inbox_fini(struct channel_inbox *inbox)
{
    arena_fini(&inbox->arena);
}

const char *channel_inbox_take(struct channel_inbox *inbox, const void *record)
{
    enum record_type type;
    struct record_reader reader = record_read(record, &type);
    switch (type) {
    case RECORD_LOADING:
        return take_loading(inbox, &reader);
    case RECORD_SCHEMA:
        return take_schema(inbox, &reader);
    case RECORD_READY:
        return take_ready(inbox, &reader);
    case RECORD_FAILED:
        return take_failed(inbox, &reader);
    case RECORD_RESPONSE:
        return take_response(inbox, &reader);
    case RECORD_EXECUTED:
        return take_executed(inbox, &reader);
    case RECORD_NEED_ROOM:
        return take_need_room(inbox, &reader);
    case RECORD_CALL:
        return take_call(inbox, &reader);
    case RECORD_LOG:
        return take_log(inbox, &reader);
    case RECORD_STATS:
        return take_stats(inbox, &reader);
    case RECORD_RELEASED:
        return take_released(inbox, &reader);
    default:
        return "a record of a type that a worker does not send";
    }
}
