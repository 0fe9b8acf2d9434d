/* One version of a model as its files lie: what they weigh, whether they are complete, its config;
 * see scan_private.h. */
#include "repository/scan_private.h"

#include "base/utf8.h"
#include "repository/format.h"
#include "repository/model_config.h"
#include "repository/model_rollout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_NAME_BYTES = 255, MAX_HEAD_BYTES = 32 };

/* Whether the file begins as the format says it must. */
static bool has_head(const struct format *format, const char *folder, const char *name)
{
    char path[PATH_MAX], head[MAX_HEAD_BYTES];
    if (!format->head)
        return true;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t size = fd < 0 ? -1 : read(fd, head, sizeof head);
    if (fd >= 0)
        close(fd);
    return size > 0 && span_starts_with((struct span){head, (size_t)size}, span_of(format->head));
}

const struct format *scan_file_format(const char *folder, const char *name, struct span *ret_stem)
{
    struct span stem;
    const struct format *format = format_of_file(name, &stem);
    if (!format || !has_head(format, folder, name))
        return NULL;
    *ret_stem = stem;
    return format;
}

/* The same of a file in a model's folder. */
static const struct format *entry_format(const char *folder, const char *name,
                                         struct span *ret_stem)
{
    struct span stem;
    const struct format *format = format_of_entry(name, &stem);
    if (!format || !has_head(format, folder, name))
        return NULL;
    *ret_stem = stem;
    return format;
}

bool scan_entry_makes_model(const char *folder, const char *name, bool *ret_whatever_else)
{
    struct span stem;
    const struct format *format = entry_format(folder, name, &stem);
    if (!format)
        return false;
    *ret_whatever_else = format->kind != FORMAT_ENDING || span_equal(stem, SPAN("model"));
    return true;
}

/* Clients get the name as JSON and protobuf text. */
static bool name_is_good(struct span model)
{
    return model.size && model.size <= MAX_NAME_BYTES && utf8_valid(model);
}

static void mark_doubled(struct repository_scan *scan, struct span model, uint64_t number)
{
    for (size_t i = 0; i < scan->version_count; i++) {
        struct repository_version *version = &scan->versions[i];
        if (version->version == number && span_equal(version->model, model))
            version->doubled = true;
    }
}

/* Remembers the pair. False when it is there already, or there is no memory. */
static bool list_version(struct scanner *scanner, struct span model, uint64_t number)
{
    char *key = arena_printf(&scanner->scan->arena, "%llu/%.*s", (unsigned long long)number,
                             SPAN_ARGS(model));
    if (key && map_get(&scanner->listed, span_of(key))) {
        mark_doubled(scanner->scan, model, number);
        return false;
    }
    if (key && map_set(&scanner->listed, span_of(key), scanner))
        return true;
    scanner->failed = true;
    return false;
}

static const struct repository_override *override_of(const struct scanner *scanner,
                                                     struct span model)
{
    for (size_t i = 0; i < scanner->override_count; i++) {
        if (span_equal(scanner->overrides[i].model, model))
            return &scanner->overrides[i];
    }
    return NULL;
}

/* Whether the model's files are those of a load, whatever the repository has of it. */
static bool is_replaced(const struct scanner *scanner, struct span model)
{
    const struct repository_override *override = override_of(scanner, model);
    return override && override->folder.size && !scanner->loaded;
}

/* A new version; NULL when there is one of that name and number, or no room. */
static struct repository_version *add_version(struct scanner *scanner, struct span model,
                                              uint64_t number)
{
    struct repository_scan *scan = scanner->scan;
    if (!name_is_good(model) || is_replaced(scanner, model) ||
        !list_version(scanner, model, number))
        return NULL;
    struct repository_version version = {.version = number, .config = model_config_default()};
    if (!arena_grow(&scan->arena, (void **)&scan->versions, scan->version_count, &scanner->capacity,
                    sizeof *scan->versions) ||
        !arena_copy(&scan->arena, model, &version.model)) {
        scanner->failed = true;
        return NULL;
    }
    scan->versions[scan->version_count] = version;
    return &scan->versions[scan->version_count++];
}

