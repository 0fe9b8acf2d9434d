/* Absolute paths; see absolute.h. */
#include "cmd/absolute.h"

#include <stdio.h>
#include <unistd.h>

bool absolute_path(const char *path, char ret_path[PATH_MAX], struct error *ret_error)
{
    char folder[PATH_MAX] = "", joined[PATH_MAX];
    if (path[0] != '/' && !getcwd(folder, sizeof folder))
        return error_set(ret_error, ERROR_NOT_FOUND, "cannot find the current folder");
    const char *between = path[0] == '/' ? "" : "/";
    if ((size_t)snprintf(joined, sizeof joined, "%s%s%s", folder, between, path) >= sizeof joined)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the path is too long");
    snprintf(ret_path, PATH_MAX, "%s", joined);
    return true;
}
