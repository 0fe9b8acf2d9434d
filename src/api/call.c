/* Calls: collecting bodies and answering with JSON; see call.h. */
#include "api/call.h"

#include "api/coding.h"
#include "api/gate.h"
#include "auth/glob.h"
#include "codec/json_writer.h"

enum { COLLECT_BYTES = 4096 }; /* asked for at a time when the length is not known */

static const struct http_field json_fields[] = {{SPAN("content-type"), SPAN("application/json")}};

struct api_call *call_new(struct api *api, struct http_exchange *exchange)
{
    struct api_call *call = arena_calloc(&exchange->arena, 1, sizeof *call);
    exchange->handler = &call_drop_handler;
    exchange->state = call;
    if (!call) {
        struct error error;
        error_no_memory(&error);
        reply_error_to(exchange, &error);
        return NULL;
    }
    call->api = api;
    call->exchange = exchange;
    buf_init_within(&call->body, api->max_json_bytes, &api->messages);
    buf_init(&call->reply, SIZE_MAX / 2);
    buf_init(&call->compressed, 0);
    buf_init_within(&call->classes, SIZE_MAX / 2, &api->messages);
    return call;
}

void call_close(struct api_call *call)
{
    if (!call)
        return;
    if (call->closed)
        call->closed(call);
    gate_leave(call);
    buf_fini(&call->body);
    coding_fini(call);
    buf_fini(&call->reply);
    buf_fini(&call->classes);
}

void call_drained(struct http_exchange *exchange)
{
}

/* ---- a body that nobody wants ---- */

struct room call_drop_room(struct http_exchange *exchange)
{
    static char sink[16384];
    return (struct room){sink, sizeof sink};
}

void call_drop_received(struct http_exchange *exchange, size_t count)
{
}

void call_drop_end(struct http_exchange *exchange)
{
}

static void drop_closed(struct http_exchange *exchange, bool complete)
{
    call_close(call_of(exchange));
}

const struct http_handler call_drop_handler = {call_drop_room, call_drop_received, call_drop_end,
                                               call_drained, drop_closed};

/* ---- a body that is collected ---- */

struct room call_body_room(struct api_call *call, uint64_t total_bytes)
{
    uint64_t wanted = COLLECT_BYTES;
    if (total_bytes != UINT64_MAX)
        wanted = total_bytes - call->body.size;
    else if (call->body.capacity > call->body.size)
        wanted = call->body.capacity - call->body.size;
    if (wanted > call->body.limit_bytes - call->body.size)
        return (struct room){NULL, 0};
    return buf_room(&call->body, wanted);
}

void call_body_error(const struct api_call *call, uint64_t total_bytes, const char *what,
                     struct error *ret_error)
{
    size_t limit = call->body.limit_bytes;
    if (total_bytes == UINT64_MAX ? call->body.size + COLLECT_BYTES <= limit
                                  : total_bytes <= limit) {
        message_no_memory(&call->body, ret_error);
        return;
    }
    limit_hit(LIMIT_max_json_mib);
    error_set(ret_error, ERROR_TOO_LARGE, "%s is longer than the %zu bytes that are allowed", what,
              limit);
}

/* What the request says of its body's length, or UINT64_MAX. */
static uint64_t body_bytes(const struct http_exchange *exchange)
{
    int64_t length = exchange->request.content_length;
    return length < 0 ? UINT64_MAX : (uint64_t)length;
}

static void refuse_body(struct api_call *call)
{
    struct error error;
    call_body_error(call, body_bytes(call->exchange), "the request's body", &error);
    call->exchange->handler = &call_drop_handler;
    reply_error(call, &error);
}

static struct room collect_room(struct http_exchange *exchange)
{
    struct room room = call_body_room(call_of(exchange), body_bytes(exchange));
    if (room.size)
        return room;
    refuse_body(call_of(exchange));
    return call_drop_room(exchange);
}

static void collect_received(struct http_exchange *exchange, size_t count)
{
    call_of(exchange)->body.size += count;
}

static void collect_end(struct http_exchange *exchange)
{
    struct api_call *call = call_of(exchange);
    call->route->serve(call);
}

static const struct http_handler collect_handler = {collect_room, collect_received, collect_end,
                                                    call_drained, drop_closed};

void call_collect(struct api_call *call, size_t limit_bytes)
{
    call->body.limit_bytes = limit_bytes;
    call->exchange->handler = &collect_handler;
    if (call->exchange->request.content_length > (int64_t)limit_bytes)
        refuse_body(call);
}

bool call_may_use(const struct api_call *call, struct span model)
{
    return !call->token || glob_list_match(call->token->record.models, model);
}

