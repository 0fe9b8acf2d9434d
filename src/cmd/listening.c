/* Which sockets a server has; see listening.h. */
#include "cmd/listening.h"

#include "cmd/tls_setup.h"
#include "telemetry/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_BYTES = 300 };

/* Closes what comes after the first `count`. */
static void drop(struct listening *listening, size_t count)
{
    while (listening->count > count) {
        struct listen_socket *last = &listening->sockets[--listening->count];
        listen_socket_remove_file(last);
        listen_socket_close(last);
    }
}

/* "0660"; only permissions. */
static bool parse_mode(const char *text, mode_t *ret_mode, struct error *ret_error)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);
    if (text[0] < '0' || text[0] > '7' || *end != '\0' || mode > 0777)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "--socket-mode wants permissions as chmod does, 0600 or 0660, not '%s'",
                         text);
    *ret_mode = (mode_t)mode;
    return true;
}

static bool add(struct listening *listening, const char *address, enum listen_role role,
                mode_t mode, struct error *ret_error)
{
    if (listening->count == LISTEN_SOCKETS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "no more than %d addresses can be listened on", LISTEN_SOCKETS);
    if (!listen_socket_open(address, role, mode, &listening->sockets[listening->count], ret_error))
        return false;
    listening->count++;
    return true;
}

/* "http://" and "https://" before HOST:PORT say whether it speaks TLS, whatever the others do. */
static enum listen_role split_scheme(const char **address)
{
    static const struct {
        const char *scheme;
        enum listen_role role;
    } schemes[] = {{"http://", LISTEN_HTTP}, {"https://", LISTEN_HTTPS}};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t length = strlen(schemes[i].scheme);
        if (strncmp(*address, schemes[i].scheme, length) == 0) {
            *address += length;
            return schemes[i].role;
        }
    }
    return LISTEN_MAIN;
}

static bool is_inherited(const struct listening *listening, const char *address)
{
    for (size_t i = 0; i < listening->inherited; i++)
        if (listen_socket_is_at(&listening->sockets[i], address))
            return true;
    return false;
}

static bool open_listed(struct listening *listening, const struct settings *settings, mode_t mode,
                        struct error *ret_error)
{
    for (size_t i = 0; i < settings->listen.count; i++) {
        const char *address = settings->listen.items[i];
        enum listen_role role = split_scheme(&address);
        if (role == LISTEN_HTTPS && !settings->tls_cert[0])
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "--listen %s takes --tls-cert",
                             settings->listen.items[i]);
        if (!is_inherited(listening, address) && !add(listening, address, role, mode, ret_error))
            return false;
    }
    return true;
}

/* A port of --host. `usual`: the ports that a server has when nothing else is said are wanted. */
static bool open_port(struct listening *listening, const struct settings *settings,
                      enum setting_index row, enum listen_role role, bool usual,
                      struct error *ret_error)
{
    const int64_t ports[] = {settings->port, settings->grpc_port, settings->metrics_port};
    int64_t port = ports[role];
    bool asked = settings->sources[row] != SETTING_DEFAULT;
    bool v6 = strchr(settings->host, ':') != NULL;
    char address[ADDRESS_BYTES];
    struct error error;
    if ((!asked && !usual) || (role != LISTEN_MAIN && port == 0))
        return true;
    snprintf(address, sizeof address, v6 ? "[%s]:%lld" : "%s:%lld", settings->host,
             (long long)port);
    if (is_inherited(listening, address) || add(listening, address, role, 0, &error))
        return true;
    if (!asked && role != LISTEN_MAIN) {
        log_warning("serve", "no second port for %s: %s", listen_role_name(role), error.message);
        return true;
    }
    return error_set(ret_error, error.code, "%s", error.message);
}

static bool open_all(struct listening *listening, const struct settings *settings,
                     struct error *ret_error)
{
    mode_t mode = 0;
    if (!parse_mode(settings->socket_mode, &mode, ret_error))
        return false;
    bool usual = listening->count == 0 && settings->listen.count == 0;
    bool host = usual || settings->sources[SETTING_host] != SETTING_DEFAULT;
    return open_listed(listening, settings, mode, ret_error) &&
           open_port(listening, settings, SETTING_port, LISTEN_MAIN, host, ret_error) &&
           open_port(listening, settings, SETTING_grpc_port, LISTEN_GRPC, host, ret_error) &&
           open_port(listening, settings, SETTING_metrics_port, LISTEN_METRICS, host, ret_error);
}

