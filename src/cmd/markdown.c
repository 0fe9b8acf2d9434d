/* docs/config.md, from the tables. */
#include "cmd/compat.h"
#include "cmd/document.h"

#include <inttypes.h>
#include <stdio.h>

static const char introduction[] =
    "<!-- Written by `./dev docs`; do not edit. -->\n"
    "# Settings\n\n"
    "No configuration is required. What can be configured is a setting, given in one of these "
    "ways; "
    "the later wins over\nthose before it:\n\n"
    "1. its default;\n"
    "2. the config file: `grpc_port: 9000` (or `grpc-port`);\n"
    "3. the environment: `TENSORD_GRPC_PORT=9000`;\n"
    "4. an option of `tensord serve`: `--grpc-port 9000` or `--grpc-port=9000`.\n\n"
    "`tensord config` with the same options prints every setting, its value and where it comes "
    "from. What it prints is a\nconfig file. It also checks: mistakes are told with the line, the "
    "name that was probably meant, and what is allowed.\n\n"
    "## The config file\n\n"
    "```yaml\n"
    "# tensord serve --config tensord.yaml\n"
    "port: 9000\n"
    "listen: [127.0.0.1:9000, unix:/run/tensord.sock]\n"
    "log_level: debug\n"
    "```\n\n"
    "`--config FILE` or `TENSORD_CONFIG` names it; none is looked for by itself. It is a flat YAML "
    "mapping of at most 64 KiB.\nAnchors, aliases and tags are refused, and so are unknown keys, "
    "keys given twice, and values that do not fit.\n\n"
    "A list is given as a YAML list, as text with commas, or by an option given several times. A "
    "later way replaces the whole\nlist.\n\n"
    "## Reloading\n\n"
    "`SIGHUP` makes the server read the config file again. Settings with a ↻ below change at once; "
    "of the others the log says\nthat they stay as they are until a restart. When something in the "
    "file is wrong, nothing changes. The server is\nsandboxed: it may still read the folder in "
    "which "
    "the file lies, so give the file a folder of its own.\n\n"
    "## The environment\n\n"
    "A variable `TENSORD_…` that is no setting's is reported, since it is probably misspelled. "
    "Those that Kubernetes sets for a\nService called `tensord` (`TENSORD_PORT=tcp://…`, "
    "`TENSORD_SERVICE_HOST` and their like) mean nothing and are passed over.\n\n"
    "## The state folder\n\n"
    "What the server keeps lies in one folder: `--state-dir`, else `$STATE_DIRECTORY` (which "
    "systemd "
    "sets, `/var/lib/tensord`),\nelse `$XDG_STATE_HOME/tensord`, else `~/.local/state/tensord`. It "
    "is "
    "made when it is needed, for its owner alone. Its folder\n`models` is what `tensord serve` "
    "serves "
    "when no path is given.\n";

/* Prints text for a table's cell. */
static void print_cell(const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '|' || *c == '<' || *c == '*')
            putchar('\\');
        putchar(*c);
    }
}

/* Prints "`a`, `b`, `c`". */
static void print_choices(const char *choices)
{
    struct span rest = span_of(choices);
    for (const char *separator = ""; rest.data; separator = ", ") {
        struct span choice = span_split(&rest, '|');
        printf("%s`%.*s`", separator, SPAN_ARGS(choice));
    }
}

static void print_allowed(const struct setting *row)
{
    if (row->type == SETTING_NUMBER)
        printf("%" PRId64 " to %" PRId64 "%s%s", row->lowest, row->highest, row->what[0] ? " " : "",
               row->what);
    else if (row->type == SETTING_CHOICE)
        print_choices(row->what);
    else if (row->type == SETTING_SWITCH)
        print_choices("true|false");
    else
        printf("%s%s", row->what, row->type == SETTING_LIST ? "…" : "");
}

static void print_setting(const struct setting *row)
{
    char value[SETTING_NAME_BYTES];
    setting_default(row, value);
    printf("| `%s`%s | ", row->name, row->change == RELOAD ? " ↻" : "");
    print_allowed(row);
    printf(" | %s%s%s | ", value[0] ? "`" : "", value, value[0] ? "`" : "");
    print_cell(row->help);
    puts(" |");
}

static void print_settings(void)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_rows[i].type == SETTING_SECTION)
            printf("\n## %s\n\n"
                   "| setting | may be | default | |\n"
                   "|---|---|---|---|\n",
                   setting_rows[i].help);
        else
            print_setting(&setting_rows[i]);
    }
}

static void print_fixed_limits(void)
{
    puts("\n## Limits that are fixed\n\n"
         "| of | at most | because |\n"
         "|---|---|---|");
    for (const struct fixed_limit *limit = fixed_limits; limit->what; limit++)
        printf("| %s | %" PRIu64 "%s%s | %s |\n", limit->what, limit->value,
               limit->unit[0] ? " " : "", limit->unit, limit->why);
}

static void print_compat(const char *title, const char *text, const struct compat_row *rows)
{
    printf("\n## %s\n\n%s\n\n"
           "| given | becomes |\n"
           "|---|---|\n",
           title, text);
    for (const struct compat_row *row = rows; row->name; row++) {
        char becomes[200];
        printf("| `%s` | ", row->name);
        print_cell(compat_describe(row, becomes, sizeof becomes));
        puts(" |");
    }
}

void markdown_print(void)
{
    fputs(introduction, stdout);
    print_settings();
    print_fixed_limits();
    print_compat(
        "Started as tritonserver",
        "`tensord tritonserver --model-repository=/models --http-port=8080 …` is `tensord "
        "serve` with the flags of tritonserver, as\nKServe's runtime gives them. It says "
        "which options of `serve` they became. Like tritonserver it listens on all\n"
        "interfaces, since probes and clients are outside of its container; "
        "`--http-address=127.0.0.1` and `--grpc-address=127.0.0.1`\nkeep it to itself. A "
        "port that is taken ends it. Options of `serve` that tritonserver does not have may "
        "be given too.",
        tritonserver_rows);
    print_compat(
        "Started as mlserver",
        "`tensord mlserver start [FOLDER]` is `tensord serve` with the variables of "
        "mlserver, as KServe's runtime sets them. FOLDER is\nelse `MLSERVER_MODELS_DIR`, "
        "`MLSERVER_MODEL_REPOSITORY_ROOT`, `MLSERVER_MODEL_URI` or the current folder. Like "
        "mlserver it\nlistens on all interfaces, on ports 8080, 8081 and 8082, unless the "
        "variables say otherwise.",
        mlserver_rows);
}
