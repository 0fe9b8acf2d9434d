/* The parser of HTTP/1.1 responses, fed whole and cut at a place that the first byte chooses: both
 * must come to the same end. The second byte says what the request was, and so whether there is a
 * body. */
#include "protocol/http1_answer.h"

#include "failing_allocation.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_BYTES = 4096, CONTROL_BYTES = 2 };

/* How far the bytes are understood. */
struct outcome {
    size_t heads;
    size_t body_bytes;
    unsigned body_sum;
    bool done;
    enum error_code code; /* ERROR_OK: more is needed */
};

struct reader {
    struct http_limits limits;
    struct arena arena;
    struct http1_answer answer;
    bool to_head;
    bool in_body;
    char bytes[ROOM_BYTES]; /* what was received and not yet used */
    size_t size;
    struct outcome outcome;
};

static void drop(struct reader *reader, size_t used)
{
    assert(used <= reader->size);
    reader->size -= used;
    memmove(reader->bytes, reader->bytes + used, reader->size);
}

static void check_fields(const struct http1_answer *answer)
{
    for (size_t i = 0; i < answer->field_count; i++) {
        assert(answer->fields[i].name.size > 0);
        for (size_t j = 0; j < answer->fields[i].value.size; j++)
            assert(!strchr("\r\n", answer->fields[i].value.data[j]));
    }
}

static enum http1_step read_head(struct reader *reader, struct error *ret_error)
{
    size_t used = 0;
    struct http1_answer *answer = &reader->answer;
    enum http1_step step =
        http1_answer_head(answer, (struct span){reader->bytes, reader->size}, &used, ret_error);
    if (step != HTTP1_DONE)
        return step;
    assert(answer->status >= 100 && answer->status <= 599);
    check_fields(answer);
    drop(reader, used);
    reader->outcome.heads++;
    if (answer->status == 101) { /* what follows is no HTTP */
        reader->outcome.done = true;
        return HTTP1_DONE;
    }
    if (answer->status < 200) {
        http1_answer_init(answer, &reader->limits, &reader->arena, reader->to_head);
        return reader->size ? HTTP1_DONE : HTTP1_MORE;
    }
    reader->in_body = true;
    reader->outcome.done = answer->framing == HTTP1_ANSWER_EMPTY;
    assert(!reader->to_head || reader->outcome.done);
    return HTTP1_DONE;
}

static enum http1_step read_body(struct reader *reader, struct error *ret_error)
{
    size_t used = reader->size, content = reader->size;
    enum http1_step step = HTTP1_MORE;
    if (reader->answer.framing != HTTP1_ANSWER_UNTIL_CLOSE)
        step = http1_answer_body(&reader->answer, (struct room){reader->bytes, reader->size}, &used,
                                 &content, ret_error);
    if (step == HTTP1_ERROR)
        return step;
    assert(content <= used && used <= reader->size);
    for (size_t i = 0; i < content; i++)
        reader->outcome.body_sum = reader->outcome.body_sum * 31 + (unsigned char)reader->bytes[i];
    reader->outcome.body_bytes += content;
    reader->outcome.done = step == HTTP1_DONE;
    drop(reader, used);
    return step;
}

static void feed(struct reader *reader, struct span bytes)
{
    struct error error;
    enum http1_step step = HTTP1_DONE;
    if (bytes.size)
        memcpy(reader->bytes + reader->size, bytes.data, bytes.size);
    reader->size += bytes.size;
    while (step == HTTP1_DONE && reader->size && !reader->outcome.done &&
           reader->outcome.code == ERROR_OK) {
        step = reader->in_body ? read_body(reader, &error) : read_head(reader, &error);
        if (step == HTTP1_ERROR)
            reader->outcome.code = error.code;
    }
}

static struct outcome parse(struct span first, struct span second, bool to_head, bool fails)
{
    static struct reader reader;
    reader = (struct reader){.to_head = to_head, .limits = http_limits_default};
    reader.limits.header_bytes = 1024;
    reader.limits.field_count = 8;
    arena_init(&reader.arena, 256, 1 << 20);
    http1_answer_init(&reader.answer, &reader.limits, &reader.arena, to_head);
    if (fails)
        failing_allocation_begin((const uint8_t *)first.data, first.size);
    feed(&reader, first);
    feed(&reader, second);
    failing_allocation_end();
    arena_fini(&reader.arena);
    return reader.outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CONTROL_BYTES || size > ROOM_BYTES)
        return 0;
    struct span bytes = {(const char *)data + CONTROL_BYTES, size - CONTROL_BYTES};
    size_t cut = bytes.size * data[0] / 256;
    struct span first = {bytes.data, cut}, second = span_after(bytes, cut);
    bool to_head = data[1] == 'H';
    struct outcome whole = parse(bytes, (struct span){NULL, 0}, to_head, false);
    struct outcome parts = parse(first, second, to_head, false);
    if (whole.code != parts.code || whole.heads != parts.heads || whole.done != parts.done ||
        (whole.code == ERROR_OK &&
         (whole.body_bytes != parts.body_bytes || whole.body_sum != parts.body_sum)))
        abort();
    parse(first, second, to_head, true);
    return 0;
}
