/* Descriptors that go with a message; see fd_pass.h. */
#include "worker/fd_pass.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

int fd_pass_send(int socket, const void *bytes, size_t size, const int *fds, size_t count,
                 int flags)
{
    union fd_pass_control control = {.bytes = {0}};
    struct iovec vector = {(void *)(uintptr_t)bytes, size};
    struct msghdr head = {.msg_iov = &vector, .msg_iovlen = 1};
    assert(count <= FD_PASS_MOST);
    if (count) {
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(count * sizeof *fds);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&head);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof *fds);
        memcpy(CMSG_DATA(rights), fds, count * sizeof *fds);
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &head, MSG_NOSIGNAL | flags);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno;
    return (size_t)sent == size ? 0 : EMSGSIZE;
}

size_t fd_pass_take(struct msghdr *head, int *fds, size_t most)
{
    size_t taken = 0;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(head); control;
         control = CMSG_NXTHDR(head, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++, taken++) {
            int fd;
            memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
            if (taken < most)
                fds[taken] = fd;
            else
                close(fd);
        }
    }
    return taken;
}

ssize_t fd_pass_receive(int socket, void *bytes, size_t size, int *fds, size_t most,
                        size_t *ret_count)
{
    union fd_pass_control control;
    struct iovec vector = {bytes, size};
    struct msghdr head = {.msg_iov = &vector,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes};
    ssize_t received;
    do
        received = recvmsg(socket, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    *ret_count = received < 0 ? 0 : fd_pass_take(&head, fds, most);
    if (received >= 0 && head.msg_flags & MSG_CTRUNC)
        *ret_count = FD_PASS_MOST + 1;
    return received;
}
