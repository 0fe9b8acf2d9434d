/* Reading settings, source by source; see settings.h. */
#include "settings/settings.h"

#include "codec/suggest.h"
#include "settings/config_file.h"
#include "settings/store.h"

#include <string.h>

enum { ARENA_BLOCK_BYTES = 2048, ARENA_BYTES = 1 << 20 };

static bool unknown_flag(struct span flag, struct error *ret_error)
{
    struct span name = flag;
    char text[SETTING_NAME_BYTES];
    while (name.size && name.data[0] == '-')
        name = span_after(name, 1);
    const struct setting *nearest = setting_nearest(name);
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "unknown option '%.*s'; %s%s%s",
                     SPAN_ARGS(suggest_cut(flag)), nearest ? "did you mean '" : "see --help",
                     nearest ? setting_flag(nearest, text) : "", nearest ? "'?" : "");
}

static const struct setting *find_flag(struct span flag)
{
    return span_starts_with(flag, SPAN("--")) ? setting_find(span_after(flag, 2)) : NULL;
}

/* Reads the flag at arguments[*at], and moves *at to its value when that is an argument of its
 * own. */
static bool read_flag(struct settings *settings, int count, char *const *arguments, int *at,
                      struct error *ret_error)
{
    struct span value = span_of(arguments[*at]), flag = span_split(&value, '=');
    const struct setting *row = find_flag(flag);
    char name[SETTING_NAME_BYTES];
    if (!row)
        return unknown_flag(flag, ret_error);
    if (!value.data && row->type == SETTING_SWITCH)
        value = SPAN("true");
    if (!value.data) {
        if (*at + 1 == count)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s wants a value", arguments[*at]);
        value = span_of(arguments[++*at]);
    }
    return setting_store(settings, row, value, SETTING_FLAG, setting_flag(row, name), ret_error);
}

static bool read_arguments(struct settings *settings, int count, char *const *arguments,
                           const char **operand, struct error *ret_error)
{
    for (int i = 0; i < count; i++) {
        const char *argument = arguments[i];
        if (argument[0] == '-' && argument[1] != '\0') {
            if (!read_flag(settings, count, arguments, &i, ret_error))
                return false;
        } else if (*operand) {
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "one path is served, but '%s' and '%s' are given", *operand, argument);
        } else {
            *operand = argument;
        }
    }
    return true;
}

/* Reads from all sources, in order; config is the file, NULL to read none. */
static bool read_all(struct settings *ret_settings, const char *config, int count,
                     char *const *arguments, const char **ret_operand, struct error *ret_error)
{
    struct settings settings = {.argument_count = count, .arguments = arguments};
    const char *operand = NULL;
    arena_init(&settings.arena, ARENA_BLOCK_BYTES, ARENA_BYTES);
    if (!setting_defaults(&settings, ret_error) ||
        (config && !config_file_read(&settings, config, ret_error)) ||
        !setting_read_environment(&settings, ret_error) ||
        !read_arguments(&settings, count, arguments, &operand, ret_error)) {
        settings_fini(&settings);
        return false;
    }
    *ret_settings = settings;
    *ret_operand = operand;
    return true;
}

/* Which config file is read is a setting too: it is looked up first. */
bool settings_read(struct settings *ret_settings, int count, char *const *arguments,
                   const char **ret_operand, struct error *ret_error)
{
    struct settings first;
    const char *operand;
    if (!read_all(&first, NULL, count, arguments, &operand, ret_error))
        return false;
    if (!first.config[0]) {
        *ret_settings = first;
        *ret_operand = operand;
        return true;
    }
    bool good = read_all(ret_settings, first.config, count, arguments, ret_operand, ret_error);
    settings_fini(&first);
    return good;
}

void settings_fini(struct settings *settings)
{
    if (settings)
        arena_fini(&settings->arena);
}
