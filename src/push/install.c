/* The installer's work; see install.h. What the front asks for is checked again here: names and
 * paths lead nowhere but into the folder of models, which is this process's current folder. */
#include "push/install.h"

#include "base/file_bytes.h"
#include "push/install_bytes.h"
#include "push/install_files.h"
#include "push/staging.h"
#include "repository/model_config.h"
#include "repository/repository.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How a model lies there. */
enum layout {
    LAYOUT_NONE,     /* no folder of its name; it may be a file */
    LAYOUT_FLAT,     /* a folder that is its only version */
    LAYOUT_VERSIONS, /* a folder of folders of versions */
    LAYOUT_LINK,     /* a link: what it leads to is somebody else's */
    LAYOUT_OTHER,
};

struct found {
    enum layout layout;
    uint64_t last; /* the highest version */
    size_t count;  /* versions */
};

/* One question being answered. */
struct install {
    const struct install_question *question;
    struct install_answer *answer;
    struct arena *arena;
    char name[NAME_MAX + 1]; /* of the model */
    int blobs;
    struct staging staging;
};

static struct error *error_of(const struct install *install)
{
    return &install->answer->error;
}

static bool not_found(const struct install *install)
{
    return error_set(error_of(install), ERROR_NOT_FOUND,
                     "there is no such version of '%.200s' in the folder of models", install->name);
}

/* ---- what is there ---- */

static void count_version(const char *folder, const char *name, struct found *found)
{
    char path[PATH_MAX];
    struct stat status;
    uint64_t number;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!version_number_of(span_of(name), &number) || stat(path, &status) != 0 ||
        !S_ISDIR(status.st_mode))
        return;
    found->layout = LAYOUT_VERSIONS;
    found->count++;
    found->last = number > found->last ? number : found->last;
}

/* False when the folder cannot be read. */
static bool find_versions(const char *name, struct found *ret_found)
{
    struct found found = {.layout = LAYOUT_FLAT, .last = 1, .count = 0};
    DIR *folder = opendir(name);
    if (!folder)
        return false;
    found.last = 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        count_version(name, entry->d_name, &found);
    closedir(folder);
    if (found.layout == LAYOUT_FLAT)
        found.last = found.count = 1;
    *ret_found = found;
    return true;
}

static bool find_model(const struct install *install, struct found *ret_found)
{
    struct stat status;
    *ret_found = (struct found){.layout = LAYOUT_NONE};
    if (lstat(install->name, &status) != 0)
        return errno == ENOENT ||
               staging_failed("the model cannot be looked at", error_of(install));
    if (S_ISLNK(status.st_mode))
        ret_found->layout = LAYOUT_LINK;
    else if (!S_ISDIR(status.st_mode))
        ret_found->layout = LAYOUT_OTHER;
    else if (!find_versions(install->name, ret_found))
        return staging_failed("the model cannot be looked at", error_of(install));
    return true;
}

static void path_of_version(const struct install *install, uint64_t version, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%llu", install->name, (unsigned long long)version);
}

/* ---- models that are files ---- */

/* Calls `act` for the files that are the model, when it is one: NAME.onnx, and what lies beside it
 * with a longer name. False when there is none, or `act` said so. */
static bool each_file(struct install *install, bool (*act)(struct install *, const char *path))
{
    char files[64][NAME_MAX + 1]; /* moved while the folder is not read */
    size_t count = 0;
    char *model = repository_file_of_model(install->arena, ".", span_of(install->name));
    DIR *folder = model ? opendir(".") : NULL;
    if (!folder)
        return false;
    for (const struct dirent *entry; (entry = readdir(folder)) && count < 64;) {
        if (strncmp(entry->d_name, model, strlen(model)) == 0)
            snprintf(files[count++], sizeof *files, "%s", entry->d_name);
    }
    closedir(folder);
    for (size_t i = 0; i < count; i++) {
        if (!act(install, files[i]))
            return false;
    }
    return count > 0;
}

static bool take(struct install *install, const char *path)
{
    return staging_take(&install->staging, path, error_of(install));
}

/* ---- put ---- */

