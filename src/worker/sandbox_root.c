/* A root folder of a process's own; see sandbox_root.h.
 *
 * A small file system in memory takes the folders and links that lead to each row, as they are
 * here, and each row is mounted at its place. That becomes the root, and the old one is let go. The
 * structs and numbers of the newer mount calls are declared here: a C library may be older than its
 * kernel. */
#include "worker/sandbox_root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

enum { TREE_CLONE = 1, MOVE_EMPTY_SOURCE = 4, TREE_RECURSIVE = 0x8000 };
enum { READ_ONLY = 1, NO_SETUID = 2, NO_DEVICES = 4 };
enum { MAX_LINKS = 40 };

struct tree_attr {
    uint64_t set, clear, propagation, user_namespace;
};

/* A row on its way. */
struct place {
    char *path; /* without links; the row grants nothing where there is none */
    unsigned rights;
    bool mounted;
};

/* Covered for a moment, in this process's own table of mounts, by what will be the root. */
static const char stage[] = "/proc";

static bool fail(const char *what, struct error *ret_error)
{
    return error_set(ret_error, ERROR_UNAVAILABLE, "%s: %s", what, strerrordesc_np(errno));
}

/* The name in the new root: paths there are relative to its descriptor. */
static const char *relative(const char *path)
{
    return path[1] ? path + 1 : ".";
}

static bool is_proc(const char *path)
{
    return strncmp(path, "/proc", 5) == 0 && (path[5] == '/' || path[5] == '\0');
}

/* ---- what leads to a row ---- */

/* Puts the link's target in front of the rest of the path. */
static bool follow(const char *at, char rest[PATH_MAX])
{
    char target[PATH_MAX], joined[2 * PATH_MAX];
    ssize_t size = readlink(at, target, sizeof target - 1);
    if (size <= 0)
        return false;
    target[size] = '\0';
    int length = snprintf(joined, sizeof joined, "%s/%s", target, rest);
    if (length >= PATH_MAX)
        return false;
    memcpy(rest, joined, (size_t)length + 1);
    return true;
}

