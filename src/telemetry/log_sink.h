/* Where log lines go: a descriptor that may be a terminal, a file, a pipe or a socket, written
 * without ever waiting.
 *
 * A descriptor's O_NONBLOCK is not ours to set: it belongs to the open file, which the shell, the
 * spawner and the workers share. So a pipe or a terminal is opened anew, by its name in /proc, and
 * that description is ours; a socket takes MSG_DONTWAIT; a file does not wait. Where a pipe cannot
 * be opened anew it is asked first whether it has room. */
#ifndef TENSORD_TELEMETRY_LOG_SINK_H
#define TENSORD_TELEMETRY_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>

struct log_sink {
    int fd;
    enum { SINK_DIRECT, SINK_SOCKET, SINK_ASKED } how;
    bool broken_line; /* a terminal took a part of one */
};

/* Prepares to write to fd, which stays the caller's. Not from within a sandbox that closes /proc.
 */
void log_sink_open(struct log_sink *sink, int fd);

/* Writes a line of at most 4096 bytes whole. False when there is no room for it now; it is not
 * kept. */
bool log_sink_write(struct log_sink *sink, const char *line, size_t size);

#endif