/* Where the files go, and what becomes of what is there. */
struct plan {
    bool whole; /* the model's folder is made anew */
    bool keeps; /* in it, what was there goes on as version 1 */
    bool inner; /* the files go into a folder of the version */
    uint64_t version;
};

static bool make_plan(const struct install *install, const struct found *found,
                      struct plan *ret_plan)
{
    const struct manifest *manifest = &install->question->manifest;
    bool of_versions = manifest_is_of_versions(manifest);
    if (found->layout == LAYOUT_LINK || found->layout == LAYOUT_OTHER)
        return error_set(error_of(install), ERROR_CONFLICT,
                         "what is called '%.200s' in the folder of models is not a folder: it is "
                         "not replaced",
                         install->name);
    if (of_versions && manifest->has_version)
        return error_set(error_of(install), ERROR_INVALID_ARGUMENT,
                         "the files lie in folders of versions: leave the version out");
    struct plan plan = {.whole = true, .version = manifest->has_version ? manifest->version : 1};
    if (of_versions) {
        plan.version = manifest_last_version(manifest);
    } else if (found->layout == LAYOUT_VERSIONS) {
        plan.whole = false;
        plan.version = manifest->has_version ? manifest->version : found->last + 1;
    } else if (plan.version != 1) {
        plan.inner = true;
        plan.keeps = found->layout == LAYOUT_FLAT;
    }
    if (plan.version > INT64_MAX)
        return error_set(error_of(install), ERROR_INVALID_ARGUMENT,
                         "there is no version after the highest one: name a version");
    *ret_plan = plan;
    return true;
}

/* The path of the model in the making, and of the version's folder in it. */
static void paths_of_made(const struct install *install, const struct plan *plan,
                          char model[PATH_MAX], char version[PATH_MAX])
{
    char name[NAME_MAX + 8];
    snprintf(name, sizeof name, "made/%s", install->name);
    staging_path(&install->staging, name, model);
    if (plan->whole && !plan->inner)
        snprintf(version, PATH_MAX, "%s", model);
    else
        snprintf(version, PATH_MAX, "%.*s/%llu", PATH_MAX - 32, model,
                 (unsigned long long)plan->version);
}

/* The configs that versions share go with a version that is put beside others, to be read with it.
 */
static bool copy_configs(struct install *install, const char *model)
{
    for (size_t i = 0; model_config_names[i]; i++) {
        char from[PATH_MAX], to[PATH_MAX];
        snprintf(from, sizeof from, "%s/%s", install->name, model_config_names[i]);
        snprintf(to, sizeof to, "%.*s/%s", PATH_MAX - 32, model, model_config_names[i]);
        if (access(from, F_OK) == 0 && !file_copy(from, to, error_of(install)))
            return false;
    }
    return true;
}

static bool build(struct install *install, const struct plan *plan)
{
    char folder[PATH_MAX], model[PATH_MAX], version[PATH_MAX];
    staging_path(&install->staging, "made", folder);
    paths_of_made(install, plan, model, version);
    if (mkdir(folder, 0755) != 0 || mkdir(model, 0755) != 0)
        return staging_failed("the model's files cannot be made", error_of(install));
    if (plan->keeps) {
        snprintf(folder, sizeof folder, "%.*s/1", PATH_MAX - 32, model);
        if (!files_copy(install->name, folder, error_of(install)))
            return false;
    }
    return (plan->whole || copy_configs(install, model)) &&
           files_build(install->blobs, &install->question->manifest, version, error_of(install)) &&
           staging_sync(model, error_of(install));
}

/* Looks at what was made as the server will. */
static bool judge(struct install *install, const struct plan *plan,
                  const struct repository_version *made)
{
    if (plan->keeps && made->version != plan->version)
        return true; /* it is there already */
    if (made->error)
        *error_of(install) = *made->error;
    else if (made->code && !install->question->may_bring_code)
        error_set(error_of(install), ERROR_PERMISSION_DENIED,
                  "loading this model runs code that it brings (%.*s): that needs the scope 'code'",
                  SPAN_ARGS(made->format));
    return error_of(install)->code == ERROR_OK;
}

