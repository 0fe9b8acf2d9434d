/* Handing over listening sockets; see spawner_sockets.h. */
#include "worker/spawner_sockets.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool spawner_sockets_export(const struct spawner_options *options, int first_fd)
{
    char text[SPAWNER_MAX_SOCKETS * 32] = "";
    size_t used = 0;
    assert(options->socket_count <= SPAWNER_MAX_SOCKETS);
    for (size_t i = 0; i < options->socket_count; i++) {
        const struct spawner_socket *socket = &options->sockets[i];
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s=%d", i ? "," : "",
                                 socket->name, first_fd < 0 ? socket->fd : first_fd + (int)i);
    }
    return setenv(SPAWNER_SOCKETS_VARIABLE, text, 1) == 0;
}

void spawner_sockets_keep(const struct spawner_options *options, bool keep)
{
    for (size_t i = 0; i < options->socket_count; i++)
        fcntl(options->sockets[i].fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

void spawner_sockets_close(const struct spawner_options *options)
{
    for (size_t i = 0; i < options->socket_count; i++)
        close(options->sockets[i].fd);
}
