/* The JSON reader: skipping a text and visiting all of it must agree, and what a value's span says
 * must be that value again. Strings and doubles that were read are written and read once more. */
#include "base/buf.h"
#include "base/utf8.h"
#include "codec/json.h"
#include "codec/json_writer.h"

#include "failing_allocation.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The same number as each type that it fits. */
static void read_integers(struct span text)
{
    struct json json;
    struct error error;
    double number;
    int64_t whole;
    uint64_t positive;
    json_init(&json, text, 0, NULL, &error);
    bool fits = json_i64(&json, &whole) && json_end(&json);
    json_init(&json, text, 0, NULL, &error);
    bool fits_positive = json_u64(&json, &positive) && json_end(&json);
    json_init(&json, text, 0, NULL, &error);
    if (fits && fits_positive)
        check((uint64_t)whole == positive);
    if (fits && json_double(&json, &number))
        check(number == (double)whole);
}

/* A string as it is written, and what it means; the reader is at it. */
static void copy_text(struct span text, struct arena *arena)
{
    struct json json;
    struct error error;
    struct json_text raw;
    struct span string;
    char *copy;
    json_init(&json, text, 0, NULL, &error);
    if (!json_text(&json, &raw) || !(copy = malloc(raw.size + 1)))
        return;
    json_text_copy(&raw, copy);
    json_init(&json, text, 0, arena, &error);
    if (json_string_with_nul(&json, &string))
        check(span_equal(string, (struct span){copy, raw.size}));
    json_init(&json, text, 0, arena, &error);
    check(!json_string(&json, &string) || !raw.nul);
    free(copy);
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
                        : number == number_again && signbit(number) == signbit(number_again));
    }
    buf_fini(&buf);
}

static bool skip_member(void *context, struct span key)
{
    return json_skip(context, NULL);
}

/* Visits what is at the reader, one level deep; deeper ones are skipped and visited by their spans.
 */
static bool visit(struct json *json, struct arena *arena)
{
    struct span value;
    struct json inner;
    switch (json_peek(json)) {
    case JSON_OBJECT:
        json_members(json, skip_member, json);
        break;
    case JSON_ARRAY:
        json_enter_array(json);
        while (json_next_element(json) && json_skip(json, &value)) {
            json_init_value(&inner, json, value);
            check(json_skip(&inner, NULL) && json_end(&inner));
        }
        break;
    case JSON_STRING:
        copy_text((struct span){json->at, (size_t)(json->end - json->at)}, arena);
        write_again(json, arena, true);
        break;
    case JSON_NUMBER:
        read_integers((struct span){json->at, (size_t)(json->end - json->at)});
        write_again(json, arena, false);
        break;
    case JSON_BOOL:
        json_bool(json, &(bool){false});
        break;
    case JSON_NULL:
        json_null(json);
        break;
    default:
        json_skip(json, NULL);
        break;
    }
    return json_end(json);
}

/* Strings with escapes need memory: without, they fail like any other. */
static void read_without_memory(struct json *json)
{
    struct span key, value;
    if (json_peek(json) != JSON_OBJECT) {
        json_string(json, &value);
        return;
    }
    json_enter_object(json);
    while (json_next_key(json, &key)) {
        if (json_peek(json) == JSON_STRING)
            json_string(json, &value);
        else
            json_skip(json, &value);
    }
}

/* A value that is read later ends where it would if it was read now. */
static void skip_unread(struct span text)
{
    struct json json;
    struct span now, later;
    struct error error;
    json_init(&json, text, JSON_MAX_DEPTH, NULL, &error);
    bool skipped = json_skip(&json, &now);
    json_init(&json, text, JSON_MAX_DEPTH, NULL, &error);
    bool left = json_skip_unread(&json, &later);
    check(!skipped || (left && now.data == later.data && now.size == later.size));
}

/* Whatever the bytes are, they can be made UTF-8. */
static void check_clean(struct span text)
{
    char *copy = malloc(text.size + 1);
    if (!copy)
        return;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    utf8_clean(copy);
    check(utf8_valid(span_of(copy)));
    free(copy);
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
    bool visited = visit(&json, &arena);
    check(!visited || skipped);
    if (json_read_object(&json, text, &arena, &error, skip_member, &json))
        check(visited);
    arena_fini(&arena);
    arena_init(&arena, 256, 1 << 24);
    json_init(&json, text, JSON_MAX_DEPTH, &arena, &error);
    failing_allocation_begin(data, size);
    read_without_memory(&json);
    failing_allocation_end();
    arena_fini(&arena);
    skip_unread(text);
    check_clean(text);
    return 0;
}
