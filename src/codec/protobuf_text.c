/* The text format's reader; see protobuf_text.h.
 *
 * One loop: each turn reads a field, or leaves a message. Messages that are open stand in a fixed
 * stack, so that nesting costs no C stack. */
#include "codec/protobuf_text.h"
#include "base/utf8.h"
#include "codec/protobuf_scalar.h"
#include "codec/protobuf_slot.h"
#include "codec/suggest.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

struct frame {
    const struct pb_message *table;
    void *message;
    const struct pb_field *list; /* the message stands in a list [ ] of this field's values */
    uint64_t seen;               /* bit i: table->fields[i] was given */
    char close;                  /* '}' or '>'; 0 for the outermost */
};

struct reader {
    const char *at, *end, *start;
    const char *token; /* where the last name or value began: errors point there */
    struct arena *arena;
    struct error *error;
    size_t depth;
    struct frame frames[PB_MAX_DEPTH];
};

/* Puts line and column before a sentence. */
static bool fail(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool fail(struct reader *reader, const char *format, ...)
{
    char sentence[400];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    size_t line = 1, column = 1;
    for (const char *at = reader->start; at < reader->token; at++) {
        column = *at == '\n' ? 1 : column + 1;
        line += *at == '\n';
    }
    return error_set(reader->error, ERROR_INVALID_ARGUMENT, "line %zu, column %zu: %s", line,
                     column, sentence);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Skips blanks and comments; the next token begins here. */
static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end) {
        if (*reader->at == '#') {
            while (reader->at < reader->end && *reader->at != '\n')
                reader->at++;
        } else if (!is_blank(*reader->at)) {
            break;
        } else {
            reader->at++;
        }
    }
    reader->token = reader->at;
}

/* Takes the character when it comes next. */
static bool take(struct reader *reader, char c)
{
    skip_blanks(reader);
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Takes a name, or a number: letters, digits and what numbers are written with. */
static struct span take_word(struct reader *reader, const char *also)
{
    skip_blanks(reader);
    while (reader->at < reader->end &&
           (is_word(*reader->at) || (*reader->at && strchr(also, *reader->at))))
        reader->at++;
    return (struct span){reader->token, (size_t)(reader->at - reader->token)};
}

/* ---- strings ---- */

/* Reads up to `most` digits of the base; returns how many. */
static size_t read_digits(struct reader *reader, uint32_t base, size_t most, uint32_t *ret_value)
{
    size_t count = 0;
    uint32_t value = 0;
    for (; count < most && reader->at < reader->end; count++, reader->at++) {
        char c = *reader->at;
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit >= base)
            break;
        value = value * base + digit;
    }
    *ret_value = value;
    return count;
}

/* Reads \u and \U: a code point of exactly `digits` digits. */
static bool read_code_point(struct reader *reader, size_t digits, char **to)
{
    uint32_t value;
    if (read_digits(reader, 16, digits, &value) != digits || value > 0x10ffff ||
        (value >= 0xd800 && value < 0xe000))
        return fail(reader, "the string has a bad escape");
    *to += utf8_encode(value, *to);
    return true;
}

/* Reads what follows a backslash. */
static bool read_escape(struct reader *reader, char **to)
{
    static const char letters[] = "abfnrtv\\'\"?", meanings[] = "\a\b\f\n\r\t\v\\'\"?";
    uint32_t value;
    if (read_digits(reader, 8, 3, &value) > 0) {
        *(*to)++ = (char)value;
        return value <= 0xff || fail(reader, "the string has a bad escape");
    }
    char c = reader->at < reader->end ? *reader->at++ : '\0';
    if (c == 'u' || c == 'U')
        return read_code_point(reader, c == 'u' ? 4 : 8, to);
    if (c == 'x' && read_digits(reader, 16, 2, &value) > 0) {
        *(*to)++ = (char)value;
        return true;
    }
    const char *letter = c ? strchr(letters, c) : NULL;
    if (!letter)
        return fail(reader, "the string has a bad escape");
    *(*to)++ = meanings[letter - letters];
    return true;
}

/* Reads one string, whose quote was taken. What it means is never longer than how it is written. */
static bool read_quoted(struct reader *reader, char quote, char **to)
{
    while (reader->at < reader->end && *reader->at != '\n') {
        char c = *reader->at++;
        if (c == quote)
            return true;
        if (c != '\\')
            *(*to)++ = c;
        else if (!read_escape(reader, to))
            return false;
    }
    return fail(reader, "the string has no end on its line");
}

/* A bound for the size of all strings that follow each other from here, blanks and comments between
 * them included. */
static size_t strings_bound(const struct reader *reader)
{
    const char *at = reader->at;
    char inside = '\0'; /* a quote, or '#' in a comment */
    for (; at < reader->end; at++) {
        if (inside && inside != '#' && *at == '\\' && at + 1 < reader->end)
            at++;
        else if (inside && (*at == inside || *at == '\n'))
            inside = *at == '#' ? '#' : '\0';
        else if (!inside && (*at == '"' || *at == '\'' || *at == '#'))
            inside = *at;
        else if (!inside && !is_blank(*at))
            break;
    }
    return (size_t)(at - reader->at);
}

