/* Files as blobs and back; see install_files.h. */
#include "push/install_files.h"

#include "push/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WALK_FDS = 16, COPY_BYTES = 1 << 20, FILE_MODE = 0444, MAX_LISTED = 100000 };

static const char failed[] = "the model's files cannot be made";

bool files_find_missing(int blobs, const struct manifest *manifest, struct arena *arena,
                        struct manifest *ret_missing, struct error *ret_error)
{
    struct manifest missing = {0};
    size_t capacity = 0;
    for (size_t i = 0; i < manifest->count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        struct stat status;
        bool there = fstatat(blobs, file->digest.text, &status, AT_SYMLINK_NOFOLLOW) == 0;
        if (there && (uint64_t)status.st_size != file->size_bytes)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'%.*s' has another size than its sha256 says",
                             (int)(file->path.size < 200 ? file->path.size : 200), file->path.data);
        if (there)
            continue;
        if (!arena_grow(arena, (void **)&missing.files, missing.count, &capacity,
                        sizeof *missing.files))
            return error_no_memory(ret_error);
        missing.files[missing.count++] = *file;
    }
    *ret_missing = missing;
    return true;
}

/* ---- one file ---- */

/* Writes what `from` holds; the two may be of different file systems. */
static bool copy_contents(int from, int to)
{
    ssize_t size;
    while ((size = copy_file_range(from, NULL, to, NULL, COPY_BYTES, 0)) > 0)
        continue;
    if (size == 0)
        return true;
    if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return false;
    static char bytes[COPY_BYTES];
    while ((size = read(from, bytes, sizeof bytes)) > 0) {
        for (ssize_t done = 0, written; done < size; done += written) {
            written = write(to, bytes + done, (size_t)(size - done));
            if (written < 0)
                return false;
        }
    }
    return size == 0;
}