/* Whether the error says nothing of the files: another look may find them well. */
static bool is_passing(const struct error *error)
{
    return error->code == ERROR_UNAVAILABLE || error->code == ERROR_RESOURCE_EXHAUSTED;
}

/* Keeps what is wrong with the version. */
static void set_error(struct scanner *scanner, struct repository_version *version,
                      const struct error *error)
{
    version->unreadable = version->unreadable || is_passing(error);
    struct error *copy = arena_alloc(&scanner->scan->arena, sizeof *copy);
    if (!copy) {
        scanner->failed = true;
        return;
    }
    *copy = *error;
    version->error = copy;
}

/* Nothing is known of what is unreadable: another look finds it changed. */
static void end_version(struct repository_version *version)
{
    if (!version->unreadable)
        return;
    version->complete = true;
    version->fingerprint = 0;
}

static bool is_quiet(const struct scanner *scanner, uint64_t changed_ns)
{
    return changed_ns + scanner->quiet_ns <= scanner->now_ns ||
           changed_ns > scanner->now_ns + scanner->quiet_ns; /* a clock that was ahead */
}

bool scan_is_beneath(const struct scanner *scanner, const char *real)
{
    size_t size = strlen(scanner->root);
    return strncmp(real, scanner->root, size) == 0 &&
           (real[size] == '/' || real[size] == '\0' || size == 1);
}

/* An error for a path that cannot be resolved. */
static void set_unresolved(struct scanner *scanner, struct repository_version *version)
{
    struct error error = {0};
    error_set(&error, ERROR_UNAVAILABLE, "the model's files cannot be read: %s", strerror(errno));
    set_error(scanner, version, &error);
}

static void set_paths(struct scanner *scanner, struct repository_version *version, const char *path,
                      const char *root)
{
    struct arena *arena = &scanner->scan->arena;
    if (!arena_copy(arena, span_of(path), &version->path) ||
        !arena_copy(arena, span_of(root), &version->root))
        scanner->failed = true;
}

/* What serves it, when its config does not say. */
static void set_format(struct repository_version *version, const struct format *format)
{
    version->runtime = format ? format->runtime : RUNTIME_NATIVE;
    version->format = span_of(format ? format->name : "");
    version->code = format && format->code;
}

/* ---- a config that was given with a load ---- */

/* Puts the config of a load in the place of the model's own, whatever that says. */
static void override_config(struct scanner *scanner, struct repository_version *version,
                            struct error *error)
{
    const struct repository_override *override = override_of(scanner, version->model);
    if (!override || override->folder.size ||
        (error->code != ERROR_OK && error->code != ERROR_INVALID_ARGUMENT &&
         error->code != ERROR_UNIMPLEMENTED))
        return;
    *error = (struct error){.code = ERROR_OK};
    struct model_config *config = arena_alloc(&scanner->scan->arena, sizeof *config);
    if (!config) {
        scanner->failed = true;
        return;
    }
    struct error cause = {0};
    if (!model_config_read(MODEL_CONFIG_YAML, override->config, &scanner->scan->arena, config,
                           &cause))
        error_set(error, cause.code, "the config of the load: %.450s", cause.message);
    else if (config->label_count)
        error_set(error, ERROR_UNIMPLEMENTED,
                  "the config of the load: files of labels are read from the repository alone");
    else
        version->config = config;
}

/* What a load says must not make code of what its caller may bring as data. */
static void end_override(const struct scanner *scanner, struct repository_version *version,
                         struct error *error)
{
    const struct repository_override *override = override_of(scanner, version->model);
    if (!override)
        return;
    version->fingerprint += override->number * 0x9e3779b97f4a7c15u; /* another state of its own */
    if (version->code && !override->may_bring_code)
        error_set(error, ERROR_PERMISSION_DENIED,
                  "loading this model with another config runs code: that needs the scope 'code'");
}

/* ---- a model that is a file ---- */

