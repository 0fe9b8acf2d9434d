/* `tensord config`: what every setting is, and why, as a config file. */
#include "base/span.h"
#include "cmd/commands.h"
#include "settings/print.h"

#include <stdio.h>

enum { COMMENT_COLUMN = 40, LINE_BYTES = 1 << 16 };

static void warn(void *context, const char *sentence)
{
    command_complain("config", sentence);
}

/* Prints "name: value    # source". The config file itself has no place in a config file. */
static void print_setting(const struct settings *settings, const struct setting *row)
{
    struct buf line;
    buf_init(&line, LINE_BYTES);
    buf_printf(&line, "%s%s: ", row == &setting_rows[SETTING_config] ? "# " : "", row->name);
    setting_print(&line, settings, row);
    buf_append(&line, SPAN(" "));
    while (line.size < COMMENT_COLUMN && buf_append(&line, SPAN(" ")))
        continue;
    buf_append(&line, SPAN("# "));
    setting_print_source(&line, settings, row);
    if (buf_ok(&line))
        printf("%.*s\n", SPAN_ARGS(buf_span(&line)));
    else
        printf("# %s: too long to print\n", row->name);
    buf_fini(&line);
}

int config_run(int count, char **arguments)
{
    struct settings settings;
    struct error error;
    const char *path;
    if (!settings_read(&settings, count, arguments, &path, &error))
        return command_complain("config", error.message);
    settings_check_environment(warn, NULL);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_rows[i].type == SETTING_SECTION)
            printf("%s# %s\n", i ? "\n" : "", setting_rows[i].help);
        else
            print_setting(&settings, &setting_rows[i]);
    }
    settings_fini(&settings);
    return 0;
}
