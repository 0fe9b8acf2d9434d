/* Reading settings by the table; see settings.h. */
#include "settings/settings.h"

#include "base/span.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

enum setting_type { TYPE_TEXT, TYPE_CHOICE, TYPE_NUMBER, TYPE_SWITCH };

enum { NAME_BYTES = 64 };

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset; /* in struct settings */
    const char *text_default;
    const char *choices; /* or what a text is, or a number's unit */
    int64_t number_default, lowest, highest;
    const char *help;
};

static const struct setting table[] = {
#define ROW_TEXT(name, text, what, help)                                                           \
    {#name, TYPE_TEXT, offsetof(struct settings, name), text, what, 0, 0, 0, help},
#define ROW_CHOICE(name, text, choices, help)                                                      \
    {#name, TYPE_CHOICE, offsetof(struct settings, name), text, choices, 0, 0, 0, help},
#define ROW_NUMBER(name, number, lowest, highest, unit, help)                                      \
    {#name,   TYPE_NUMBER, offsetof(struct settings, name), NULL, unit, number, lowest,            \
     highest, help},
#define ROW_SWITCH(name, help)                                                                     \
    {#name, TYPE_SWITCH, offsetof(struct settings, name), NULL, NULL, 0, 0, 0, help},
    SETTINGS(ROW_TEXT, ROW_CHOICE, ROW_NUMBER, ROW_SWITCH)};

enum { COUNT = sizeof table / sizeof *table };

static void *field(struct settings *settings, const struct setting *row)
{
    return (char *)settings + row->offset;
}

static bool is_choice(const struct setting *row, const char *value)
{
    struct span rest = span_of(row->choices);
    while (rest.data) {
        if (span_equal(span_split(&rest, '|'), span_of(value)))
            return true;
    }
    return false;
}

/* "grpc_port" → "--grpc-port" */
static const char *flag_of(const struct setting *row, char text[NAME_BYTES])
{
    snprintf(text, NAME_BYTES, "--%s", row->name);
    for (char *c = text; *c; c++)
        *c = *c == '_' ? '-' : *c;
    return text;
}

static bool set_number(struct settings *settings, const struct setting *row, const char *value,
                       struct error *ret_error)
{
    char flag[NAME_BYTES];
    uint64_t number;
    if (!span_to_u64(span_of(value), &number) || number > (uint64_t)row->highest ||
        number < (uint64_t)row->lowest)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "%s wants a number from %" PRId64 " to %" PRId64 "%s%s, not '%s'",
                         flag_of(row, flag), row->lowest, row->highest, row->choices[0] ? " " : "",
                         row->choices, value);
    *(int64_t *)field(settings, row) = (int64_t)number;
    return true;
}

static bool set(struct settings *settings, const struct setting *row, const char *value,
                struct error *ret_error)
{
    char flag[NAME_BYTES];
    switch (row->type) {
    case TYPE_NUMBER:
        return set_number(settings, row, value, ret_error);
    case TYPE_SWITCH:
        *(bool *)field(settings, row) = true;
        return true;
    case TYPE_CHOICE:
        if (!is_choice(row, value))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s wants one of %s, not '%s'",
                             flag_of(row, flag), row->choices, value);
        break;
    case TYPE_TEXT:
        break;
    }
    *(const char **)field(settings, row) = value;
    return true;
}

static void set_defaults(struct settings *settings)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (table[i].type == TYPE_NUMBER)
            *(int64_t *)field(settings, &table[i]) = table[i].number_default;
        else if (table[i].type == TYPE_SWITCH)
            *(bool *)field(settings, &table[i]) = false;
        else
            *(const char **)field(settings, &table[i]) = table[i].text_default;
    }
}

static bool read_environment(struct settings *settings, struct error *ret_error)
{
    for (size_t i = 0; i < COUNT; i++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "TENSORD_%s", table[i].name);
        for (char *c = name; *c; c++)
            *c = *c >= 'a' && *c <= 'z' ? (char)(*c - ('a' - 'A')) : *c;
        const char *value = getenv(name);
        if (value && *value && !set(settings, &table[i], value, ret_error))
            return false;
    }
    return true;
}

/* Levenshtein's distance of two flags, for suggestions; both are short. */
static size_t distance(struct span a, struct span b)
{
    size_t row[NAME_BYTES + 1];
    if (a.size > NAME_BYTES || b.size > NAME_BYTES)
        return NAME_BYTES;
    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t best = diagonal + (a.data[i - 1] != b.data[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[b.size];
}

static bool unknown_flag(struct span flag, struct error *ret_error)
{
    char text[NAME_BYTES], nearest[NAME_BYTES] = "--help";
    size_t least = 4; /* further away is no suggestion */
    for (size_t i = 0; i < COUNT; i++) {
        size_t away = distance(flag, span_of(flag_of(&table[i], text)));
        if (away < least) {
            least = away;
            snprintf(nearest, sizeof nearest, "%s", text);
        }
    }
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "unknown option '%.*s'; %s %s",
                     SPAN_ARGS(flag), least < 4 ? "did you mean" : "see", nearest);
}

static const struct setting *find(struct span flag)
{
    char text[NAME_BYTES];
    for (size_t i = 0; i < COUNT; i++) {
        if (span_equal(flag, span_of(flag_of(&table[i], text))))
            return &table[i];
    }
    return NULL;
}

bool settings_read(struct settings *ret_settings, int count, char *const *arguments,
                   const char **ret_operand, struct error *ret_error)
{
    const char *operand = NULL;
    struct settings settings;
    set_defaults(&settings);
    if (!read_environment(&settings, ret_error))
        return false;
    for (int i = 0; i < count; i++) {
        const char *argument = arguments[i];
        if (argument[0] != '-' || argument[1] == '\0') {
            if (operand)
                return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                                 "one path is served, but '%s' and '%s' are given", operand,
                                 argument);
            operand = argument;
            continue;
        }
        struct span value = span_of(argument), flag = span_split(&value, '=');
        const struct setting *row = find(flag);
        if (!row)
            return unknown_flag(flag, ret_error);
        const char *text = value.data;
        if (!text && row->type != TYPE_SWITCH) {
            if (++i == count)
                return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s wants a value", argument);
            text = arguments[i];
        }
        if (!set(&settings, row, text, ret_error))
            return false;
    }
    *ret_settings = settings;
    *ret_operand = operand;
    return true;
}

void settings_help(FILE *to)
{
    for (size_t i = 0; i < COUNT; i++) {
        const struct setting *row = &table[i];
        char flag[NAME_BYTES], left[2 * NAME_BYTES];
        const char *value = row->type == TYPE_NUMBER   ? "N"
                            : row->type == TYPE_SWITCH ? ""
                                                       : row->choices;
        snprintf(left, sizeof left, "%s %s", flag_of(row, flag), value);
        fprintf(to, "  %-36s %s", left, row->help);
        if (row->type == TYPE_NUMBER)
            fprintf(to, " [%" PRId64 "%s%s]", row->number_default, row->choices[0] ? " " : "",
                    row->choices);
        else if (row->text_default && row->text_default[0])
            fprintf(to, " [%s]", row->text_default);
        fputc('\n', to);
    }
}
