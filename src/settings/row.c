/* The rows of table.def as an array; see row.h. */
#include "settings/row.h"

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
