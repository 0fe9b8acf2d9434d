/* Walks of file trees, and summaries; see tree.h. Entries are visited in no order, so their hashes
 * are added up: the sum is the same in any. */
#include "base/tree.h"

#include "base/clock.h"
#include "base/span.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 8, MAX_ENTRIES = 100000 };

/* FNV-1a, 64 bits; the files are the operator's, nobody attacks it. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): all `size` are set */
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

void tree_summary_init(struct tree_summary *summary)
{
    *summary = (struct tree_summary){.fingerprint = 1};
}

void tree_summary_add(struct tree_summary *summary, const char *path, const struct stat *status)
{
    uint64_t time_ns =
        (uint64_t)status->st_mtim.tv_sec * CLOCK_NS_PER_S + (uint64_t)status->st_mtim.tv_nsec;
    uint64_t facts[] = {S_ISDIR(status->st_mode) ? 0 : (uint64_t)status->st_size, time_ns,
                        status->st_ino};
    uint64_t hash = hash_bytes(UINT64_C(0xcbf29ce484222325), path, strlen(path));
    summary->fingerprint += hash_bytes(hash, facts, sizeof facts);
    summary->size_bytes += facts[0];
    if (time_ns > summary->changed_ns)
        summary->changed_ns = time_ns;
}

/* A folder that is being read; a walk holds one per level. */
struct level {
    DIR *folder;
    size_t path_length;
};

struct walk {
    tree_visit *visit;
    void *context;
    struct level levels[MAX_DEPTH];
    size_t depth;
    size_t entries;
    char path[PATH_MAX];
};

static bool refuse(enum error_code code, const char *what, struct error *ret_error)
{
    return error_set(ret_error, code, "the model's files cannot be read: %s", what);
}

/* They are not as they must be. */
static bool cannot(const char *what, struct error *ret_error)
{
    return refuse(ERROR_INVALID_ARGUMENT, what, ret_error);
}

/* The call that has just failed says nothing of them; what is gone meanwhile is no failure: the
 * next scan tells. A link that leads to itself is never read. */
static bool cannot_now(struct error *ret_error)
{
    if (errno == ENOENT)
        return true;
    return refuse(errno == ELOOP ? ERROR_INVALID_ARGUMENT : ERROR_UNAVAILABLE, strerror(errno),
                  ret_error);
}

/* Visits the entry at walk->path; goes down into it when it is a folder. */
static bool enter(struct walk *walk, struct error *ret_error)
{
    struct stat status;
    if (stat(walk->path, &status) != 0)
        return cannot_now(ret_error);
    if (++walk->entries > MAX_ENTRIES)
        return cannot("they are too many", ret_error);
    if (!walk->visit(walk->context, walk->path, &status, ret_error))
        return false;
    if (!S_ISDIR(status.st_mode))
        return true;
    if (walk->depth == MAX_DEPTH)
        return cannot("their folders are too deep", ret_error);
    DIR *folder = opendir(walk->path);
    if (!folder)
        return cannot_now(ret_error);
    walk->levels[walk->depth++] = (struct level){folder, strlen(walk->path)};
    return true;
}

/* Goes on to the next entry of the deepest folder, or leaves it. */
static bool step(struct walk *walk, struct error *ret_error)
{
    struct level *level = &walk->levels[walk->depth - 1];
    errno = 0;
    const struct dirent *entry = readdir(level->folder);
    if (!entry && errno)
        return cannot_now(ret_error);
    if (!entry) {
        closedir(level->folder);
        walk->depth--;
        return true;
    }
    if (entry->d_name[0] == '.')
        return true;
    size_t room = sizeof walk->path - level->path_length;
    if ((size_t)snprintf(walk->path + level->path_length, room, "/%s", entry->d_name) >= room)
        return cannot("a path is too long", ret_error);
    return enter(walk, ret_error);
}

bool tree_walk(const char *path, tree_visit *visit, void *context, struct error *ret_error)
{
    struct walk walk = {.visit = visit, .context = context};
    if ((size_t)snprintf(walk.path, sizeof walk.path, "%s", path) >= sizeof walk.path)
        return cannot("a path is too long", ret_error);
    bool good = enter(&walk, ret_error);
    while (good && walk.depth)
        good = step(&walk, ret_error);
    while (walk.depth)
        closedir(walk.levels[--walk.depth].folder);
    return good;
}

static bool add_if_sound(void *context, const char *path, const struct stat *status,
                         struct error *ret_error)
{
    const char *slash = strrchr(path, '/');
    if (!S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'%.200s' among the model's files is neither a file nor a folder",
                         slash ? slash + 1 : path);
    tree_summary_add(context, path, status);
    return true;
}

bool tree_add(struct tree_summary *summary, const char *path, struct error *ret_error)
{
    return tree_walk(path, add_if_sound, summary, ret_error);
}
