/* The parser of HTTP/1.1 responses; see http1_answer.h. */
#include "protocol/http1_answer.h"

#include <string.h>

static int refuse(struct http1_answer *answer, enum error_code code)
{
    answer->refusal = code;
    return HPE_USER;
}

static bool fail(struct error *ret_error, const char *sentence)
{
    return error_set(ret_error, ERROR_BAD_GATEWAY, "%s", sentence);
}

/* ---- the head ---- */

static int extend(struct http1_answer *answer, struct http1_mark *mark, const char *at, size_t size)
{
    size_t offset = answer->parsed_bytes + (size_t)(at - answer->chunk);
    if (mark->size == 0)
        mark->at = (uint32_t)offset;
    else if (mark->at + mark->size != offset)
        return refuse(answer, ERROR_BAD_GATEWAY);
    mark->size += (uint32_t)size;
    return 0;
}

static int on_field_name(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http1_answer *answer = llhttp->data;
    if (answer->in_body) /* a trailer, which is dropped */
        return 0;
    if (!answer->in_name) {
        if (answer->mark_count == answer->limits->field_count)
            return refuse(answer, ERROR_HEADER_TOO_LARGE);
        if (!arena_grow(answer->arena, (void **)&answer->marks, answer->mark_count,
                        &answer->mark_capacity, sizeof *answer->marks))
            return refuse(answer, ERROR_RESOURCE_EXHAUSTED);
        answer->marks[answer->mark_count++] = (struct http1_field_mark){{0, 0}, {0, 0}};
        answer->in_name = true;
    }
    return extend(answer, &answer->marks[answer->mark_count - 1].name, at, size);
}

static int on_field_value(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http1_answer *answer = llhttp->data;
    return answer->in_body ? 0
                           : extend(answer, &answer->marks[answer->mark_count - 1].value, at, size);
}

static int on_field_end(llhttp_t *llhttp)
{
    struct http1_answer *answer = llhttp->data;
    answer->in_name = false;
    return 0;
}

static int on_head_complete(llhttp_t *llhttp)
{
    return HPE_PAUSED;
}

