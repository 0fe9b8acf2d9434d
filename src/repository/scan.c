/* Which models lie in a folder; the layouts are in repository.h. Names, sizes, times and config
 * files only. */
#include "repository/scan_private.h"

#include "base/clock.h"
#include "repository/model_config.h"
#include "repository/model_rollout.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    ARENA_BYTES = 256 << 20,
    NFS_MAGIC = 0x6969, /* statfs.f_type */
};

/* A path is complete when nothing has changed for so long; times on network file systems are
 * coarser. */
static const uint64_t quiet_ns = CLOCK_NS_PER_S, quiet_network_ns = 5 * CLOCK_NS_PER_S;

static bool is_number(const char *name, uint64_t *ret_number)
{
    return span_to_u64(span_of(name), ret_number) && *ret_number <= INT64_MAX;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool cannot_read(struct error *ret_error)
{
    return error_set(ret_error, ERROR_NOT_FOUND, "cannot read the repository: %s", strerror(errno));
}

/* The visible entries of a folder in order of their names, in the scan's arena. False, with errno,
 * when it cannot be read. */
static bool list_folder(struct scanner *scanner, const char *path, struct names *ret_names)
{
    struct arena *arena = &scanner->scan->arena;
    struct names names = {0};
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    while (!scanner->failed) {
        struct span copy;
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry)
            break;
        if (entry->d_name[0] == '.')
            continue;
        if (arena_grow(arena, (void **)&names.items, names.count, &names.capacity,
                       sizeof *names.items) &&
            arena_copy(arena, span_of(entry->d_name), &copy))
            names.items[names.count++] = (char *)(uintptr_t)copy.data;
        else
            scanner->failed = true;
    }
    int failure = scanner->failed ? 0 : errno; /* half a list would be models that have gone */
    closedir(folder);
    if (failure) {
        errno = failure;
        return false;
    }
    if (names.count)
        qsort(names.items, names.count, sizeof *names.items, compare_names);
    *ret_names = names;
    return true;
}

enum folder_kind { FOLDER_OTHER, FOLDER_MODEL, FOLDER_VERSIONS, FOLDER_UNREADABLE };

/* Whether errno says that there is nothing: it has gone, or is a link to nothing. */
static bool is_nothing(void)
{
    return errno == ENOENT || errno == ELOOP;
}

/* FOLDER_UNREADABLE, with errno, when it cannot be told now. */
static enum folder_kind kind_of(const char *folder, const struct names *names)
{
    enum folder_kind kind = FOLDER_OTHER;
    for (size_t i = 0; i < names->count; i++) {
        char path[PATH_MAX];
        struct stat status;
        bool whatever_else = false;
        uint64_t number;
        snprintf(path, sizeof path, "%s/%s", folder, names->items[i]);
        if (stat(path, &status) != 0) {
            if (!is_nothing())
                return FOLDER_UNREADABLE;
            continue;
        }
        if (S_ISDIR(status.st_mode) && is_number(names->items[i], &number))
            return FOLDER_VERSIONS;
        for (size_t c = 0; model_config_names[c]; c++) {
            if (strcmp(names->items[i], model_config_names[c]) == 0)
                kind = FOLDER_MODEL;
        }
        if (scan_entry_makes_model(folder, names->items[i], &whatever_else) && whatever_else)
            kind = FOLDER_MODEL;
    }
    return kind;
}

/* A folder of a version, or what may be one. */
struct found_version {
    const char *entry;
    uint64_t number;
    int failure; /* errno: nobody can say now; 0: it is a folder */
};

static int compare_found(const void *a, const void *b)
{
    const struct found_version *one = a, *other = b;
    return (one->number > other->number) - (one->number < other->number);
}

/* In ascending order. */
static bool find_versions(struct scanner *scanner, const char *folder, const struct names *names,
                          struct found_version **ret_found, size_t *ret_count)
{
    struct found_version *found = arena_calloc(&scanner->scan->arena, names->count, sizeof *found);
    size_t count = 0;
    for (size_t i = 0; found && i < names->count; i++) {
        char path[PATH_MAX];
        struct stat status;
        struct found_version *one = &found[count];
        snprintf(path, sizeof path, "%s/%s", folder, names->items[i]);
        if (!is_number(names->items[i], &one->number))
            continue;
        one->entry = names->items[i];
        one->failure = stat(path, &status) == 0 ? 0 : errno;
        if (one->failure ? !is_nothing() : S_ISDIR(status.st_mode))
            count++;
    }
    if (count)
        qsort(found, count, sizeof *found, compare_found);
    *ret_found = found;
    *ret_count = count;
    return found != NULL;
}

/* Versions that the config names one by one and that are not there. */
static void add_missing(struct scanner *scanner, const char *name,
                        const struct model_versions *versions, const struct found_version *found,
                        size_t count)
{
    for (size_t i = 0; i < versions->count; i++) {
        const struct found_version named = {.number = (uint64_t)versions->numbers[i]};
        if (!count || !bsearch(&named, found, count, sizeof *found, compare_found))
            scan_add_missing(scanner, name, named.number);
    }
}

