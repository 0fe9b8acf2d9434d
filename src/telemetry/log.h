/* The log: text on a terminal, JSON lines otherwise, on standard error. Library code does not log;
 * the caller that knows the context logs once.
 *
 * A line is at most 4 KiB long, with control characters escaped. Writing never waits: when whoever
 * reads standard error is slow, lines are dropped, and their number is told as soon as there is
 * room. A line that is repeated more often than LOG_REPEATS in ten seconds is left out, and that is
 * told, too; so nobody fills a disk by making the server complain. Any thread. */
#ifndef TENSORD_TELEMETRY_LOG_H
#define TENSORD_TELEMETRY_LOG_H

#include "base/span.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_LEVEL_COUNT };

enum { LOG_REPEATS = 100, LOG_PERIOD_S = 10 };

/* A name and a value beside the message. */
struct log_field {
    const char *name;
    struct span value;
    bool number; /* written without quotes */
};

/* Chooses the lowest level that is written and the format; the first time it also prepares standard
 * error. `colour` is for text. */
void log_init(enum log_level lowest, bool json, bool colour);

/* Whether lines of the level are written, and switching that. */
bool log_level_enabled(enum log_level level);
void log_level_enable(enum log_level level, bool enabled);

/* Writes a line. The part says who speaks: "http", "model iris:1". Lines of one part and one format
 * are repetitions of each other. */
void log_write(enum log_level level, const char *part, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes a line with fields. Lines with the same `key` are repetitions; NULL: it is never left out.
 */
void log_write_fields(enum log_level level, const char *part, const void *key,
                      const struct log_field *fields, size_t count, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
