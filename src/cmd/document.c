/* The tables of commands, settings and limits, as those who write about them want them. */
#include "cmd/document.h"

#include "base/tensor.h"
#include "cmd/compat.h"
#include "codec/json.h"
#include "repository/model_config.h"
#include "serving/batch.h"
#include "settings/config_file.h"
#include "worker/spawn_message.h"

#include <stdio.h>

const struct fixed_limit fixed_limits[] = {
    {"dimensions of a tensor", TENSOR_MAX_DIMS, "", "part of the engines' interface"},
    {"inputs, and outputs, of a request", TENSOR_MAX_PER_REQUEST, "",
     "more than any model was seen to have"},
    {"JSON values inside one another", JSON_MAX_DEPTH, "",
     "tensors nest as deep as they have dimensions"},
    {"a gRPC message", INT32_MAX, "bytes", "what gRPC's clients can send"},
    {"requests in one execution", BATCH_MAX_REQUESTS, "", "a batch is gathered at once"},
    {"workers at once", SPAWN_MAX_WORKERS, "", "the spawner keeps a place for each"},
    {"a model's config file", MODEL_CONFIG_MAX_BYTES, "bytes", "it is read whole"},
    {"the config file of settings", CONFIG_FILE_MAX_BYTES, "bytes", "it is read whole"},
    {"values of a setting that is a list", SETTING_LIST_ITEMS, "", "more are a mistake"},
    {.what = NULL},
};

static bool own_option(const struct command *command, size_t index, struct option_view *view)
{
    const struct command_option *option = command->options;
    for (size_t i = 0; option && option->name && i < index; i++)
        option++;
    if (!option || !option->name)
        return false;
    snprintf(view->flag, sizeof view->flag, "--%s", option->name);
    view->what = option->what;
    view->help = option->help;
    return true;
}

static void setting_view(const struct setting *row, struct option_view *view)
{
    setting_flag(row, view->flag);
    view->what = row->type == SETTING_NUMBER ? "N" : row->type == SETTING_SWITCH ? NULL : row->what;
    view->help = row->help;
    view->several = row->type == SETTING_LIST;
}

static bool compat_view(const struct compat_row *row, struct option_view *view)
{
    static char text[200];
    if (row->name[0] != '-')
        return false; /* a variable */
    snprintf(view->flag, sizeof view->flag, "%s", row->name);
    view->what = row->rule == COMPAT_NO_VALUE ? NULL
                 : row->rule == COMPAT_PATH   ? "FOLDER"
                                              : "VALUE";
    view->help = compat_describe(row, text, sizeof text);
    view->several = row->rule == COMPAT_SETTING;
    return true;
}

/* Positions: the command's own options, then every row of settings or of another server. */
bool option_next(const struct command *command, size_t *position, struct option_view *ret_view)
{
    size_t own = 0;
    *ret_view = (struct option_view){.what = NULL};
    while (command->options && command->options[own].name)
        own++;
    if (*position < own)
        return own_option(command, (*position)++, ret_view);
    for (size_t i = *position - own; command->settings && i < SETTING_COUNT; i++) {
        if (setting_rows[i].type == SETTING_SECTION)
            continue;
        setting_view(&setting_rows[i], ret_view);
        *position = own + i + 1;
        return true;
    }
    const struct compat_row *row = command->compat ? &command->compat[*position - own] : NULL;
    ++*position;
    return row && row->name && compat_view(row, ret_view);
}

enum completion_kind completion_kind_of(const char *what)
{
    static const struct {
        const char *what;
        enum completion_kind kind;
    } kinds[] = {
        {"FILE", COMPLETION_FILES},
        {"PATH", COMPLETION_FILES},
        {"FOLDER", COMPLETION_FOLDERS},
        {"COMMAND", COMPLETION_COMMANDS},
    };
    if (!what)
        return COMPLETION_NONE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(what, kinds[i].what) == 0)
            return kinds[i].kind;
    }
    return what[0] >= 'a' && what[0] <= 'z' ? COMPLETION_WORDS : COMPLETION_NONE;
}
