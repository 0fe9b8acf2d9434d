/* What is written about commands and settings besides help, all of it from their tables: the manual
 * page, docs/config.md, and scripts for shells. */
#ifndef TENSORD_CMD_DOCUMENT_H
#define TENSORD_CMD_DOCUMENT_H

#include "base/span.h"
#include "cmd/commands.h"
#include "settings/row.h"

/* An option of a command: one of its own, a setting, or another server's flag. */
struct option_view {
    char flag[SETTING_NAME_BYTES]; /* "--load" */
    const char *what; /* of its value, "FILE", "a|b", "N"; NULL: none, or it may be left
                       * out */
    const char *help;
    bool several; /* it may be given several times */
};

/* Walks over a command's options: position starts at 0. False after the last one. Texts live as
 * long as the tables, or until the next call. */
bool option_next(const struct command *command, size_t *position, struct option_view *ret_view);

/* What a shell can complete. */
enum completion_kind {
    COMPLETION_NONE, /* nothing can be guessed */
    COMPLETION_FILES,
    COMPLETION_FOLDERS,
    COMPLETION_COMMANDS,
    COMPLETION_WORDS, /* "a|b|c" */
};

/* The kind of a value or argument that is described like that; NULL gives NONE. */
enum completion_kind completion_kind_of(const char *what);

/* A limit that no setting changes. */
struct fixed_limit {
    const char *what;
    uint64_t value;
    const char *unit; /* perhaps empty */
    const char *why;
};

/* Ends with a row without `what`. */
extern const struct fixed_limit fixed_limits[];

/* Prints tensord.1, in roff's man macros, on standard output. */
void man_print(void);

/* Prints docs/config.md on standard output. */
void markdown_print(void);

#endif
