/* The JSON reader; see json.h. Two bits of state suffice between calls: how deep, and whether a
 * comma is due. */
#include "codec/json.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void json_init(struct json *json, struct span text, uint32_t max_depth, struct arena *arena,
               struct error *error)
{
    assert(max_depth <= JSON_MAX_DEPTH);
    const char *start = text.data ? text.data : "";
    *json = (struct json){.start = start,
                          .at = start,
                          .end = start + text.size,
                          .max_depth = max_depth,
                          .arena = arena,
                          .error = error};
}

void json_init_value(struct json *json, const struct json *outer, struct span value)
{
    json_init(json, value, outer->max_depth, outer->arena, outer->error);
    json->start = outer->start;
}

/* Fails with "sentence at byte N". */
static bool fail_at(struct json *json, const char *at, const char *sentence)
{
    if (json->failed)
        return false;
    json->failed = true;
    json->at = at;
    return error_set(json->error, ERROR_INVALID_ARGUMENT, "%s at byte %td%s", sentence,
                     at - json->start, at == json->end ? ", where the text ends" : "");
}

bool json_fail(struct json *json, const char *format, ...)
{
    char sentence[sizeof json->error->message - 64];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return fail_at(json, json->at, sentence);
}

static inline void skip_blanks(struct json *json)
{
    const char *at = json->at, *end = json->end;
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    json->at = at;
}

/* True, and one byte further, when the next one that is no blank is c. */
static inline bool take(struct json *json, char c)
{
    skip_blanks(json);
    if (json->at == json->end || *json->at != c)
        return false;
    json->at++;
    return true;
}

enum json_kind json_peek(struct json *json)
{
    if (json->failed)
        return JSON_NONE;
    skip_blanks(json);
    if (json->at == json->end)
        return JSON_NONE;
    switch (*json->at) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return *json->at == '-' || (*json->at >= '0' && *json->at <= '9') ? JSON_NUMBER : JSON_NONE;
    }
}

static bool enter(struct json *json, char bracket, const char *expected)
{
    if (json->failed)
        return false;
    if (!take(json, bracket))
        return fail_at(json, json->at, expected);
    if (json->depth == json->max_depth) {
        json->at--;
        return json_fail(json, "nested deeper than %u", json->max_depth);
    }
    uint64_t bit = UINT64_C(1) << json->depth;
    json->objects = bracket == '{' ? json->objects | bit : json->objects & ~bit;
    json->depth++;
    json->first = true;
    return true;
}

bool json_enter_object(struct json *json)
{
    return enter(json, '{', "expected an object");
}

bool json_enter_array(struct json *json)
{
    return enter(json, '[', "expected an array");
}

static inline bool in_object(const struct json *json)
{
    return json->depth > 0 && (json->objects >> (json->depth - 1) & 1);
}

/* Leaves the innermost container, or takes the comma that is due before its next member. */
static inline bool next(struct json *json, char bracket, const char *expected)
{
    if (json->failed)
        return false;
    if (!json->first && json->at < json->end && *json->at == ',') { /* the usual case */
        json->at++;
        return true;
    }
    if (take(json, bracket)) {
        json->depth--;
        json->first = false;
        return false;
    }
    if (!json->first && !take(json, ','))
        return fail_at(json, json->at, expected);
    json->first = false;
    return true;
}

bool json_next_element(struct json *json)
{
    assert(json->failed || (json->depth > 0 && !in_object(json)));
    return next(json, ']', "expected ',' or ']'");
}

static bool next_key(struct json *json, struct json_text *ret_key)
{
    assert(json->failed || in_object(json));
    struct json_text key;
    if (!next(json, '}', "expected ',' or '}'"))
        return false;
    if (json_peek(json) != JSON_STRING)
        return fail_at(json, json->at, "expected a key");
    if (!json_text(json, &key))
        return false;
    if (!take(json, ':'))
        return fail_at(json, json->at, "expected ':'");
    *ret_key = key;
    return true;
}

/* The string that the text means. */
static bool unescape(struct json *json, const struct json_text *text, struct span *ret_string)
{
    if (!text->escaped) {
        *ret_string = text->raw;
        return true;
    }
    char *copy = json->arena ? arena_alloc(json->arena, text->size) : NULL;
    if (!copy) {
        json->failed = true;
        return error_no_memory(json->error);
    }
    json_text_copy(text, copy);
    *ret_string = (struct span){copy, text->size};
    return true;
}

bool json_next_key(struct json *json, struct span *ret_key)
{
    struct json_text key;
    if (!next_key(json, &key))
        return false;
    if (key.nul)
        return fail_at(json, key.raw.data, "\\u0000 in a key");
    return unescape(json, &key, ret_key);
}

static bool hex4(const char *at, const char *end, uint32_t *ret_value)
{
    uint32_t value = 0;
    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit > 15)
            return false;
        value = value << 4 | digit;
    }
    *ret_value = value;
    return true;
}