/* A link's target need not be called a model: then the link's own path is the model's. The worker
 * may read the folder of the target. */
static void set_file_paths(struct scanner *scanner, struct repository_version *version,
                           const char *path)
{
    char real[PATH_MAX], root[PATH_MAX];
    struct span stem;
    if (!realpath(path, real)) {
        set_unresolved(scanner, version);
        return;
    }
    snprintf(root, sizeof root, "%s", real);
    char *slash = strrchr(root, '/');
    slash[slash == root ? 1 : 0] = '\0';
    set_paths(scanner, version, format_of_file(real, &stem) ? real : path, root);
}

bool scan_was_renamed(const struct scanner *scanner, const char *name)
{
    for (size_t i = 0; i < scanner->renamed_count; i++) {
        if (span_equal(scanner->renamed_in[i], span_of(name)))
            return true;
    }
    return false;
}

/* names[at], and what lies beside it with a longer name, as external data does (NAME.onnx.data): in
 * order of names, these follow it. */
void scan_add_file(struct scanner *scanner, const char *folder, const struct names *names,
                   size_t at)
{
    char path[PATH_MAX];
    struct error error = {0};
    const struct span name = span_of(names->items[at]);
    struct span stem = name;
    const struct format *format = scan_file_format(folder, name.data, &stem);
    struct repository_version *version = add_version(scanner, stem, 1);
    if (!version)
        return;
    version->complete = version->renamed_in = true;
    set_format(version, format);
    for (; at < names->count && span_starts_with(span_of(names->items[at]), name); at++) {
        struct tree_summary summary;
        tree_summary_init(&summary);
        snprintf(path, sizeof path, "%s/%s", folder, names->items[at]);
        if (!tree_add(&summary, path, &error))
            set_error(scanner, version, &error);
        bool renamed = scan_was_renamed(scanner, names->items[at]);
        version->renamed_in = version->renamed_in && renamed;
        version->complete = version->complete && (renamed || is_quiet(scanner, summary.changed_ns));
        version->fingerprint += summary.fingerprint;
        version->size_bytes += summary.size_bytes;
    }
    snprintf(path, sizeof path, "%s/%.*s", folder, SPAN_ARGS(name));
    set_file_paths(scanner, version, path);
    error = (struct error){.code = ERROR_OK};
    override_config(scanner, version, &error);
    end_override(scanner, version, &error);
    if (error.code != ERROR_OK)
        set_error(scanner, version, &error);
    end_version(version);
}

/* ---- a model that is a folder ---- */

/* The format of a folder's files, by the best of their names; NULL: none is known. A folder that
 * cannot be read fails elsewhere. */
static const struct format *format_of_folder(const char *path)
{
    const struct format *best = NULL;
    char best_name[MAX_NAME_BYTES + 1];
    struct span best_stem = {0}, stem = {0};
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        const struct format *format = entry_format(path, entry->d_name, &stem);
        if (entry->d_name[0] == '.' || !format_wins(format, stem, best, best_stem))
            continue;
        snprintf(best_name, sizeof best_name, "%s", entry->d_name);
        best = format;
        best_stem = (struct span){best_name, stem.size};
    }
    if (folder)
        closedir(folder);
    return best;
}

static const struct format *format_of_version(const struct repository_version *version,
                                              const char *path)
{
    char name[MAX_NAME_BYTES + 1];
    struct span stem;
    if (!version->config->file.size)
        return format_of_folder(path);
    snprintf(name, sizeof name, "%.*s", SPAN_ARGS(version->config->file));
    return entry_format(path, name, &stem);
}

static bool names_a_python(const struct model_python *python)
{
    return python->interpreter.size || python->version.size || python->requirement_count;
}

