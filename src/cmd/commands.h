/* The commands of the program and the roles that it plays for itself: a table of them, from which
 * help, the man page and completion come, and their mains. */
#ifndef TENSORD_CMD_COMMANDS_H
#define TENSORD_CMD_COMMANDS_H

#include "base/error.h"

#include <stddef.h>

struct compat_row;

/* An option of one command. */
struct command_option {
    const char *name; /* "to", given as --to; NULL ends a list of them */
    const char *what; /* what its value is, "URL", or what it may be, "a|b"; NULL: it has none */
    const char *help; /* one sentence without a full stop */
};

/* A row of the table of commands. */
struct command {
    const char *name;
    const char *arguments; /* for help; NULL: a role of ours, not shown */
    const char *summary;   /* one sentence without a full stop */
    const char *operand;   /* what its first argument may be: FILE, FOLDER, PATH, COMMAND, or
                            * "a|b|c"; NULL: nothing that could be completed */
    const struct command_option *options; /* its own; NULL: none */
    bool settings;                        /* it takes the settings as options */
    const struct compat_row *compat;      /* the flags or variables of another server; NULL: none */
    const char *about;                    /* paragraphs for its help and the man page; NULL: none */
    int (*run)(int count, char **arguments); /* without the program's and the command's names;
                                              * returns the exit status */
};

/* In the order of help; ends with a row without a name. */
extern const struct command commands[];

/* The command of that name, or NULL with a sentence that suggests one. */
const struct command *command_find(const char *name, struct error *ret_error);

/* ---- for commands with options of their own ---- */

enum { COMMAND_OPTIONS = 16, COMMAND_OPERANDS = 8 };

/* A command's arguments, taken apart. Everything points into them. */
struct command_line {
    const char *values[COMMAND_OPTIONS]; /* of options[i]; NULL: not given, "": given without a
                                          * value */
    const char *operands[COMMAND_OPERANDS];
    size_t operand_count;
};

/* Takes arguments apart: --name VALUE, --name=VALUE, or --name for an option without a value; after
 * "--" all are operands. False with a sentence for an unknown option (and the nearest one), a value
 * that is missing or not among the choices, or more than `operands` operands. */
bool command_line_read(const struct command_option *options, size_t operands, int count,
                       char *const *arguments, struct command_line *ret_line,
                       struct error *ret_error);

/* Says "tensord NAME: SENTENCE" on standard error, without control characters. Returns 2, the
 * status of a command that was given wrongly. */
int command_complain(const char *name, const char *sentence);

/* ---- the commands ---- */

/* `tensord serve [PATH]`: becomes the spawner, which starts the front. */
int serve_run(int count, char **arguments);

/* The role `check`: whether `serve` would start with these arguments; asked before an upgrade. */
int check_run(int count, char **arguments);

/* The front's role, started by the spawner with the arguments of `serve`, the line to the spawner
 * as descriptor 3, and the listening sockets. */
int front_run(int count, char **arguments);

/* `tensord ls`: lists the models of a running server. */
int ls_run(int count, char **arguments);
extern const struct command_option ls_options[];

/* `tensord token create|ls|revoke`: who may use the server. */
int token_run(int count, char **arguments);
extern const struct command_option token_options[];

/* `tensord routes`: what the server answers to, and which scope that needs. */
int routes_run(int count, char **arguments);
extern const struct command_option routes_options[];

/* `tensord sandbox`: which layers of the sandbox there are here. */
int sandbox_run(int count, char **arguments);

/* `tensord config`: prints the settings that `serve` would have with the same options, as a config
 * file, each with where it comes from. */
int config_run(int count, char **arguments);

/* `tensord tritonserver`, `tensord mlserver`: `serve`, started as these are. */
int tritonserver_run(int count, char **arguments);
int mlserver_run(int count, char **arguments);

/* `tensord completion SHELL`: prints a script of the shell's. */
int completion_run(int count, char **arguments);

/* `tensord help [COMMAND]`. */
int help_run(int count, char **arguments);
extern const struct command_option help_options[];

/* Prints a command's help on standard output. */
void help_command(const struct command *command);

/* `tensord version`. */
int version_run(int count, char **arguments);

/* The role of the exporter of traces. */
int exporter_role_run(int count, char **arguments);

/* The worker's role. */
int worker_run(int count, char **arguments);

#endif
