/* Opening shared memory for the front; see region_open.h. */
#include "regions/region_open.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Room for more than the one descriptor, so that what comes with it is seen and closed. */
enum { FDS_ROOM = 4 };

union control {
    char bytes[CMSG_SPACE(FDS_ROOM * sizeof(int))];
    struct cmsghdr align;
};

/* O_NONBLOCK: a named pipe, or a file with a lease, must not hold the process up. */
static int open_beneath(int folder, const char *file)
{
    struct open_how how = {
        .flags = O_RDWR | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    return (int)syscall(SYS_openat2, folder, file, &how, sizeof how);
}

/* A file system in memory, so that reading and writing wait for no disk and no other process. */
static bool is_shared_memory(int fd, struct stat *status)
{
    struct statfs system;
    return fstat(fd, status) == 0 && fstatfs(fd, &system) == 0 && S_ISREG(status->st_mode) &&
           status->st_uid == geteuid() && system.f_type == TMPFS_MAGIC;
}

static int open_region(const char *path, uint64_t *ret_size_bytes)
{
    struct stat status;
    size_t prefix = strlen(REGION_FOLDER "/");
    int folder = open(REGION_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    bool beneath = strncmp(path, REGION_FOLDER "/", prefix) == 0 && !strchr(path + prefix, '/');
    int fd = beneath ? open_beneath(folder, path + prefix) : -1;
    close(folder);
    if (fd < 0)
        return -1;
    if (!is_shared_memory(fd, &status)) {
        close(fd);
        return -1;
    }
    *ret_size_bytes = (uint64_t)status.st_size;
    return fd;
}

bool region_open_run(const char *path, int fd)
{
    struct region_opened answer = {0};
    union control control = {.bytes = {0}};
    struct iovec vector = {&answer, sizeof answer};
    struct msghdr head = {.msg_iov = &vector, .msg_iovlen = 1};
    int region = open_region(path, &answer.size_bytes);
    answer.opened = region >= 0;
    if (region >= 0) {
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(sizeof region);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&head);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof region);
        memcpy(CMSG_DATA(rights), &region, sizeof region);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &head, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (region >= 0)
        close(region);
    return sent == sizeof answer;
}

/* ---- in the front ---- */

/* Takes the first descriptor that came, and closes any other. */
static int take_fd(struct msghdr *head)
{
    int first = -1;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(head); control;
         control = CMSG_NXTHDR(head, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
            if (first < 0)
                first = fd;
            else
                close(fd);
        }
    }
    return first;
}

int region_open_take(int fd, uint64_t *ret_size_bytes)
{
    struct region_opened answer = {0};
    union control control;
    struct iovec vector = {&answer, sizeof answer};
    struct msghdr head = {.msg_iov = &vector,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes};
    ssize_t size;
    do
        size = recvmsg(fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    int region = size < 0 ? -1 : take_fd(&head);
    if (region >= 0 && (size != sizeof answer || answer.opened != 1)) {
        close(region);
        region = -1;
    }
    *ret_size_bytes = answer.size_bytes;
    return region;
}