bool listening_is_exposed(const struct listening *listening)
{
    for (size_t i = 0; i < listening->count; i++) {
        if (!listen_socket_is_local(&listening->sockets[i]))
            return true;
    }
    return false;
}

static bool check_secrecy(const struct listening *listening, const struct settings *settings,
                          struct error *ret_error)
{
    for (size_t i = 0; i < listening->count && !settings->insecure; i++) {
        const struct listen_socket *socket = &listening->sockets[i];
        char address[ADDRESS_BYTES];
        if (!listen_socket_is_local(socket) &&
            !listen_socket_is_tls(socket, tls_is_wanted(settings)))
            return error_set(
                ret_error, ERROR_INVALID_ARGUMENT,
                "at %s tokens and data could be read on their way: give --tls-cert and "
                "--tls-key, or --insecure if something in front of the server does TLS "
                "or you trust the network",
                listen_socket_format(socket, false, address, sizeof address));
    }
    return true;
}

bool listening_open(struct listening *ret_listening, const struct settings *settings,
                    struct error *ret_error)
{
    if (!listening_inherit(ret_listening, ret_error))
        return false;
    if (ret_listening->count == 0 &&
        !listen_socket_inherit(ret_listening->sockets, &ret_listening->count, ret_error))
        return false;
    ret_listening->inherited = ret_listening->count;
    if (open_all(ret_listening, settings, ret_error) &&
        check_secrecy(ret_listening, settings, ret_error))
        return true;
    drop(ret_listening, ret_listening->inherited);
    return false;
}

/* Programs that hand over nothing for a check have the sockets open: no other can be opened. */
bool listening_check(const struct settings *settings, struct error *ret_error)
{
    struct listening listening;
    if (!getenv(SPAWNER_SOCKETS_VARIABLE))
        return true;
    if (!listening_open(&listening, settings, ret_error))
        return false;
    drop(&listening, listening.inherited);
    return true;
}

/* ---- from process to process ---- */

/* "main", or "main+file" when the duty to remove the file comes with it. */
#define WITH_FILE "+file"

_Static_assert((int)LISTEN_SOCKETS <= (int)SPAWNER_MAX_SOCKETS, "all sockets can be handed over");

void listening_hand_over(const struct listening *listening,
                         struct spawner_socket ret_sockets[LISTEN_SOCKETS])
{
    for (size_t i = 0; i < listening->count; i++) {
        const struct listen_socket *socket = &listening->sockets[i];
        ret_sockets[i].fd = socket->fd;
        snprintf(ret_sockets[i].name, sizeof ret_sockets[i].name, "%s%s",
                 listen_role_name(socket->role), socket->has_file ? WITH_FILE : "");
    }
}

static bool take(struct span item, struct listen_socket *ret_socket, struct error *ret_error)
{
    struct span number = item, name = span_split(&number, '='), role_name = name;
    struct span file = span_of(WITH_FILE);
    enum listen_role role;
    uint64_t fd;
    assert(name.data);
    bool owns = name.size > file.size && span_equal(span_after(name, name.size - file.size), file);
    if (owns)
        role_name.size -= file.size;
    if (!listen_role_of_name(role_name, &role) || !span_to_u64(number, &fd) || fd > INT32_MAX ||
        !listen_socket_adopt((int)fd, role, ret_socket, ret_error))
        return error_set(ret_error, ERROR_INTERNAL, "no listening socket was handed over as '%.*s'",
                         SPAN_ARGS(item));
    if (owns)
        listen_socket_own_file(ret_socket);
    return true;
}

bool listening_inherit(struct listening *ret_listening, struct error *ret_error)
{
    const char *text = getenv(SPAWNER_SOCKETS_VARIABLE);
    struct span rest = span_of(text && *text ? text : NULL);
    ret_listening->count = 0;
    while (rest.data && ret_listening->count < LISTEN_SOCKETS) {
        if (!take(span_split(&rest, ','), &ret_listening->sockets[ret_listening->count], ret_error))
            return false;
        ret_listening->count++;
    }
    unsetenv(SPAWNER_SOCKETS_VARIABLE);
    return true;
}

void listening_remove_files(struct listening *listening)
{
    for (size_t i = 0; i < listening->count; i++)
        listen_socket_remove_file(&listening->sockets[i]);
}
