/* The format of log lines; see log_line.h. */
#include "telemetry/log_line.h"

#include "base/utf8.h"

#include <stdio.h>

enum {
    TAIL_BYTES = 8,      /* for what ends a line */
    FIELDS_BYTES = 1024, /* for what stands behind the message */
};

struct writer {
    char *to;
    size_t size;
    size_t limit;
    bool json;
};

static const char *const level_names[] = {"debug", "info", "warning", "error"};
static const char *const level_colours[] = {"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};

/* All of the text, or nothing. */
static bool put(struct writer *writer, struct span text)
{
    if (writer->size + text.size > writer->limit)
        return false;
    memcpy(writer->to + writer->size, text.data, text.size);
    writer->size += text.size;
    return true;
}

/* The length of the character at the start of text; 0 when it is none that may be written as it is:
 * control characters, of which terminals obey C1 (U+0080 to U+009F) too, and what is not UTF-8. */
static size_t character_size(struct span text)
{
    size_t size = utf8_char_size(text.data, text.data + text.size);
    unsigned char first = (unsigned char)text.data[0];
    if (size == 1)
        return first >= 0x20 && first != 0x7f;
    bool is_c1 = size == 2 && first == 0xc2 && (unsigned char)text.data[1] < 0xa0;
    return is_c1 ? 0 : size;
}

static bool put_escaped(struct writer *writer, unsigned char c)
{
    char text[8];
    int size = snprintf(text, sizeof text, writer->json ? "\\u%04x" : "\\x%02x", c);
    return put(writer, (struct span){text, (size_t)size});
}

/* Text from anybody. */
static void put_text(struct writer *writer, struct span text)
{
    while (text.size) {
        size_t size = character_size(text);
        bool quoted = size == 1 && writer->json && (text.data[0] == '"' || text.data[0] == '\\');
        bool fits = size == 0 ? put_escaped(writer, (unsigned char)text.data[0])
                    : quoted  ? put(writer, (struct span){(char[]){'\\', text.data[0]}, 2})
                              : put(writer, (struct span){text.data, size});
        if (!fits)
            return;
        text = span_after(text, size ? size : 1);
    }
}

static void put_date(struct writer *writer, const struct timespec *time)
{
    char date[40];
    struct tm utc;
    gmtime_r(&time->tv_sec, &utc);
    size_t digits = strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    int rest = snprintf(date + digits, sizeof date - digits, ".%03ldZ", time->tv_nsec / 1000000);
    put(writer, (struct span){date, digits + (size_t)rest});
}

static void put_json_field(struct writer *writer, const struct log_field *field)
{
    size_t before = writer->size;
    put(writer, SPAN(",\""));
    put(writer, span_of(field->name));
    put(writer, field->number ? SPAN("\":") : SPAN("\":\""));
    put_text(writer, field->value);
    if (!field->number && !put(writer, SPAN("\"")))
        writer->size = before; /* half a field is none */
}

static void write_json(struct writer *writer, const struct log_line *line)
{
    put(writer, SPAN("{\"time\":\""));
    put_date(writer, &line->time);
    put(writer, SPAN("\",\"level\":\""));
    put(writer, span_of(level_names[line->level]));
    put(writer, SPAN("\",\"part\":\""));
    writer->limit -= FIELDS_BYTES;
    put_text(writer, span_of(line->part));
    put(writer, SPAN("\",\"message\":\""));
    put_text(writer, line->message);
    writer->limit += FIELDS_BYTES;
    put(writer, SPAN("\""));
    for (size_t i = 0; i < line->field_count; i++)
        put_json_field(writer, &line->fields[i]);
    writer->limit += TAIL_BYTES;
    put(writer, SPAN("}\n"));
}

static void write_text(struct writer *writer, const struct log_line *line, bool colour)
{
    char level[16];
    snprintf(level, sizeof level, "%-7s", level_names[line->level]);
    put_date(writer, &line->time);
    put(writer, SPAN(" "));
    if (colour)
        put(writer, span_of(level_colours[line->level]));
    put(writer, span_of(level));
    if (colour)
        put(writer, SPAN("\x1b[0m"));
    put(writer, SPAN(" "));
    writer->limit -= FIELDS_BYTES;
    put_text(writer, span_of(line->part));
    put(writer, SPAN(": "));
    put_text(writer, line->message);
    writer->limit += FIELDS_BYTES;
    for (size_t i = 0; i < line->field_count; i++) {
        put(writer, SPAN(" "));
        put(writer, span_of(line->fields[i].name));
        put(writer, SPAN("="));
        put_text(writer, line->fields[i].value);
    }
    writer->limit += TAIL_BYTES;
    put(writer, SPAN("\n"));
}

size_t log_line_write(const struct log_line *line, bool json, bool colour, char to[LOG_LINE_BYTES])
{
    struct writer writer = {to, 0, LOG_LINE_BYTES - TAIL_BYTES, json};
    if (json)
        write_json(&writer, line);
    else
        write_text(&writer, line, colour);
    return writer.size;
}
