/* What a model prints, line by line into its log; see python.h. Descriptors 1 and 2 are pipes, so
 * that what C libraries print comes as well, and the log is the host's, which bounds it: a model
 * that prints a gigabyte waits for its own thread, and nobody else does. */
#include "python.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 2048, STREAMS = 2, STOP_WAIT_MS = 300, STACK_BYTES = 64 << 10 };

struct stream {
    int fd; /* the reading end; -1: ended */
    enum tensord_log_level level;
    size_t size; /* of the line that is not whole yet */
    char line[LINE_BYTES];
};

static struct stream streams[STREAMS] = {{.level = TENSORD_LOG_INFO},
                                         {.level = TENSORD_LOG_WARNING}};
static pthread_t thread;
static bool running;

static void say(struct stream *stream)
{
    while (stream->size > 0 && stream->line[stream->size - 1] == '\r')
        stream->size--;
    if (stream->size > 0)
        python_host->log(stream->level, "%.*s", (int)stream->size, stream->line);
    stream->size = 0;
}

/* A line that is too long becomes several. */
static void take(struct stream *stream, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n' || stream->size == sizeof stream->line)
            say(stream);
        if (bytes[i] != '\n')
            stream->line[stream->size++] = bytes[i] ? bytes[i] : ' ';
    }
}

static void read_some(struct stream *stream)
{
    char bytes[4096];
    ssize_t size = read(stream->fd, bytes, sizeof bytes);
    if (size > 0) {
        take(stream, bytes, (size_t)size);
    } else if (size == 0 || errno != EINTR) {
        say(stream);
        close(stream->fd);
        stream->fd = -1;
    }
}

static void *pump(void *nothing)
{
    while (streams[0].fd >= 0 || streams[1].fd >= 0) {
        struct pollfd polled[STREAMS] = {{.fd = streams[0].fd, .events = POLLIN},
                                         {.fd = streams[1].fd, .events = POLLIN}};
        if (poll(polled, STREAMS, -1) < 0)
            continue;
        for (size_t i = 0; i < STREAMS; i++) {
            if (polled[i].revents)
                read_some(&streams[i]);
        }
    }
    return NULL;
}

static bool redirect(struct stream *stream, int fd)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    stream->fd = ends[0];
    bool good = dup2(ends[1], fd) >= 0;
    close(ends[1]);
    return good;
}

void pump_start(void)
{
    pthread_attr_t attributes;
    if (!redirect(&streams[0], STDOUT_FILENO) || !redirect(&streams[1], STDERR_FILENO))
        return;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    running = pthread_create(&thread, &attributes, pump, NULL) == 0;
    pthread_attr_destroy(&attributes);
}

/* Its own ends are closed; a copy that the model has made may stay open, and is not waited for. */
void pump_stop(void)
{
    struct timespec until;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (!running || null < 0)
        return;
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    close(null);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += STOP_WAIT_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_timedjoin_np(thread, NULL, &until);
    running = false;
}
