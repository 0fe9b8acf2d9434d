/* `tensord mlserver start [FOLDER]`: understands the variables of mlserver, as KServe's runtime
 * sets them. Like mlserver it listens on all interfaces. */
#include "base/span.h"
#include "cmd/commands.h"
#include "cmd/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const struct compat_row mlserver_rows[] = {
    {"MLSERVER_MODELS_DIR", COMPAT_FOLDER, NULL, NULL},
    {"MLSERVER_MODEL_REPOSITORY_ROOT", COMPAT_FOLDER, NULL, NULL},
    {"MLSERVER_MODEL_URI", COMPAT_FOLDER, NULL, NULL},
    {"MLSERVER_MODEL_NAME", COMPAT_SETTING, "model_name", NULL},
    {"MLSERVER_LOAD_MODELS_AT_STARTUP", COMPAT_LOAD, NULL, NULL},
    {"MLSERVER_HOST", COMPAT_ADDRESS, "http", NULL},
    {"MLSERVER_HTTP_PORT", COMPAT_PORT, "http", NULL},
    {"MLSERVER_GRPC_PORT", COMPAT_PORT, "grpc", NULL},
    {"MLSERVER_METRICS_PORT", COMPAT_PORT, "metrics", NULL},
    {"MLSERVER_SERVER_NAME", COMPAT_SETTING, "server_id", NULL},
    {"MLSERVER_GRPC_MAX_MESSAGE_LENGTH", COMPAT_BYTES, "max_body_mib", NULL},
    {"MLSERVER_DEBUG", COMPAT_VERBOSITY, "debug", NULL},
    {"MLSERVER_ROOT_PATH", COMPAT_REFUSED, NULL, "paths of URLs cannot be moved"},
    {"MLSERVER_KAFKA_ENABLED", COMPAT_OFF, NULL, "Kafka is not supported"},
    {"MLSERVER_MODEL_IMPLEMENTATION", COMPAT_NOTHING, NULL, NULL},
    {"MLSERVER_MODEL_VERSION", COMPAT_NOTHING, NULL, "a model's version is the name of its folder"},
    {"MLSERVER_PARALLEL_WORKERS", COMPAT_NOTHING, NULL, "each model has workers of its own"},
    {"MLSERVER_METRICS_ENDPOINT", COMPAT_NOTHING, NULL, "metrics are at /metrics"},
    {"MLSERVER_CORS_SETTINGS", COMPAT_NOTHING, NULL, "pages of other origins are refused"},
    {"MLSERVER_LOGGING_SETTINGS", COMPAT_NOTHING, NULL, "--log-level and --log-format say it here"},
    {"MLSERVER_ENV_TARBALL", COMPAT_NOTHING, NULL, NULL},
    {"MLSERVER_PATH", COMPAT_NOTHING, NULL, NULL},
    {.name = NULL},
};

/* FOLDER, or the first of the variables that name one, or where we are, as mlserver has it. */
static const char *find_path(const char *folder)
{
    static const char *const names[] = {"MLSERVER_MODELS_DIR", "MLSERVER_MODEL_REPOSITORY_ROOT",
                                        "MLSERVER_MODEL_URI"};
    for (size_t i = 0; !folder && i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        folder = value && value[0] ? value : NULL;
    }
    return folder ? folder : ".";
}

static bool read_variables(struct compat *compat, struct error *ret_error)
{
    for (char **entry = environ; entry && *entry; entry++) {
        struct span value = span_of(*entry), name = span_split(&value, '=');
        char text[80];
        if (!span_starts_with(name, SPAN("MLSERVER_")) || !value.data || !value.size)
            continue;
        snprintf(text, sizeof text, "%.*s", SPAN_ARGS(name));
        const struct compat_row *row = compat_find(mlserver_rows, name);
        if (!row)
            compat_note(compat, text, "means nothing here");
        else if (!compat_apply(compat, row, text, value.data, ret_error))
            return false;
    }
    return true;
}

/* mlserver reads a file of settings in the folder; who relies on it must know that it is not read.
 */
static void note_files(struct compat *compat)
{
    static const char *const names[] = {"settings.json", "model-settings.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = arena_printf(&compat->arena, "%s/%s", compat->path, names[i]);
        if (path && access(path, F_OK) == 0)
            compat_note(compat, path, "is not read; variables and model.yaml say it here");
    }
}

int mlserver_run(int count, char **arguments)
{
    struct error error;
    struct command_line line;
    struct compat compat = {
        .command = "mlserver",
        .endpoints = {{"http", "0.0.0.0", "8080", true},
                      {"grpc", NULL, "8081", true},
                      {"metrics", NULL, "8082", true}},
        .load = "all",
    };
    if (!command_line_read(NULL, 2, count, arguments, &line, &error))
        return command_complain("mlserver", error.message);
    if (line.operand_count == 0 || strcmp(line.operands[0], "start") != 0)
        return command_complain("mlserver", "only 'mlserver start [FOLDER]' is understood");
    arena_init(&compat.arena, 4096, 1 << 20);
    compat.path = find_path(line.operand_count == 2 ? line.operands[1] : NULL);
    bool good = read_variables(&compat, &error);
    compat.endpoints[1].address = compat.endpoints[2].address = compat.endpoints[0].address;
    note_files(&compat);
    int status = good ? compat_serve(&compat) : command_complain(compat.command, error.message);
    arena_fini(&compat.arena);
    return status;
}
