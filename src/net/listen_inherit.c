/* Socket activation: taking over what systemd, or any program that speaks sd_listen_fds(3), has
 * opened. */
#include "net/listen_socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_FD = 3 }; /* SD_LISTEN_FDS_START */

static bool is_for_us(const char *pid)
{
    uint64_t number;
    return span_to_u64(span_of(pid), &number) && number == (uint64_t)getpid();
}

/* How many there are; false when that is no number that makes sense. */
static bool count_of(const char *text, size_t *ret_count, struct error *ret_error)
{
    uint64_t count;
    if (!span_to_u64(span_of(text), &count) || count > LISTEN_SOCKETS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "socket activation: LISTEN_FDS is '%s', not a number up to %d", text,
                         LISTEN_SOCKETS);
    *ret_count = (size_t)count;
    return true;
}

static bool adopt_all(struct listen_socket *sockets, size_t count, const char *names,
                      struct error *ret_error)
{
    struct span rest = span_of(names);
    for (size_t i = 0; i < count; i++) {
        struct error error;
        struct span name = rest.data ? span_split(&rest, ':') : SPAN("");
        enum listen_role role = LISTEN_MAIN;
        listen_role_of_name(name, &role);
        if (!listen_socket_adopt(FIRST_FD + (int)i, role, &sockets[i], &error))
            return error_set(ret_error, error.code,
                             "socket activation, descriptor %zu ('%.*s'): %s", FIRST_FD + i,
                             SPAN_ARGS(name), error.message);
    }
    return true;
}

bool listen_socket_inherit(struct listen_socket *sockets, size_t *ret_count,
                           struct error *ret_error)
{
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    const char *pid = getenv(variables[0]), *fds = getenv(variables[1]);
    size_t count = 0;
    bool fine = true;
    if (pid && fds && is_for_us(pid))
        fine = count_of(fds, &count, ret_error) &&
               adopt_all(sockets, count, getenv(variables[2]), ret_error);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    if (fine)
        *ret_count = count;
    return fine;
}
