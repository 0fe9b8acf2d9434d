/* The JSON writer; see json_writer.h. */
#include "codec/json_writer.h"

#include "base/utf8.h"
#include "codec/number.h"

#include <assert.h>
#include <math.h>

void json_writer_init(struct json_writer *writer, struct buf *buf)
{
    *writer = (struct json_writer){.buf = buf};
}

/* Room for `size` bytes after the comma that may be due; NULL when there is none. What is written
 * there ends with done(). */
static inline char *room(struct json_writer *writer, size_t size)
{
    char *to = buf_reserve(writer->buf, size + 1);
    if (to && writer->comma) {
        *to++ = ',';
        writer->buf->size++;
    }
    return to;
}

static inline void done(struct json_writer *writer, size_t size)
{
    writer->buf->size += size;
    writer->comma = true;
}

void json_put_raw(struct json_writer *writer, struct span value)
{
    if (writer->comma)
        buf_append_char(writer->buf, ',');
    buf_append(writer->buf, value);
    writer->comma = true;
}

static void put_open(struct json_writer *writer, struct span bracket)
{
    json_put_raw(writer, bracket);
    writer->comma = false;
}

static void put_close(struct json_writer *writer, char bracket)
{
    buf_append_char(writer->buf, bracket);
    writer->comma = true;
}

void json_put_object(struct json_writer *writer)
{
    put_open(writer, SPAN("{"));
}

void json_put_object_end(struct json_writer *writer)
{
    put_close(writer, '}');
}

void json_put_array(struct json_writer *writer)
{
    put_open(writer, SPAN("["));
}

void json_put_array_end(struct json_writer *writer)
{
    put_close(writer, ']');
}

bool json_put_name(struct json_writer *writer, struct span name)
{
    if (!json_put_string(writer, name))
        return false;
    buf_append_char(writer->buf, ':');
    writer->comma = false;
    return true;
}

void json_put_key(struct json_writer *writer, struct span key)
{
    bool valid = json_put_name(writer, key);
    assert(valid);
}

/* The letter of the two-byte escape of c, 'u' when it has none, 0 when c stands for itself. */
static char escape_letter(char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return (unsigned char)c < 0x20 ? 'u' : 0;
    }
}

/* How many bytes longer the text becomes by escaping. */
static size_t escapes_size(struct span text)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char letter = escape_letter(text.data[i]);
        size += letter == 'u' ? 5 : letter != 0;
    }
    return size;
}

/* Makes the `size` bytes at `text` `more` bytes longer by escaping them in place, from the end. */
static void escape_in_place(char *text, size_t size, size_t more)
{
    static const char hex[] = "0123456789abcdef";
    const char *from = text + size;
    char *to = text + size + more;
    while (to > from) {
        char c = *--from;
        char letter = escape_letter(c);
        if (letter == 'u') {
            to -= 6;
            memcpy(to, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        } else if (letter) {
            *--to = letter;
            *--to = '\\';
        } else {
            *--to = c;
        }
    }
}

/* Copies first and looks afterwards, at the copy: the original may change at any time. */
bool json_put_string(struct json_writer *writer, struct span string)
{
    struct buf *buf = writer->buf;
    size_t quotes = 2 + (size_t)writer->comma;
    char *to = buf_reserve(buf, string.size > SIZE_MAX - quotes ? SIZE_MAX : string.size + quotes);
    if (!to)
        return true;
    size_t head = quotes - 1;
    if (string.size)
        memcpy(to + head, string.data, string.size);
    struct span copy = {to + head, string.size};
    if (!utf8_valid(copy))
        return false;
    size_t more = escapes_size(copy);
    to = buf_reserve(buf, string.size + quotes + more);
    if (!to)
        return true;
    escape_in_place(to + head, string.size, more);
    to[0] = ','; /* or, when none is due, the quote */
    to[head - 1] = '"';
    to[head + string.size + more] = '"';
    done(writer, head + string.size + more + 1);
    return true;
}

void json_put_i64(struct json_writer *writer, int64_t value)
{
    char *to = room(writer, NUMBER_MAX_CHARS);
    if (to)
        done(writer, number_print_i64(value, to));
}

void json_put_u64(struct json_writer *writer, uint64_t value)
{
    char *to = room(writer, NUMBER_MAX_CHARS);
    if (to)
        done(writer, number_print_u64(value, to));
}

void json_put_bool(struct json_writer *writer, bool value)
{
    json_put_raw(writer, value ? SPAN("true") : SPAN("false"));
}

void json_put_null(struct json_writer *writer)
{
    json_put_raw(writer, SPAN("null"));
}

static bool put_nonfinite(struct json_writer *writer, double value)
{
    if (!writer->write_nonfinite)
        return false;
    json_put_raw(writer, isnan(value)  ? SPAN("NaN")
                         : value > 0.0 ? SPAN("Infinity")
                                       : SPAN("-Infinity"));
    return true;
}

bool json_put_double(struct json_writer *writer, double value)
{
    if (!isfinite(value))
        return put_nonfinite(writer, value);
    char *to = room(writer, NUMBER_MAX_CHARS);
    if (to)
        done(writer, number_print_double(value, to));
    return true;
}

bool json_put_float(struct json_writer *writer, float value)
{
    if (!isfinite(value))
        return put_nonfinite(writer, (double)value);
    char *to = room(writer, NUMBER_MAX_CHARS);
    if (to)
        done(writer, number_print_float(value, to));
    return true;
}

/* ---- members ---- */

void json_put_member_string(struct json_writer *writer, struct span key, struct span value)
{
    json_put_key(writer, key);
    if (!json_put_string(writer, value))
        json_put_string(writer, SPAN("?"));
}

void json_put_member_u64(struct json_writer *writer, struct span key, uint64_t value)
{
    json_put_key(writer, key);
    json_put_u64(writer, value);
}

void json_put_member_double(struct json_writer *writer, struct span key, double value)
{
    json_put_key(writer, key);
    if (!json_put_double(writer, value))
        json_put_null(writer);
}

void json_put_member_bool(struct json_writer *writer, struct span key, bool value)
{
    json_put_key(writer, key);
    json_put_bool(writer, value);
}