static bool read_string(struct reader *reader, const struct pb_field *field, struct span *slot)
{
    size_t bound = strings_bound(reader);
    char *text = arena_alloc(reader->arena, bound), *to = text;
    if (!text)
        return error_no_memory(reader->error);
    size_t pieces = 0;
    for (;; pieces++) {
        char quote = take(reader, '"') ? '"' : take(reader, '\'') ? '\'' : '\0';
        if (!quote)
            break;
        if (!read_quoted(reader, quote, &to))
            return false;
    }
    if (pieces == 0)
        return fail(reader, "'%.*s' must be a string in quotes", SPAN_ARGS(field->name));
    struct span string = {text, (size_t)(to - text)};
    assert(string.size <= bound);
    if (field->type == PB_STRING && !utf8_valid(string))
        return fail(reader, "'%.*s' is not UTF-8", SPAN_ARGS(field->name));
    if (field->type == PB_STRING && memchr(text, '\0', string.size))
        return fail(reader, "'%.*s' has a NUL character", SPAN_ARGS(field->name));
    *slot = string;
    return true;
}

/* ---- fields ---- */

static bool read_scalar(struct reader *reader, const struct pb_field *field, void *message)
{
    void *slot = pb_slot_add(field, message, reader->arena, 1);
    if (!slot)
        return error_no_memory(reader->error);
    if (field->type == PB_STRING || field->type == PB_BYTES)
        return read_string(reader, field, slot);
    struct span word = take_word(reader, "+-.");
    struct error error;
    if (word.size == 0)
        return fail(reader, "'%.*s' has no value", SPAN_ARGS(field->name));
    return pb_scalar_read(field, word, slot, &error) || fail(reader, "%s", error.message);
}

/* Enters a message that opens here; list: it stands in a list of this field. */
static bool enter(struct reader *reader, const struct pb_field *field, void *message,
                  const struct pb_field *list)
{
    char close = take(reader, '{') ? '}' : take(reader, '<') ? '>' : '\0';
    if (!close)
        return fail(reader, "'%.*s' must be a message: %.*s { … }", SPAN_ARGS(field->name),
                    SPAN_ARGS(field->name));
    if (reader->depth + 1 == PB_MAX_DEPTH)
        return fail(reader, "messages nest too deep");
    void *slot = pb_slot_add(field, message, reader->arena, 1);
    if (!slot)
        return error_no_memory(reader->error);
    reader->frames[++reader->depth] =
        (struct frame){.table = field->message, .message = slot, .list = list, .close = close};
    return true;
}

static void take_separator(struct reader *reader)
{
    if (!take(reader, ','))
        take(reader, ';');
}

static bool read_scalar_list(struct reader *reader, const struct pb_field *field, void *message)
{
    if (take(reader, ']'))
        return true;
    do {
        if (!read_scalar(reader, field, message))
            return false;
    } while (take(reader, ','));
    return take(reader, ']') || fail(reader, "']' is missing");
}

/* Refuses what may be given once and was given before. */
static bool check_once(struct reader *reader, struct frame *frame, const struct pb_field *field)
{
    uint64_t bit = UINT64_C(1) << ((size_t)(field - frame->table->fields) % 64);
    if (!field->repeated && frame->seen & bit)
        return fail(reader, "'%.*s' is given twice", SPAN_ARGS(field->name));
    frame->seen |= bit;
    const char *message = frame->message;
    if (field->presence == PB_ONEOF &&
        *(const uint32_t *)(const void *)(message + field->presence_offset) != 0)
        return fail(reader, "'%.*s' excludes another choice that is given", SPAN_ARGS(field->name));
    return true;
}

static bool read_value(struct reader *reader, const struct pb_field *field, struct frame *frame)
{
    bool colon = take(reader, ':');
    if (!colon && field->type != PB_MESSAGE)
        return fail(reader, "':' is missing after '%.*s'", SPAN_ARGS(field->name));
    bool list = field->repeated && take(reader, '[');
    if (field->type == PB_MESSAGE) {
        if (list && take(reader, ']'))
            return true;
        return enter(reader, field, frame->message, list ? field : NULL);
    }
    if (!(list ? read_scalar_list(reader, field, frame->message)
               : read_scalar(reader, field, frame->message)))
        return false;
    take_separator(reader);
    return true;
}

static bool read_field(struct reader *reader, struct frame *frame)
{
    struct span name = take_word(reader, "");
    if (name.size == 0)
        return fail(reader, "the name of a field is expected");
    const struct pb_field *field = pb_field_of_name(frame->table, name);
    if (!field) {
        char hint[96];
        return fail(reader, "unknown field '%.*s'%s", SPAN_ARGS(suggest_cut(name)),
                    suggest_field(frame->table, name, hint, sizeof hint));
    }
    return check_once(reader, frame, field) && read_value(reader, field, frame);
}

/* Leaves a message that closes here; in a list, goes on to the next one. */
static bool leave(struct reader *reader)
{
    const struct pb_field *list = reader->frames[reader->depth--].list;
    if (list && take(reader, ','))
        return enter(reader, list, reader->frames[reader->depth].message, list);
    if (list && !take(reader, ']'))
        return fail(reader, "']' is missing");
    take_separator(reader);
    return true;
}

bool pb_text_read(const struct pb_message *table, struct span text, struct arena *arena,
                  void *message, struct error *ret_error)
{
    if (!text.data)
        text.data = "";
    struct reader reader;
    reader.at = reader.start = reader.token = text.data;
    reader.end = text.data + text.size;
    reader.arena = arena;
    reader.error = ret_error;
    reader.depth = 0;
    reader.frames[0] = (struct frame){.table = table, .message = message};
    for (;;) {
        struct frame *frame = &reader.frames[reader.depth];
        skip_blanks(&reader);
        if (reader.at == reader.end) {
            if (reader.depth == 0)
                return true;
            return fail(&reader, "'%c' is missing", frame->close);
        }
        bool closes = reader.depth > 0 && take(&reader, frame->close);
        if (!(closes ? leave(&reader) : read_field(&reader, frame)))
            return false;
    }
}