static void add_versions(struct scanner *scanner, const char *folder, const char *name,
                         const struct names *names)
{
    static const struct model_versions all = {.latest = 0};
    struct shared_config shared;
    struct found_version *found;
    size_t count;
    scan_read_shared(scanner, folder, &shared);
    const struct model_versions *served = shared.config->versions ? shared.config->versions : &all;
    if (!find_versions(scanner, folder, names, &found, &count)) {
        scanner->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        char path[PATH_MAX];
        uint64_t number = found[i].number;
        if (!model_versions_serve(served, number, count - 1 - i))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, found[i].entry);
        if (found[i].failure)
            scan_add_failure(scanner, span_of(name), number, found[i].failure);
        else
            scan_add_folder(scanner, folder, name, number, path, &shared);
    }
    add_missing(scanner, name, served, found, count);
}

static void add_unreadable_folder(struct scanner *scanner, const char *name, int failure)
{
    if (strcmp(name, "lost+found") != 0) /* a file system's own */
        scan_add_failure(scanner, span_of(name), 0, failure);
}

/* A folder inside the repository: a model, or nothing of ours. */
static void add_folder_model(struct scanner *scanner, const char *folder, const char *name)
{
    char real[PATH_MAX];
    struct names names;
    bool whatever_else;
    if (!realpath(folder, real)) {
        add_unreadable_folder(scanner, name, errno);
        return;
    }
    if (!scan_is_beneath(scanner, real)) {
        scan_add_unreadable(scanner, span_of(name), 0, "is " SCAN_LINK_OUT);
        return;
    }
    if (!list_folder(scanner, folder, &names)) {
        add_unreadable_folder(scanner, name, errno);
        return;
    }
    enum folder_kind kind = kind_of(folder, &names);
    if (kind == FOLDER_UNREADABLE)
        add_unreadable_folder(scanner, name, errno);
    if (kind == FOLDER_VERSIONS) {
        add_versions(scanner, folder, name, &names);
        return;
    }
    for (size_t i = 0; kind == FOLDER_OTHER && i < names.count; i++)
        if (scan_entry_makes_model(folder, names.items[i], &whatever_else))
            kind = FOLDER_MODEL;
    if (kind == FOLDER_MODEL)
        scan_add_folder(scanner, folder, name, 1, folder, NULL);
}

/* ---- the repository ---- */

static void add_models(struct scanner *scanner, const char *folder, const struct names *names)
{
    for (size_t i = 0; i < names->count && !scanner->failed; i++) {
        const char *name = names->items[i];
        char path[PATH_MAX];
        struct stat status;
        struct span stem;
        bool ends_well = scan_file_format(folder, name, &stem) != NULL;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
            continue;
        if (stat(path, &status) != 0) {
            if (errno != ENOENT) /* what may be served already stays */
                scan_add_unreadable(scanner, ends_well ? stem : span_of(name), 0,
                                    "cannot be looked into");
            continue;
        }
        scanner->renamed = scan_was_renamed(scanner, name);
        if (S_ISDIR(status.st_mode))
            add_folder_model(scanner, path, name);
        else if (ends_well)
            scan_add_file(scanner, folder, names, i);
    }
}

static bool scan_folder(struct scanner *scanner, const char *name, struct error *ret_error)
{
    struct names names;
    const char *path = scanner->root;
    if (!list_folder(scanner, path, &names))
        return cannot_read(ret_error);
    switch (kind_of(path, &names)) {
    case FOLDER_UNREADABLE:
        return cannot_read(ret_error);
    case FOLDER_VERSIONS:
        add_versions(scanner, path, name, &names);
        break;
    case FOLDER_MODEL:
        scan_add_folder(scanner, path, name, 1, path, NULL);
        break;
    case FOLDER_OTHER:
        add_models(scanner, path, &names);
        break;
    }
    return true;
}

static bool scan_file(struct scanner *scanner, const char *name, struct error *ret_error)
{
    struct names names;
    size_t at = 0;
    if (!list_folder(scanner, scanner->root, &names))
        return cannot_read(ret_error);
    while (at < names.count && strcmp(names.items[at], name) != 0)
        at++;
    if (at < names.count)
        scan_add_file(scanner, scanner->root, &names, at);
    return true;
}

/* ---- files of loads ---- */

static void add_loaded(struct scanner *scanner, const struct repository_override *override)
{
    char folder[PATH_MAX], real[PATH_MAX], path[PATH_MAX];
    const char *root = scanner->root;
    char *name = arena_printf(&scanner->scan->arena, "%.*s", SPAN_ARGS(override->model));
    snprintf(folder, sizeof folder, "%.*s", SPAN_ARGS(override->folder));
    if (!name) {
        scanner->failed = true;
        return;
    }
    scanner->loaded = scanner->renamed = true; /* they are put there whole */
    if (!realpath(folder, real) ||
        (size_t)snprintf(path, sizeof path, "%s/%s", real, name) >= sizeof path) {
        scan_add_unreadable(scanner, override->model, 0, "cannot be read");
    } else {
        scanner->root = real;
        add_folder_model(scanner, path, name);
        scanner->root = root;
    }
    scanner->loaded = scanner->renamed = false;
}

