/* One line of the log as bytes. Pure. */
#ifndef TENSORD_TELEMETRY_LOG_LINE_H
#define TENSORD_TELEMETRY_LOG_LINE_H

#include "telemetry/log.h"

#include <time.h>

/* A pipe takes so much at once or nothing (POSIX, PIPE_BUF): lines of several processes do not mix.
 */
enum { LOG_LINE_BYTES = 4096 };

struct log_line {
    enum log_level level;
    struct timespec time; /* since the epoch */
    const char *part;
    struct span message;
    const struct log_field *fields;
    size_t field_count;
};

/* Writes the line, with its line feed; what does not fit is cut. Control characters, and in JSON
 * all that is not UTF-8, are escaped. Returns the size. */
size_t log_line_write(const struct log_line *line, bool json, bool colour, char to[LOG_LINE_BYTES]);

#endif
