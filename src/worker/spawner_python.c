/* Where an interpreter's files lie; see spawner_python.h. Only names are looked at, and one
 * pyvenv.cfg, which the administrator chose by choosing the interpreter. */
#include "worker/spawner_python.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 4200 };

static bool is_beneath(const char *path, const char *folder)
{
    size_t size = strlen(folder);
    return size > 1 && strncmp(path, folder, size) == 0 && path[size] == '/';
}

/* PREFIX of PREFIX/bin/python, links of folders resolved; empty when that would be "/". */
static void prefix_of(const char *program, char prefix[PATH_MAX])
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", program);
    char *slash = strrchr(folder, '/');
    prefix[0] = '\0';
    if (!slash || slash == folder)
        return;
    *slash = '\0';
    if (!realpath(folder, prefix) || !(slash = strrchr(prefix, '/')) || slash == prefix)
        prefix[0] = '\0';
    else
        *slash = '\0';
}

/* The prefix that a pyvenv.cfg names by its "home = PREFIX/bin", and the folder as it says it. */
static void prefix_of_home(const char *environment, char prefix[PATH_MAX], char as_given[PATH_MAX])
{
    char path[PATH_MAX + 16], line[LINE_BYTES], home[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/pyvenv.cfg", environment);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        char value[PATH_MAX];
        if (sscanf(line, "home = %4095[^\n]", value) != 1)
            continue;
        memcpy(as_given, value, sizeof value);
        snprintf(home, sizeof home, "%s/python", value);
        prefix_of(home, prefix);
    }
    if (file)
        fclose(file);
}

static void find_base(const char *server_python, struct spawner_python *python)
{
    char program[PATH_MAX];
    if (!server_python)
        return;
    prefix_of(server_python, python->base_environment);
    prefix_of_home(python->base_environment, python->base_base, python->base_as_given);
    if (!python->base_base[0] && realpath(server_python, program))
        prefix_of(program, python->base_base);
}

/* The two prefixes that the server itself put there. */
static bool is_trusted(const char *program, const struct spawner_python *python)
{
    return is_beneath(program, python->base_base) ||
           is_beneath(program, python->base_environment) || is_beneath(program, python->home) ||
           is_beneath(program, "/usr") || is_beneath(program, "/opt");
}

bool spawner_python_find(const char *interpreter, const struct spawner_options *options,
                         struct spawner_python *ret_python, struct error *ret_error)
{
    struct spawner_python *python = ret_python;
    *python = (struct spawner_python){.program = ""};
    if (interpreter[0] != '/' || !realpath(interpreter, python->program))
        return error_set(ret_error, ERROR_INTERNAL, "the Python interpreter cannot be found: %s",
                         strerrordesc_np(errno));
    snprintf(python->as_given, sizeof python->as_given, "%s", interpreter);
    prefix_of(interpreter, python->environment);
    find_base(options->python, python);
    if (options->environments && is_beneath(python->environment, options->environments))
        prefix_of_home(python->environment, python->home, python->home_as_given);
    if (options->environments && is_beneath(options->environments, python->environment))
        return error_set(ret_error, ERROR_INTERNAL,
                         "the Python interpreter lies in a folder that holds the server's own");
    if (!is_beneath(python->program, python->environment) && !is_trusted(python->program, python))
        return error_set(ret_error, ERROR_INTERNAL,
                         "the Python interpreter is a link out of its environment");
    return true;
}

size_t spawner_python_paths(const struct spawner_python *python, struct sandbox_path *rows)
{
    const char *const folders[] = {python->environment, python->home, python->base_environment,
                                   python->base_base};
    const char *const names[] = {python->as_given, python->home_as_given, python->base_as_given};
    size_t count = 0;
    rows[count++] = (struct sandbox_path){python->program, SANDBOX_READ | SANDBOX_EXECUTE};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (folders[i][0])
            rows[count++] = (struct sandbox_path){folders[i], SANDBOX_READ};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i][0])
            rows[count++] = (struct sandbox_path){names[i], 0};
    return count;
}

void spawner_python_file(const struct spawner_options *options, const char *file,
                         char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.4000s/python%.90s", options->engine_dir ? options->engine_dir : "",
             file);
}
