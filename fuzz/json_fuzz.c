/* The JSON reader: skipping a text and visiting all of it must agree, and what a value's span says
 * must be that value again. Strings and doubles that were read are written and read once more. */
#include "base/buf.h"
#include "codec/json.h"
#include "codec/json_writer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void write_again(struct json *json, struct arena *arena, bool is_string)
{
    struct span string, string_again;
    double number, number_again;
    struct error error;
    struct buf buf;
    struct json_writer writer;
    struct json again;
    buf_init(&buf, 1 << 24);
    json_writer_init(&writer, &buf);
    if (is_string ? json_string_with_nul(json, &string) : json_double(json, &number)) {
        check(is_string ? json_put_string(&writer, string) : json_put_double(&writer, number));
        json_init(&again, buf_span(&buf), 0, arena, &error);
        check(is_string ? json_string_with_nul(&again, &string_again)
                        : json_double(&again, &number_again));
        check(json_end(&again));
        check(is_string ? span_equal(string, string_again)
                        : memcmp(&number, &number_again, sizeof number) == 0);
    }
    buf_fini(&buf);
}

/* Visits what is at the reader, one level deep; deeper ones are skipped and visited by their spans.
 */
static bool visit(struct json *json, struct arena *arena)
{
    struct span key, value;
    struct json inner;
    struct error error;
    switch (json_peek(json)) {
    case JSON_OBJECT:
        json_enter_object(json);
        while (json_next_key(json, &key) && json_skip(json, &value))
            ;
        break;
    case JSON_ARRAY:
        json_enter_array(json);
        while (json_next_element(json) && json_skip(json, &value)) {
            json_init(&inner, value, JSON_MAX_DEPTH, arena, &error);
            check(json_skip(&inner, NULL) && json_end(&inner));
        }
        break;
    case JSON_STRING:
        write_again(json, arena, true);
        break;
    case JSON_NUMBER:
        write_again(json, arena, false);
        break;
    default:
        json_skip(json, NULL);
        break;
    }
    return json_end(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span text = {(const char *)data, size};
    struct json json;
    struct error error;
    struct arena arena;
    arena_init(&arena, 4096, 1 << 24);
    json_init(&json, text, JSON_MAX_DEPTH, NULL, &error);
    bool skipped = json_skip(&json, NULL) && json_end(&json);
    json_init(&json, text, JSON_MAX_DEPTH, &arena, &error);
    check(!visit(&json, &arena) || skipped);
    arena_fini(&arena);
    return 0;
}
