/* The commands of the program and the roles that it plays for itself. Each returns the exit status.
 */
#ifndef TENSORD_CMD_COMMANDS_H
#define TENSORD_CMD_COMMANDS_H

/* A row of the table of commands. */
struct command {
    const char *name;
    const char *arguments; /* for --help; NULL: internal, not shown */
    const char *summary;
    int (*run)(int count, char **arguments); /* without the program's and the command's names */
};

/* `tensord serve PATH`: becomes the spawner, which starts the front. */
int serve_run(int count, char **arguments);

/* The role `check`: whether `serve` would start with these arguments; asked before an upgrade. */
int check_run(int count, char **arguments);

/* The front's role, started by the spawner with the arguments of `serve`, the line to the spawner
 * as descriptor 3, and the listening sockets. */
int front_run(int count, char **arguments);

/* `tensord ls`: lists the models of a running server. */
int ls_run(int count, char **arguments);

/* The worker's role. */
int worker_run(int count, char **arguments);

/* The log as the settings want it. */
struct settings;
void log_start(const struct settings *settings);

#endif