/* A load brings the versions that it brings, and other files beside them. */
static bool is_load(const struct install *install)
{
    return install->question->kind == INSTALL_LOAD;
}

static bool judge_made(struct install *install, const struct plan *plan)
{
    char folder[PATH_MAX];
    struct repository_scan scan;
    bool good = true, found = false;
    staging_path(&install->staging, "made", folder);
    if (!repository_scan(folder, 0, NULL, 0, &scan, error_of(install)))
        return false;
    for (size_t i = 0; i < scan.version_count && good; i++) {
        found = found || scan.versions[i].version == plan->version || is_load(install);
        good = judge(install, plan, &scan.versions[i]);
    }
    repository_scan_fini(&scan);
    return good && (found || error_set(error_of(install), ERROR_INVALID_ARGUMENT,
                                       "there is no model of a known format among the files"));
}

static bool put_in_place(struct install *install, const struct plan *plan)
{
    char target[PATH_MAX], made[PATH_MAX], model[PATH_MAX];
    if (plan->whole)
        snprintf(target, sizeof target, "%s", install->name);
    else
        path_of_version(install, plan->version, target);
    install->answer->unchanged =
        !plan->inner && files_are(install->blobs, &install->question->manifest, target);
    if (install->answer->unchanged)
        return true;
    paths_of_made(install, plan, model, made);
    const char *from = plan->whole ? model : made;
    if (!build(install, plan) || !judge_made(install, plan) ||
        !staging_swap(&install->staging, from, target, error_of(install)))
        return false;
    if (plan->whole && !plan->inner)
        each_file(install, take); /* the folder already counts instead of them */
    return true;
}

static bool put(struct install *install)
{
    struct found found;
    struct plan plan = {.whole = true};
    struct install_answer *answer = install->answer;
    struct manifest manifest = install->question->manifest;
    if (!manifest_check(&manifest, error_of(install)) ||
        !files_find_missing(install->blobs, &manifest, install->arena, &answer->listed,
                            error_of(install)))
        return false;
    if (answer->listed.count)
        return error_set(error_of(install), ERROR_PRECONDITION_FAILED,
                         "%zu of the files have not been uploaded", answer->listed.count);
    if (!find_model(install, &found) || !make_plan(install, &found, &plan))
        return false;
    answer->version = plan.version;
    return put_in_place(install, &plan);
}

/* ---- remove ---- */

static bool remove_model(struct install *install)
{
    struct found found;
    const struct manifest *manifest = &install->question->manifest;
    bool all = !manifest->has_version;
    if (!find_model(install, &found))
        return false;
    if (found.layout == LAYOUT_VERSIONS && !all) {
        char path[PATH_MAX];
        struct stat status;
        path_of_version(install, manifest->version, path);
        if (stat(path, &status) != 0)
            return not_found(install);
        return take(install, found.count == 1 ? install->name : path);
    }
    if (!all && manifest->version != 1)
        return not_found(install);
    if (found.layout != LAYOUT_NONE && found.layout != LAYOUT_OTHER)
        return take(install, install->name);
    return each_file(install, take) || (error_of(install)->code == ERROR_OK && not_found(install));
}

/* ---- list ---- */

static size_t list_capacity;

static bool list_file(struct install *install, const char *path)
{
    return files_list(install->blobs, path, 0, install->arena, &list_capacity,
                      &install->answer->listed, error_of(install));
}

/* A link to a folder is followed: it is served, too. */
static bool list_folder(struct install *install, const char *folder)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/.", PATH_MAX - 3, folder);
    return files_list(install->blobs, path, strlen(path) + 1, install->arena, &list_capacity,
                      &install->answer->listed, error_of(install));
}

/* A version that has no config of its own is served with the model's, and so it is listed. */
static bool list_config(struct install *install, const char *folder)
{
    for (size_t i = 0; model_config_names[i]; i++) {
        char own[PATH_MAX], shared[PATH_MAX];
        snprintf(own, sizeof own, "%.*s/%s", PATH_MAX - 32, folder, model_config_names[i]);
        if (access(own, F_OK) == 0)
            return true;
        snprintf(shared, sizeof shared, "%s/%s", install->name, model_config_names[i]);
        if (access(shared, F_OK) == 0)
            return files_list(install->blobs, shared, strlen(install->name) + 1, install->arena,
                              &list_capacity, &install->answer->listed, error_of(install));
    }
    return true;
}

