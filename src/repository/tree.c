/* Summaries of file trees; see tree.h. Entries are visited in no order, so their hashes are added
 * up: the sum is the same in any. */
#include "repository/tree.h"

#include "base/clock.h"
#include "base/span.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 8, MAX_ENTRIES = 100000 };

/* FNV-1a, 64 bits; the files are the operator's, nobody attacks it. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

void tree_summary_init(struct tree_summary *summary)
{
    *summary = (struct tree_summary){.fingerprint = 1};
}

static void add_entry(struct tree_summary *summary, const char *path, const struct stat *status)
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
    struct level levels[MAX_DEPTH];
    size_t depth;
    size_t entries;
    char path[PATH_MAX];
};

static bool cannot(const char *what, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the model's files cannot be read: %s",
                     what);
}

/* Adds the entry at walk->path; goes down into it when it is a folder. */
static bool enter(struct walk *walk, struct tree_summary *summary, struct error *ret_error)
{
    struct stat status;
    if (stat(walk->path, &status) != 0)
        return errno == ENOENT ||
               cannot(strerror(errno), ret_error); /* gone meanwhile: the next scan tells */
    if (++walk->entries > MAX_ENTRIES)
        return cannot("they are too many", ret_error);
    add_entry(summary, walk->path, &status);
    if (!S_ISDIR(status.st_mode))
        return true;
    if (walk->depth == MAX_DEPTH)
        return cannot("their folders are too deep", ret_error);
    DIR *folder = opendir(walk->path);
    if (!folder)
        return cannot(strerror(errno), ret_error);
    walk->levels[walk->depth++] = (struct level){folder, strlen(walk->path)};
    return true;
}

/* Goes on to the next entry of the deepest folder, or leaves it. */
static bool step(struct walk *walk, struct tree_summary *summary, struct error *ret_error)
{
    struct level *level = &walk->levels[walk->depth - 1];
    const struct dirent *entry = readdir(level->folder);
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
    return enter(walk, summary, ret_error);
}

bool tree_add(struct tree_summary *summary, const char *path, struct error *ret_error)
{
    struct walk walk = {.depth = 0};
    if ((size_t)snprintf(walk.path, sizeof walk.path, "%s", path) >= sizeof walk.path)
        return cannot("a path is too long", ret_error);
    bool good = enter(&walk, summary, ret_error);
    while (good && walk.depth)
        good = step(&walk, summary, ret_error);
    while (walk.depth)
        closedir(walk.levels[--walk.depth].folder);
    return good;
}
