/* Where pushes land; see pushing.h. */
#include "cmd/pushing.h"

#include "cmd/absolute.h"
#include "cmd/state_dir.h"
#include "cmd/tasks.h"
#include "telemetry/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MIB ((uint64_t)1 << 20)

static bool path_in_state(const struct settings *settings, const char *name,
                          char ret_path[PATH_MAX], struct error *ret_error)
{
    char state[PATH_MAX], absolute[PATH_MAX];
    if (!state_dir_find(settings, state, ret_error) || !absolute_path(state, absolute, ret_error))
        return false;
    return (size_t)snprintf(ret_path, PATH_MAX, "%s/%s", absolute, name) < PATH_MAX ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT, "the path is too long");
}

bool pushing_blobs_path(const struct settings *settings, char ret_path[PATH_MAX],
                        struct error *ret_error)
{
    return path_in_state(settings, "blobs", ret_path, ret_error);
}

bool pushing_loads_path(const struct settings *settings, char ret_path[PATH_MAX],
                        struct error *ret_error)
{
    return path_in_state(settings, "loads", ret_path, ret_error);
}

static struct blobs_limits limits_of(const struct settings *settings)
{
    return (struct blobs_limits){
        .bytes = (uint64_t)settings->max_blobs_mib * MIB,
        .count = (uint64_t)settings->max_blobs,
        .keep_s = (uint64_t)settings->blob_keep_s,
        .uploads = (unsigned)settings->max_uploads,
    };
}

const char *pushing_folder(const struct pushing *pushing)
{
    return pushing->blobs.folder >= 0 ? pushing->installer.blobs : NULL;
}

const char *pushing_loads_folder(const struct pushing *pushing, char parent[PATH_MAX])
{
    if (pushing->loads.fd < 0)
        return NULL;
    snprintf(parent, PATH_MAX, "%s", pushing->loads.path);
    *strrchr(parent, '/') = '\0';
    return parent;
}

void pushing_apply(struct pushing *pushing, const struct settings *settings)
{
    pushing->blobs.limits = limits_of(settings);
}

static void open_loads(struct pushing *pushing, struct loop *loop, const struct settings *settings)
{
    struct error error;
    char path[PATH_MAX];
    loads_init(&pushing->loads);
    if (pushing_loads_path(settings, path, &error) &&
        loads_open(&pushing->loads, loop, &pushing->blobs, &pushing->installer, TASK_STAGE, path,
                   &error))
        return;
    log_warning("push", "loads can bring no files: %s", error.message);
}

void pushing_open(struct pushing *pushing, struct loop *loop, struct spawner_client *spawner,
                  const struct settings *settings, const char *path)
{
    struct error error;
    struct stat status;
    struct installer *installer = &pushing->installer;
    const struct blobs_limits limits = limits_of(settings);
    *installer = (struct installer){.spawner = spawner, .task = TASK_INSTALL};
    installer_init(installer);
    bool good = pushing_blobs_path(settings, installer->blobs, &error) &&
                blobs_open(&pushing->blobs, loop, installer->blobs, &limits, &error);
    if (!good) {
        log_warning("push", "no models can be pushed: %s", error.message);
        blobs_init(&pushing->blobs, loop, &limits);
        installer->why_not = "this server has no folder to keep uploads in";
    } else if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        installer->why_not = "this server serves one file; models are pushed to one that serves a "
                             "folder of models, or was given none";
    } else {
        snprintf(installer->models, sizeof installer->models, "%s", path);
    }
    open_loads(pushing, loop, settings);
}
