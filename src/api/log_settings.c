/* The logging extension; see log_settings.h. */
#include "api/log_settings.h"

struct level_row {
    struct span name;
    enum log_level level;
};

static const struct level_row levels[] = {
    {SPAN("log_info"), LOG_INFO},
    {SPAN("log_warning"), LOG_WARNING},
    {SPAN("log_error"), LOG_ERROR},
};

enum { LEVELS = sizeof levels / sizeof *levels };

void log_settings_show(struct log_setting settings[LOG_SETTINGS])
{
    settings[0] = (struct log_setting){.name = SPAN("log_file"), .kind = LOG_SETTING_TEXT};
    for (size_t i = 0; i < LEVELS; i++)
        settings[1 + i] = (struct log_setting){.name = levels[i].name,
                                               .kind = LOG_SETTING_BOOL,
                                               .flag = log_level_enabled(levels[i].level)};
    settings[4] = (struct log_setting){.name = SPAN("log_verbose_level"),
                                       .kind = LOG_SETTING_NUMBER,
                                       .number = log_level_enabled(LOG_DEBUG)};
    settings[5] = (struct log_setting){
        .name = SPAN("log_format"), .kind = LOG_SETTING_TEXT, .text = SPAN("ISO8601")};
}

void log_change_begin(struct log_change *change)
{
    for (int level = 0; level < LOG_LEVEL_COUNT; level++)
        change->enabled[level] = log_level_enabled((enum log_level)level);
}

void log_change_commit(const struct log_change *change)
{
    for (int level = 0; level < LOG_LEVEL_COUNT; level++)
        log_level_enable((enum log_level)level, change->enabled[level]);
}

static bool wrong_kind(const struct log_setting *setting, const char *wanted,
                       struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%.*s' wants %s", SPAN_ARGS(setting->name),
                     wanted);
}

bool log_change_set(struct log_change *change, const struct log_setting *setting,
                    struct error *ret_error)
{
    for (size_t i = 0; i < LEVELS; i++) {
        if (!span_equal(setting->name, levels[i].name))
            continue;
        if (setting->kind != LOG_SETTING_BOOL)
            return wrong_kind(setting, "true or false", ret_error);
        change->enabled[levels[i].level] = setting->flag;
        return true;
    }
    if (span_equal(setting->name, SPAN("log_verbose_level"))) {
        if (setting->kind != LOG_SETTING_NUMBER)
            return wrong_kind(setting, "a number of 0 or more", ret_error);
        change->enabled[LOG_DEBUG] = setting->number > 0;
        return true;
    }
    if (span_equal(setting->name, SPAN("log_format"))) {
        if (setting->kind != LOG_SETTING_TEXT)
            return wrong_kind(setting, "a text", ret_error);
        return span_equal(setting->text, SPAN("ISO8601")) ||
               error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "log_format cannot be set: times are always as ISO 8601 has them");
    }
    if (span_equal(setting->name, SPAN("log_file")))
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "log_file cannot be set: the log goes to standard error");
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "unknown log setting '%.*s'",
                     SPAN_ARGS(setting->name));
}