struct model *call_model(const struct api_call *call, struct span name, struct error *ret_error)
{
    if (call_may_use(call, name))
        return serving_model(call->api->serving, name, ret_error);
    serving_model_unknown(call->api->serving, name, ret_error);
    return NULL;
}

const struct model *call_next_model(const struct api_call *call, size_t *position)
{
    struct map_slot slot;
    while (map_next(&call->api->serving->models, position, &slot)) {
        if (call_may_use(call, slot.key))
            return slot.value;
    }
    return NULL;
}

struct span call_sticky(const struct api_call *call)
{
    const struct model *model = call->version.data ? NULL : call_model(call, call->model, NULL);
    return model ? routing_sticky(model) : (struct span){NULL, 0};
}

static struct span client_field(const void *client, struct span name)
{
    const struct http_exchange *exchange = client;
    return http_field(&exchange->request, name);
}

struct version *call_route(const struct api_call *call, struct span parameter,
                           struct error *ret_error)
{
    if (call->version.data)
        return call_version(call, ret_error);
    struct model *model = call_model(call, call->model, ret_error);
    struct span name = call_sticky(call);
    struct span key = name.size ? client_field(call->exchange, name) : name;
    return model ? routing_request(model, key.size ? key : parameter, ret_error) : NULL;
}

bool call_inference(const struct api_call *call, struct inference *inference, struct span parameter,
                    struct arena *arena, struct error *ret_error)
{
    struct version *version = call_route(call, parameter, ret_error);
    if (!version || !inference_init(inference, version, arena, ret_error))
        return false;
    inference->caller = call->caller;
    inference->client_field = client_field;
    inference->client = call->exchange;
    inference->routed = !call->version.data;
    return true;
}

struct version *call_version(const struct api_call *call, struct error *ret_error)
{
    uint64_t number = 0;
    struct model *model = call_model(call, call->model, ret_error);
    if (!model)
        return NULL;
    if (!call->version.data)
        return model_version(model, -1, ret_error);
    if (!span_to_u64(call->version, &number) || number > INT64_MAX) {
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%.*s' is no version number",
                  SPAN_ARGS(call->version));
        return NULL;
    }
    return model_version(model, (int64_t)number, ret_error);
}

/* ---- answers ---- */

void call_add_field(struct api_call *call, struct span name, const char *value)
{
    struct http_exchange *exchange = call->exchange;
    size_t count = exchange->reply_field_count;
    struct http_field *fields = arena_calloc(&exchange->arena, count + 1, sizeof *fields);
    if (!fields || !value)
        return;
    if (count)
        memcpy(fields, exchange->reply_fields, count * sizeof *fields);
    fields[count] = (struct http_field){name, span_of(value)};
    exchange->reply_fields = fields;
    exchange->reply_field_count = count + 1;
}

void reply_json(struct api_call *call, unsigned status)
{
    if (!buf_ok(&call->reply)) {
        struct error error;
        message_no_memory(&call->reply, &error);
        reply_error(call, &error);
        return;
    }
    struct iovec body = {call->reply.data, call->reply.size};
    coding_send(call, status, json_fields, 1, &body, 1, false);
}

void reply_empty(struct api_call *call, unsigned status)
{
    http_send(call->exchange, status, NULL, 0, NULL, 0);
}

void reply_error_to(struct http_exchange *exchange, const struct error *why)
{
    struct error explained = *why, *error = &explained;
    message_explain(&exchange->arena, error);
    http_note_failure(exchange, span_of(error->message));
    struct buf text;
    struct json_writer json;
    struct span kept = SPAN("{\"error\":\"out of memory\"}");
    buf_init(&text, 8 * sizeof error->message);
    json_writer_init(&json, &text);
    json_put_object(&json);
    json_put_key(&json, SPAN("error"));
    if (!json_put_string(&json, span_of(error->message))) /* it quotes bytes that are no text */
        json_put_string(&json, span_of(error_text(error->code)));
    json_put_object_end(&json);
    if (buf_ok(&text))
        arena_copy(&exchange->arena, buf_span(&text), &kept);
    buf_fini(&text);
    struct iovec body = {(void *)(uintptr_t)kept.data, kept.size};
    const char *seconds =
        error->code == ERROR_UNAVAILABLE
            ? arena_printf(&exchange->arena, "%u", error->retry_after_s ? error->retry_after_s : 1)
            : NULL;
    struct http_field fields[2] = {json_fields[0],
                                   {SPAN("retry-after"), span_of(seconds ? seconds : "")}};
    http_send(exchange, error_http_status(error->code), fields, seconds ? 2 : 1, &body, 1);
}

void reply_error(struct api_call *call, const struct error *error)
{
    reply_error_to(call->exchange, error);
}
