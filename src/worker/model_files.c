/* Leases on a model's files; see model_files.h. They are not kept while the engine loads, because a
 * writer would have to wait for that; instead, the files are compared afterwards. */
#include "worker/model_files.h"

#include "base/clock.h"
#include "base/span.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xff534d42
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xfe534d42
#endif
#define FUSE_MAGIC 0x65735546
#define LUSTRE_MAGIC 0x0bd00bd0

enum { QUIET_S = 5 };

enum lease { LEASE_GRANTED, LEASE_REFUSED, LEASE_UNKNOWN };

/* There a lease tells of this machine's writers alone, or is refused without any. */
static bool is_elsewhere(int fd)
{
    static const uint32_t types[] = {NFS_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
                                     SMB_SUPER_MAGIC, V9FS_MAGIC,       CEPH_SUPER_MAGIC,
                                     AFS_SUPER_MAGIC, FUSE_MAGIC,       LUSTRE_MAGIC};
    struct statfs filesystem;
    if (fstatfs(fd, &filesystem) != 0)
        return true;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if ((uint32_t)filesystem.f_type == types[i])
            return true;
    }
    return false;
}

/* Does anybody have the file open for writing? Closing it ends the lease. */
static enum lease try_lease(int fd)
{
    if (is_elsewhere(fd))
        return LEASE_UNKNOWN;
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
        return LEASE_GRANTED;
    return errno == EAGAIN ? LEASE_REFUSED : LEASE_UNKNOWN;
}

/* Times from a clock that is ahead say nothing. */
static bool is_quiet(const struct stat *status)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return status->st_mtim.tv_sec + QUIET_S <= now.tv_sec ||
           status->st_mtim.tv_sec > now.tv_sec + QUIET_S;
}

static bool is_whole(const char *path, const struct stat *status)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno != EAGAIN; /* somebody has a lease for writing */
    enum lease lease = try_lease(fd);
    close(fd);
    return lease == LEASE_GRANTED || (lease == LEASE_UNKNOWN && is_quiet(status));
}

static bool add(void *context, const char *path, const struct stat *status, struct error *ret_error)
{
    tree_summary_add(context, path, status);
    return true;
}

static bool add_whole(void *context, const char *path, const struct stat *status,
                      struct error *ret_error)
{
    if (S_ISREG(status->st_mode) && !is_whole(path, status))
        return error_set(ret_error, ERROR_UNAVAILABLE, "'%.200s' is still being written",
                         strrchr(path, '/') + 1);
    return add(context, path, status, ret_error);
}

/* The file's own folder is read for those beside it; it may be one that the worker may not read,
 * and then there are none. */
static bool walk_beside(const char *path, tree_visit *visit, struct tree_summary *summary,
                        struct error *ret_error)
{
    char folder[PATH_MAX], other[PATH_MAX];
    const char *name = strrchr(path, '/') + 1;
    snprintf(folder, sizeof folder, "%.*s", (int)(name - path), path);
    DIR *directory = opendir(folder);
    bool good = tree_walk(path, visit, summary, ret_error);
    for (const struct dirent *entry; good && directory && (entry = readdir(directory));) {
        if (strncmp(entry->d_name, name, strlen(name)) == 0 && strcmp(entry->d_name, name) != 0 &&
            (size_t)snprintf(other, sizeof other, "%s%s", folder, entry->d_name) < sizeof other)
            good = tree_walk(other, visit, summary, ret_error);
    }
    if (directory)
        closedir(directory);
    return good;
}

static bool walk(const char *path, tree_visit *visit, struct tree_summary *ret_summary,
                 struct error *ret_error)
{
    struct stat status;
    tree_summary_init(ret_summary);
    if (path[0] == '/' && stat(path, &status) == 0 && !S_ISDIR(status.st_mode))
        return walk_beside(path, visit, ret_summary, ret_error);
    return tree_walk(path, visit, ret_summary, ret_error);
}

void model_files_look(const char *path, bool renamed_in, struct model_files *ret_files)
{
    struct error error;
    /* A writer that wants the file while there is a lease makes the kernel send SIGIO. */
    void (*handler)(int) = signal(SIGIO, SIG_IGN);
    *ret_files = (struct model_files){.path = path, .error = {.code = ERROR_OK}};
    if (!walk(path, renamed_in ? add : add_whole, &ret_files->summary, &error) &&
        error.code == ERROR_UNAVAILABLE)
        ret_files->error = error;
    signal(SIGIO, handler);
}

bool model_files_same(const struct model_files *files)
{
    struct tree_summary now;
    walk(files->path, add, &now, NULL);
    return now.fingerprint == files->summary.fingerprint;
}
