/* tensord: the command line. One binary, several roles; the table in commands.c says which. */
#include "cmd/commands.h"

#include <stdio.h>
#include <string.h>

int version_run(int count, char **arguments)
{
    puts("tensord " TENSORD_VERSION);
    return 0;
}

/* The name of the command that the first argument stands for. */
static const char *name_of(const char *argument)
{
    static const char *const others[][2] = {
        {"--help", "help"}, {"-h", "help"}, {"--version", "version"}, {"-V", "version"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(argument, others[i][0]) == 0)
            return others[i][1];
    }
    return argument;
}

/* True when help on the command is asked for among its arguments. */
static bool wants_help(int count, char **arguments)
{
    for (int i = 0; i < count && strcmp(arguments[i], "--") != 0; i++) {
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0)
            return true;
    }
    return false;
}

int main(int count, char **arguments)
{
    struct error error;
    const struct command *command =
        command_find(count > 1 ? name_of(arguments[1]) : "help", &error);
    int rest = count > 2 ? count - 2 : 0;
    if (!command) {
        fprintf(stderr, "tensord: %s\n", error.message);
        return 2;
    }
    if (wants_help(rest, arguments + count - rest)) {
        help_command(command);
        return 0;
    }
    return command->run(rest, arguments + count - rest);
}
