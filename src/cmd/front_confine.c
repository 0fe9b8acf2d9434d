/* The front's sandbox, by the settings; see front_confine.h. What the layers are is the sandbox's
 * (worker/sandbox.h). */
#include "cmd/front_confine.h"

#include "cmd/tls_setup.h"
#include "telemetry/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The absolute path of a folder, or of the folder that holds the file; NULL when there is none. */
static const char *folder_of(const char *path, char folder[PATH_MAX])
{
    struct stat status;
    if (!realpath(path, folder))
        return NULL;
    char *slash = strrchr(folder, '/');
    if (stat(folder, &status) == 0 && !S_ISDIR(status.st_mode))
        slash[slash == folder ? 1 : 0] = '\0';
    return folder;
}

/* The path without its last name. */
static const char *parent_of(const char *path, char parent[PATH_MAX])
{
    snprintf(parent, PATH_MAX, "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash)
        return path[0] ? "." : "";
    slash[slash == parent ? 1 : 0] = '\0';
    return parent;
}

bool front_confine(const struct settings *settings, const char *token_folder,
                   const char *blobs_folder, const char *loads_folder, const char *learned_folder,
                   struct error *ret_error)
{
    char text[200], config[PATH_MAX], parent[PATH_MAX], link[PATH_MAX];
    enum { OWN_PATHS = 6 };
    enum sandbox_mode mode = SANDBOX_AUTO;
    struct tls_paths tls;
    struct sandbox_path paths[OWN_PATHS + TLS_PATHS] = {
        /* for reloads: where the file lies, and where the link to it lies if it is one */
        {folder_of(settings->config, config), SANDBOX_READ},
        {folder_of(parent_of(settings->config, parent), link), SANDBOX_READ},
        {token_folder[0] ? token_folder : NULL, SANDBOX_READ}, /* the token file */
        {blobs_folder, SANDBOX_READ | SANDBOX_WRITE},
        {loads_folder, SANDBOX_READ | SANDBOX_WRITE},
        {learned_folder[0] ? learned_folder : NULL, SANDBOX_READ | SANDBOX_WRITE},
    };
    tls_paths(settings, &tls);
    memcpy(paths + OWN_PATHS, tls.rows, sizeof tls.rows);
    sandbox_mode_of_name(span_of(settings->sandbox), &mode);
    log_info("front", "sandbox: %s", sandbox_describe(mode, 0, text, sizeof text));
    return sandbox_enter_front(mode, paths, sizeof paths / sizeof *paths, ret_error);
}