/* Makes a component of a path in the new root, as it is here. What is there already is right. */
static bool copy_component(int root, const char *at, mode_t mode)
{
    char target[PATH_MAX];
    int made = -1;
    if (S_ISLNK(mode)) {
        ssize_t size = readlink(at, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        made = symlinkat(target, root, relative(at));
    } else if (S_ISDIR(mode)) {
        made = mkdirat(root, relative(at), 0755);
    } else {
        made = openat(root, relative(at), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (made >= 0)
            close(made);
    }
    return made >= 0 || errno == EEXIST;
}

/* Takes the first component off the path; false at its end. */
static bool take_component(char rest[PATH_MAX], char component[NAME_MAX + 1])
{
    const char *start = rest + strspn(rest, "/");
    size_t size = strcspn(start, "/");
    if (size == 0 || size > NAME_MAX)
        return false;
    memcpy(component, start, size);
    component[size] = '\0';
    memmove(rest, start + size, strlen(start + size) + 1);
    return true;
}

static void go_up(char real[PATH_MAX])
{
    char *slash = strrchr(real, '/');
    if (slash)
        *slash = '\0';
}

/* Makes all that leads to the path, and says in `real` where it ends, "" for the root. False when
 * there is no such path here. */
static bool lead(int root, const char *path, char real[PATH_MAX])
{
    char rest[PATH_MAX], component[NAME_MAX + 1];
    struct stat status;
    int links = 0;
    real[0] = '\0';
    if (path[0] != '/' || strlen(path) >= sizeof rest)
        return false;
    memcpy(rest, path, strlen(path) + 1);
    while (take_component(rest, component)) {
        size_t length = strlen(real);
        if (strcmp(component, ".") == 0)
            continue;
        if (strcmp(component, "..") == 0) {
            go_up(real);
            continue;
        }
        if (length + strlen(component) + 2 > PATH_MAX)
            return false;
        snprintf(real + length, PATH_MAX - length, "/%s", component);
        if (is_proc(real) || lstat(real, &status) < 0 ||
            !copy_component(root, real, status.st_mode))
            return false;
        if (!S_ISLNK(status.st_mode))
            continue;
        if (++links > MAX_LINKS || !follow(real, rest))
            return false;
        real[rest[0] == '/' ? 0 : length] = '\0';
    }
    return rest[strspn(rest, "/")] == '\0';
}

/* ---- mounts ---- */

static bool mount_memory(const char *at, uint64_t bytes, unsigned files, const char *mode,
                         struct error *ret_error)
{
    char options[96];
    snprintf(options, sizeof options, "mode=%s,size=%llu,nr_inodes=%u", mode,
             (unsigned long long)bytes, files);
    return mount("tensord", at, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0 ||
           fail("a file system in memory", ret_error);
}

/* The attributes of a mounted row. */
static uint64_t attributes(int tree, unsigned rights)
{
    struct stat status;
    uint64_t set = NO_SETUID;
    if (fstat(tree, &status) < 0 || !S_ISCHR(status.st_mode))
        set |= NO_DEVICES;
    if (!(rights & SANDBOX_WRITE))
        set |= READ_ONLY;
    return set;
}

static bool mount_tree(int root, int tree, const char *path, unsigned rights)
{
    struct tree_attr attr = {.set = attributes(tree, rights)};
    return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | TREE_RECURSIVE, &attr,
                   sizeof attr) == 0 &&
           syscall(SYS_move_mount, tree, "", root, relative(path), MOVE_EMPTY_SOURCE) == 0;
}

/* A row that cannot be reached cannot be used either, and is left out. */
static bool mount_row(int root, struct place *place, struct error *ret_error)
{
    int tree =
        (int)syscall(SYS_open_tree, AT_FDCWD, place->path, TREE_CLONE | TREE_RECURSIVE | O_CLOEXEC);
    if (tree < 0)
        return errno == EACCES || errno == ENOENT || fail("open_tree", ret_error);
    place->mounted = mount_tree(root, tree, place->path, place->rights);
    int failure = errno;
    close(tree);
    errno = failure;
    return place->mounted || fail("a mount", ret_error);
}

static bool is_beneath(const char *path, const char *folder)
{
    size_t size = strlen(folder);
    return strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

/* Whether what is mounted above it shows it already, with the same right to write. */
static bool is_covered(const struct place *places, size_t at)
{
    const struct place *nearest = NULL;
    for (size_t i = 0; i < at; i++)
        if (places[i].mounted && is_beneath(places[at].path, places[i].path) &&
            (!nearest || strlen(places[i].path) >= strlen(nearest->path)))
            nearest = &places[i];
    return nearest && !((nearest->rights ^ places[at].rights) & SANDBOX_WRITE);
}

static int compare_places(const void *a, const void *b)
{
    const char *one = ((const struct place *)a)->path, *other = ((const struct place *)b)->path;
    size_t sizes[2] = {one ? strlen(one) : SIZE_MAX, other ? strlen(other) : SIZE_MAX};
    return (sizes[0] > sizes[1]) - (sizes[0] < sizes[1]);
}

/* From the outermost on, so that each finds its place. */
static bool mount_rows(int root, struct place *places, size_t count, struct error *ret_error)
{
    qsort(places, count, sizeof *places, compare_places);
    for (size_t i = 0; i < count && places[i].path; i++)
        if (places[i].rights && !is_covered(places, i) && !mount_row(root, &places[i], ret_error))
            return false;
    return true;
}

/* ---- the root ---- */

static bool mount_fresh(int root, const struct sandbox_path *rows, size_t count, uint64_t bytes,
                        struct error *ret_error)
{
    char at[PATH_MAX];
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].path || !(rows[i].rights & SANDBOX_FRESH))
            continue;
        snprintf(at, sizeof at, "%s%s", stage, rows[i].path);
        mkdirat(root, relative(rows[i].path), 0700);
        if (!mount_memory(at, bytes, SANDBOX_SCRATCH_FILES, "0700", ret_error))
            return false;
    }
    return true;
}