/* What serves the files of a folder: its config says so, or they do. */
static void recognise(struct repository_version *version, const char *path)
{
    if (version->config->server.command_count) {
        version->runtime = RUNTIME_SERVER;
        version->format = SPAN("server");
        version->code = true;
        return;
    }
    if (version->config->pipeline) {
        version->runtime = RUNTIME_PIPELINE;
        version->format = SPAN("pipeline");
        return;
    }
    struct span engine = version->config->engine;
    set_format(version, engine.size ? format_named(engine) : format_of_version(version, path));
    if (engine.size)
        version->format = engine;
    if (!names_a_python(&version->config->python))
        return;
    version->code = true; /* packages are code */
    if (!engine.size)
        version->runtime = RUNTIME_PYTHON;
}

/* Where the version's config lies: in its own folder, or else in the model's. */
static const char *folder_of_config(const char *folder, const char *path)
{
    for (size_t i = 0; model_config_names[i]; i++) {
        char config[PATH_MAX];
        snprintf(config, sizeof config, "%s/%s", path, model_config_names[i]);
        if (access(config, F_OK) == 0)
            return path;
    }
    return folder;
}

/* Beside the folders of its versions, too, a model says what it needs of Python. */
static const char *const beside_versions[] = {
    "uv.lock",  "pylock.toml", "requirements.lock", "requirements.txt", "pyproject.toml",
    "model.py", NULL,
};

