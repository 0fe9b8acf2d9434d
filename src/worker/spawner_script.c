/* Scripts of the Python package as processes of their own; see spawner_script.h.
 *
 * An installer is told by variables and files of the server's user where packages come from; it may
 * read these files, and those that such variables name, and no others of the user's. */
#include "worker/spawner_script.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/spawner_python.h"
#include "worker/spawner_rows.h"

enum { MAX_VARIABLES = 128 };

/* ---- what every script gets ---- */

static const char *const kept[] = {
    "PATH=", "LANG=", "LC_ALL=", "LC_CTYPE=", "TZ=", "LD_LIBRARY_PATH="};

/* Says where packages come from; what ends in '=' is a whole name. */
static const char *const kept_for_installing[] = {
    "HOME=",
    "XDG_CONFIG_HOME=",
    "PYENV_ROOT=",
    "UV_",
    "PIP_",
    "HTTP_PROXY=",
    "HTTPS_PROXY=",
    "ALL_PROXY=",
    "NO_PROXY=",
    "http_proxy=",
    "https_proxy=",
    "all_proxy=",
    "no_proxy=",
    "SSL_CERT_",
    "SSL_CLIENT_CERT=",
    "REQUESTS_CA_BUNDLE=",
    "CURL_CA_BUNDLE=",
    "GIT_SSL_CAINFO=",
    "NETRC=",
    "CC=",
    "CXX=",
    "CFLAGS=",
    "CXXFLAGS=",
    "LDFLAGS=",
    "CUDA_HOME=",
};

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static bool is_named(const char *variable, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void keep_environment(bool installs, char *environment[MAX_VARIABLES])
{
    size_t count = 0;
    for (char **variable = environ; *variable && count < MAX_VARIABLES - 1; variable++)
        if (is_named(*variable, kept, COUNT(kept)) ||
            (installs && is_named(*variable, kept_for_installing, COUNT(kept_for_installing))))
            environment[count++] = *variable;
    environment[count] = NULL;
}

/* ---- what an installer gets ---- */

/* Files and folders that a variable names. */
static void add_named(struct spawner_rows *rows)
{
    for (char **variable = environ; *variable; variable++) {
        const char *value = strchr(*variable, '=');
        if (value && value[1] == '/' &&
            is_named(*variable, kept_for_installing, COUNT(kept_for_installing)) &&
            !is_named(*variable, (const char *const[]){"HOME=", "XDG_CONFIG_HOME=", "PYENV_ROOT="},
                      3))
            spawner_rows_add(rows, value + 1, SANDBOX_READ);
    }
}

static void add_users_files(struct spawner_rows *rows)
{
    const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
    const char *pyenv = getenv("PYENV_ROOT");
    spawner_rows_add_joined(rows, home, ".config/uv", SANDBOX_READ);
    spawner_rows_add_joined(rows, home, ".config/pip", SANDBOX_READ);
    spawner_rows_add_joined(rows, home, ".pip", SANDBOX_READ);
    spawner_rows_add_joined(rows, home, ".netrc", SANDBOX_READ);
    spawner_rows_add_joined(rows, config, "uv", SANDBOX_READ);
    spawner_rows_add_joined(rows, config, "pip", SANDBOX_READ);
    spawner_rows_add_joined(rows, home, ".pyenv/versions", SANDBOX_READ | SANDBOX_EXECUTE);
    spawner_rows_add_joined(rows, pyenv, "versions", SANDBOX_READ | SANDBOX_EXECUTE);
    spawner_rows_add_joined(rows, home, ".local/share/uv/python", SANDBOX_READ | SANDBOX_EXECUTE);
}

static void add_installers(struct spawner_rows *rows, const char *uv)
{
    spawner_rows_add(rows, uv, SANDBOX_READ | SANDBOX_EXECUTE);
    spawner_rows_add_programs(rows);
    add_named(rows);
    add_users_files(rows);
}

/* Makes a folder that a script writes to, where there is none yet. What fails is told later, when
 * it is needed. */
static void make_folder(const char *path)
{
    if (path)
        mkdir(path, 0700);
}

static bool confine(const struct spawner_child *child, const struct spawner_task *task,
                    const char *path, const struct sandbox_share *share, struct error *ret_error)
{
    const struct spawner_options *options = child->options;
    static struct spawner_python python;
    static struct spawner_rows rows;
    if (!spawner_python_find(options->python, options, &python, ret_error))
        return false;
    make_folder(task->writes[0]);
    spawner_rows_add_python(&rows, options, &python);
    if (!task->installs)
        spawner_rows_add(&rows, path, SANDBOX_READ);
    spawner_rows_add(&rows, task->reads, SANDBOX_READ);
    for (size_t i = 0; i < COUNT(task->writes); i++)
        spawner_rows_add(&rows, task->writes[i], SANDBOX_READ | SANDBOX_WRITE | SANDBOX_EXECUTE);
    if (task->installs)
        add_installers(&rows, options->uv);
    return sandbox_enter_script(child->sandbox, rows.items, rows.count, path, task->installs, share,
                                ret_error);
}

void spawner_script_execute(const struct spawner_child *child, const struct spawner_task *task,
                            const char *path, const struct sandbox_share *share,
                            struct error *ret_error)
{
    static char script[PATH_MAX];
    const struct spawner_options *options = child->options;
    char *environment[MAX_VARIABLES];
    if (!options->python) {
        error_set(ret_error, ERROR_NOT_FOUND, "there is no Python");
        return;
    }
    spawner_python_file(options, "/", script);
    snprintf(script + strlen(script), sizeof script - strlen(script), "%s", task->script);
    const char *arguments[] = {options->python, "-I", "-S", "-B", script, "3", NULL};
    keep_environment(task->installs, environment);
    if (!confine(child, task, path, share, ret_error))
        return;
    execve(options->python, (char *const *)(uintptr_t)arguments, environment);
    error_set(ret_error, ERROR_INTERNAL, "%s", strerrordesc_np(errno));
}
