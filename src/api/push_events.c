/* How a deployment goes, and what a model says, as it happens: streams of lines. */
#include "api/query.h"
#include "api/routes.h"
#include "api/stream.h"
#include "codec/json_writer.h"

#include <stdio.h>

/* ---- events ---- */

struct events {
    struct stream stream;
    uint64_t version;
    bool follow;     /* also after the deployment has ended */
    struct buf told; /* the state that was told last */
};

static struct events *events_of(struct stream *stream)
{
    return list_entry(stream, struct events, stream);
}

static struct version *find_version(const struct api_call *call, uint64_t number)
{
    struct model *model = call_model(call, call->model, NULL);
    return model ? model_version(model, (int64_t)number, NULL) : NULL;
}

static void write_state(struct buf *buf, const char *state, const char *reason, double progress)
{
    struct json_writer json;
    json_writer_init(&json, buf);
    json_put_object(&json);
    json_put_key(&json, SPAN("state"));
    json_put_string(&json, span_of(state));
    json_put_key(&json, SPAN("reason"));
    if (!json_put_string(&json, span_of(reason)))
        json_put_string(&json, SPAN("?"));
    json_put_key(&json, SPAN("progress"));
    json_put_double(&json, progress);
    json_put_object_end(&json);
    buf_append_char(buf, '\n');
}

static bool is_settled(enum version_state state, const struct version *version)
{
    return state == VERSION_READY || state == VERSION_ASLEEP || state == VERSION_FAILED ||
           state == VERSION_UNLOADED || (state == VERSION_FOUND && !version->model->wanted);
}

/* Tells the state when it is another one than was told last. */
static void tell(struct events *events, const struct buf *now)
{
    if (span_equal(buf_span(now), buf_span(&events->told)))
        return;
    buf_clear(&events->told);
    buf_append(&events->told, buf_span(now));
    buf_append(&events->stream.next, buf_span(now));
}

static void events_tick(struct stream *stream)
{
    struct events *events = events_of(stream);
    const struct version *version = find_version(stream->call, events->version);
    enum version_state state = version ? version_deployment(version) : VERSION_UNLOADED;
    struct buf now;
    if (!stream_has_room(stream))
        return;
    buf_init(&now, 8192);
    if (version)
        write_state(&now, version_state_name(state), version_reason(version),
                    version_progress(version));
    else
        write_state(&now, version_state_name(state), "it was removed", 0);
    tell(events, &now);
    buf_fini(&now);
    if (!version || (!events->follow && is_settled(state, version)) || stream->call->api->leaving)
        stream_end(stream);
}

static void events_gone(struct stream *stream)
{
    buf_fini(&events_of(stream)->told);
}

/* The version that the query names, or the highest one. */
static struct version *asked_version(const struct api_call *call, struct error *ret_error)
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

void serve_events(struct api_call *call)
{
    struct error error;
    uint64_t follow = 0;
    struct version *version = asked_version(call, &error);
    struct events *events = arena_calloc(&call->exchange->arena, 1, sizeof *events);
    if (!events)
        error_no_memory(&error);
    if (!events || !version ||
        !query_number(&call->exchange->request, SPAN("follow"), 0, 1, &follow, &error)) {
        reply_error(call, &error);
        return;
    }
    events->version = version->number;
    events->follow = follow;
    events->stream.tick = events_tick;
    events->stream.gone = events_gone;
    buf_init(&events->told, 8192);
    stream_begin(&events->stream, call, "application/x-ndjson");
}

/* ---- logs ---- */

void serve_logs(struct api_call *call)
{
    struct error error;
    struct version *version = asked_version(call, &error);
    if (!version) {
        reply_error(call, &error);
        return;
    }
    static const struct http_field type = {SPAN("content-type"), SPAN("text/plain; charset=utf-8")};
    http_send(call->exchange, 200, &type, 1, NULL, 0);
}
