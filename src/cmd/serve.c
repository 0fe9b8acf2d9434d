/* `tensord serve`: checks what it was given, then becomes the spawner. Nothing is started before
 * the arguments are known to be good, so that mistakes are told at once and in one line. */
#include "cmd/commands.h"
#include "cmd/listening.h"
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
    return command_complain("serve", sentence);
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
    char absolute[PATH_MAX]; /* workers start in other folders */
    const char *named = settings->onnxruntime[0] ? settings->onnxruntime : NULL;
    if (named && realpath(named, absolute))
        named = absolute;
    if (onnx_find(named, path) && path[0] == '/')
        return path;
    if (!named || strlen(named) >= PATH_MAX)
        return NULL;
    memcpy(path, named, strlen(named) + 1); /* workers will say what is missing there */
    return path;
}

/* What the spawner is started with, and what that points to. */
struct plan {
    struct settings settings;
    char program[PATH_MAX], engines[PATH_MAX], library[PATH_MAX];
    struct spawner_options options;
};

/* 0, or the exit status after saying what is wrong. */
static int prepare(struct plan *plan, int count, char **arguments)
{
    struct error error;
    const char *path;
    char sentence[PATH_MAX + 128];
    if (!settings_read(&plan->settings, count, arguments, &path, &error))
        return complain(error.message);
    const struct settings *settings = &plan->settings;
    if (!path)
        return complain("what should be served? Name a model file or a folder, as in: tensord "
                        "serve model.onnx");
    if (access(path, R_OK) != 0) {
        snprintf(sentence, sizeof sentence, "cannot read '%s': %s", path, strerror(errno));
        return complain(sentence);
    }
    if (readlink("/proc/self/exe", plan->program, sizeof plan->program - 1) < 0)
        return complain("cannot find out where the program lies: is /proc mounted?");
    plan->options = (struct spawner_options){
        .program = plan->program,
        .engine_dir = settings->engine_dir[0] ? realpath(settings->engine_dir, plan->engines)
                                              : engine_dir(plan->program, plan->engines),
        .onnxruntime = onnxruntime(settings, plan->library),
        .sandbox = settings->sandbox,
        .stuck_timeout_ms = (uint64_t)settings->stuck_timeout_ms,
    };
    if (!plan->options.engine_dir)
        return complain("the folder of engines is missing; name it with --engine-dir");
    return 0;
}

static int listen_and_spawn(struct plan *plan)
{
    struct error error;
    struct listening listening;
    struct spawner_socket sockets[LISTEN_SOCKETS];
    log_start(&plan->settings);
    if (!listening_open(&listening, &plan->settings, &error))
        return complain(error.message);
    listening_hand_over(&listening, sockets);
    plan->options.sockets = sockets;
    plan->options.socket_count = listening.count;
    int status = spawner_run(&plan->options);
    listening_remove_files(&listening);
    return status;
}

int serve_run(int count, char **arguments)
{
    struct plan plan = {.program = ""};
    char **front = calloc((size_t)count + 3, sizeof *front);
    if (!front)
        return complain("out of memory");
    front[0] = (char[]){"tensord"};
    front[1] = (char[]){"front"};
    memcpy(front + 2, arguments, (size_t)count * sizeof *front);
    int status = prepare(&plan, count, arguments);
    plan.options.front_arguments = front;
    if (status == 0)
        status = listen_and_spawn(&plan);
    free(front);
    settings_fini(&plan.settings);
    return status;
}

int check_run(int count, char **arguments)
{
    struct plan plan = {.program = ""};
    int status = prepare(&plan, count, arguments);
    if (status == 0 && !spawner_upgrade_understood())
        status = complain("the program that runs hands over in a form that this one does not know");
    settings_fini(&plan.settings);
    return status;
}
