/* The rows of table.def as an array; see row.h. */
#include "settings/row.h"

#include "codec/suggest.h"

#include <inttypes.h>
#include <stdio.h>

const struct setting setting_rows[SETTING_COUNT] = {
#define AT(name) offsetof(struct settings, name)
#define SECTION(name, title) {#name, SETTING_SECTION, RESTART, 0, NULL, NULL, 0, 0, 0, title},
#define TEXT(name, text, what, change, help)                                                       \
    {#name, SETTING_TEXT, change, AT(name), text, what, 0, 0, 0, help},
#define LIST(name, text, what, change, help)                                                       \
    {#name, SETTING_LIST, change, AT(name), text, what, 0, 0, 0, help},
#define CHOICE(name, text, choices, change, help)                                                  \
    {#name, SETTING_CHOICE, change, AT(name), text, choices, 0, 0, 0, help},
#define NUMBER(name, number, lowest, highest, unit, change, help)                                  \
    {#name, SETTING_NUMBER, change, AT(name), NULL, unit, number, lowest, highest, help},
#define SWITCH(name, on, change, help)                                                             \
    {#name, SETTING_SWITCH, change, AT(name), NULL, NULL, on, 0, 1, help},
#include "settings/table.def"
};

static bool is_name(const struct setting *row, struct span name)
{
    if (row->type == SETTING_SECTION || strlen(row->name) != name.size)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        if ((name.data[i] == '-' ? '_' : name.data[i]) != row->name[i])
            return false;
    }
    return true;
}

const struct setting *setting_find(struct span name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (is_name(&setting_rows[i], name))
            return &setting_rows[i];
    }
    return NULL;
}

const struct setting *setting_nearest(struct span name)
{
    char word[SETTING_NAME_BYTES];
    if (name.size > sizeof word)
        return NULL;
    for (size_t i = 0; i < name.size; i++)
        word[i] = name.data[i] == '-' ? '_' : name.data[i];
    struct suggest suggest = {.word = {word, name.size}};
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_rows[i].type != SETTING_SECTION)
            suggest_consider(&suggest, span_of(setting_rows[i].name));
    }
    return suggest.best.data ? setting_find(suggest.best) : NULL;
}

const char *setting_flag(const struct setting *row, char text[SETTING_NAME_BYTES])
{
    snprintf(text, SETTING_NAME_BYTES, "--%s", row->name);
    for (char *c = text; *c; c++)
        *c = *c == '_' ? '-' : *c;
    return text;
}

const char *setting_variable(const struct setting *row, char text[SETTING_NAME_BYTES])
{
    snprintf(text, SETTING_NAME_BYTES, "TENSORD_%s", row->name);
    for (char *c = text; *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - ('a' - 'A')) : *c;
    return text;
}

const char *setting_default(const struct setting *row, char text[SETTING_NAME_BYTES])
{
    if (row->type == SETTING_NUMBER)
        snprintf(text, SETTING_NAME_BYTES, "%" PRId64 "%s%s", row->number_default,
                 row->what[0] ? " " : "", row->what);
    else if (row->type == SETTING_SWITCH)
        snprintf(text, SETTING_NAME_BYTES, "%s", row->number_default ? "true" : "false");
    else
        snprintf(text, SETTING_NAME_BYTES, "%s", row->text_default ? row->text_default : "");
    return text;
}
