/* Rows for the sandbox; see spawner_rows.h. */
#include "worker/spawner_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void spawner_rows_add(struct spawner_rows *rows, const char *path, unsigned rights)
{
    if (path && path[0] == '/' && rows->count < SPAWNER_MAX_ROWS)
        rows->items[rows->count++] = (struct sandbox_path){path, rights};
}

void spawner_rows_add_joined(struct spawner_rows *rows, const char *folder, const char *name,
                             unsigned rights)
{
    char *path;
    if (folder && asprintf(&path, "%s/%s", folder, name) >= 0)
        spawner_rows_add(rows, path, rights);
}

void spawner_rows_add_programs(struct spawner_rows *rows)
{
    const char *path = getenv("PATH");
    char *copy = path ? strdup(path) : NULL;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the rows point into it */
    for (char *part = copy, *end; part; part = end) {
        end = strchr(part, ':');
        if (end)
            *end++ = '\0';
        spawner_rows_add(rows, part, SANDBOX_READ | SANDBOX_EXECUTE);
    }
}

void spawner_rows_add_python(struct spawner_rows *rows, const struct spawner_options *options,
                             const struct spawner_python *python)
{
    static char package[PATH_MAX], modules[PATH_MAX];
    struct sandbox_path paths[SPAWNER_PYTHON_PATHS];
    size_t count = spawner_python_paths(python, paths);
    for (size_t i = 0; i < count; i++)
        spawner_rows_add(rows, paths[i].path,
                         paths[i].rights ? paths[i].rights | SANDBOX_EXECUTE : 0);
    spawner_python_file(options, "", package);
    spawner_python_file(options, "/tensord", modules);
    spawner_rows_add(rows, package, SANDBOX_READ);
    spawner_rows_add(rows, modules, SANDBOX_READ); /* may be a link elsewhere */
}
