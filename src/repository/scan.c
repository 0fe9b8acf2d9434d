/* Which models lie in a folder; the layouts are in repository.h. Names, sizes, times and config
 * files only. */
#include "repository/model_config.h"
#include "repository/repository.h"
#include "repository/tree.h"

#include "base/clock.h"
#include "codec/utf8.h"

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
    ARENA_BYTES = 64 << 20,
    MAX_NAME_BYTES = 255,
    NFS_MAGIC = 0x6969, /* statfs.f_type */
};

/* What a file's ending must be for a folder's file to be taken for a model. */
static const char *const model_endings[] = {".onnx"};

/* A path is complete when nothing has changed for so long; times on network file systems are
 * coarser. */
static const uint64_t quiet_ns = CLOCK_NS_PER_S, quiet_network_ns = 5 * CLOCK_NS_PER_S;

struct scanner {
    struct repository_scan *scan;
    size_t capacity;
    uint64_t now_ns, quiet_ns;
    const struct span *renamed_in;
    size_t renamed_count;
    bool renamed; /* the entry that is being looked at was moved in whole */
};

struct names {
    char **items;
    size_t count, capacity;
};

static bool has_ending(const char *name, struct span *ret_stem)
{
    struct span whole = span_of(name);
    for (size_t i = 0; i < sizeof model_endings / sizeof *model_endings; i++) {
        struct span ending = span_of(model_endings[i]);
        struct span stem = {whole.data, whole.size - ending.size};
        if (whole.size > ending.size && span_equal(span_after(whole, stem.size), ending)) {
            *ret_stem = stem;
            return true;
        }
    }
    return false;
}

static bool is_number(const char *name, uint64_t *ret_number)
{
    return span_to_u64(span_of(name), ret_number) && *ret_number <= INT64_MAX;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The visible entries of a folder in order of their names, in the scan's arena. */
static bool list_folder(struct scanner *scanner, const char *path, struct names *ret_names,
                        struct error *ret_error)
{
    struct arena *arena = &scanner->scan->arena;
    struct names names = {0};
    DIR *folder = opendir(path);
    if (!folder)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "cannot read the folder: %s",
                         strerror(errno));
    bool good = true;
    for (const struct dirent *entry; good && (entry = readdir(folder));) {
        struct span copy;
        if (entry->d_name[0] == '.')
            continue;
        good = arena_grow(arena, (void **)&names.items, names.count, &names.capacity,
                          sizeof *names.items) &&
               arena_copy(arena, span_of(entry->d_name), &copy);
        if (good)
            names.items[names.count++] = (char *)(uintptr_t)copy.data;
    }
    closedir(folder);
    if (!good)
        return error_no_memory(ret_error);
    if (names.count)
        qsort(names.items, names.count, sizeof *names.items, compare_names);
    *ret_names = names;
    return true;
}

/* ---- one version ---- */

static bool is_listed(const struct scanner *scanner, struct span model, uint64_t number)
{
    for (size_t i = 0; i < scanner->scan->version_count; i++) {
        const struct repository_version *version = &scanner->scan->versions[i];
        if (version->version == number && span_equal(version->model, model))
            return true;
    }
    return false;
}

/* Clients get the name as JSON and protobuf text. */
static bool name_is_good(struct span model)
{
    return model.size && model.size <= MAX_NAME_BYTES && utf8_valid(model);
}

static struct repository_version *add_version(struct scanner *scanner, struct span model,
                                              uint64_t number)
{
    struct repository_scan *scan = scanner->scan;
    if (is_listed(scanner, model, number) || !name_is_good(model) ||
        !arena_grow(&scan->arena, (void **)&scan->versions, scan->version_count, &scanner->capacity,
                    sizeof *scan->versions))
        return NULL;
    struct repository_version *version = &scan->versions[scan->version_count];
    *version = (struct repository_version){.version = number, .error = {.code = ERROR_OK}};
    if (!arena_copy(&scan->arena, model, &version->model))
        return NULL;
    scan->version_count++;
    return version;
}

