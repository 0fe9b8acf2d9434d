/* Reading settings, source by source; see settings.h. */
#include "settings/settings.h"

#include "settings/store.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 2048, ARENA_BYTES = 1 << 20 };

static bool read_environment(struct settings *settings, struct error *ret_error)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        char name[SETTING_NAME_BYTES];
        const char *value = setting_rows[i].type == SETTING_SECTION
                                ? NULL
                                : getenv(setting_variable(&setting_rows[i], name));
        if (value && *value &&
            !setting_store(settings, &setting_rows[i], span_of(value), SETTING_ENVIRONMENT, name,
                           ret_error))
            return false;
    }
    return true;
}

/* Levenshtein's distance of two flags, for suggestions; both are short. */
static size_t distance(struct span a, struct span b)
{
    size_t row[SETTING_NAME_BYTES + 1];
    if (a.size > SETTING_NAME_BYTES || b.size > SETTING_NAME_BYTES)
        return SETTING_NAME_BYTES;
    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t best = diagonal + (a.data[i - 1] != b.data[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[b.size];
}

static bool unknown_flag(struct span flag, struct error *ret_error)
{
    char text[SETTING_NAME_BYTES], nearest[SETTING_NAME_BYTES] = "--help";
    size_t least = 4; /* further away is no suggestion */
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_rows[i].type == SETTING_SECTION)
            continue;
        size_t away = distance(flag, span_of(setting_flag(&setting_rows[i], text)));
        if (away < least) {
            least = away;
            memcpy(nearest, text, sizeof nearest);
        }
    }
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "unknown option '%.*s'; %s %s",
                     SPAN_ARGS(flag), least < 4 ? "did you mean" : "see", nearest);
}

static const struct setting *find(struct span flag)
{
    char text[SETTING_NAME_BYTES];
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_rows[i].type != SETTING_SECTION &&
            span_equal(flag, span_of(setting_flag(&setting_rows[i], text))))
            return &setting_rows[i];
    }
    return NULL;
}

/* Reads the flag at arguments[*at], and moves *at to its value when that is an argument of its
 * own. */
static bool read_flag(struct settings *settings, int count, char *const *arguments, int *at,
                      struct error *ret_error)
{
    struct span value = span_of(arguments[*at]), flag = span_split(&value, '=');
    const struct setting *row = find(flag);
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

bool settings_read(struct settings *ret_settings, int count, char *const *arguments,
                   const char **ret_operand, struct error *ret_error)
{
    struct settings settings = {0};
    const char *operand = NULL;
    arena_init(&settings.arena, ARENA_BLOCK_BYTES, ARENA_BYTES);
    if (!setting_defaults(&settings, ret_error) || !read_environment(&settings, ret_error) ||
        !read_arguments(&settings, count, arguments, &operand, ret_error)) {
        settings_fini(&settings);
        return false;
    }
    *ret_settings = settings;
    *ret_operand = operand;
    return true;
}

void settings_fini(struct settings *settings)
{
    if (settings)
        arena_fini(&settings->arena);
}