static bool list_version(struct install *install)
{
    char path[PATH_MAX];
    struct stat status;
    path_of_version(install, install->answer->version, path);
    if (stat(path, &status) != 0)
        return not_found(install);
    return list_folder(install, path) && list_config(install, path);
}

static bool list(struct install *install)
{
    struct found found;
    const struct manifest *manifest = &install->question->manifest;
    if (!find_model(install, &found))
        return false;
    if (found.layout == LAYOUT_LINK && !find_versions(install->name, &found))
        return not_found(install);
    install->answer->version = manifest->has_version ? manifest->version : found.last;
    if (found.layout == LAYOUT_VERSIONS)
        return list_version(install);
    install->answer->version = 1;
    if (manifest->has_version && manifest->version != 1)
        return not_found(install);
    if (found.layout == LAYOUT_FLAT)
        return list_folder(install, install->name);
    return each_file(install, list_file) ||
           (error_of(install)->code == ERROR_OK && not_found(install));
}

/* ---- the process ---- */

static bool act(struct install *install)
{
    switch (install->question->kind) {
    case INSTALL_PUT:
    case INSTALL_LOAD:
        return put(install);
    case INSTALL_REMOVE:
        return remove_model(install);
    case INSTALL_LIST:
        return list(install);
    case INSTALL_TIDY:
    case INSTALL_KINDS:
        break;
    }
    return error_set(error_of(install), ERROR_INTERNAL, "no such question");
}

static bool act_in_staging(struct install *install)
{
    if (!model_name_check(install->question->name, error_of(install)))
        return false;
    if (!repository_holds_models("."))
        return error_set(
            error_of(install), ERROR_PERMISSION_DENIED,
            "this server serves one model and not a folder of them, which others could "
            "be put into");
    snprintf(install->name, sizeof install->name, "%.*s", SPAN_ARGS(install->question->name));
    if (install->question->kind == INSTALL_LIST)
        return act(install);
    if (!staging_open(&install->staging, error_of(install)))
        return false;
    bool good = act(install);
    staging_close(&install->staging);
    return good;
}

static void answer_question(const char *path, const struct install_question *question,
                            struct arena *arena, struct install_answer *answer)
{
    char blobs[PATH_MAX];
    struct install install = {.question = question, .answer = answer, .arena = arena};
    if (chdir(path) != 0) {
        staging_failed("the folder of models cannot be entered", &answer->error);
        return;
    }
    if (question->kind == INSTALL_TIDY) {
        staging_tidy(&answer->error);
        return;
    }
    snprintf(blobs, sizeof blobs, "%.*s", SPAN_ARGS(question->blobs));
    install.blobs = open(blobs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (install.blobs < 0) {
        staging_failed("what was uploaded cannot be read", &answer->error);
        return;
    }
    act_in_staging(&install);
    close(install.blobs);
}

bool install_run(const char *path, int fd)
{
    struct arena arena;
    struct span bytes;
    struct install_question question;
    struct install_answer answer = {.error.code = ERROR_OK};
    struct buf buf;
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error like a full disk */
    arena_init(&arena, 1 << 16, (size_t)4 * INSTALL_MAX_BYTES);
    buf_init(&buf, INSTALL_MAX_BYTES);
    if (!file_bytes_read(fd, INSTALL_MAX_BYTES, &arena, &bytes) ||
        !install_question_read(bytes, &arena, &question))
        error_set(&answer.error, ERROR_INTERNAL, "no question for the installer");
    else
        answer_question(path, &question, &arena, &answer);
    if (answer.error.code != ERROR_OK && answer.error.code != ERROR_PRECONDITION_FAILED)
        answer.listed.count = 0; /* half a list */
    install_answer_write(&answer, &buf);
    bool good = buf_ok(&buf) && file_bytes_write(fd, buf_span(&buf));
    buf_fini(&buf);
    arena_fini(&arena);
    return good;
}
