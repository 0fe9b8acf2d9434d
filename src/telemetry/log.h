/* The log: text on a terminal, JSON lines otherwise, on standard error. Library code does not log;
 * the caller that knows the context logs once. Lines longer than 4 KiB are cut; control characters
 * are escaped. Any thread. */
#ifndef TENSORD_TELEMETRY_LOG_H
#define TENSORD_TELEMETRY_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Chooses the lowest level that is written and the format. */
void log_init(enum log_level lowest, bool json);

/* Writes a line. The part says who speaks: "http", "model iris:1". */
void log_write(enum log_level level, const char *part, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
