/* A limit: the least that a server of tensors over TCP can do. It reads requests of a known size,
 * looks at none of their bytes, and answers each with as many bytes of a fixed response.
 * socket_copy REQUEST_BYTES RESPONSE_FILE prints its port. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_CONNS = 1024, BUFFER_BYTES = 1 << 20 };

struct connection {
    int fd;
    size_t received; /* of the request */
    size_t unsent;   /* of the response */
};

static size_t request_bytes, response_bytes;
static char *response;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void read_response(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        fail(path);
    response_bytes = (size_t)status.st_size;
    response = malloc(response_bytes);
    if (!response || read(fd, response, response_bytes) != status.st_size)
        fail(path);
    close(fd);
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        fail("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

/* Goes on with a connection as far as it can; false when it is over. */
static bool serve(struct connection *connection)
{
    static char buffer[BUFFER_BYTES];
    for (;;) {
        if (connection->unsent) {
            ssize_t sent = write(connection->fd, response + response_bytes - connection->unsent,
                                 connection->unsent);
            if (sent <= 0)
                return sent < 0;
            connection->unsent -= (size_t)sent;
            continue;
        }
        size_t wanted = request_bytes - connection->received;
        ssize_t got = read(connection->fd, buffer, wanted < BUFFER_BYTES ? wanted : BUFFER_BYTES);
        if (got <= 0)
            return got < 0;
        connection->received += (size_t)got;
        if (connection->received == request_bytes) {
            connection->received = 0;
            connection->unsent = response_bytes;
        }
    }
}

int main(int count, char **arguments)
{
    static struct connection connections[MAX_CONNS];
    struct epoll_event events[64], interest = {.events = EPOLLIN, .data.ptr = NULL};
    if (count != 3)
        return 2;
    request_bytes = strtoul(arguments[1], NULL, 10);
    read_response(arguments[2]);
    int listener = listen_anywhere(), poll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &interest);
    for (;;) {
        int ready = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection) {
                if (!serve(connection))
                    close(connection->fd);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0 || fd >= MAX_CONNS)
                continue;
            connections[fd] = (struct connection){.fd = fd};
            struct epoll_event both = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                       .data.ptr = &connections[fd]};
            epoll_ctl(poll, EPOLL_CTL_ADD, fd, &both);
        }
    }
}