/* Reads what follows "\u", both halves of a surrogate pair. Returns where it ends, NULL when it is
 * malformed or a lone surrogate. */
static const char *unicode_escape(const char *at, const char *end, uint32_t *ret_code_point)
{
    uint32_t high, low;
    if (!hex4(at, end, &high))
        return NULL;
    at += 4;
    if (high >= 0xd800 && high <= 0xdfff) {
        if (high > 0xdbff || end - at < 6 || at[0] != '\\' || at[1] != 'u' ||
            !hex4(at + 2, end, &low) || low < 0xdc00 || low > 0xdfff)
            return NULL;
        at += 6;
        high = 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
    }
    *ret_code_point = high;
    return at;
}

/* Reads what follows a backslash. Returns where it ends, NULL when it is no escape. */
static const char *escape(const char *at, const char *end, uint32_t *ret_code_point)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (at == end)
        return NULL;
    if (*at == 'u')
        return unicode_escape(at + 1, end, ret_code_point);
    const char *letter = memchr(letters, *at, sizeof letters - 1);
    if (!letter)
        return NULL;
    *ret_code_point = (unsigned char)meanings[letter - letters];
    return at + 1;
}

static inline bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* Takes one character that is not plain; false at the closing quote and after a failure. */
static bool take_special(struct json *json, struct json_text *text)
{
    const char *at = json->at;
    if (at == json->end)
        return fail_at(json, at, "expected '\"'");
    if (*at == '"')
        return false;
    if (*at == '\\') {
        uint32_t code_point;
        char encoded[4];
        json->at = escape(at + 1, json->end, &code_point);
        if (!json->at)
            return fail_at(json, at, "malformed escape in a string");
        size_t size = utf8_encode(code_point, encoded);
        text->size -= (size_t)(json->at - at) - size;
        text->escaped = true;
        text->nul |= code_point == 0;
        return true;
    }
    size_t size = utf8_char_size(at, json->end);
    if (size < 2)
        return fail_at(json, at, size ? "control character in a string" : "malformed UTF-8");
    json->at += size;
    return true;
}

bool json_text(struct json *json, struct json_text *ret_text)
{
    if (json->failed)
        return false;
    if (!take(json, '"'))
        return fail_at(json, json->at, "expected a string");
    struct json_text text = {.raw.data = json->at};
    do {
        while (json->at < json->end && is_plain(*json->at))
            json->at++;
    } while (take_special(json, &text));
    if (json->failed)
        return false;
    text.raw.size = (size_t)(json->at - text.raw.data);
    text.size += text.raw.size; /* so far it held, modulo 2^64, what escapes make shorter */
    json->at++;
    *ret_text = text;
    return true;
}

