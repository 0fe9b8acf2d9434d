/* Telling the supervisor; see supervisor.h. A socket is made for each message: there is one a
 * second at most, and none is there when nobody listens. What cannot be told is not an error. */
#include "worker/supervisor.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

static void tell(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    size_t size = strlen(path);
    memcpy(address.sun_path, path, size);
    if (path[0] == '@') /* an abstract name */
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    socklen_t address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                          address_size);
    (void)sent;
    close(fd);
}

void supervisor_ready(void)
{
    tell("READY=1\nSTATUS=serving");
}

void supervisor_reloading(void)
{
    char state[64];
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
             clock_now_ns() / CLOCK_NS_PER_US);
    tell(state);
}

void supervisor_stopping(void)
{
    tell("STOPPING=1\nSTATUS=finishing the requests that run");
}

/* WATCHDOG_PID names whose watchdog it is; without it, it is that of who has the variables. */
void supervisor_alive(void)
{
    const char *pid = getenv("WATCHDOG_PID");
    if (getenv("WATCHDOG_USEC") && (!pid || strtol(pid, NULL, 10) == getpid()))
        tell("WATCHDOG=1");
}
