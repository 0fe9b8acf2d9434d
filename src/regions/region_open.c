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

#include "worker/fd_pass.h"

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
    int region = open_region(path, &answer.size_bytes);
    answer.opened = region >= 0;
    int failure = fd_pass_send(fd, &answer, sizeof answer, &region, answer.opened, 0);
    if (region >= 0)
        close(region);
    return failure == 0;
}

/* ---- in the front ---- */

int region_open_take(int fd, uint64_t *ret_size_bytes)
{
    struct region_opened answer = {0};
    int region = -1;
    size_t count;
    ssize_t size = fd_pass_receive(fd, &answer, sizeof answer, &region, 1, &count);
    if (region >= 0 && (size != sizeof answer || answer.opened != 1)) {
        close(region);
        region = -1;
    }
    *ret_size_bytes = answer.size_bytes;
    return region;
}
