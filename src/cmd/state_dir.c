/* Finding and making the state folder; see state_dir.h. */
#include "cmd/state_dir.h"

#include "base/span.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool format_path(char path[PATH_MAX], const char *folder, const char *rest,
                        struct error *ret_error)
{
    int size = snprintf(path, PATH_MAX, "%s%s", folder, rest);
    return (size > 0 && size < PATH_MAX) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT, "the path of the state folder is too long");
}

static const char *home(void)
{
    const char *named = getenv("HOME");
    if (named && named[0] == '/')
        return named;
    const struct passwd *user = getpwuid(getuid());
    return user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

/* Where it is, whether it exists or not. Relative paths in the environment are passed over, as
 * XDG's specification wants. */
bool state_dir_find(const struct settings *settings, char ret_path[PATH_MAX],
                    struct error *ret_error)
{
    const char *service = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME");
    if (settings->state_dir[0])
        return format_path(ret_path, settings->state_dir, "", ret_error);
    if (service && service[0] == '/') { /* may be several: "/var/lib/a:/var/lib/b" */
        char first[PATH_MAX];
        snprintf(first, sizeof first, "%.*s", (int)strcspn(service, ":"), service);
        return format_path(ret_path, first, "", ret_error);
    }
    if (xdg && xdg[0] == '/')
        return format_path(ret_path, xdg, "/tensord", ret_error);
    if (home())
        return format_path(ret_path, home(), "/.local/state/tensord", ret_error);
    return error_set(ret_error, ERROR_NOT_FOUND,
                     "there is no home folder to keep state in; name one with --state-dir");
}

/* Makes the folder and those that lead to it. */
static bool make(const char *folder, struct error *ret_error)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof path, "%s", folder);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700); /* where that fails, the last one fails too */
        *slash = '/';
    }
    int failure = mkdir(path, 0700) == 0 ? 0 : errno;
    if (!failure || (failure == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode)))
        return true;
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "cannot make the folder '%s': %s", path,
                     strerror(failure == EEXIST ? ENOTDIR : failure));
}

bool state_dir_open(const struct settings *settings, char ret_path[PATH_MAX],
                    struct error *ret_error)
{
    char path[PATH_MAX], models[PATH_MAX], absolute[PATH_MAX];
    if (!state_dir_find(settings, path, ret_error) || !make(path, ret_error) ||
        !format_path(models, path, "/models", ret_error) || !make(models, ret_error))
        return false;
    if (!realpath(path, absolute))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "cannot find the folder '%s': %s", path,
                         strerror(errno));
    memcpy(ret_path, absolute, PATH_MAX);
    return true;
}

static void find_within(const struct settings *settings, const char *name, char ret_path[PATH_MAX])
{
    char state[PATH_MAX];
    if (!state_dir_open(settings, state, NULL) || !format_path(ret_path, state, name, NULL))
        ret_path[0] = '\0';
}

void environments_dir_find(const struct settings *settings, char ret_path[PATH_MAX])
{
    find_within(settings, "/environments", ret_path);
}

void homes_dir_find(const struct settings *settings, char ret_path[PATH_MAX])
{
    find_within(settings, "/homes", ret_path);
}
