/* Uploading and downloading what models consist of: files by their sha256. */
#include "api/query.h"
#include "api/routes.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "push/blobs.h"

#include <stdio.h>

static bool digest_of_path(const struct api_call *call, struct digest *ret_digest,
                           struct error *ret_error)
{
    return digest_parse(call->sha256, ret_digest) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "a sha256 is 64 hexadecimal digits in lower case");
}

/* ---- which are missing ---- */

struct missing_call {
    struct blob_query query;
    struct api_call *call;
    bool gone; /* the client has */
};

static void read_asked(struct json *json, struct blob_asked *asked)
{
    struct span key, text;
    bool named = false;
    json_enter_object(json);
    while (json_next_key(json, &key)) {
        if (span_equal(key, SPAN("sha256")) && json_string(json, &text)) {
            named = digest_parse(text, &asked->digest);
        } else if (span_equal(key, SPAN("size"))) {
            json_u64(json, &asked->size_bytes);
        } else {
            json_fail(json, "a blob has sha256 and size");
        }
    }
    if (json_ok(json) && !named)
        json_fail(json, "a sha256 is 64 hexadecimal digits in lower case");
}

static void read_all_asked(struct json *json, size_t most, struct blob_query *query)
{
    size_t capacity = 0;
    json_enter_array(json);
    while (json_next_element(json)) {
        if (query->count == most) {
            limit_hit(LIMIT_max_push_files);
            json_fail(json, "more than %zu blobs", most);
            return;
        }
        if (!arena_grow(json->arena, (void **)&query->asked, query->count, &capacity,
                        sizeof *query->asked)) {
            json_fail(json, "out of memory");
            return;
        }
        query->asked[query->count] = (struct blob_asked){.missing = false};
        read_asked(json, &query->asked[query->count++]);
    }
}

static bool read_question(struct api_call *call, struct blob_query *query, struct error *ret_error)
{
    struct json json;
    struct span key;
    bool seen = false;
    json_init(&json, buf_span(&call->body), JSON_MAX_DEPTH, &call->exchange->arena, ret_error);
    json_enter_object(&json);
    while (json_next_key(&json, &key)) {
        if (!span_equal(key, SPAN("blobs")) || seen)
            json_fail(&json, "the question has blobs, once");
        else
            read_all_asked(&json, call->api->max_push_files, query);
        seen = true;
    }
    if (json_ok(&json) && !seen)
        json_fail(&json, "the question has blobs, once");
    return json_end(&json);
}

static void put_missing(struct json_writer *json, const struct digest *digest, uint64_t have)
{
    json_put_object(json);
    json_put_member_string(json, SPAN("sha256"), span_of(digest->text));
    json_put_member_u64(json, SPAN("have"), have);
    json_put_object_end(json);
}

static void missing_known(struct blob_query *query)
{
    struct missing_call *missing = list_entry(query, struct missing_call, query);
    struct api_call *call = missing->call;
    struct http_exchange *exchange = call->exchange;
    struct json_writer json;
    if (!missing->gone) {
        call->closed = NULL;
        json_writer_init(&json, &call->reply);
        json_put_object(&json);
        json_put_key(&json, SPAN("missing"));
        json_put_array(&json);
        for (size_t i = 0; i < query->count; i++) {
            if (query->asked[i].missing)
                put_missing(&json, &query->asked[i].digest, query->asked[i].have_bytes);
        }
        json_put_array_end(&json);
        json_put_object_end(&json);
        reply_json(call, 200);
    }
    http_unref(exchange);
}

static void missing_closed(struct api_call *call)
{
    struct missing_call *missing = call->waiting;
    missing->gone = true;
}

void serve_blobs_missing(struct api_call *call)
{
    struct error error;
    struct missing_call *missing = arena_calloc(&call->exchange->arena, 1, sizeof *missing);
    if (!missing) {
        error_no_memory(&error);
        reply_error(call, &error);
        return;
    }
    missing->call = call;
    missing->query = (struct blob_query){.blobs = call->api->blobs, .done = missing_known};
    if (!read_question(call, &missing->query, &error) ||
        !blob_query_begin(&missing->query, &error)) {
        reply_error(call, &error);
        return;
    }
    call->waiting = missing;
    call->closed = missing_closed;
    http_ref(call->exchange);
}

/* ---- uploads ---- */

struct upload_call {
    struct blob_upload *upload; /* NULL: it has ended */
    bool sinks;                 /* what comes now is beyond the blob's end */
};

static struct upload_call *upload_of(const struct http_exchange *exchange)
{
    return call_of(exchange)->detail;
}

static void reply_have(struct api_call *call, unsigned status, const struct blob_result *result)
{
    struct json_writer json;
    bool good = result->error.code == ERROR_OK;
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    if (!good) {
        http_note_failure(call->exchange, span_of(result->error.message));
        json_put_member_string(&json, SPAN("error"), span_of(result->error.message));
    }
    json_put_member_u64(&json, SPAN("have"), result->have_bytes);
    json_put_object_end(&json);
    reply_json(call, status);
}

static void answer_upload(struct api_call *call, const struct blob_result *result)
{
    call->exchange->handler = &call_drop_handler;
    if (result->error.code == ERROR_OK)
        reply_have(call, result->complete ? 201 : 202, result);
    else if (result->error.code == ERROR_CONFLICT)
        reply_have(call, 409, result);
    else
        reply_error(call, &result->error);
}

static void upload_done(void *context, const struct blob_result *result)
{
    struct http_exchange *exchange = context;
    upload_of(exchange)->upload = NULL;
    answer_upload(call_of(exchange), result);
}

