/* Scratch folders; see scratch.h. */
#include "worker/scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { OPEN_FOLDERS = 16 };

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

void scratch_remove_all(pid_t spawner)
{
    char all[SCRATCH_PATH_BYTES];
    folder_of_all(spawner, all);
    if (is_ours(all))
        remove_tree(all);
}
