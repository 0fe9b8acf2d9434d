/* Writing without waiting; see log_sink.h. */
#include "telemetry/log_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void log_sink_open(struct log_sink *sink, int fd)
{
    struct stat status;
    char name[32];
    *sink = (struct log_sink){.fd = fd, .how = SINK_DIRECT};
    if (fstat(fd, &status) != 0 || S_ISREG(status.st_mode))
        return;
    if (S_ISSOCK(status.st_mode)) {
        sink->how = SINK_SOCKET;
        return;
    }
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int own = open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0)
        sink->fd = own;
    else
        sink->how = SINK_ASKED;
}

static ssize_t send_some(const struct log_sink *sink, const char *line, size_t size)
{
    struct pollfd asked = {.fd = sink->fd, .events = POLLOUT};
    if (sink->how == SINK_SOCKET)
        return send(sink->fd, line, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sink->how == SINK_ASKED && poll(&asked, 1, 0) <= 0)
        return -1;
    return write(sink->fd, line, size);
}

bool log_sink_write(struct log_sink *sink, const char *line, size_t size)
{
    if (sink->broken_line && send_some(sink, "\n", 1) != 1)
        return false;
    sink->broken_line = false;
    ssize_t written = send_some(sink, line, size);
    sink->broken_line = written > 0 && (size_t)written < size;
    return written == (ssize_t)size;
}
