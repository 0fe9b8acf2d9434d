/* A request over one connection that closes after it: HTTP/1.0, so that the answer ends with the
 * connection. */
#include "cmd/http_client.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TIMEOUT_S = 10, READ_BYTES = 16384, HOST_BYTES = 256 };

struct address {
    char host[HOST_BYTES];
    char port[8];
};

static bool parse_url(const char *url, struct address *ret_address, struct error *ret_error)
{
    struct span rest = span_of(url), port = SPAN("8000");
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
                         "'%s' is no address; give one as http://HOST:PORT", url);
    *ret_address = (struct address){0};
    memcpy(ret_address->host, host.data, host.size);
    memcpy(ret_address->port, port.data, port.size);
    return true;
}

static int connect_to(const struct address *address, struct error *ret_error)
{
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

/* Drops the head of an answer and looks at its status. */
static bool take_body(struct buf *reply, struct error *ret_error)
{
    const char *end = reply->size ? memmem(reply->data, reply->size, "\r\n\r\n", 4) : NULL;
    if (!end || reply->size < 12 || memcmp(reply->data, "HTTP/1.", 7) != 0)
        return error_set(ret_error, ERROR_INTERNAL, "the answer is no HTTP");
    bool good = memcmp(reply->data + 9, "200", 3) == 0;
    char status[4] = {reply->data[9], reply->data[10], reply->data[11], 0};
    buf_consume(reply, (size_t)(end - reply->data) + 4);
    return good || error_set(ret_error, ERROR_INTERNAL, "the server answers with status %s: %.*s",
                             status, SPAN_ARGS(buf_span(reply)));
}

bool http_client_post(const char *url, const char *path, struct span body, struct buf *reply,
                      struct error *ret_error)
{
    struct address address;
    struct buf request;
    if (!parse_url(url, &address, ret_error))
        return false;
    int fd = connect_to(&address, ret_error);
    if (fd < 0)
        return false;
    buf_init(&request, SIZE_MAX / 2);
    buf_printf(&request,
               "POST %s HTTP/1.0\r\nHost: %s:%s\r\nContent-Type: "
               "application/json\r\nContent-Length: %zu\r\n\r\n",
               path, address.host, address.port, body.size);
    buf_append(&request, body);
    bool good = buf_ok(&request) && send_all(fd, buf_span(&request)) && receive_all(fd, reply);
    if (!good)
        error_set(ret_error, ERROR_UNAVAILABLE, "the server at %s:%s does not answer", address.host,
                  address.port);
    close(fd);
    buf_fini(&request);
    return good && take_body(reply, ret_error);
}