static void upload_has_room(void *context)
{
    http_resume(context);
}

static const struct blob_upload_events upload_events = {upload_has_room, upload_done};

static struct room upload_room(struct http_exchange *exchange)
{
    struct upload_call *call = upload_of(exchange);
    call->sinks = blob_upload_is_full(call->upload);
    return call->sinks ? call_drop_room(exchange) : blob_upload_room(call->upload);
}

static void upload_received(struct http_exchange *exchange, size_t count)
{
    struct upload_call *call = upload_of(exchange);
    if (!call->sinks) {
        blob_upload_received(call->upload, count);
        return;
    }
    struct blob_result result = {.error.code = ERROR_OK};
    error_set(&result.error, ERROR_INVALID_ARGUMENT, "more bytes come than the blob is large");
    blob_upload_leave(call->upload);
    call->upload = NULL;
    answer_upload(call_of(exchange), &result);
}

static void upload_ended(struct http_exchange *exchange)
{
    blob_upload_end(upload_of(exchange)->upload);
}

static void upload_closed(struct http_exchange *exchange, bool complete)
{
    blob_upload_leave(upload_of(exchange)->upload);
    call_close(call_of(exchange));
}

static const struct http_handler upload_handler = {upload_room, upload_received, upload_ended,
                                                   call_drained, upload_closed};

static bool read_upload(const struct api_call *call, struct digest *ret_digest,
                        uint64_t *ret_offset, uint64_t *ret_size, struct error *ret_error)
{
    const struct http_request *request = &call->exchange->request;
    if (!digest_of_path(call, ret_digest, ret_error) ||
        !query_number(request, SPAN("size"), UINT64_MAX, INT64_MAX, ret_size, ret_error) ||
        !query_number(request, SPAN("offset"), 0, INT64_MAX, ret_offset, ret_error))
        return false;
    if (*ret_size == UINT64_MAX)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the parameter 'size' is missing: how large the blob is");
    if (*ret_offset > *ret_size)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the offset is beyond the blob's end");
    return request->content_length <= (int64_t)(*ret_size - *ret_offset) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT, "more bytes come than the blob is large");
}

void begin_blob_upload(struct api_call *call)
{
    struct digest digest;
    uint64_t offset, size;
    struct blob_result refusal = {.error.code = ERROR_OK};
    struct upload_call *upload = arena_calloc(&call->exchange->arena, 1, sizeof *upload);
    if (!upload)
        error_no_memory(&refusal.error);
    else if (read_upload(call, &digest, &offset, &size, &refusal.error))
        upload->upload = blob_upload_new(call->api->blobs, &digest, offset, size, &upload_events,
                                         call->exchange, &refusal);
    if (!upload || !upload->upload) {
        answer_upload(call, &refusal);
        return;
    }
    call->detail = upload;
    call->exchange->handler = &upload_handler;
}

/* ---- downloads ---- */

struct download_call {
    struct blob_download *download;
    uint64_t size_bytes, sent_bytes;
    struct http_field fields[2];
};

static struct download_call *download_of(const struct http_exchange *exchange)
{
    return call_of(exchange)->detail;
}

static void download_opened(void *context, uint64_t size_bytes, const struct error *error)
{
    struct http_exchange *exchange = context;
    struct download_call *call = download_of(exchange);
    if (error->code != ERROR_OK) {
        reply_error(call_of(exchange), error);
        return;
    }
    const char *length = arena_printf(&exchange->arena, "%llu", (unsigned long long)size_bytes);
    call->size_bytes = size_bytes;
    call->fields[0] = (struct http_field){SPAN("content-type"), SPAN("application/octet-stream")};
    call->fields[1] = (struct http_field){SPAN("content-length"), span_of(length)};
    http_reply(exchange, 200, call->fields, length ? 2 : 1);
    if (size_bytes && exchange->request.method != HTTP_HEAD)
        blob_download_next(call->download);
    else
        http_end(exchange, NULL, 0);
}

static void download_bytes(void *context, struct span bytes)
{
    struct http_exchange *exchange = context;
    struct download_call *call = download_of(exchange);
    struct iovec vector = {(void *)(uintptr_t)bytes.data, bytes.size};
    call->sent_bytes += bytes.size;
    if (!bytes.data || call->sent_bytes > call->size_bytes) { /* it is not what was promised */
        http_reset(exchange);
        return;
    }
    http_body(exchange, &vector, 1);
    if (call->sent_bytes == call->size_bytes)
        http_end(exchange, NULL, 0);
}

static const struct blob_download_events download_events = {download_opened, download_bytes};

static void download_drained(struct http_exchange *exchange)
{
    struct download_call *call = download_of(exchange);
    if (call->sent_bytes && call->sent_bytes < call->size_bytes)
        blob_download_next(call->download);
}

static void download_closed(struct http_exchange *exchange, bool complete)
{
    blob_download_free(download_of(exchange)->download);
    call_close(call_of(exchange));
}

static const struct http_handler download_handler = {
    call_drop_room, call_drop_received, call_drop_end, download_drained, download_closed};

void serve_blob(struct api_call *call)
{
    struct error error;
    struct digest digest;
    struct download_call *download = arena_calloc(&call->exchange->arena, 1, sizeof *download);
    if (!download)
        error_no_memory(&error);
    else if (digest_of_path(call, &digest, &error))
        download->download =
            blob_download_new(call->api->blobs, &digest, &download_events, call->exchange, &error);
    if (!download || !download->download) {
        reply_error(call, &error);
        return;
    }
    call->detail = download;
    call->exchange->handler = &download_handler;
}
