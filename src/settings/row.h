/* The table of settings as data, for what walks over all of them: reading, help, documents. */
#ifndef TENSORD_SETTINGS_ROW_H
#define TENSORD_SETTINGS_ROW_H

#include "base/span.h"
#include "settings/settings.h"

enum setting_type {
    SETTING_SECTION, /* no setting: the title of those that follow it */
    SETTING_TEXT,
    SETTING_LIST,
    SETTING_CHOICE,
    SETTING_NUMBER,
    SETTING_SWITCH,
};

/* When a new value comes into force. */
enum setting_change { RELOAD, RESTART };

struct setting {
    const char *name; /* "grpc_port" */
    enum setting_type type;
    enum setting_change change;
    size_t offset;            /* in struct settings */
    const char *text_default; /* of TEXT, LIST and CHOICE */
    const char *what;         /* of TEXT and LIST, "ADDRESS"; a CHOICE's choices, "a|b"; a NUMBER's
                               * unit, perhaps empty */
    int64_t number_default;   /* of NUMBER and SWITCH */
    int64_t lowest, highest;  /* of NUMBER */
    const char *help;         /* a SECTION's title */
};

/* In the order of table.def. */
extern const struct setting setting_rows[SETTING_COUNT];

/* The row of that name, written with "-" or "_"; NULL when there is none. Sections have no name. */
const struct setting *setting_find(struct span name);

/* The row whose name is nearest to a misspelled one, or NULL when none is near. */
const struct setting *setting_nearest(struct span name);

enum { SETTING_NAME_BYTES = 64 }; /* of a flag or variable, terminated */

/* Writes "--grpc-port" into text and returns it. */
const char *setting_flag(const struct setting *row, char text[SETTING_NAME_BYTES]);

/* Writes the default and its unit, "8000", "15000 ms", into text and returns it; empty when there
 * is none. */
const char *setting_default(const struct setting *row, char text[SETTING_NAME_BYTES]);

/* Writes "TENSORD_GRPC_PORT" into text and returns it. */
const char *setting_variable(const struct setting *row, char text[SETTING_NAME_BYTES]);

/* The row's member, to be written and to be read: a const char *, struct setting_list, int64_t or
 * bool, as its type says. */
static inline void *setting_field(struct settings *settings, const struct setting *row)
{
    return (char *)settings + row->offset;
}

static inline const void *setting_value(const struct settings *settings, const struct setting *row)
{
    /* -Wanalyzer-null-dereference: no caller has no settings */
    return (const char *)settings + row->offset;
}

#endif
