/* Settings: what an operator may choose. table.def has a row for each, with its name, type,
 * default, bounds, unit and help. A setting is given in the config file (grpc_port: 9000), in the
 * environment (TENSORD_GRPC_PORT) or as a flag (--grpc-port 9000, --grpc-port=9000); the later
 * wins. */
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
    SETTING_FILE,
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
    unsigned lines[SETTING_COUNT]; /* of the config file, from 1, where the source is FILE */
    int argument_count;            /* that it was read from */
    char *const *arguments;
    struct arena arena; /* has the texts */
};

/* Defaults, then the config file if one is named (by --config or TENSORD_CONFIG), then the
 * environment, then the flags in arguments, which must outlive the settings. The one argument that
 * is no flag (a path) goes to *ret_operand, NULL when there is none; it points into arguments.
 * False with a sentence that names the flag, variable or line, suggests the nearest name, and says
 * what is allowed. */
bool settings_read(struct settings *ret_settings, int count, char *const *arguments,
                   const char **ret_operand, struct error *ret_error);

/* Calls warn with a sentence for each variable TENSORD_… of the environment that is no setting's,
 * which a misspelled one is. Those that Kubernetes sets for a Service are passed over, and so are
 * TENSORD__…, by which one role of the program tells another what it hands on. */
void settings_check_environment(void (*warn)(void *context, const char *sentence), void *context);

/* What a reload has found out about one setting. */
struct setting_changed {
    enum setting_index index;
    bool applied;         /* the new value is in the new settings; false: it takes a restart */
    const char *sentence; /* for the log: "log_level is now debug (tensord.yaml, line 3)" */
};

/* Reads the config file and the environment again, as settings_read with the arguments of old did.
 * A setting that can only be changed by a restart keeps its value in old; `changed` (which may be
 * NULL) is called for it, as for each one that has another value now. *ret_settings is independent
 * of old, which is to be finished when nobody uses its texts any more. False, and old stays in
 * force, when something is wrong as in settings_read. Reads a file: blocks for that long; a
 * sandboxed caller must be allowed to open it. */
bool settings_reload(const struct settings *old, struct settings *ret_settings,
                     void (*changed)(void *context, const struct setting_changed *change),
                     void *context, struct error *ret_error);

/* Frees the texts and lists. Accepts NULL. */
void settings_fini(struct settings *settings);

#endif
