/* Settings as text; see print.h. */
#include "settings/print.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <string.h>

/* A text that YAML takes as it stands: nothing in it means anything else, and it is no null. */
static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (i == 0 ? c != '/' : !strchr("/._-", c)))
            return false;
    }
    return text.size && !span_equal(text, SPAN("null"));
}

/* The code point of a valid character of that many bytes. */
static unsigned code_point(const char *at, size_t size)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned value = (unsigned char)at[0] & masks[size];
    for (size_t i = 1; i < size; i++)
        value = value << 6 | ((unsigned char)at[i] & 0x3fu);
    return value;
}

/* Characters that YAML does not allow as they stand (YAML 1.1 §5.1), or takes for line breaks. */
static bool must_be_escaped(unsigned c)
{
    return (c >= 0x80 && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe ||
           c == 0xffff;
}

/* Texts hold no control character of ASCII: setting_store has seen to that. Bytes that are no
 * UTF-8, which a path may have, are printed as they are. */
static void print_text(struct buf *to, struct span text)
{
    if (is_plain(text)) {
        buf_append(to, text);
        return;
    }
    buf_append_char(to, '"');
    while (text.size) {
        size_t size = utf8_char_size(text.data, text.data + text.size);
        unsigned c = size ? code_point(text.data, size) : 0;
        if (c == '"' || c == '\\')
            buf_append_char(to, '\\');
        if (must_be_escaped(c))
            buf_printf(to, "\\u%04X", c);
        else
            buf_append(to, (struct span){text.data, size ? size : 1});
        text = span_after(text, size ? size : 1);
    }
    buf_append_char(to, '"');
}

static void print_list(struct buf *to, const struct setting_list *list)
{
    buf_append_char(to, '[');
    for (size_t i = 0; i < list->count; i++) {
        buf_append(to, i ? SPAN(", ") : SPAN(""));
        print_text(to, span_of(list->items[i]));
    }
    buf_append_char(to, ']');
}

bool setting_print(struct buf *to, const struct settings *settings, const struct setting *row)
{
    const void *field = setting_value(settings, row);
    switch (row->type) {
    case SETTING_TEXT:
    case SETTING_CHOICE:
        print_text(to, span_of(*(const char *const *)field));
        break;
    case SETTING_LIST:
        print_list(to, field);
        break;
    case SETTING_NUMBER:
        buf_printf(to, "%" PRId64, *(const int64_t *)field);
        break;
    case SETTING_SWITCH:
        buf_append(to, *(const bool *)field ? SPAN("true") : SPAN("false"));
        break;
    case SETTING_SECTION:
        break;
    }
    return buf_ok(to);
}

bool setting_print_source(struct buf *to, const struct settings *settings,
                          const struct setting *row)
{
    char name[SETTING_NAME_BYTES];
    size_t index = (size_t)(row - setting_rows);
    switch (settings->sources[index]) {
    case SETTING_DEFAULT:
        return buf_append(to, SPAN("default"));
    case SETTING_FILE:
        return buf_printf(to, "%s, line %u", settings->config, settings->lines[index]);
    case SETTING_ENVIRONMENT:
        return buf_append(to, span_of(setting_variable(row, name)));
    case SETTING_FLAG:
        break;
    }
    return buf_append(to, span_of(setting_flag(row, name)));
}
