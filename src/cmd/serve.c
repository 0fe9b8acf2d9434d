/* `tensord serve`: checks what it was given, then becomes the spawner. Nothing is started before
 * the arguments are known to be good, so that mistakes are told at once and in one line. */
#include "cmd/absolute.h"
#include "cmd/commands.h"
#include "cmd/interpreter.h"
#include "cmd/listening.h"
#include "cmd/observing.h"
#include "cmd/pushing.h"
#include "cmd/state_dir.h"
#include "cmd/tasks.h"
#include "cmd/tls_setup.h"
#include "exporter/export_config.h"
#include "onnx/find.h"
#include "push/install.h"
#include "regions/region_open.h"
#include "repository/repository.h"
#include "settings/settings.h"
#include "telemetry/log.h"
#include "worker/engine_load.h"
#include "worker/spawner.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LEAST_DESCRIPTORS = 128 };

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
    char path[PATH_MAX];                    /* of what is served */
    char models[PATH_MAX], blobs[PATH_MAX]; /* what installers may change; absolute */
    char loads[PATH_MAX];                   /* where files of loads are put; likewise */
    char program[PATH_MAX], engines[PATH_MAX], library[PATH_MAX], python[PATH_MAX];
    char uv[PATH_MAX];
    char environments[PATH_MAX]; /* the folder of those that are built; empty: no state is kept */
    char homes[PATH_MAX];        /* of those that managed servers keep; likewise */
    char **front, **exporter;    /* arguments of these roles */
    struct spawner_socket sockets[LISTEN_SOCKETS];
    struct spawner_task tasks[TASK_COUNT];
    struct spawner_options options;
};

/* What is served: the path as given, or the state folder's models. */
static bool find_path(struct plan *plan, const char *given, struct error *ret_error)
{
    char state[PATH_MAX];
    if (given) {
        if ((size_t)snprintf(plan->path, PATH_MAX, "%s", given) >= PATH_MAX)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the path is too long");
    } else {
        if (!state_dir_open(&plan->settings, state, ret_error))
            return false;
        snprintf(plan->path, PATH_MAX, "%.*s/models", PATH_MAX - 16, state);
    }
    return access(plan->path, R_OK) == 0 ||
           error_set(ret_error, ERROR_NOT_FOUND, "cannot read '%.300s': %s", plan->path,
                     strerror(errno));
}

/* A role gets the same arguments, and the path if there is none among them. NULL without memory. */
static char **role_arguments(struct plan *plan, char *role, int count, char **arguments,
                             bool path_given)
{
    static char program[] = "tensord";
    size_t given = (size_t)count;
    char **all = calloc(given + 4, sizeof *all);
    if (!all)
        return NULL;
    all[0] = program;
    all[1] = role;
    memcpy(all + 2, arguments, given * sizeof *arguments);
    all[2 + given] = path_given ? NULL : plan->path;
    return all;
}

static bool make_arguments(struct plan *plan, int count, char **arguments, bool path_given,
                           struct error *ret_error)
{
    static char front[] = "front", exporter[] = "exporter";
    plan->front = role_arguments(plan, front, count, arguments, path_given);
    plan->exporter = role_arguments(plan, exporter, count, arguments, path_given);
    plan->options.front_arguments = plan->front;
    plan->options.exporter_arguments = plan->exporter;
    return (plan->front && plan->exporter) || error_no_memory(ret_error);
}

/* What an exporter of traces will be told to do makes sense. */
static bool check_tracing(const struct settings *settings, struct error *ret_error)
{
    struct export_config config;
    struct trace_setting setting;
    struct arena arena;
    bool follow, good = true;
    arena_init(&arena, 4096, 1 << 20);
    if (export_wanted(settings))
        good = export_config_read(settings, &arena, &config, ret_error) &&
               export_sampling(settings, &setting, &follow, ret_error);
    arena_fini(&arena);
    return good;
}

/* Without a state folder the front asks for no installer. */
static bool list_tasks(struct plan *plan, struct error *ret_error)
{
    const char *environments = plan->environments[0] ? plan->environments : NULL;
    const char *loads = pushing_loads_path(&plan->settings, plan->loads, NULL) ? plan->loads : NULL;
    plan->tasks[TASK_LOOK] =
        (struct spawner_task){.title = "tensord-look", .run = repository_look, .reads = loads};
    plan->tasks[TASK_STAGE] =
        (struct spawner_task){.title = "tensord-stage", .run = install_run, .writes = {loads}};
    plan->tasks[TASK_INSTALL] = (struct spawner_task){
        .title = "tensord-install",
        .run = install_run,
        .writes = {plan->models,
                   pushing_blobs_path(&plan->settings, plan->blobs, NULL) ? plan->blobs : NULL},
    };
    plan->tasks[TASK_PLAN] = (struct spawner_task){
        .title = "tensord-plan", .script = "tensord/environments/plan.py", .reads = environments};
    plan->tasks[TASK_BUILD] = (struct spawner_task){.title = "tensord-build",
                                                    .script = "tensord/environments/build.py",
                                                    .writes = {environments},
                                                    .installs = true};
    plan->tasks[TASK_REGION] = (struct spawner_task){
        .title = "tensord-region", .run = region_open_run, .writes = {REGION_FOLDER}};
    return absolute_path(plan->path, plan->models, ret_error);
}

