/* Connecting to a managed server; see keeper_connect.h. */
#include "worker/keeper_connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "worker/fd_pass.h"
#include "worker/keeper_line.h"
#include "worker/worker_main.h"

enum { CONNECT_MS = 1000, ANSWER_MS = 5000, STATUS_LINE_BYTES = 12 /* "HTTP/1.1 200" */ };

/* Begins to connect, without waiting. -1 with errno. */
static int begin(const struct keeper_place *place)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in port = {.sin_family = AF_INET,
                               .sin_port = htons(place->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr *address = (const struct sockaddr *)(place->port ? (void *)&port : &path);
    socklen_t size = place->port ? sizeof port : sizeof path;
    size_t length = strlen(place->socket);
    if (!place->port && length >= sizeof path.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (!place->port)
        memcpy(path.sun_path, place->socket, length + 1);
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (place->port)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(fd, address, size) == 0 || errno == EINPROGRESS)
        return fd;
    int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

/* How a connection came out that poll says something of: 0, or an errno. */
static int outcome(int fd)
{
    int failure = 0;
    socklen_t size = sizeof failure;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0 ? errno : failure;
}

static bool wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = events};
    int count;
    do
        count = poll(&one, 1, timeout_ms);
    while (count < 0 && errno == EINTR);
    return count > 0;
}

/* ---- health ---- */

/* Reads what else comes, for a while: a server whose answer is cut off complains. */
static void read_rest(int fd)
{
    enum { MOST_READS = 16, REST_MS = 200 };
    char rest[4096];
    for (int i = 0; i < MOST_READS && wait_for(fd, POLLIN, REST_MS); i++)
        if (recv(fd, rest, sizeof rest, 0) <= 0)
            return;
}

/* That of a status line (RFC 9112 §4), or 0. */
static int status_of(const char answer[STATUS_LINE_BYTES])
{
    uint64_t status;
    bool is_http1 = memcmp(answer, "HTTP/1.", 7) == 0 && (answer[7] == '0' || answer[7] == '1') &&
                    answer[8] == ' ';
    return is_http1 && span_to_u64((struct span){answer + 9, 3}, &status) ? (int)status : 0;
}

/* The status of the answer; 0: there was none. */
static int ask(int fd, struct span health)
{
    char text[1400], answer[STATUS_LINE_BYTES + 1];
    size_t size = 0;
    int length = snprintf(text, sizeof text,
                          "GET %.*s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: tensord\r\n"
                          "Accept: */*\r\nConnection: close\r\n\r\n",
                          SPAN_ARGS(health));
    if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length)
        return 0;
    while (size < STATUS_LINE_BYTES) {
        ssize_t count = wait_for(fd, POLLIN, ANSWER_MS)
                            ? recv(fd, answer + size, STATUS_LINE_BYTES - size, 0)
                            : 0;
        if (count <= 0)
            return 0;
        size += (size_t)count;
    }
    answer[size] = '\0';
    read_rest(fd);
    return status_of(answer);
}

bool keeper_is_healthy(const struct keeper_place *place, struct span health, char *what,
                       size_t size)
{
    int fd = begin(place);
    int failure = fd < 0 ? errno : 0;
    if (fd >= 0)
        failure = wait_for(fd, POLLOUT, CONNECT_MS) ? outcome(fd) : ETIMEDOUT;
    int status = !failure && health.size ? ask(fd, health) : 0;
    if (fd >= 0)
        close(fd);
    if (failure)
        snprintf(what, size, "it accepts no connections (%s)", strerrordesc_np(failure));
    else if (status)
        snprintf(what, size, "it answered %.*s with %d", SPAN_ARGS(health), status);
    else
        snprintf(what, size, "it did not answer %.*s", SPAN_ARGS(health));
    return !failure && (!health.size || (status >= 200 && status < 300));
}

/* ---- for the front ---- */

void keeper_connects_init(struct keeper_connects *connects)
{
    *connects = (struct keeper_connects){.open = true};
}

size_t keeper_connects_polls(const struct keeper_connects *connects, struct pollfd *polls)
{
    bool takes = connects->open && connects->count < KEEPER_MOST_CONNECTS;
    polls[0] = (struct pollfd){.fd = takes ? WORKER_FD_LINE : -1, .events = POLLIN};
    for (size_t i = 0; i < connects->count; i++)
        polls[1 + i] = (struct pollfd){.fd = connects->fds[i], .events = POLLOUT};
    return 1 + connects->count;
}

/* The front reads all that there is in each of its turns, and asked for each: this does not block
 * for long. */
static void answer(int fd, int failure)
{
    const struct keeper_answer words = {.failure = failure};
    fd_pass_send(WORKER_FD_LINE, &words, sizeof words, &fd, !failure, 0);
}

static void begin_one(struct keeper_connects *connects, const struct keeper_place *place)
{
    char byte;
    ssize_t size = recv(WORKER_FD_LINE, &byte, sizeof byte, MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
        connects->open = false; /* the front is gone, and this process will be */
    if (size != 1 || byte != KEEPER_CONNECT)
        return;
    int fd = begin(place);
    if (fd < 0)
        answer(-1, errno);
    else
        connects->fds[connects->count++] = fd;
}

static void finish_one(struct keeper_connects *connects, size_t at)
{
    int fd = connects->fds[at];
    answer(fd, outcome(fd));
    close(fd);
    connects->fds[at] = connects->fds[--connects->count];
}

void keeper_connects_polled(struct keeper_connects *connects, const struct keeper_place *place,
                            const struct pollfd *polls, size_t count)
{
    for (size_t i = count; i-- > 1;) /* the last one takes the place of one that leaves */
        if (polls[i].revents)
            finish_one(connects, i - 1);
    if (polls[0].revents)
        begin_one(connects, place);
}