static void add_all_loaded(struct scanner *scanner)
{
    for (size_t i = 0; i < scanner->override_count && !scanner->failed; i++) {
        if (scanner->overrides[i].folder.size)
            add_loaded(scanner, &scanner->overrides[i]);
    }
}

/* What a model is called whose path is the repository's: the last part of the path as it was given,
 * or, for "." and the like, of what it is. */
static const char *name_of(const char *path, const char *real)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (*name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        return name;
    return strrchr(real, '/') + 1;
}

/* The folder to look at, links resolved: path, or where the file lies that path names. */
static bool find_root(const char *path, char real[PATH_MAX], bool *ret_is_folder)
{
    struct stat status;
    char folder[PATH_MAX];
    if (stat(path, &status) != 0)
        return false;
    *ret_is_folder = S_ISDIR(status.st_mode);
    if (*ret_is_folder)
        return realpath(path, real) != NULL;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    return realpath(slash ? folder : ".", real) != NULL;
}

static bool scan_all(struct scanner *scanner, const char *name, bool is_folder,
                     struct error *ret_error)
{
    struct repository_scan *scan = scanner->scan;
    *scan = (struct repository_scan){0};
    arena_init(&scan->arena, 4096, ARENA_BYTES);
    map_init(&scanner->listed);
    bool good =
        is_folder ? scan_folder(scanner, name, ret_error) : scan_file(scanner, name, ret_error);
    if (good)
        add_all_loaded(scanner);
    if (!arena_copy(&scan->arena, span_of(scanner->root), &scan->root))
        scanner->failed = true;
    if (good && scanner->failed)
        good = error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "the repository holds more than there is memory to list");
    map_fini(&scanner->listed);
    if (!good)
        repository_scan_fini(scan);
    return good;
}

bool repository_scan(const char *path, uint64_t now_ns, const struct span *renamed_in,
                     size_t renamed_count, struct repository_scan *ret_scan,
                     struct error *ret_error)
{
    return repository_scan_overridden(path, now_ns, renamed_in, renamed_count, NULL, 0, ret_scan,
                                      ret_error);
}

bool repository_scan_overridden(const char *path, uint64_t now_ns, const struct span *renamed_in,
                                size_t renamed_count, const struct repository_override *overrides,
                                size_t override_count, struct repository_scan *ret_scan,
                                struct error *ret_error)
{
    struct statfs filesystem;
    char real[PATH_MAX];
    bool is_folder;
    if (!find_root(path, real, &is_folder) || statfs(real, &filesystem) != 0)
        return cannot_read(ret_error);
    struct scanner scanner = {
        .scan = ret_scan,
        .root = real,
        .now_ns = now_ns,
        .quiet_ns = filesystem.f_type == NFS_MAGIC ? quiet_network_ns : quiet_ns,
        .renamed_in = renamed_in,
        .renamed_count = renamed_count,
        .overrides = overrides,
        .override_count = override_count,
    };
    return scan_all(&scanner, name_of(path, real), is_folder, ret_error);
}

/* The entries of a folder, in the arena of *ret_scan, which the caller starts and ends. */
static bool list_apart(const char *path, struct repository_scan *ret_scan, struct names *ret_names)
{
    struct scanner scanner = {.scan = ret_scan, .root = path};
    return list_folder(&scanner, path, ret_names) && !scanner.failed;
}

bool repository_holds_models(const char *path)
{
    struct repository_scan scan = {0};
    struct names names;
    arena_init(&scan.arena, 4096, ARENA_BYTES);
    bool holds = list_apart(path, &scan, &names) && kind_of(path, &names) == FOLDER_OTHER;
    arena_fini(&scan.arena);
    return holds;
}

char *repository_file_of_model(struct arena *arena, const char *folder, struct span model)
{
    struct repository_scan scan = {0};
    struct names names = {0};
    struct span stem, copy = {0};
    arena_init(&scan.arena, 4096, ARENA_BYTES);
    if (!list_apart(folder, &scan, &names))
        names.count = 0;
    for (size_t i = 0; i < names.count && !copy.data; i++) {
        struct stat status;
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, names.items[i]);
        if (scan_file_format(folder, names.items[i], &stem) && span_equal(stem, model) &&
            stat(path, &status) == 0 && S_ISREG(status.st_mode))
            arena_copy(arena, span_of(names.items[i]), &copy);
    }
    arena_fini(&scan.arena);
    return (char *)(uintptr_t)copy.data;
}

void repository_scan_fini(struct repository_scan *scan)
{
    if (!scan)
        return;
    arena_fini(&scan->arena);
    *scan = (struct repository_scan){.arena = scan->arena};
}
