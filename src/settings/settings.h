/* Settings: what an operator may choose. table.def has a row for each, with its name, type,
 * default, bounds, unit and help. A setting is given as a flag (--grpc-port 9000, --grpc-port=9000)
 * or in the environment (TENSORD_GRPC_PORT); flags win. */
#ifndef TENSORD_SETTINGS_SETTINGS_H
#define TENSORD_SETTINGS_SETTINGS_H

#include "base/arena.h"
#include "base/error.h"

/* The values of a LIST. */
struct setting_list {
    const char **items;
    size_t count; /* 0: not given */
};

enum { SETTING_LIST_ITEMS = 64 }; /* at most */

/* Where a value comes from; a later one wins over those before it. */
enum setting_source {
    SETTING_DEFAULT,
    SETTING_ENVIRONMENT,
    SETTING_FLAG,
};

/* SETTING_port, …: the rows' places in the table. Its sections stand there too. */
enum setting_index {
#define SECTION(name, title) SETTING_SECTION_##name,
#define SETTING_INDEX(name, ...) SETTING_##name,
#define TEXT SETTING_INDEX
#define LIST SETTING_INDEX
#define CHOICE SETTING_INDEX
#define NUMBER SETTING_INDEX
#define SWITCH SETTING_INDEX
#include "settings/table.def"
#undef SETTING_INDEX
    SETTING_COUNT
};

/* A member for each row: TEXT and CHOICE are strings, never NULL. */
struct settings {
#define TEXT(name, ...) const char *name;
#define LIST(name, ...) struct setting_list name;
#define CHOICE(name, ...) const char *name;
#define NUMBER(name, ...) int64_t name;
#define SWITCH(name, ...) bool name;
#include "settings/table.def"
    enum setting_source sources[SETTING_COUNT];
    struct arena arena; /* has the texts */
};

/* Defaults, then the environment, then the flags in arguments. The one argument that is no flag (a
 * path) goes to *ret_operand, NULL when there is none; it points into arguments. False with a
 * sentence that names the flag, suggests the nearest one, and says what is allowed. */
bool settings_read(struct settings *ret_settings, int count, char *const *arguments,
                   const char **ret_operand, struct error *ret_error);

/* Frees the texts and lists. Accepts NULL. */
void settings_fini(struct settings *settings);

#endif