/* Does a file there name packages? They bring code, whatever the model's own format. */
static bool has_packages(const char *folder)
{
    char path[PATH_MAX];
    for (size_t i = 0; beside_versions[i]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, beside_versions[i]);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static bool add_files(struct tree_summary *summary, const char *folder, const char *const *names,
                      struct error *ret_error)
{
    char path[PATH_MAX];
    for (size_t i = 0; names[i]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (!tree_add(summary, path, ret_error))
            return false;
    }
    return true;
}

/* What the config names beside it belongs to the model. */
static bool add_named(struct tree_summary *summary, const char *folder,
                      const struct model_config *config, struct error *ret_error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/warmup", folder);
    if (config->warm_ups.count && !tree_add(summary, path, ret_error))
        return false;
    for (size_t i = 0; i < config->label_count; i++) {
        snprintf(path, sizeof path, "%s/%.*s", folder, SPAN_ARGS(config->labels[i].file));
        if (!tree_add(summary, path, ret_error))
            return false;
    }
    return true;
}

void scan_read_shared(struct scanner *scanner, const char *folder, struct shared_config *ret_shared)
{
    *ret_shared = (struct shared_config){.config = model_config_default()};
    tree_summary_init(&ret_shared->files);
    if (add_files(&ret_shared->files, folder, model_config_names, &ret_shared->error) &&
        model_config_load(folder, &scanner->scan->arena, &ret_shared->config, &ret_shared->error))
        ret_shared->error.code = ERROR_OK;
}

/* A config beside the versions is part of each by what it says, not by when it was written: so that
 * a change of `rollout` alone replaces none. One that is wrong says nothing. */
static void add_shared(struct tree_summary *summary, const struct shared_config *shared)
{
    bool good = shared->error.code == ERROR_OK;
    summary->fingerprint += good ? shared->config->digest : shared->files.fingerprint;
    summary->size_bytes += shared->files.size_bytes;
    if (shared->files.changed_ns > summary->changed_ns)
        summary->changed_ns = shared->files.changed_ns;
}

/* Reads the config and adds up the files, of a model without versions. */
static bool look_into_model(struct scanner *scanner, const char *path,
                            struct repository_version *version, struct tree_summary *summary,
                            struct error *ret_error)
{
    if (!tree_add(summary, path, ret_error) ||
        !model_config_load(path, &scanner->scan->arena, &version->config, ret_error))
        return false;
    version->rollout = version->config->rollout;
    return true;
}

/* The same of one version among others. */
static bool look_into(struct scanner *scanner, const char *folder, const char *path,
                      const struct shared_config *shared, struct repository_version *version,
                      struct tree_summary *summary, struct error *ret_error)
{
    add_shared(summary, shared);
    if (!add_files(summary, folder, beside_versions, ret_error) ||
        !tree_add(summary, path, ret_error))
        return false;
    if (shared->error.code != ERROR_OK) {
        *ret_error = shared->error;
        return false;
    }
    version->config = shared->config;
    version->rollout = shared->config->rollout;
    if (strcmp(folder_of_config(folder, path), path) != 0)
        return add_named(summary, folder, version->config, ret_error);
    return model_config_load(path, &scanner->scan->arena, &version->config, ret_error) &&
           (!version->config->rollout ||
            error_set(ret_error, ERROR_INVALID_ARGUMENT,
                      "'rollout' is about all versions: it belongs into the config beside their "
                      "folders"));
}

/* Was just this version moved in whole? */
static bool version_was_put(const struct scanner *scanner, const char *name, uint64_t number)
{
    char entry[NAME_MAX + 32];
    snprintf(entry, sizeof entry, "%s/%llu", name, (unsigned long long)number);
    return scan_was_renamed(scanner, entry);
}

/* The model's own folder, as far as it lies in the repository. */
static void set_folder(struct scanner *scanner, struct repository_version *version,
                       const char *folder)
{
    char real[PATH_MAX];
    version->folder = version->path;
    if (realpath(folder, real) && scan_is_beneath(scanner, real) &&
        !arena_copy(&scanner->scan->arena, span_of(real), &version->folder))
        scanner->failed = true;
}

/* A version of a model that is a folder. */
void scan_add_folder(struct scanner *scanner, const char *folder, const char *name, uint64_t number,
                     const char *path, const struct shared_config *shared)
{
    char real[PATH_MAX];
    struct error error = {0};
    struct tree_summary summary;
    struct repository_version *version = add_version(scanner, span_of(name), number);
    if (!version)
        return;
    tree_summary_init(&summary);
    if (!realpath(path, real)) {
        set_unresolved(scanner, version);
        end_version(version);
        return;
    }
    set_paths(scanner, version, real, real);
    set_folder(scanner, version, folder);
    if (!scan_is_beneath(scanner, real))
        error_set(&error, ERROR_INVALID_ARGUMENT, "its folder is " SCAN_LINK_OUT);
    if (scan_is_beneath(scanner, real)) {
        if (shared)
            look_into(scanner, folder, path, shared, version, &summary, &error);
        else
            look_into_model(scanner, path, version, &summary, &error);
        override_config(scanner, version, &error);
    }
    recognise(version, path);
    version->packages =
        names_a_python(&version->config->python) || has_packages(path) || has_packages(folder);
    if (version->runtime == RUNTIME_PYTHON) {
        version->root = version->folder; /* what its versions share lies beside them */
        version->code |= version->packages;
    }
    version->fingerprint = summary.fingerprint;
    version->size_bytes = summary.size_bytes;
    version->renamed_in = scanner->renamed || version_was_put(scanner, name, number);
    version->complete = version->renamed_in || is_quiet(scanner, summary.changed_ns);
    end_override(scanner, version, &error);
    if (error.code != ERROR_OK)
        set_error(scanner, version, &error);
    end_version(version);
}

void scan_add_missing(struct scanner *scanner, const char *name, uint64_t number)
{
    struct error error = {0};
    struct repository_version *version = add_version(scanner, span_of(name), number);
    if (!version)
        return;
    version->complete = true;
    version->fingerprint = number + 1;
    error_set(&error, ERROR_INVALID_ARGUMENT,
              "'version_policy' of its config names this version, which is not there");
    set_error(scanner, version, &error);
}

void scan_add_unreadable(struct scanner *scanner, struct span name, uint64_t number,
                         const char *why)
{
    struct error error = {0};
    struct repository_version *version = add_version(scanner, name, number);
    if (!version)
        return;
    version->unreadable = version->complete = true;
    error_set(&error, ERROR_INVALID_ARGUMENT, "its folder %s", why);
    set_error(scanner, version, &error);
}

void scan_add_failure(struct scanner *scanner, struct span name, uint64_t number, int failure)
{
    char why[128];
    snprintf(why, sizeof why, "cannot be read: %s", strerror(failure));
    if (failure != ENOENT)
        scan_add_unreadable(scanner, name, number, why);
}