/* A whole copy with the time of what it is copied from, on the disk. */
static bool copy_file(int from_folder, const char *from, int to_folder, const char *to)
{
    struct stat status;
    int source = openat(from_folder, from, O_RDONLY | O_CLOEXEC);
    int copy =
        source < 0 ? -1 : openat(to_folder, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = copy >= 0 && fstat(source, &status) == 0 && copy_contents(source, copy) &&
                futimens(copy, (struct timespec[]){status.st_mtim, status.st_mtim}) == 0 &&
                fchmod(copy, FILE_MODE) == 0 && fsync(copy) == 0;
    int failure = errno;
    if (source >= 0)
        close(source);
    if (copy >= 0)
        close(copy);
    errno = failure;
    return good;
}

static bool link_or_copy(int from_folder, const char *from, const char *to)
{
    if (linkat(from_folder, from, AT_FDCWD, to, 0) == 0)
        return true;
    return (errno == EXDEV || errno == EMLINK || errno == EPERM || errno == EACCES ||
            errno == EOPNOTSUPP || errno == ENOSYS) &&
           copy_file(from_folder, from, AT_FDCWD, to);
}

/* Makes the folders in which the path lies, from its first `from` bytes on. */
static bool make_parents(char *path, size_t from)
{
    for (char *slash = strchr(path + from, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdir(path, 0755) == 0 || errno == EEXIST;
        *slash = '/';
        if (!made)
            return false;
    }
    return true;
}

bool files_build(int blobs, const struct manifest *manifest, const char *folder,
                 struct error *ret_error)
{
    for (size_t i = 0; i < manifest->count; i++) {
        char path[PATH_MAX];
        int size =
            snprintf(path, sizeof path, "%s/%.*s", folder, SPAN_ARGS(manifest->files[i].path));
        if (size < 0 || (size_t)size >= sizeof path)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a path is too long");
        if (!make_parents(path, 0) || !link_or_copy(blobs, manifest->files[i].digest.text, path))
            return staging_failed(failed, ret_error);
    }
    return true;
}

bool files_are(int blobs, const struct manifest *manifest, const char *folder)
{
    struct arena arena;
    struct manifest listed = {0};
    size_t capacity = 0;
    arena_init(&arena, 4096, INT32_MAX);
    for (size_t i = 0; i < manifest->count; i++) {
        char path[PATH_MAX];
        struct stat blob, file;
        snprintf(path, sizeof path, "%s/%.*s", folder, SPAN_ARGS(manifest->files[i].path));
        if (fstatat(blobs, manifest->files[i].digest.text, &blob, AT_SYMLINK_NOFOLLOW) != 0 ||
            lstat(path, &file) != 0 || file.st_ino != blob.st_ino || file.st_dev != blob.st_dev) {
            arena_fini(&arena);
            return false;
        }
    }
    bool same = files_list(-1, folder, strlen(folder) + 1, &arena, &capacity, &listed, NULL) &&
                listed.count == manifest->count;
    arena_fini(&arena);
    return same;
}

/* ---- walks ---- */

/* What a walk works on: nftw hands nothing on, and this process does one thing at a time. */
static struct {
    const char *to;
    size_t from_size;
    struct arena *arena;
    struct manifest *listed;
    size_t *capacity;
    size_t skip;
} walk;

static int copy_visited(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    char to[PATH_MAX];
    if ((size_t)snprintf(to, sizeof to, "%s%s", walk.to, path + walk.from_size) >= sizeof to) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (kind == FTW_D)
        return mkdir(to, 0755) == 0 ? 0 : -1;
    if (kind == FTW_F && S_ISREG(status->st_mode))
        return link_or_copy(AT_FDCWD, path, to) ? 0 : -1;
    struct stat target; /* a link to a file elsewhere is what it leads to */
    if (kind == FTW_SL && stat(path, &target) == 0 && S_ISREG(target.st_mode))
        return copy_file(AT_FDCWD, path, AT_FDCWD, to) ? 0 : -1;
    errno = EINVAL;
    return -1;
}

bool file_copy(const char *from, const char *to, struct error *ret_error)
{
    return link_or_copy(AT_FDCWD, from, to) || staging_failed(failed, ret_error);
}

bool files_copy(const char *from, const char *folder, struct error *ret_error)
{
    walk.to = folder;
    walk.from_size = strlen(from);
    return nftw(from, copy_visited, WALK_FDS, FTW_PHYS) == 0 ||
           staging_failed("the version that is there cannot be kept beside the new one", ret_error);
}

static int list_visited(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    struct manifest *listed = walk.listed;
    struct stat target; /* a link to a file counts as what it leads to */
    if ((kind != FTW_F && kind != FTW_SL) || stat(path, &target) != 0 || !S_ISREG(target.st_mode))
        return 0;
    if (listed->count == MAX_LISTED ||
        !arena_grow(walk.arena, (void **)&listed->files, listed->count, walk.capacity,
                    sizeof *listed->files)) {
        errno = ENOMEM;
        return -1;
    }
    struct manifest_file *file = &listed->files[listed->count];
    *file = (struct manifest_file){.size_bytes = (uint64_t)target.st_size};
    if (!arena_copy(walk.arena, span_of(path + walk.skip), &file->path)) {
        errno = ENOMEM;
        return -1;
    }
    listed->count++;
    return 0;
}

/* ---- files that become blobs ---- */

static bool hash_file(int fd, struct digest *ret_digest)
{
    static uint8_t bytes[COPY_BYTES];
    struct sha256_ctx context;
    ssize_t size;
    sha256_init(&context);
    while ((size = read(fd, bytes, sizeof bytes)) > 0)
        sha256_update(&context, (size_t)size, bytes);
    *ret_digest = digest_finish(&context);
    return size == 0;
}

/* Blobs by their inodes: a file that is a link of one need not be read. */
struct known {
    ino_t inode;
    struct digest digest;
};

struct known_blobs {
    struct known *items; /* in order of their inodes */
    size_t count, capacity;
    dev_t device;
};

static int compare_known(const void *a, const void *b)
{
    ino_t left = ((const struct known *)a)->inode, right = ((const struct known *)b)->inode;
    return left < right ? -1 : left > right;
}

static bool add_known(struct known_blobs *known, const struct dirent *entry, struct arena *arena)
{
    struct digest digest;
    if (!digest_parse(span_of(entry->d_name), &digest))
        return true;
    if (!arena_grow(arena, (void **)&known->items, known->count, &known->capacity,
                    sizeof *known->items))
        return false;
    known->items[known->count++] = (struct known){entry->d_ino, digest};
    return true;
}

/* Fewer are known when some cannot be: their files are read. */
static void find_known(int blobs, struct arena *arena, struct known_blobs *known)
{
    struct stat status;
    int fd = openat(blobs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 && fstat(fd, &status) == 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        if (fd >= 0)
            close(fd);
        return;
    }
    known->device = status.st_dev;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (!add_known(known, entry, arena))
            break;
    }
    closedir(folder);
    if (known->count)
        qsort(known->items, known->count, sizeof *known->items, compare_known);
}

/* What the folder says of inodes need not be what files say, as on an overlay; these count. */
static const struct digest *look_up(int blobs, const struct known_blobs *known,
                                    const struct stat *status)
{
    struct stat blob;
    const struct known key = {.inode = status->st_ino};
    const struct known *found =
        status->st_dev == known->device && known->count
            ? bsearch(&key, known->items, known->count, sizeof *known->items, compare_known)
            : NULL;
    bool same = found && fstatat(blobs, found->digest.text, &blob, AT_SYMLINK_NOFOLLOW) == 0 &&
                blob.st_ino == status->st_ino && blob.st_dev == status->st_dev;
    return same ? &found->digest : NULL;
}

/* Copies the file to where it is a blob, if there is none like it. */
static bool publish(int blobs, const char *path, const struct digest *digest)
{
    char made[DIGEST_CHARS + 16];
    struct stat status;
    if (fstatat(blobs, digest->text, &status, 0) == 0)
        return true;
    snprintf(made, sizeof made, "%s.%d", digest->text, getpid());
    unlinkat(blobs, made, 0);
    if (copy_file(AT_FDCWD, path, blobs, made) && renameat(blobs, made, blobs, digest->text) == 0)
        return true;
    int failure = errno;
    unlinkat(blobs, made, 0);
    errno = failure;
    return false;
}

static bool identify(int blobs, const char *path, const struct known_blobs *known,
                     struct manifest_file *file)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const struct digest *digest =
        fd >= 0 && fstat(fd, &status) == 0 ? look_up(blobs, known, &status) : NULL;
    if (digest)
        file->digest = *digest;
    bool good = digest || (fd >= 0 && hash_file(fd, &file->digest));
    if (fd >= 0)
        close(fd);
    return good && (digest || publish(blobs, path, &file->digest));
}

bool files_list(int blobs, const char *path, size_t skip, struct arena *arena, size_t *capacity,
                struct manifest *listed, struct error *ret_error)
{
    size_t first = listed->count;
    walk.arena = arena;
    walk.listed = listed;
    walk.capacity = capacity;
    walk.skip = skip;
    if (nftw(path, list_visited, WALK_FDS, FTW_PHYS) != 0)
        return staging_failed("the model's files cannot be listed", ret_error);
    struct known_blobs known = {.count = 0};
    if (blobs >= 0)
        find_known(blobs, arena, &known);
    for (size_t i = first; i < listed->count && blobs >= 0; i++) {
        char full[PATH_MAX];
        snprintf(full, sizeof full, "%.*s%s%.*s", skip ? (int)skip - 1 : 0, path, skip ? "/" : "",
                 SPAN_ARGS(listed->files[i].path));
        if (!identify(blobs, full, &known, &listed->files[i]))
            return staging_failed("the model's files cannot be read", ret_error);
    }
    return true;
}
