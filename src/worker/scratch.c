/* Scratch folders; see scratch.h. */
#include "worker/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { OPEN_FOLDERS = 16 };

/* Of this spawner's folder of all; open, and locked, for as long as it lives. */
static int held = -1;

static const char *place(void)
{
    const char *where = getenv("TMPDIR");
    return where && where[0] == '/' ? where : "/tmp";
}

static void folder_of_all(pid_t spawner, char path[SCRATCH_PATH_BYTES])
{
    snprintf(path, SCRATCH_PATH_BYTES, "%.400s/tensord-%u-%d", place(), (unsigned)geteuid(),
             (int)spawner);
}

uint32_t scratch_usual_mib(void)
{
    struct statvfs status;
    if (statvfs(place(), &status) < 0)
        return 0;
    uint64_t disk_mib = (uint64_t)status.f_blocks * status.f_frsize >> 20;
    return disk_mib < UINT32_MAX ? (uint32_t)(disk_mib / 10 * 9) : UINT32_MAX;
}

static bool is_ours(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
           (status.st_mode & 077) == 0;
}

static void hold(const char *all)
{
    if (held >= 0)
        return;
    held = open(all, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (held >= 0)
        flock(held, LOCK_EX | LOCK_NB);
}

bool scratch_path(pid_t spawner, pid_t front, uint64_t worker, char path[SCRATCH_PATH_BYTES],
                  struct error *ret_error)
{
    char all[SCRATCH_PATH_BYTES];
    folder_of_all(spawner, all);
    if (mkdir(all, 0700) < 0 && errno != EEXIST)
        return error_set(ret_error, ERROR_INTERNAL, "cannot make a scratch folder: %s",
                         strerrordesc_np(errno));
    if (!is_ours(all))
        return error_set(ret_error, ERROR_INTERNAL,
                         "cannot make a scratch folder: somebody else's is in its place");
    hold(all);
    snprintf(path, SCRATCH_PATH_BYTES, "%.480s/%d-%llu", all, (int)front,
             (unsigned long long)worker);
    return true;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    if (kind == FTW_D ||
        kind == FTW_DNR) /* not yet visited, or unreadable by its owner's own doing */
        chmod(path, 0700);
    remove(path);
    return 0;
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void scratch_remove(const char *path)
{
    if (fork() != 0)
        return;
    remove_tree(path);
    _exit(EXIT_SUCCESS);
}

/* Whether a name in the place is that of a folder whose spawner has gone. The lock tells of one
 * that lives in another container and shares the place, whose number means nothing here. */
static bool is_left_behind(const char *name, char path[SCRATCH_PATH_BYTES])
{
    char prefix[32];
    int size = snprintf(prefix, sizeof prefix, "tensord-%u-", (unsigned)geteuid());
    if (strncmp(name, prefix, (size_t)size) != 0)
        return false;
    char *end;
    errno = 0;
    long pid = strtol(name + size, &end, 10);
    if (errno || *end || pid <= 1 || pid > INT32_MAX || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
        return false;
    snprintf(path, SCRATCH_PATH_BYTES, "%.400s/%.100s", place(), name);
    if (!is_ours(path))
        return false;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool left = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return left;
}

static void remove_left_behind(void)
{
    char path[SCRATCH_PATH_BYTES];
    DIR *folder = opendir(place());
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (is_left_behind(entry->d_name, path))
            remove_tree(path);
    }
    if (folder)
        closedir(folder);
}

void scratch_begin(pid_t spawner)
{
    char all[SCRATCH_PATH_BYTES];
    folder_of_all(spawner, all);
    if (is_ours(all)) /* of the program that this one has replaced */
        hold(all);
    if (fork() != 0)
        return;
    remove_left_behind();
    _exit(EXIT_SUCCESS);
}

void scratch_remove_all(pid_t spawner)
{
    char all[SCRATCH_PATH_BYTES];
    folder_of_all(spawner, all);
    if (is_ours(all))
        remove_tree(all);
}