static bool is_quiet(const struct scanner *scanner, uint64_t changed_ns)
{
    return scanner->renamed || changed_ns + scanner->quiet_ns <= scanner->now_ns ||
           changed_ns > scanner->now_ns + scanner->quiet_ns; /* a clock that was ahead */
}

static void set_paths(struct scanner *scanner, struct repository_version *version, const char *path,
                      bool is_file)
{
    char real[PATH_MAX];
    struct arena *arena = &scanner->scan->arena;
    if (!realpath(path, real))
        snprintf(real, sizeof real, "%s", path);
    bool copied = arena_copy(arena, span_of(real), &version->path);
    if (is_file)
        *strrchr(real, '/') = '\0';
    if (!copied || !arena_copy(arena, span_of(real[0] ? real : "/"), &version->root))
        error_no_memory(&version->error);
}

static void finish_version(struct scanner *scanner, struct repository_version *version,
                           const struct tree_summary *summary)
{
    version->fingerprint = summary->fingerprint;
    version->size_bytes = summary->size_bytes;
    version->complete = is_quiet(scanner, summary->changed_ns);
}

/* ---- a model ---- */

/* NAME.onnx, and what lies beside it with a longer name, as external data does (NAME.onnx.data). */
static void add_file_model(struct scanner *scanner, const char *folder, const char *name,
                           const struct names *beside)
{
    struct span stem = span_of(name);
    char path[PATH_MAX];
    struct tree_summary summary;
    has_ending(name, &stem);
    struct repository_version *version = add_version(scanner, stem, 1);
    if (!version)
        return;
    tree_summary_init(&summary);
    for (size_t i = 0; i < beside->count && version->error.code == ERROR_OK; i++) {
        if (!span_starts_with(span_of(beside->items[i]), span_of(name)))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, beside->items[i]);
        tree_add(&summary, path, &version->error);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    set_paths(scanner, version, path, true);
    version->config = model_config_default();
    finish_version(scanner, version, &summary);
}

/* A version of a model that is a folder; `folder` holds its config. */
static void add_folder_version(struct scanner *scanner, const char *folder, const char *name,
                               uint64_t number, const char *path)
{
    char config[PATH_MAX];
    struct tree_summary summary;
    struct repository_version *version = add_version(scanner, span_of(name), number);
    if (!version)
        return;
    tree_summary_init(&summary);
    set_paths(scanner, version, path, false);
    if (version->error.code != ERROR_OK || !tree_add(&summary, path, &version->error) ||
        !model_config_load(folder, &scanner->scan->arena, &version->config, &version->error))
        version->config = model_config_default();
    for (size_t i = 0; model_config_names[i]; i++) {
        snprintf(config, sizeof config, "%s/%s", folder, model_config_names[i]);
        if (strcmp(path, folder) != 0 && access(config, F_OK) == 0)
            tree_add(&summary, config, NULL);
    }
    finish_version(scanner, version, &summary);
}

enum folder_kind { FOLDER_OTHER, FOLDER_MODEL, FOLDER_VERSIONS };

static enum folder_kind kind_of(const char *folder, const struct names *names)
{
    enum folder_kind kind = FOLDER_OTHER;
    for (size_t i = 0; i < names->count; i++) {
        char path[PATH_MAX];
        struct stat status;
        struct span stem;
        uint64_t number;
        snprintf(path, sizeof path, "%s/%s", folder, names->items[i]);
        if (stat(path, &status) != 0)
            continue;
        if (S_ISDIR(status.st_mode) && is_number(names->items[i], &number))
            return FOLDER_VERSIONS;
        for (size_t c = 0; model_config_names[c]; c++) {
            if (strcmp(names->items[i], model_config_names[c]) == 0)
                kind = FOLDER_MODEL;
        }
        if (has_ending(names->items[i], &stem) && span_equal(stem, SPAN("model")))
            kind = FOLDER_MODEL;
    }
    return kind;
}

