/* Finding the Python interpreter; see interpreter.h. */
#include "cmd/interpreter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An executable file that is a program, not a script. */
static bool is_program(const char *path)
{
    char magic[4] = "";
    struct stat status;
    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode) || access(path, X_OK) < 0)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size;
    do
        size = read(fd, magic, sizeof magic);
    while (size < 0 && errno == EINTR);
    close(fd);
    return size == sizeof magic && memcmp(magic, "\177ELF", 4) == 0;
}

/* FOLDER/name with the links of the folder resolved. */
static bool program_in(const char *folder, const char *name, char ret_path[static PATH_MAX])
{
    char real[PATH_MAX], path[PATH_MAX];
    if (!realpath(folder, real) ||
        (size_t)snprintf(path, sizeof path, "%s/%s", real, name) >= sizeof path ||
        !is_program(path))
        return false;
    memcpy(ret_path, path, strlen(path) + 1);
    return true;
}

static bool of_environment(const char *environment, char ret_path[static PATH_MAX])
{
    char folder[PATH_MAX];
    return (size_t)snprintf(folder, sizeof folder, "%s/bin", environment) < sizeof folder &&
           (program_in(folder, "python", ret_path) || program_in(folder, "python3", ret_path));
}

static bool on_path(const char *path, char ret_path[static PATH_MAX])
{
    char folder[PATH_MAX];
    for (const char *part = path, *end; part; part = end ? end + 1 : NULL) {
        end = strchr(part, ':');
        size_t size = end ? (size_t)(end - part) : strlen(part);
        snprintf(folder, sizeof folder, "%.*s", (int)size, part);
        if (folder[0] == '/' && program_in(folder, "python3", ret_path))
            return true;
    }
    return false;
}

/* A program by its path, or an environment by its folder. */
static bool by_name(const char *named, char ret_path[static PATH_MAX])
{
    char folder[PATH_MAX];
    struct stat status;
    if (stat(named, &status) == 0 && S_ISDIR(status.st_mode))
        return of_environment(named, ret_path);
    snprintf(folder, sizeof folder, "%s", named);
    char *slash = strrchr(folder, '/');
    if (!slash)
        return program_in(".", named, ret_path);
    *slash = '\0';
    return program_in(slash == folder ? "/" : folder, slash + 1, ret_path);
}

bool interpreter_find(const char *named, char ret_path[static PATH_MAX])
{
    if (named && named[0])
        return by_name(named, ret_path);
    const char *environment = getenv("VIRTUAL_ENV"), *path = getenv("PATH");
    if (environment && of_environment(environment, ret_path))
        return true;
    return path && on_path(path, ret_path);
}
