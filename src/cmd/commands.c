/* The table of commands. */
#include "cmd/commands.h"

#include "base/span.h"
#include "cmd/compat.h"
#include "codec/suggest.h"

const struct command commands[] = {
    {
        .name = "serve",
        .arguments = "[PATH] [OPTION…]",
        .summary = "Serve the model file, model folder or folder of models at PATH",
        .operand = "PATH",
        .settings = true,
        .about =
            "A folder holds NAME.onnx files, or NAME/VERSION/model.onnx as Triton has it, with an "
            "optional NAME/config.pbtxt or NAME/model.yaml. Files are watched: a changed model is "
            "loaded beside the old one and takes its place when it is ready. Without a PATH, the "
            "folder \"models\" in the state folder is served.",
        .run = serve_run,
    },
    {
        .name = "ls",
        .arguments = "[--to URL] [--token TOKEN]",
        .summary = "List the models of a running server, their states and reasons",
        .options = ls_options,
        .run = ls_run,
    },
    {
        .name = "token",
        .arguments = "create|ls|revoke [ID] [OPTION…]",
        .summary = "Make, list and revoke the tokens with which others may use the server",
        .operand = "create|ls|revoke",
        .options = token_options,
        .about =
            "create prints the new token on standard output, and only then: its SHA-256 alone is "
            "kept. revoke takes an id or a name. A running server takes a change in at once. "
            "Scopes: read (see what there is; all others include it), infer (use models), deploy "
            "(load and unload models, bring those that are data), code (bring models that are "
            "code; includes deploy), admin (everything). Requests show a token as: Authorization: "
            "Bearer TOKEN.",
        .run = token_run,
    },
    {
        .name = "routes",
        .arguments = "[--json]",
        .summary = "List what the server answers to, and the scope that each needs",
        .options = routes_options,
        .run = routes_run,
    },
    {
        .name = "sandbox",
        .arguments = "",
        .summary = "Say which layers the sandbox has on this machine, and what is missing",
        .about =
            "Tries them, as serve does at its start, for the user who asks. The status is 0 when "
            "nothing is missing, so that --sandbox=strict would start.",
        .run = sandbox_run,
    },
    {
        .name = "config",
        .arguments = "[OPTION…]",
        .summary = "Show every setting that serve would have, and where it comes from",
        .settings = true,
        .about = "The output is a config file: tensord config > tensord.yaml. A wrong config file, "
                 "variable or option is told as serve would tell it, so this checks them too.",
        .run = config_run,
    },
    {
        .name = "tritonserver",
        .arguments = "[FLAG…]",
        .summary = "Serve, started with the flags of tritonserver",
        .about = "What has a meaning here is translated, what makes no difference is accepted, and "
                 "what would silently mean something else is refused. Like tritonserver it listens "
                 "on all interfaces unless --http-address and --grpc-address say otherwise. "
                 "Options of serve that tritonserver does not have may be given too.",
        .compat = tritonserver_rows,
        .run = tritonserver_run,
    },
    {
        .name = "mlserver",
        .arguments = "start [FOLDER]",
        .summary = "Serve, started with the variables of mlserver",
        .operand = "start",
        .about = "MLSERVER_HTTP_PORT and its like are translated as tritonserver's flags are. Like "
                 "mlserver it listens on all interfaces unless MLSERVER_HOST says otherwise.",
        .compat = mlserver_rows,
        .run = mlserver_run,
    },
    {
        .name = "completion",
        .arguments = "bash|zsh|fish",
        .summary = "Write a script that makes the shell complete commands and options",
        .operand = "bash|zsh|fish",
        .about =
            "For this session: source <(tensord completion bash), or tensord completion fish | "
            "source. For all: write it where the shell looks for such scripts, as an "
            "installation does.",
        .run = completion_run,
    },
    {
        .name = "help",
        .arguments = "[COMMAND]",
        .summary = "Show this help, or that of a command",
        .operand = "COMMAND",
        .options = help_options,
        .run = help_run,
    },
    {
        .name = "version",
        .arguments = "",
        .summary = "Show the version",
        .run = version_run,
    },
    {.name = "front", .run = front_run},
    {.name = "check", .run = check_run},
    {.name = "worker", .run = worker_run},
    {.name = "exporter", .run = exporter_role_run},
    {.name = NULL},
};

/* Commands of the Python package, whose `tensord` has ours, too. */
static const char *const of_package[] = {"push", "pull", "run",     "ps",          "logs",
                                         "rm",   "diff", "rollout", "environments"};

static bool is_of_package(const char *name)
{
    size_t i = 0;
    while (i < sizeof of_package / sizeof *of_package && strcmp(name, of_package[i]) != 0)
        i++;
    return i < sizeof of_package / sizeof *of_package;
}

const struct command *command_find(const char *name, struct error *ret_error)
{
    char hint[96];
    struct suggest suggest = {.word = span_of(name)};
    for (const struct command *command = commands; command->name; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
        if (command->arguments)
            suggest_consider(&suggest, span_of(command->name));
    }
    if (is_of_package(name)) {
        error_set(
            ret_error, ERROR_INVALID_ARGUMENT,
            "'%s' is a command of the Python package: pip install tensord, or python -m tensord %s",
            name, name);
        return NULL;
    }
    suggest_format(&suggest, hint, sizeof hint);
    error_set(ret_error, ERROR_INVALID_ARGUMENT, "unknown command '%.64s'%s", name,
              hint[0] ? hint : "; see tensord help");
    return NULL;
}