void json_text_copy(const struct json_text *text, char *to)
{
    const char *at = text->raw.data, *end = at + text->raw.size;
    while (at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((backslash ? backslash : end) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (backslash) {
            uint32_t code_point = 0;
            at = escape(at + 1, end, &code_point);
            to += utf8_encode(code_point, to);
        }
    }
}

bool json_string_with_nul(struct json *json, struct span *ret_string)
{
    struct json_text text;
    return json_text(json, &text) && unescape(json, &text, ret_string);
}

bool json_string(struct json *json, struct span *ret_string)
{
    struct json_text text;
    if (!json_text(json, &text))
        return false;
    if (text.nul)
        return fail_at(json, text.raw.data, "\\u0000 in a string");
    return unescape(json, &text, ret_string);
}

static bool fail_number(struct json *json)
{
    struct span rest = {json->at, (size_t)(json->end - json->at)};
    if (rest.size && *rest.data == '-')
        rest = span_after(rest, 1);
    if (span_starts_with(rest, SPAN("NaN")) || span_starts_with(rest, SPAN("Infinity")))
        return json_fail(json,
                         "expected a number (JSON has no NaN, no Infinity: send binary data)");
    return json_fail(json,
                     json_peek(json) == JSON_NUMBER ? "malformed number" : "expected a number");
}

bool json_number(struct json *json, struct number *ret_number)
{
    if (json->failed)
        return false;
    skip_blanks(json);
    if (!number_scan((struct span){json->at, (size_t)(json->end - json->at)}, ret_number))
        return fail_number(json);
    json->at += ret_number->text.size;
    return true;
}

static bool fail_range(struct json *json, const struct number *number, const char *expected)
{
    json->at = number->text.data;
    return json_fail(json, "expected %s", expected);
}

bool json_double(struct json *json, double *ret_value)
{
    struct number number;
    if (!json_number(json, &number))
        return false;
    return number_to_double(&number, ret_value) ||
           fail_range(json, &number, "a number within the range of a double");
}

bool json_i64(struct json *json, int64_t *ret_value)
{
    struct number number;
    if (!json_number(json, &number))
        return false;
    return number_to_i64(&number, ret_value) || fail_range(json, &number, "an integer of 64 bits");
}

bool json_u64(struct json *json, uint64_t *ret_value)
{
    struct number number;
    if (!json_number(json, &number))
        return false;
    return number_to_u64(&number, ret_value) ||
           fail_range(json, &number, "a non-negative integer of 64 bits");
}

static bool take_word(struct json *json, struct span word)
{
    struct span rest = {json->at, (size_t)(json->end - json->at)};
    if (!span_starts_with(rest, word))
        return false;
    json->at += word.size;
    return true;
}

bool json_bool(struct json *json, bool *ret_value)
{
    if (json->failed)
        return false;
    skip_blanks(json);
    bool value = take_word(json, SPAN("true"));
    if (!value && !take_word(json, SPAN("false")))
        return fail_at(json, json->at, "expected true or false");
    *ret_value = value;
    return true;
}

bool json_null(struct json *json)
{
    if (json->failed)
        return false;
    skip_blanks(json);
    return take_word(json, SPAN("null")) || fail_at(json, json->at, "expected null");
}

/* What stands behind a comma, and behind the one blank that some writers put there. */
static inline const char *behind_comma(const char *at, const char *end)
{
    at++;
    return at + (at < end && *at == ' ');
}

/* Skips a number, and in an array deeper than `floor` the numbers that follow: a tensor's are many.
 */
static bool skip_numbers(struct json *json, uint32_t floor)
{
    const char *at = number_skip(json->at, json->end), *next = at;
    if (!at)
        return fail_number(json);
    bool in_array = json->depth > floor && !in_object(json);
    while (in_array && next) {
        at = next;
        next = at < json->end && *at == ',' ? number_skip(behind_comma(at, json->end), json->end)
                                            : NULL;
    }
    json->at = at;
    return true;
}

/* Reads a scalar whole, of a container only the bracket; `floor` is where the skipping began. */
static bool skip_one(struct json *json, uint32_t floor)
{
    struct json_text text;
    bool truth;
    switch (json_peek(json)) {
    case JSON_OBJECT:
        return json_enter_object(json);
    case JSON_ARRAY:
        return json_enter_array(json);
    case JSON_STRING:
        return json_text(json, &text);
    case JSON_NUMBER:
        return skip_numbers(json, floor);
    case JSON_BOOL:
        return json_bool(json, &truth);
    case JSON_NULL:
        return json_null(json);
    case JSON_NONE:
        break;
    }
    return json->failed ? false : fail_at(json, json->at, "expected a value");
}

/* Goes to the next value deeper than `floor`; false when there is none, and after a failure. */
static bool skip_to_next(struct json *json, uint32_t floor)
{
    struct json_text key;
    while (json->depth > floor && !json->failed) {
        if (in_object(json) ? next_key(json, &key) : json_next_element(json))
            return true;
    }
    return false;
}

bool json_skip(struct json *json, struct span *ret_value)
{
    if (json->failed)
        return false;
    skip_blanks(json);
    const char *start = json->at;
    uint32_t floor = json->depth;
    while (skip_one(json, floor) && skip_to_next(json, floor))
        ;
    if (json->failed)
        return false;
    if (ret_value)
        *ret_value = (struct span){start, (size_t)(json->at - start)};
    return true;
}

bool json_members(struct json *json, json_member *member, void *context)
{
    struct span key = SPAN("");
    json_enter_object(json);
    while (json_next_key(json, &key) && member(context, key))
        continue;
    return json_ok(json);
}

bool json_read_object(struct json *json, struct span text, struct arena *arena, struct error *error,
                      json_member *member, void *context)
{
    json_init(json, text, JSON_MAX_DEPTH, arena, error);
    return json_members(json, member, context) && json_end(json);
}

/* Where the array ends that starts at `at`, by its brackets; NULL when it does not, or a string is
 * in it, in which brackets are none. By blocks, each of which stays near while it is searched. */
static const char *bracket_end(const char *at, const char *end)
{
    enum { BLOCK_BYTES = 8192 };
    size_t depth = 0;
    while (at < end) {
        size_t size = end - at < BLOCK_BYTES ? (size_t)(end - at) : BLOCK_BYTES;
        const char *close = memchr(at, ']', size), *stop = close ? close : at + size;
        if (memchr(at, '"', (size_t)(stop - at)))
            return NULL;
        for (; (at = memchr(at, '[', (size_t)(stop - at))); at++)
            depth++;
        at = close ? close + 1 : stop;
        if (close && --depth == 0)
            return at;
    }
    return NULL;
}

bool json_skip_unread(struct json *json, struct span *ret_value)
{
    const char *end = json_peek(json) == JSON_ARRAY ? bracket_end(json->at, json->end) : NULL;
    if (!end)
        return json_skip(json, ret_value);
    *ret_value = (struct span){json->at, (size_t)(end - json->at)};
    json->at = end;
    return true;
}

bool json_end(struct json *json)
{
    if (json->failed)
        return false;
    assert(json->depth == 0);
    skip_blanks(json);
    return json->at == json->end || fail_at(json, json->at, "expected nothing more");
}
