/* `tensord serve`: checks what it was given, then becomes the spawner. Nothing is started before
 * the arguments are known to be good, so that mistakes are told at once and in one line. */
#include "cmd/commands.h"
#include "onnx/find.h"
#include "settings/settings.h"
#include "worker/spawner.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int complain(const char *sentence)
{
    fprintf(stderr, "tensord serve: %s\n", sentence);
    return 2;
}

/* The engines beside the program: in the build tree <program's folder>/../../engines, installed
 * ../lib/tensord/engines. */
static const char *engine_dir(const char *program, char path[PATH_MAX])
{
    static const char *const places[] = {"/../../engines", "/../lib/tensord/engines"};
    char folder[PATH_MAX], candidate[PATH_MAX + 32];
    snprintf(folder, sizeof folder, "%s", program);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(candidate, sizeof candidate, "%s%s", folder, places[i]);
        if (realpath(candidate, path))
            return path;
    }
    return NULL;
}

/* ONNX Runtime's library as the user names it, or where it usually is; NULL when there is none.
 * Looked for here, outside the sandbox, so that workers can be let into just that folder. */
static const char *onnxruntime(const struct settings *settings, char path[PATH_MAX])
{
    const char *named = settings->onnxruntime[0] ? settings->onnxruntime : NULL;
    if (onnx_find(named, path) && path[0] == '/')
        return path;
    return named;
}

int serve_run(int count, char **arguments)
{
    struct settings settings;
    struct error error;
    const char *path;
    char program[PATH_MAX] = "", engines[PATH_MAX], library[PATH_MAX], sentence[PATH_MAX + 128];
    if (!settings_read(&settings, count, arguments, &path, &error))
        return complain(error.message);
    if (!path)
        return complain("what should be served? Name a model file or a folder, as in: tensord "
                        "serve model.onnx");
    if (access(path, R_OK) != 0) {
        snprintf(sentence, sizeof sentence, "cannot read '%s': %s", path, strerror(errno));
        return complain(sentence);
    }
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
        return complain("cannot find out where the program lies: is /proc mounted?");
    const char *engine_folder = settings.engine_dir[0] ? realpath(settings.engine_dir, engines)
                                                       : engine_dir(program, engines);
    if (!engine_folder)
        return complain("the folder of engines is missing; name it with --engine-dir");
    char **front = calloc((size_t)count + 3, sizeof *front);
    if (!front)
        return complain("out of memory");
    front[0] = (char[]){"tensord"};
    front[1] = (char[]){"front"};
    memcpy(front + 2, arguments, (size_t)count * sizeof *front);
    struct spawner_options options = {
        .program = program,
        .front_arguments = front,
        .engine_dir = engine_folder,
        .onnxruntime = onnxruntime(&settings, library),
        .sandbox = settings.sandbox,
    };
    int status = spawner_run(&options);
    free(front);
    settings_fini(&settings);
    return status;
}
