/* Descriptors that go with a message over a Unix socket. Pure but for the calls; of no thread in
 * particular. */
#ifndef TENSORD_WORKER_FD_PASS_H
#define TENSORD_WORKER_FD_PASS_H

#include <stddef.h>
#include <sys/socket.h>

enum { FD_PASS_MOST = 8 }; /* descriptors of one message */

/* Room for the descriptors of a message: for more than is allowed, so that what comes beyond is
 * seen and closed. */
union fd_pass_control {
    char bytes[CMSG_SPACE(FD_PASS_MOST * sizeof(int))];
    struct cmsghdr align;
};

/* Sends `size` bytes as one message, with `count` ≤ FD_PASS_MOST descriptors, which stay the
 * caller's. flags: of sendmsg, MSG_NOSIGNAL besides. Returns 0 or an errno. */
int fd_pass_send(int socket, const void *bytes, size_t size, const int *fds, size_t count,
                 int flags);

/* Receives a message of at most `size` bytes, without waiting, and with it up to `most` descriptors
 * into fds, the caller's then; any others are closed. *ret_count: how many came in all, or more
 * than FD_PASS_MOST. Returns its size, 0 at the end, or -1 with errno. */
ssize_t fd_pass_receive(int socket, void *bytes, size_t size, int *fds, size_t most,
                        size_t *ret_count);

/* Takes the descriptors that came with a message: up to `most` into fds, the caller's then; any
 * others are closed. Returns how many came in all. */
size_t fd_pass_take(struct msghdr *head, int *fds, size_t most);

#endif
