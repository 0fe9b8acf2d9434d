/* Knowing the user's own server; see own_server.h. Who listens on a port stands in /proc/net/tcp,
 * with the user that opened the socket (proc_net_tcp.txt in the kernel's documentation). */
#include "cmd/own_server.h"

#include "auth/token_store.h"
#include "cmd/state_dir.h"
#include "net/address.h"

#include <stdio.h>
#include <unistd.h>

enum { LISTENING = 0x0a, LINE_BYTES = 512 };

/* What a line of the table says; false for its heading. */
static bool read_line(const char *line, unsigned *ret_port, unsigned *ret_state, unsigned *ret_uid)
{
    /* NOLINTNEXTLINE(cert-err34-c): the kernel writes no number that does not fit */
    return sscanf(line, " %*u: %*[0-9A-F]:%X %*[0-9A-F]:%*X %X %*X:%*X %*X:%*X %*X %u", ret_port,
                  ret_state, ret_uid) == 3;
}

/* Counts the sockets that listen on the port: those of this user or root, and those of others. */
static void count_listeners(const char *path, unsigned port, unsigned *own, unsigned *others)
{
    char line[LINE_BYTES];
    unsigned line_port, state, uid;
    FILE *table = fopen(path, "re");
    while (table && fgets(line, sizeof line, table)) {
        if (!read_line(line, &line_port, &state, &uid) || state != LISTENING || line_port != port)
            continue;
        if (uid == geteuid() || uid == 0)
            ++*own;
        else
            ++*others;
    }
    if (table)
        fclose(table);
}

static bool is_own(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    unsigned own = 0, others = 0;
    if (getpeername(fd, (struct sockaddr *)&address, &size) != 0 || !address_is_loopback(&address))
        return false;
    count_listeners("/proc/net/tcp", address_port(&address), &own, &others);
    count_listeners("/proc/net/tcp6", address_port(&address), &own, &others);
    return own > 0 && others == 0;
}

bool own_server_token(int fd, char ret_secret[SECRET_BYTES + 1])
{
    struct settings settings;
    struct error error;
    const char *operand;
    char folder[PATH_MAX];
    if (!is_own(fd) || !settings_read(&settings, 0, NULL, &operand, &error))
        return false;
    bool good =
        state_dir_find(&settings, folder, &error) && token_store_admin(folder, ret_secret, &error);
    settings_fini(&settings);
    return good;
}
