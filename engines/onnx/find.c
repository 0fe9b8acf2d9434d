/* Finding the library of the user's own onnxruntime package; see find.h.
 *
 * The package carries libonnxruntime.so.VERSION in its folder capi, and the folder of packages is
 * lib/pythonX.Y/site-packages beneath an environment (dist-packages beneath a Debian system). What
 * can be named by the user is thus a step of one path, and every step is tried. */
#include "onnx/find.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LIBRARY "libonnxruntime.so"

static const char *const places[] = {
    "/",                                             /* the folder of the library */
    "/capi/",                                        /* the package */
    "/onnxruntime/capi/",                            /* the folder of packages */
    "/lib/python3*/site-packages/onnxruntime/capi/", /* an environment */
    "/lib/python3*/dist-packages/onnxruntime/capi/",
    "/lib/", /* the archive that ONNX Runtime publishes */
};

/* Appends `folder` so that glob takes each character as it is. False when there is no room. */
static bool quote(const char *folder, char *pattern, size_t size)
{
    size_t at = 0;
    for (; *folder; folder++) {
        if (at + 3 > size)
            return false;
        if (strchr("\\*?[", *folder))
            pattern[at++] = '\\';
        pattern[at++] = *folder;
    }
    while (at > 1 && pattern[at - 1] == '/')
        at--;
    pattern[at] = '\0';
    return true;
}

/* The match with the highest version, of Python and of the library. */
static bool newest_match(const char *pattern, char *ret_path)
{
    glob_t found;
    const char *newest = NULL;
    if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            if (strlen(found.gl_pathv[i]) < PATH_MAX &&
                (!newest || strverscmp(found.gl_pathv[i], newest) > 0))
                newest = found.gl_pathv[i];
        }
        if (newest)
            memcpy(ret_path, newest, strlen(newest) + 1);
    }
    globfree(&found);
    return newest != NULL;
}

static bool find_in(const char *folder, char *ret_path)
{
    char quoted[PATH_MAX], pattern[PATH_MAX + 64];
    if (!folder || !*folder || !quote(folder, quoted, sizeof quoted))
        return false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(pattern, sizeof pattern, "%s%s" LIBRARY "*", quoted, places[i]);
        if (newest_match(pattern, ret_path))
            return true;
    }
    return false;
}

static bool find_named(const char *named, char *ret_path)
{
    struct stat status;
    if (stat(named, &status) == 0 && S_ISREG(status.st_mode) && strlen(named) < PATH_MAX) {
        memcpy(ret_path, named, strlen(named) + 1);
        return true;
    }
    return find_in(named, ret_path);
}

/* The installation that python3 belongs to: PREFIX/bin/python3 of PATH, links followed. */
static bool find_in_python(char *ret_path)
{
    char program[PATH_MAX], real[PATH_MAX];
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t size = strcspn(path, ":");
        snprintf(program, sizeof program, "%.*s/python3", (int)size, path);
        path += size + (path[size] == ':');
        if (size == 0 || !realpath(program, real))
            continue;
        for (int i = 0; i < 2; i++) {
            char *slash = strrchr(real, '/');
            if (slash)
                *slash = '\0';
        }
        return find_in(real, ret_path);
    }
    return false;
}

bool onnx_find(const char *named, char ret_path[static PATH_MAX])
{
    char user[PATH_MAX] = "";
    const char *home = getenv("HOME");
    if (named && *named)
        return find_named(named, ret_path);
    if (home && snprintf(user, sizeof user, "%s/.local", home) >= (int)sizeof user)
        *user = '\0';
    if (find_in(getenv("VIRTUAL_ENV"), ret_path) || find_in(getenv("CONDA_PREFIX"), ret_path) ||
        find_in(user, ret_path) || find_in_python(ret_path) || find_in("/usr/local", ret_path) ||
        find_in("/usr", ret_path))
        return true;
    memcpy(ret_path, LIBRARY ".1", sizeof LIBRARY ".1");
    return true;
}
