/* A request over one connection that closes after it: HTTP/1.0, so that the answer ends with the
 * connection. */
#include "cmd/http_client.h"

#include "cmd/own_server.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { TIMEOUT_S = 10, READ_BYTES = 16384, HOST_BYTES = 256 };

struct address {
    char host[HOST_BYTES];
    char port[8];
    const char *path; /* of a unix socket; NULL: none */
};

void http_client_init(struct http_client *client, const struct command_line *line)
{
    const char *url = line->values[HTTP_CLIENT_OPTION_TO];
    const char *token = line->values[HTTP_CLIENT_OPTION_TOKEN];
    if (!url)
        url = getenv("TENSORD_URL");
    if (!token)
        token = getenv("TENSORD_TOKEN");
    *client = (struct http_client){
        .url = url && url[0] ? url : HTTP_CLIENT_URL,
        .token = token && token[0] ? token : NULL,
    };
}

static bool no_tls(struct error *ret_error)
{
    return error_set(ret_error, ERROR_UNIMPLEMENTED,
                     "this command does not speak TLS; let the server listen on a unix socket, too "
                     "(--listen unix:PATH), and ask there (--to unix:PATH), or use curl");
}

static bool parse_url(const char *url, struct address *ret_address, struct error *ret_error)
{
    struct span rest = span_of(url), port = SPAN("8000");
    *ret_address = (struct address){.host = "localhost", .path = url + strlen("unix:")};
    if (span_starts_with(rest, SPAN("unix:")))
        return true;
    if (span_starts_with(rest, SPAN("https://")))
        return no_tls(ret_error);
    if (span_starts_with(rest, SPAN("http://")))
        rest = span_after(rest, 7);
    struct span authority = span_split(&rest, '/'), host = authority;
    const char *colon = memrchr(authority.data, ':', authority.size);
    const char *bracket = memrchr(authority.data, ']', authority.size);
    if (colon && (!bracket || colon > bracket)) {
        host.size = (size_t)(colon - authority.data);
        port = span_after(authority, host.size + 1);
    }
    if (bracket && host.size >= 2)
        host = (struct span){host.data + 1, host.size - 2};
    if (!host.size || host.size >= HOST_BYTES || !port.size ||
        port.size >= sizeof ret_address->port)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'%s' is no address; give one as http://HOST:PORT or unix:PATH", url);
    *ret_address = (struct address){0};
    memcpy(ret_address->host, host.data, host.size);
    memcpy(ret_address->port, port.data, port.size);
    return true;
}

static int connect_unix(const char *path, struct error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = -1;
    if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s", path) <
        sizeof address.sun_path)
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    else
        errno = ENAMETOOLONG;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        error_set(ret_error, ERROR_UNAVAILABLE, "no server answers at %.200s: %s", path,
                  strerror(errno));
    return fd;
}

static int connect_to(const struct address *address, struct error *ret_error)
{
    if (address->path)
        return connect_unix(address->path, ret_error);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    struct timeval timeout = {TIMEOUT_S, 0};
    int fd = -1, status = getaddrinfo(address->host, address->port, &hints, &found);
    if (status != 0) {
        error_set(ret_error, ERROR_UNAVAILABLE, "cannot find '%s': %s", address->host,
                  gai_strerror(status));
        return -1;
    }
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        error_set(ret_error, ERROR_UNAVAILABLE, "no server answers at %s:%s: %s", address->host,
                  address->port, strerror(errno));
    return fd;
}

static bool send_all(int fd, struct span bytes)
{
    while (bytes.size) {
        ssize_t sent = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes = span_after(bytes, (size_t)sent);
    }
    return true;
}

static bool receive_all(int fd, struct buf *reply)
{
    for (;;) {
        char *room = buf_reserve(reply, READ_BYTES);
        ssize_t got = room ? recv(fd, room, READ_BYTES, 0) : -1;
        if (got <= 0)
            return got == 0;
        reply->size += (size_t)got;
    }
}

/* Takes the head off an answer: its body is left, and *ret_status is what it says. */
static bool take_head(struct buf *reply, unsigned *ret_status, struct error *ret_error)
{
    const char *end = reply->size ? memmem(reply->data, reply->size, "\r\n\r\n", 4) : NULL;
    uint64_t status;
    if (!end || reply->size < 12 || memcmp(reply->data, "HTTP/1.", 7) != 0 ||
        !span_to_u64((struct span){reply->data + 9, 3}, &status))
        return error_set(ret_error, ERROR_INTERNAL, "the answer is no HTTP");
    *ret_status = (unsigned)status;
    buf_consume(reply, (size_t)(end - reply->data) + 4);
    return true;
}

/* Control characters would end the field and begin another. */
static bool check_token(const char *token, struct error *ret_error)
{
    for (const char *c = token; *c; c++) {
        if (*c <= ' ' || *c >= 0x7f)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "the token holds a character that no token has");
    }
    return true;
}

static bool write_request(const struct address *address, const char *token, const char *path,
                          struct span body, struct buf *to, struct error *ret_error)
{
    bool v6 = strchr(address->host, ':') != NULL;
    buf_printf(to, "POST %s HTTP/1.0\r\nHost: %s%s%s:%s\r\n", path, v6 ? "[" : "", address->host,
               v6 ? "]" : "", address->path ? "80" : address->port);
    if (token)
        buf_printf(to, "Authorization: Bearer %s\r\n", token);
    buf_printf(to, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", body.size);
    buf_append(to, body);
    return buf_ok(to) || error_no_memory(ret_error);
}

/* One request over a connection of its own. `own`: with the admin's token, if the server at the
 * other end is this user's; *ret_status is 0 when it is not, and nothing was sent. */
static bool ask(const struct http_client *client, bool own, const char *path, struct span body,
                struct buf *reply, unsigned *ret_status, struct error *ret_error)
{
    struct address address;
    struct buf request;
    char secret[SECRET_BYTES + 1];
    if (!parse_url(client->url, &address, ret_error))
        return false;
    int fd = connect_to(&address, ret_error);
    if (fd < 0)
        return false;
    if (own && !own_server_token(fd, secret)) {
        close(fd);
        *ret_status = 0;
        return true;
    }
    buf_clear(reply);
    buf_init(&request, SIZE_MAX / 2);
    bool good =
        write_request(&address, own ? secret : client->token, path, body, &request, ret_error);
    if (good && !(send_all(fd, buf_span(&request)) && receive_all(fd, reply)))
        good = error_set(ret_error, ERROR_UNAVAILABLE, "the server at %s does not answer",
                         client->url);
    close(fd);
    buf_fini(&request);
    return good && take_head(reply, ret_status, ret_error);
}

bool http_client_post(const struct http_client *client, const char *path, struct span body,
                      struct buf *reply, struct error *ret_error)
{
    enum { OK = 200, UNAUTHORIZED = 401 };
    unsigned status = 0, again = 0;
    if (client->token && !check_token(client->token, ret_error))
        return false;
    if (!ask(client, false, path, body, reply, &status, ret_error))
        return false;
    if (status == UNAUTHORIZED && !client->token &&
        !ask(client, true, path, body, reply, &again, ret_error))
        return false;
    status = again ? again : status;
    return status == OK ||
           error_set(ret_error, ERROR_INTERNAL, "the server answers with status %u: %.*s", status,
                     SPAN_ARGS(buf_span(reply)));
}