static void add_versions(struct scanner *scanner, const char *folder, const char *name,
                         const struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        char path[PATH_MAX];
        struct stat status;
        uint64_t number;
        snprintf(path, sizeof path, "%s/%s", folder, names->items[i]);
        if (is_number(names->items[i], &number) && stat(path, &status) == 0 &&
            S_ISDIR(status.st_mode))
            add_folder_version(scanner, folder, name, number, path);
    }
}

/* A folder inside the repository: a model, or nothing of ours. */
static void add_folder_model(struct scanner *scanner, const char *folder, const char *name)
{
    struct names names;
    struct span stem;
    if (!list_folder(scanner, folder, &names, NULL))
        return;
    enum folder_kind kind = kind_of(folder, &names);
    if (kind == FOLDER_VERSIONS) {
        add_versions(scanner, folder, name, &names);
        return;
    }
    for (size_t i = 0; kind == FOLDER_OTHER && i < names.count; i++)
        kind = has_ending(names.items[i], &stem) ? FOLDER_MODEL : kind;
    if (kind == FOLDER_MODEL)
        add_folder_version(scanner, folder, name, 1, folder);
}

/* ---- the repository ---- */

static bool was_renamed(const struct scanner *scanner, const char *name)
{
    for (size_t i = 0; i < scanner->renamed_count; i++) {
        if (span_equal(scanner->renamed_in[i], span_of(name)))
            return true;
    }
    return false;
}

static void add_models(struct scanner *scanner, const char *folder, const struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->items[i];
        char path[PATH_MAX];
        struct stat status;
        struct span stem;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path ||
            stat(path, &status) != 0)
            continue;
        scanner->renamed = was_renamed(scanner, name);
        if (S_ISDIR(status.st_mode))
            add_folder_model(scanner, path, name);
        else if (S_ISREG(status.st_mode) && has_ending(name, &stem))
            add_file_model(scanner, folder, name, names);
    }
}

static bool scan_folder(struct scanner *scanner, const char *path, struct error *ret_error)
{
    struct names names;
    if (!list_folder(scanner, path, &names, ret_error))
        return false;
    enum folder_kind kind = kind_of(path, &names);
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    if (kind == FOLDER_VERSIONS)
        add_versions(scanner, path, name, &names);
    else if (kind == FOLDER_MODEL)
        add_folder_version(scanner, path, name, 1, path);
    else
        add_models(scanner, path, &names);
    return true;
}

static bool scan_file(struct scanner *scanner, const char *path, struct error *ret_error)
{
    char folder[PATH_MAX];
    struct names names;
    const char *name = strrchr(path, '/') + 1;
    snprintf(folder, sizeof folder, "%.*s", (int)(name - 1 - path), path);
    if (!list_folder(scanner, folder[0] ? folder : "/", &names, ret_error))
        return false;
    add_file_model(scanner, folder, name, &names);
    return true;
}

bool repository_scan(const char *path, uint64_t now_ns, const struct span *renamed_in,
                     size_t renamed_count, struct repository_scan *ret_scan,
                     struct error *ret_error)
{
    struct stat status;
    struct statfs filesystem;
    char real[PATH_MAX];
    if (!realpath(path, real) || stat(real, &status) != 0 || statfs(real, &filesystem) != 0)
        return error_set(ret_error, ERROR_NOT_FOUND, "cannot read the repository: %s",
                         strerror(errno));
    struct scanner scanner = {
        .scan = ret_scan,
        .now_ns = now_ns,
        .quiet_ns = filesystem.f_type == NFS_MAGIC ? quiet_network_ns : quiet_ns,
        .renamed_in = renamed_in,
        .renamed_count = renamed_count,
    };
    *ret_scan = (struct repository_scan){0};
    arena_init(&ret_scan->arena, 4096, ARENA_BYTES);
    bool good = S_ISDIR(status.st_mode) ? scan_folder(&scanner, real, ret_error)
                                        : scan_file(&scanner, real, ret_error);
    if (!good)
        repository_scan_fini(ret_scan);
    return good;
}

void repository_scan_fini(struct repository_scan *scan)
{
    if (!scan)
        return;
    arena_fini(&scan->arena);
    *scan = (struct repository_scan){.arena = scan->arena};
}
