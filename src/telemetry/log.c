/* The log; see log.h. Each line is one write(2), so that lines of several processes do not mix. */
#include "telemetry/log.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 4096 };

static enum log_level lowest_level = LOG_INFO;
static bool as_json;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_init(enum log_level lowest, bool json)
{
    lowest_level = lowest;
    as_json = json;
}

/* Copies text with control characters, and for JSON quotes and backslashes, escaped. Returns the
 * new end. */
static size_t put(char *line, size_t at, const char *text)
{
    for (; *text && at < LINE_BYTES - 16; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(line + at, LINE_BYTES - at, as_json ? "\\u%04x" : "\\x%02x", c);
        else if (as_json && (c == '"' || c == '\\'))
            line[at++] = '\\', line[at++] = (char)c;
        else
            line[at++] = (char)c;
    }
    line[at] = '\0';
    return at;
}

void log_write(enum log_level level, const char *part, const char *format, ...)
{
    if (level < lowest_level)
        return;
    char message[LINE_BYTES], line[LINE_BYTES], date[40];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    utf8_clean(message);
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t digits = strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(date + digits, sizeof date - digits, ".%03ldZ", now.tv_nsec / 1000000);
    size_t at = (size_t)snprintf(
        line, sizeof line, as_json ? "{\"time\":\"%s\",\"level\":\"%s\",\"part\":\"" : "%s %-7s ",
        date, level_names[level]);
    at = put(line, at, part);
    at += (size_t)snprintf(line + at, sizeof line - at, as_json ? "\",\"message\":\"" : ": ");
    at = put(line, at, message);
    at += (size_t)snprintf(line + at, sizeof line - at, as_json ? "\"}\n" : "\n");
    ssize_t ignored = write(STDERR_FILENO, line, at);
    (void)ignored;
}
