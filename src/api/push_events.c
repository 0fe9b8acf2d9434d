/* How a deployment goes, and what a model says, as it happens: streams of lines. */
#include "api/query.h"
#include "api/routes.h"
#include "api/stream.h"
#include "codec/json_writer.h"

#include <stdio.h>
#include <time.h>

enum { DEFAULT_LINES = 100, STATE_BYTES = 8192 };

/* The version that the query names, or the highest one. */
static const struct version *asked_version(const struct api_call *call, struct error *ret_error)
{
    uint64_t number;
    struct model *model = call_model(call, call->model, ret_error);
    if (!model || !query_number(&call->exchange->request, SPAN("version"), UINT64_MAX, INT64_MAX,
                                &number, ret_error))
        return NULL;
    if (number == UINT64_MAX && model->version_count)
        return model->versions[model->version_count - 1];
    return model_version(model, (int64_t)(number & INT64_MAX), ret_error);
}

/* ---- events ---- */

struct events {
    struct stream stream;
    uint64_t version;
    uint64_t line;   /* of the model's log, that was told last */
    bool follow;     /* also after the deployment has ended */
    bool told_any;   /* a state was told */
    struct buf told; /* the state that was told last */
};

static const struct version *find_version(const struct events *events)
{
    const struct api_call *call = events->stream.call;
    struct model *model = call_model(call, call->model, NULL);
    return model ? model_version(model, (int64_t)events->version, NULL) : NULL;
}

static void write_state(struct buf *buf, struct span state, struct span reason, double progress)
{
    struct json_writer json;
    json_writer_init(&json, buf);
    json_put_object(&json);
    json_put_member_string(&json, SPAN("state"), state);
    json_put_member_string(&json, SPAN("reason"), reason);
    json_put_member_double(&json, SPAN("progress"), progress);
    json_put_object_end(&json);
    buf_append_char(buf, '\n');
}

static bool is_settled(enum version_state state, const struct version *version)
{
    return state == VERSION_READY || state == VERSION_ASLEEP || state == VERSION_FAILED ||
           state == VERSION_UNLOADED || (state == VERSION_FOUND && !version->model->wanted);
}

/* Tells the state when it is another one than was told last. One that is asleep is ready: a request
 * wakes it. */
static void tell_state(struct events *events, enum version_state state,
                       const struct version *version)
{
    struct buf now;
    enum version_state shown = state == VERSION_ASLEEP ? VERSION_READY : state;
    struct span reason = span_of(version ? version_reason(version) : "it was removed");
    buf_init(&now, STATE_BYTES);
    write_state(&now, span_of(version_state_name(shown)), reason,
                version ? version_progress(version) : 0);
    if (!span_equal(buf_span(&now), buf_span(&events->told))) {
        buf_clear(&events->told);
        buf_append(&events->told, buf_span(&now));
        buf_append(&events->stream.next, buf_span(&now));
    }
    events->told_any = true;
    buf_fini(&now);
}

/* False when there are more lines than there is room for now. */
static bool tell_lines(struct events *events, const struct version *version)
{
    const struct model_line *line;
    while ((line = model_log_after(&version->model->log, events->line))) {
        struct json_writer json;
        if (!stream_has_room(&events->stream))
            return false;
        events->line = line->number;
        if (line->version != version->number)
            continue;
        json_writer_init(&json, &events->stream.next);
        json_put_object(&json);
        json_put_member_string(&json, SPAN("log"), (struct span){line->text, line->size});
        json_put_object_end(&json);
        buf_append_char(&events->stream.next, '\n');
    }
    return true;
}

/* The state comes after the lines that led to it, but for the first one, which says what there is
 * to wait for. */
static void events_tick(struct stream *stream)
{
    struct events *events = list_entry(stream, struct events, stream);
    const struct version *version = find_version(events);
    enum version_state state = version ? version_deployment(version) : VERSION_UNLOADED;
    bool settled = !version || is_settled(state, version);
    if (!events->told_any && !settled)
        tell_state(events, state, version);
    if (version && !tell_lines(events, version))
        return;
    if (!stream_has_room(stream))
        return;
    tell_state(events, state, version);
    if (!version || (settled && !events->follow) || stream_is_over(stream))
        stream_end(stream);
}

static void events_gone(struct stream *stream)
{
    buf_fini(&list_entry(stream, struct events, stream)->told);
}

void serve_events(struct api_call *call)
{
    struct error error;
    uint64_t follow = 0;
    const struct version *version = asked_version(call, &error);
    struct events *events = arena_calloc(&call->exchange->arena, 1, sizeof *events);
    if (!events)
        error_no_memory(&error);
    if (!events || !version ||
        !query_number(&call->exchange->request, SPAN("follow"), 0, 1, &follow, &error)) {
        reply_error(call, &error);
        return;
    }
    events->version = version->number;
    events->line = version->load_line;
    events->follow = follow;
    events->stream.tick = events_tick;
    events->stream.gone = events_gone;
    buf_init(&events->told, STATE_BYTES);
    stream_begin(&events->stream, call, "application/x-ndjson");
}

/* ---- logs ---- */

struct logs {
    struct stream stream;
    uint64_t line; /* that was written last */
    bool follow;
};

/* The line as the server's own log has it, in UTC. */
static void write_line(struct buf *buf, const struct model_line *line)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    time_t time_s = (time_t)(line->time_ms / 1000);
    char date[32];
    struct tm utc;
    gmtime_r(&time_s, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    buf_printf(buf, "%s.%03uZ %-7s v%llu: ", date, (unsigned)(line->time_ms % 1000),
               levels[line->level], (unsigned long long)line->version);
    for (size_t i = 0; i < line->size; i++) { /* one line stays one */
        unsigned char c = (unsigned char)line->text[i];
        buf_append_char(buf, c < ' ' || c == 0x7f ? ' ' : (char)c);
    }
    buf_append_char(buf, '\n');
}

static void logs_tick(struct stream *stream)
{
    struct logs *logs = list_entry(stream, struct logs, stream);
    const struct model *model = call_model(stream->call, stream->call->model, NULL);
    const struct model_line *line = NULL;
    while (model && stream_has_room(stream) && (line = model_log_after(&model->log, logs->line))) {
        logs->line = line->number;
        write_line(&stream->next, line);
    }
    if (!model || (!line && !logs->follow) || stream_is_over(stream))
        stream_end(stream);
}

void serve_logs(struct api_call *call)
{
    struct error error;
    uint64_t follow, lines;
    const struct http_request *request = &call->exchange->request;
    const struct model *model = call_model(call, call->model, &error);
    struct logs *logs = arena_calloc(&call->exchange->arena, 1, sizeof *logs);
    if (!logs)
        error_no_memory(&error);
    if (!logs || !model || !query_number(request, SPAN("follow"), 0, 1, &follow, &error) ||
        !query_number(request, SPAN("lines"), DEFAULT_LINES, UINT32_MAX, &lines, &error)) {
        reply_error(call, &error);
        return;
    }
    logs->line = model_log_tail(&model->log, lines);
    logs->follow = follow;
    logs->stream.tick = logs_tick;
    stream_begin(&logs->stream, call, "text/plain; charset=utf-8");
}
