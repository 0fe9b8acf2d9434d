/* Triton's logging extension: what REST and gRPC say alike. Changes of one request are made
 * together or not at all. */
#ifndef TENSORD_API_LOG_SETTINGS_H
#define TENSORD_API_LOG_SETTINGS_H

#include "base/error.h"
#include "base/span.h"
#include "telemetry/log.h"

enum { LOG_SETTINGS = 6 };

/* A value as both protocols have it. */
struct log_setting {
    struct span name;
    enum { LOG_SETTING_BOOL, LOG_SETTING_NUMBER, LOG_SETTING_TEXT, LOG_SETTING_NONE } kind;
    bool flag;
    uint64_t number;
    struct span text;
};

/* Fills in the settings as they are. */
void log_settings_show(struct log_setting ret_settings[LOG_SETTINGS]);

struct log_change {
    bool enabled[LOG_LEVEL_COUNT];
};

/* Starts from what holds now. */
void log_change_begin(struct log_change *change);

/* Notes one change. False with INVALID_ARGUMENT, or UNIMPLEMENTED for what is not done here. */
bool log_change_set(struct log_change *change, const struct log_setting *setting,
                    struct error *ret_error);

/* Makes the changes. */
void log_change_commit(const struct log_change *change);

#endif
