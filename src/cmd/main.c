/* tensord: the command line. One binary, several roles; a table says which. */
#include "cmd/commands.h"
#include "settings/settings.h"

#include <stdio.h>
#include <string.h>

static int help_run(int count, char **arguments);
static int version_run(int count, char **arguments);

static const struct command commands[] = {
    {"serve", "PATH [OPTION…]", "Serve the model file, model folder or folder of models at PATH",
     serve_run},
    {"ls", "[--to URL]", "List the models of a running server, their states and reasons", ls_run},
    {"help", "", "Show this help", help_run},
    {"version", "", "Show the version", version_run},
    {"front", NULL, NULL, front_run},
    {"check", NULL, NULL, check_run},
    {"worker", NULL, NULL, worker_run},
};

enum { COUNT = sizeof commands / sizeof *commands };

static int help_run(int count, char **arguments)
{
    puts("tensord serves machine-learning models over HTTP and gRPC.\n\n"
         "Usage:");
    for (size_t i = 0; i < COUNT; i++) {
        if (commands[i].arguments)
            printf("  tensord %-8s %-18s %s\n", commands[i].name, commands[i].arguments,
                   commands[i].summary);
    }
    puts("\n"
         "Try it:\n"
         "  tensord serve model.onnx         serve one model; its name is the file's, here "
         "\"model\"\n"
         "  tensord serve models/            serve every model in a folder, and those that are "
         "dropped into it later\n"
         "  tensord ls                       what is served, and why something is not\n"
         "  curl localhost:8000/v2/models/model\n"
         "                                   its inputs and outputs\n\n"
         "A folder holds NAME.onnx files, or NAME/VERSION/model.onnx as Triton has it, with an "
         "optional\n"
         "NAME/config.pbtxt or NAME/model.yaml. Files are watched: a changed model is loaded "
         "beside the old one\n"
         "and takes its place when it is ready.\n\n"
         "Options of serve; each is also an environment variable, --grpc-port is "
         "TENSORD_GRPC_PORT:");
    settings_help(stdout);
    return 0;
}

static int version_run(int count, char **arguments)
{
    puts("tensord " TENSORD_VERSION);
    return 0;
}

int main(int count, char **arguments)
{
    const char *name = count > 1 ? arguments[1] : "help";
    while (*name == '-' && name[1]) /* --help, -version */
        name++;
    for (size_t i = 0; i < COUNT; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(count - 2, arguments + 2);
    }
    fprintf(stderr, "tensord: unknown command '%s'; see tensord help\n", arguments[1]);
    return 2;
}