/* What leads to each row. `everything`: the whole machine is a row, and there is nothing to hide.
 */
static bool lay_out(int root, const struct sandbox_path *rows, size_t count, struct place *places,
                    bool *ret_everything, struct error *ret_error)
{
    char real[PATH_MAX];
    for (size_t i = 0; i < count; i++) {
        bool here = rows[i].path && !(rows[i].rights & SANDBOX_FRESH);
        if (!here || !lead(root, rows[i].path, real))
            continue;
        *ret_everything = *ret_everything || !real[0];
        places[i] = (struct place){strdup(real), rows[i].rights, false};
        if (!places[i].path)
            return error_no_memory(ret_error);
    }
    return true;
}

/* Where programs look for them. */
static bool link_usual_names(int root, struct error *ret_error)
{
    static const char *const links[][2] = {
        {"/tmp", "dev/shm"},
        {"/proc/self/fd", "dev/fd"},
        {"/proc/self/fd/0", "dev/stdin"},
        {"/proc/self/fd/1", "dev/stdout"},
        {"/proc/self/fd/2", "dev/stderr"},
    };
    mkdirat(root, "dev", 0755);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlinkat(links[i][0], root, links[i][1]) < 0)
            return fail("a link", ret_error);
    return true;
}

static bool mount_proc(int root, int old, struct error *ret_error)
{
    char at[sizeof stage + 8];
    snprintf(at, sizeof at, "%s/proc", stage);
    mkdirat(root, "proc", 0755);
    if (old >= 0)
        return syscall(SYS_move_mount, old, "", root, "proc", MOVE_EMPTY_SOURCE) == 0 ||
               fail("/proc", ret_error);
    return mount("proc", at, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 ||
           fail("a /proc of its own", ret_error);
}

/* The new root takes the old one's place, beneath which the old one is let go (pivot_root(2)). */
static bool change_root(int root, struct error *ret_error)
{
    struct tree_attr attr = {.set = READ_ONLY};
    return (syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH, &attr, sizeof attr) == 0 &&
            fchdir(root) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
            umount2(".", MNT_DETACH) == 0 && chdir("/") == 0) ||
           fail("the root", ret_error);
}

static bool build(const struct sandbox_path *rows, size_t count, struct place *places, int old_proc,
                  uint64_t fresh_bytes, struct error *ret_error)
{
    bool everything = false;
    if (!mount_memory(stage, SANDBOX_ROOT_BYTES, SANDBOX_ROOT_FILES, "0755", ret_error))
        return false;
    int root = open(stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return fail("the root", ret_error);
    bool built = mount_fresh(root, rows, count, fresh_bytes, ret_error) &&
                 lay_out(root, rows, count, places, &everything, ret_error);
    if (built && everything)
        built = umount2(stage, MNT_DETACH) == 0;
    else if (built) {
        built = link_usual_names(root, ret_error) && mount_rows(root, places, count, ret_error) &&
                mount_proc(root, old_proc, ret_error) && change_root(root, ret_error);
    }
    close(root);
    return built;
}

bool sandbox_root_enter(const struct sandbox_path *rows, size_t count,
                        const struct sandbox_share *share, struct error *ret_error)
{
    uint32_t fresh_mib = share->limits.scratch_mib ? share->limits.scratch_mib : SANDBOX_FRESH_MIB;
    int old_proc = -1;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return fail("mounts of its own", ret_error);
    if (!(share->own & SANDBOX_OWN_PROCESSES)) {
        old_proc =
            (int)syscall(SYS_open_tree, AT_FDCWD, "/proc", TREE_CLONE | TREE_RECURSIVE | O_CLOEXEC);
        if (old_proc < 0)
            return fail("open_tree", ret_error);
    }
    struct place *places = calloc(count, sizeof *places);
    bool built = places ? build(rows, count, places, old_proc, (uint64_t)fresh_mib << 20, ret_error)
                        : error_no_memory(ret_error);
    for (size_t i = 0; places && i < count; i++)
        free(places[i].path);
    free(places);
    if (old_proc >= 0)
        close(old_proc);
    return built;
}