/* What lies between two pieces of content, however it arrives, is bounded. */
static bool count_framing(struct http1_answer *answer, const char *until)
{
    answer->framing_bytes += (size_t)(until - answer->uncounted);
    answer->uncounted = until;
    return answer->framing_bytes <= answer->limits->header_bytes;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http1_answer *answer = llhttp->data;
    if (!count_framing(answer, at))
        return refuse(answer, ERROR_HEADER_TOO_LARGE);
    answer->framing_bytes = 0;
    answer->uncounted = at + size;
    memmove(answer->decoded, at, size);
    answer->decoded += size;
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    struct http1_answer *answer = llhttp->data;
    answer->body_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field_name,
    .on_header_value = on_field_value,
    .on_header_value_complete = on_field_end,
    .on_headers_complete = on_head_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http1_answer_init(struct http1_answer *answer, const struct http_limits *limits,
                       struct arena *arena, bool to_head)
{
    *answer = (struct http1_answer){.limits = limits, .arena = arena, .to_head = to_head};
    llhttp_init(&answer->llhttp, HTTP_RESPONSE, &settings);
    answer->llhttp.data = answer;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool copy_fields(struct http1_answer *answer, const char *head, struct error *ret_error)
{
    answer->fields = arena_calloc(answer->arena, answer->mark_count, sizeof *answer->fields);
    for (size_t i = 0; answer->fields && i < answer->mark_count; i++) {
        const struct http1_field_mark *mark = &answer->marks[i];
        struct http_field *field = &answer->fields[i];
        struct span value = span_trim((struct span){head + mark->value.at, mark->value.size});
        char *name = arena_alloc(answer->arena, mark->name.size);
        if (!name || !arena_copy(answer->arena, value, &field->value))
            return error_no_memory(ret_error);
        for (size_t j = 0; j < mark->name.size; j++)
            name[j] = lower(head[mark->name.at + j]);
        field->name = (struct span){name, mark->name.size};
        answer->field_count++;
    }
    return answer->fields || error_no_memory(ret_error);
}

/* The one value of a field; data NULL: there is none. False when there are several. */
static bool find_once(const struct http1_answer *answer, struct span name, struct span *ret_value)
{
    *ret_value = (struct span){NULL, 0};
    for (size_t i = 0; i < answer->field_count; i++) {
        if (!span_equal(answer->fields[i].name, name))
            continue;
        if (ret_value->data)
            return false;
        *ret_value = answer->fields[i].value;
    }
    return true;
}

static bool has_no_body(const struct http1_answer *answer)
{
    return answer->to_head || answer->status < 200 || answer->status == 204 ||
           answer->status == 304;
}

/* RFC 9112 §6.3: a length and a coding together are what two readers take for two things. */
static bool choose_framing(struct http1_answer *answer, struct error *ret_error)
{
    struct span length, coding;
    int64_t value = 0;
    if (!find_once(answer, SPAN("content-length"), &length) ||
        !find_once(answer, SPAN("transfer-encoding"), &coding))
        return fail(ret_error, "the server's answer says twice how long it is");
    if (length.data && coding.data)
        return fail(ret_error, "the server's answer has Content-Length and Transfer-Encoding");
    if (coding.data && (!span_equal_nocase(coding, SPAN("chunked")) || !answer->llhttp.http_minor))
        return fail(ret_error, "the server's answer has a transfer coding other than chunked");
    if (length.data && !http_content_length(length, &value, NULL))
        return fail(ret_error, "the server's answer has a malformed Content-Length");
    answer->length = (uint64_t)value;
    answer->framing = has_no_body(answer) ? HTTP1_ANSWER_EMPTY
                      : coding.data       ? HTTP1_ANSWER_CHUNKED
                      : length.data       ? HTTP1_ANSWER_LENGTH
                                          : HTTP1_ANSWER_UNTIL_CLOSE;
    if (answer->framing == HTTP1_ANSWER_LENGTH && !answer->length)
        answer->framing = HTTP1_ANSWER_EMPTY;
    answer->keep_alive =
        answer->framing != HTTP1_ANSWER_UNTIL_CLOSE && llhttp_should_keep_alive(&answer->llhttp);
    return true;
}

/* llhttp says whether a connection may go on, as if there was a body where we know of none. */
static bool says_close(const struct http1_answer *answer)
{
    return (answer->llhttp.flags & F_CONNECTION_CLOSE) != 0;
}

static bool finish_head(struct http1_answer *answer, const char *head, struct error *ret_error)
{
    unsigned status = answer->llhttp.status_code;
    if (answer->llhttp.http_major != 1 || answer->llhttp.http_minor > 1 || status < 100 ||
        status > 599)
        return fail(ret_error, "the server's answer is no HTTP/1.1");
    answer->status = status;
    if (!copy_fields(answer, head, ret_error) || !choose_framing(answer, ret_error))
        return false;
    if (answer->framing == HTTP1_ANSWER_EMPTY)
        answer->keep_alive = answer->llhttp.http_minor == 1 && !says_close(answer);
    return true;
}

static enum http1_step refuse_head(const struct http1_answer *answer, struct error *ret_error)
{
    if (answer->refusal == ERROR_RESOURCE_EXHAUSTED)
        error_no_memory(ret_error);
    else if (answer->refusal == ERROR_HEADER_TOO_LARGE)
        error_set(ret_error, ERROR_BAD_GATEWAY, "the server's answer has more than %zu fields",
                  answer->limits->field_count);
    else
        fail(ret_error, "the server's answer is malformed");
    return HTTP1_ERROR;
}

enum http1_step http1_answer_head(struct http1_answer *answer, struct span bytes, size_t *ret_used,
                                  struct error *ret_error)
{
    size_t limit = answer->limits->header_bytes;
    struct span part = span_after(bytes, answer->parsed_bytes);
    if (part.size > limit - answer->parsed_bytes)
        part.size = limit - answer->parsed_bytes;
    answer->chunk = part.data;
    llhttp_errno_t code = llhttp_execute(&answer->llhttp, part.data, part.size);
    if (code == HPE_PAUSED) {
        *ret_used =
            answer->parsed_bytes + (size_t)(llhttp_get_error_pos(&answer->llhttp) - part.data);
        return finish_head(answer, bytes.data, ret_error) ? HTTP1_DONE : HTTP1_ERROR;
    }
    if (code != HPE_OK)
        return refuse_head(answer, ret_error);
    answer->parsed_bytes += part.size;
    if (answer->parsed_bytes < limit)
        return HTTP1_MORE;
    error_set(ret_error, ERROR_BAD_GATEWAY,
              "the head of the server's answer is larger than %zu bytes", limit);
    return HTTP1_ERROR;
}

/* ---- the body ---- */

static enum http1_step take_length(struct http1_answer *answer, struct room bytes, size_t *ret_used,
                                   size_t *ret_content)
{
    size_t size = bytes.size < answer->length ? bytes.size : (size_t)answer->length;
    answer->length -= size;
    *ret_used = *ret_content = size;
    return answer->length ? HTTP1_MORE : HTTP1_DONE;
}

enum http1_step http1_answer_body(struct http1_answer *answer, struct room bytes, size_t *ret_used,
                                  size_t *ret_content, struct error *ret_error)
{
    *ret_used = *ret_content = 0;
    if (answer->framing == HTTP1_ANSWER_LENGTH)
        return take_length(answer, bytes, ret_used, ret_content);
    if (!answer->in_body) {
        answer->in_body = true;
        llhttp_resume(&answer->llhttp);
    }
    answer->decoded = bytes.data;
    answer->uncounted = bytes.data;
    llhttp_errno_t code = llhttp_execute(&answer->llhttp, bytes.data, bytes.size);
    bool ended = code == HPE_PAUSED && answer->body_done;
    const char *end = ended ? llhttp_get_error_pos(&answer->llhttp) : bytes.data + bytes.size;
    *ret_content = (size_t)(answer->decoded - bytes.data);
    bool refused = answer->refusal == ERROR_HEADER_TOO_LARGE;
    if (code != HPE_OK && !ended && !refused) {
        fail(ret_error, "the body of the server's answer is malformed");
        return HTTP1_ERROR;
    }
    if (refused || !count_framing(answer, end)) {
        fail(ret_error, "the server's answer has too much framing around its body");
        return HTTP1_ERROR;
    }
    *ret_used = (size_t)(end - bytes.data);
    return ended ? HTTP1_DONE : HTTP1_MORE;
}
