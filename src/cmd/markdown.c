/* docs/config.md, from the tables. */
#include "cmd/compat.h"
#include "cmd/document.h"

#include <inttypes.h>
#include <stdio.h>

static const char introduction[] =
    "<!-- Written by `./dev docs`; do not edit. -->\n"
    "# Settings\n"
    "\n"
    "No configuration is required. What can be configured is a setting, given in one of\n"
    "these ways; the later wins over those before it:\n"
    "\n"
    "1. its default;\n"
    "2. the config file: `grpc_port: 9000` (or `grpc-port`);\n"
    "3. the environment: `TENSORD_GRPC_PORT=9000`;\n"
    "4. an option of `tensord serve`: `--grpc-port 9000` or `--grpc-port=9000`.\n"
    "\n"
    "`tensord config` with the same options prints every setting, its value and where it\n"
    "comes from. What it prints is a config file. It also checks: mistakes are told with\n"
    "the line, the name that was probably meant, and what is allowed.\n"
    "\n"
    "## The config file\n"
    "\n"
    "```yaml\n"
    "# tensord serve --config tensord.yaml\n"
    "port: 9000\n"
    "listen: [127.0.0.1:9000, unix:/run/tensord.sock]\n"
    "log_level: debug\n"
    "```\n"
    "\n"
    "`--config FILE` or `TENSORD_CONFIG` names it; none is looked for by itself. It is a\n"
    "flat YAML mapping of at most 64 KiB. Anchors, aliases and tags are refused, and so are\n"
    "unknown keys, keys given twice, and values that do not fit.\n"
    "\n"
    "A list is given as a YAML list, as text with commas, or by an option given several\n"
    "times. A later way replaces the whole list.\n"
    "\n"
    "## Reloading\n"
    "\n"
    "`SIGHUP` makes the server read the config file again, the tokens\n"
    "([security.md](security.md)) and the certificate ([listening.md](listening.md)), and\n"
    "look for changed models.\n"
    "Settings with a ↻ below change at once, some of them for new connections only; of the\n"
    "others the log says that they stay as they are until a restart. When something in the\n"
    "file is wrong, nothing changes.\n"
    "\n"
    "The server is sandboxed. It may still read the folder in which the config file lies,\n"
    "so give the file a folder of its own.\n"
    "\n"
    "## The environment\n"
    "\n"
    "A variable `TENSORD_…` that is no setting's is reported, since it is probably\n"
    "misspelled. Those that Kubernetes sets for a Service called `tensord`\n"
    "(`TENSORD_PORT=tcp://…`, `TENSORD_SERVICE_HOST` and their like) mean nothing and are\n"
    "passed over.\n"
    "\n"
    "## The state folder\n"
    "\n"
    "What the server keeps lies in one folder: `--state-dir`, else `$STATE_DIRECTORY`\n"
    "(which systemd sets, `/var/lib/tensord`), else `$XDG_STATE_HOME/tensord`, else\n"
    "`~/.local/state/tensord`. It is made when it is needed, for its owner alone. Its\n"
    "folder `models` is what `tensord serve` serves when no path is given; `learned` is\n"
    "what was learned of models, and may be removed at any time; with it go the weights of\n"
    "versions that `tensord rollout` has set, in its file `rollouts`. `tokens` says who may\n"
    "use the server and `admin-token` is its owner's; `blobs` are the files of pushed\n"
    "models, `loads` what loads have brought, `environments` and `homes` what models in\n"
    "Python and managed servers run on.\n"
    "\n"
    "A running server keeps to the folder that it has opened. Where that was removed, or\n"
    "moved and made anew, it serves on with the tokens that it has, and sees no new ones\n"
    "until it is started again.\n";

static const char about_tritonserver[] =
    "`tensord tritonserver --model-repository=/models --http-port=8080 …` is `tensord\n"
    "serve` with the flags of tritonserver, as KServe's runtime gives them. It says which\n"
    "options of `serve` they became. Options of `serve` that tritonserver does not have may\n"
    "be given too.\n"
    "\n"
    "Like tritonserver it listens on all interfaces, since probes and clients are outside\n"
    "of its container; `--http-address=127.0.0.1` and `--grpc-address=127.0.0.1` keep it to\n"
    "itself. A port that is taken ends it.\n";

static const char about_mlserver[] =
    "`tensord mlserver start [FOLDER]` is `tensord serve` with the variables of mlserver,\n"
    "as KServe's runtime sets them. FOLDER is else `MLSERVER_MODELS_DIR`,\n"
    "`MLSERVER_MODEL_REPOSITORY_ROOT`, `MLSERVER_MODEL_URI` or the current folder.\n"
    "\n"
    "Like mlserver it listens on all interfaces, on ports 8080, 8081 and 8082, unless the\n"
    "variables say otherwise.\n";

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
    printf("\n## %s\n\n%s\n"
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
    print_compat("Started as tritonserver", about_tritonserver, tritonserver_rows);
    print_compat("Started as mlserver", about_mlserver, mlserver_rows);
}