/* A loop waits for its turn for so long on a busy machine, healthy as it is. */
static bool check_stuck_timeout(const struct settings *settings, struct error *ret_error)
{
    enum { LEAST_MS = 500 };
    int64_t timeout_ms = settings->stuck_timeout_ms;
    return timeout_ms == 0 || timeout_ms >= LEAST_MS ||
           error_set(
               ret_error, ERROR_INVALID_ARGUMENT,
               "--stuck-timeout-ms is 0, for never, or %d ms or more: less would end a server "
               "that is only busy",
               LEAST_MS);
}

static bool find_programs(struct plan *plan, struct error *ret_error)
{
    const struct settings *settings = &plan->settings;
    if (readlink("/proc/self/exe", plan->program, sizeof plan->program - 1) < 0)
        return error_set(ret_error, ERROR_NOT_FOUND,
                         "cannot find out where the program lies: is /proc mounted?");
    environments_dir_find(settings, plan->environments);
    homes_dir_find(settings, plan->homes);
    if (!list_tasks(plan, ret_error))
        return false;
    plan->options = (struct spawner_options){
        .program = plan->program,
        .engine_dir = settings->engine_dir[0] ? realpath(settings->engine_dir, plan->engines)
                                              : engine_dir(plan->program, plan->engines),
        .onnxruntime = onnxruntime(settings, plan->library),
        .python = interpreter_find(settings->python, plan->python) ? plan->python : NULL,
        .uv = settings->uv[0] ? realpath(settings->uv, plan->uv) : NULL,
        .environments = plan->environments[0] ? plan->environments : NULL,
        .homes = plan->homes[0] ? plan->homes : NULL,
        .sandbox = settings->sandbox,
        .stuck_timeout_ms = (uint64_t)settings->stuck_timeout_ms,
        .tasks = plan->tasks,
        .task_count = TASK_COUNT,
    };
    if (!plan->options.engine_dir)
        return error_set(ret_error, ERROR_NOT_FOUND,
                         "the folder of engines is missing; name it with --engine-dir");
    if (settings->uv[0] && !plan->options.uv)
        return error_set(ret_error, ERROR_NOT_FOUND, "--uv: there is no program at '%.300s'",
                         settings->uv);
    if (settings->python[0] && !plan->options.python)
        return error_set(ret_error, ERROR_NOT_FOUND,
                         "--python: there is no interpreter at '%.300s'", settings->python);
    return engine_place_check(plan->options.engine_dir, ret_error);
}

static void plan_fini(struct plan *plan)
{
    free(plan->front);
    free(plan->exporter);
    settings_fini(&plan->settings);
}

/* Fills a plan that is zeroed; plan_fini is to be called in any case. */
static bool plan_make(struct plan *plan, int count, char **arguments, bool *ret_path_given,
                      struct error *ret_error)
{
    const char *given;
    if (!settings_read(&plan->settings, count, arguments, &given, ret_error) ||
        !tls_settings_check(&plan->settings, ret_error) ||
        !check_tracing(&plan->settings, ret_error) ||
        !check_stuck_timeout(&plan->settings, ret_error) || !find_path(plan, given, ret_error) ||
        !find_programs(plan, ret_error) ||
        !make_arguments(plan, count, arguments, given != NULL, ret_error))
        return false;
    *ret_path_given = given != NULL;
    return true;
}

/* All that it may have; inherited by every role that is not limited further. The spawner gives its
 * children descriptors by numbers below a hundred. */
static bool take_descriptors(struct error *ret_error)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return true;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max >= LEAST_DESCRIPTORS ||
           error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                     "the limit on open files is %llu, and %d is the least: raise it (ulimit -Hn, "
                     "LimitNOFILE= in a unit)",
                     (unsigned long long)limit.rlim_max, LEAST_DESCRIPTORS);
}

static int listen_and_spawn(struct plan *plan)
{
    struct error error;
    struct listening listening;
    log_start(&plan->settings);
    if (!listening_open(&listening, &plan->settings, &error))
        return command_complain("serve", error.message);
    listening_hand_over(&listening, plan->sockets);
    plan->options.sockets = plan->sockets;
    plan->options.socket_count = listening.count;
    int status = spawner_run(&plan->options);
    listening_remove_files(&listening);
    return status;
}

int serve_run(int count, char **arguments)
{
    struct plan plan = {.path = ""};
    struct error error;
    bool path_given;
    int status;
    signal(SIGPIPE, SIG_IGN); /* who reads the log may go; inherited by every role */
    if (!take_descriptors(&error) || !plan_make(&plan, count, arguments, &path_given, &error)) {
        status = command_complain("serve", error.message);
    } else {
        if (!path_given)
            printf("serving the models in %s\n", plan.path);
        fflush(stdout);
        status = listen_and_spawn(&plan);
    }
    plan_fini(&plan);
    return status;
}

int check_run(int count, char **arguments)
{
    struct plan plan = {.path = ""};
    struct error error;
    bool path_given;
    log_level_enable(LOG_WARNING, false); /* serve will say it */
    bool good = plan_make(&plan, count, arguments, &path_given, &error) &&
                spawner_check(&plan.options, &error) && listening_check(&plan.settings, &error);
    plan_fini(&plan);
    return good ? 0 : command_complain("serve", error.message);
}
