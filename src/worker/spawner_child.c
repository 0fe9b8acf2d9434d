/* Between fork and exec; see spawner_child.h. The spawner has one thread, so that a child may use
 * the C library freely here. */
#include "worker/spawner_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/gpu.h"
#include "worker/scratch.h"
#include "worker/spawner_python.h"
#include "worker/spawner_script.h"
#include "worker/spawner_sockets.h"
#include "worker/warden.h"
#include "worker/worker_main.h"

enum {
    FIRST_FD = SPAWNER_FRONT_FD,
    MAX_FDS = 1 + SPAWNER_MAX_SOCKETS, /* that a child is given */
    OUT_OF_THE_WAY = 64, /* above every descriptor that a child is given a number for */
    EXIT_NOT_EXECUTED = 127,
    WORKER_OOM_SCORE = 500, /* the kernel, out of memory, takes a worker before the front */
};

_Static_assert((int)MAX_FDS > (int)SPAWN_FD_COUNT && OUT_OF_THE_WAY >= FIRST_FD + MAX_FDS,
               "a descriptor that waits to be numbered would be overwritten");

/* A session of its own keeps a terminal's Ctrl-C, which the spawner passes on, from arriving twice.
 */
static bool take_session(const sigset_t *blocked)
{
    return setsid() >= 0 && sigprocmask(SIG_SETMASK, blocked, NULL) == 0;
}

static bool dies_with_spawner(const struct spawner_child *child)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == child->spawner;
}

/* Ends with the spawner, whatever happens: PDEATHSIG, and the check that it had not died before.
 * An init has seen to that. */
static bool bind_to_spawner(const struct spawner_child *child, unsigned own)
{
    sigset_t none;
    sigemptyset(&none);
    return (own & SANDBOX_INIT || dies_with_spawner(child)) && take_session(&none);
}

/* The same for a front. What is passed on to it waits until it can hear it: it would end one that
 * just starts. */
static bool bind_front(const struct spawner_child *child)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGHUP);
    return dies_with_spawner(child) && take_session(&held);
}

/* A script may use most of the machine, but not bring it to its knees. */
static struct process_limits limits_of_script(void)
{
    enum { SCRIPT_PIDS = 1024, NINE_TENTHS_MIB = 10 * (1 << 20) / 9 };
    uint64_t machine_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return (struct process_limits){.memory_mib = (uint32_t)(machine_bytes / NINE_TENTHS_MIB),
                                   .pids = SCRIPT_PIDS};
}

struct sandbox_share spawner_child_share(const struct spawner_child *child,
                                         const struct spawn_message *message)
{
    struct sandbox_share share = {.own = child->namespaces, .limits = message->limits};
    if (child->sandbox == SANDBOX_OFF || message->type == SPAWN_EXPORT)
        return (struct sandbox_share){0};
    if (message->type == SPAWN_SERVER) {
        share.own = SANDBOX_INIT;
        share.serves = true;
    }
    if (message->type != SPAWN_TASK)
        return share;
    const struct spawner_task *task = &child->options->tasks[message->number];
    if (!task->script)
        return (struct sandbox_share){0};
    share.own &= ~(unsigned)(task->installs ? SANDBOX_OWN_NETWORK
                                            : SANDBOX_OWN_ROOT | SANDBOX_OWN_PROCESSES);
    share.limits = limits_of_script();
    return share;
}

/* Gives the descriptors the numbers from 3 on, and standard input nothing to read; all others close
 * on exec. Two steps, because a number may be in use by another of them. */
static bool place_fds(const struct spawner_child *child, const int *fds, int count,
                      int *ret_program)
{
    int moved[MAX_FDS];
    int program = fcntl(child->program, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    if (program < 0 || dup2(child->null, STDIN_FILENO) < 0)
        return false;
    for (int i = 0; i < count; i++)
        if ((moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY)) < 0)
            return false;
    for (int i = 0; i < count; i++)
        if (dup2(moved[i], FIRST_FD + i) < 0)
            return false;
    *ret_program = program;
    return close_range((unsigned)(FIRST_FD + count), ~0U, CLOSE_RANGE_CLOEXEC) == 0 ||
           errno == ENOSYS || errno == EINVAL; /* ours are close-on-exec anyway */
}

static bool say_successor(bool successor)
{
    return (successor ? setenv(SPAWNER_SUCCESSOR_VARIABLE, "1", 1)
                      : unsetenv(SPAWNER_SUCCESSOR_VARIABLE)) == 0;
}

_Noreturn void spawner_child_front(const struct spawner_child *child, int socket, bool successor)
{
    const struct spawner_options *options = child->options;
    int fds[MAX_FDS] = {socket}, count = 1, program;
    for (size_t i = 0; i < options->socket_count; i++)
        fds[count++] = options->sockets[i].fd;
    if (bind_front(child) && place_fds(child, fds, count, &program) && say_successor(successor) &&
        spawner_sockets_export(options, SPAWNER_FRONT_SOCKETS))
        execveat(program, "", options->front_arguments, environ, AT_EMPTY_PATH);
    dprintf(STDERR_FILENO, "tensord: cannot start the front: %s\n", strerrordesc_np(errno));
    _exit(EXIT_NOT_EXECUTED);
}

static _Noreturn void die(int last_words, const char *what, const char *why)
{
    dprintf(last_words, "%s: %s", what, why);
    _exit(EXIT_NOT_EXECUTED);
}

/* Workers get of the environment what runtimes need to find themselves; no tokens, no proxies. */
static void clean_environment(const char *onnxruntime, const char *scratch, char *environment[],
                              size_t capacity)
{
    static const char *const kept[] = {
        "PATH=",
        "LANG=",
        "LC_ALL=",
        "LC_CTYPE=",
        "TZ=",
        "LD_LIBRARY_PATH=",
        "VIRTUAL_ENV=",
        "CONDA_PREFIX=",
        "CUDA_VISIBLE_DEVICES=",
        "CUDA_DEVICE_ORDER=",
        "ASAN_OPTIONS=",
        "UBSAN_OPTIONS=",
        "LSAN_OPTIONS=",
        "TSAN_OPTIONS=",
    };
    static char home[SCRATCH_PATH_BYTES + 8], temporary[SCRATCH_PATH_BYTES + 8];
    static char runtime[SPAWN_TEXT_MAX_BYTES];
    size_t count = 0;
    snprintf(home, sizeof home, "HOME=%s", scratch[0] ? scratch : "/nonexistent");
    snprintf(temporary, sizeof temporary, "TMPDIR=%s", scratch);
    environment[count++] = home;
    if (scratch[0])
        environment[count++] = temporary;
    if (onnxruntime) {
        snprintf(runtime, sizeof runtime, "TENSORD_ONNXRUNTIME=%s", onnxruntime);
        environment[count++] = runtime;
    }
    for (char **variable = environ; *variable; variable++)
        for (size_t i = 0; i < sizeof kept / sizeof *kept && count < capacity - 1; i++)
            if (strncmp(*variable, kept[i], strlen(kept[i])) == 0)
                environment[count++] = *variable;
    environment[count] = NULL;
}

/* The folder of ONNX Runtime's package: of the library, when its file is named. */
static void folder_of(const char *path, char *folder, size_t size)
{
    snprintf(folder, size, "%s", path ? path : "");
    char *slash = strrchr(folder, '/');
    if (slash && slash != folder && strstr(slash, ".so"))
        *slash = '\0';
}

/* Where it may write: in a root of its own a folder in memory, else one on disk. */
static bool make_scratch(const struct spawner_worker *worker, struct sandbox_path *ret_row,
                         struct error *ret_error)
{
    bool fresh = worker->share.own & SANDBOX_OWN_ROOT;
    *ret_row = (struct sandbox_path){worker->scratch,
                                     SANDBOX_READ | SANDBOX_WRITE | (fresh ? SANDBOX_FRESH : 0U)};
    return fresh || mkdir(worker->scratch, 0700) == 0 ||
           error_set(ret_error, ERROR_INTERNAL, "cannot make a scratch folder: %s",
                     strerrordesc_np(errno));
}

/* The first step of the sandbox with the rows given and those of any worker: the model, GPUs,
 * scratch folder. */
static bool confine_with_extras(const struct spawner_child *child,
                                const struct spawner_worker *worker,
                                const struct sandbox_path *paths, size_t count,
                                struct error *ret_error)
{
    static struct gpu_rows gpus;
    struct sandbox_path rows[GPU_MAX_ROWS + SPAWNER_PYTHON_PATHS + 16];
    size_t all = 0;
    if (worker->scratch[0] && !make_scratch(worker, &rows[all++], ret_error))
        return false;
    rows[all++] = (struct sandbox_path){worker->model, 0};
    memcpy(rows + all, paths, count * sizeof *paths);
    all += count;
    gpu_find(worker->share.limits.gpus, gpu_file_exists, &gpus);
    memcpy(rows + all, gpus.rows, gpus.count * sizeof *gpus.rows);
    return sandbox_confine_worker(child->sandbox, rows, all + gpus.count, &worker->share,
                                  ret_error);
}

/* `keeps`: the worker keeps a managed server. */
static bool confine_native(const struct spawner_child *child, const struct spawner_worker *worker,
                           int program, bool keeps, struct error *ret_error)
{
    char self[32], onnxruntime[SPAWN_TEXT_MAX_BYTES], user_packages[SPAWN_TEXT_MAX_BYTES];
    const char *home = getenv("HOME");
    snprintf(self, sizeof self, "/proc/self/fd/%d", program);
    snprintf(user_packages, sizeof user_packages, "%s/.local/lib", home ? home : "/nonexistent");
    folder_of(child->options->onnxruntime, onnxruntime, sizeof onnxruntime);
    const struct sandbox_path paths[] = {
        {worker->root, SANDBOX_READ},
        {self, SANDBOX_READ | SANDBOX_EXECUTE},
        {child->options->engine_dir, SANDBOX_READ},
        {onnxruntime, SANDBOX_READ},
        {getenv("VIRTUAL_ENV"), SANDBOX_READ},
        {getenv("CONDA_PREFIX"), SANDBOX_READ},
        {user_packages, SANDBOX_READ}, /* pip install --user */
    };
    size_t count = sizeof paths / sizeof *paths;
    return keeps ? sandbox_confine_keeper(child->sandbox, paths, count, ret_error)
                 : confine_with_extras(child, worker, paths, count, ret_error);
}

static bool confine_python(const struct spawner_child *child, const struct spawner_worker *worker,
                           struct error *ret_error)
{
    char package[PATH_MAX], modules[PATH_MAX];
    struct spawner_python python;
    struct sandbox_path paths[SPAWNER_PYTHON_PATHS + 3];
    if (!spawner_python_find(worker->interpreter, child->options, &python, ret_error))
        return false;
    spawner_python_file(child->options, "", package);
    spawner_python_file(child->options, "/tensord", modules);
    size_t count = spawner_python_paths(&python, paths);
    paths[count++] = (struct sandbox_path){worker->root, SANDBOX_READ};
    paths[count++] = (struct sandbox_path){package, SANDBOX_READ};
    paths[count++] = (struct sandbox_path){modules, SANDBOX_READ}; /* may be a link elsewhere */
    return confine_with_extras(child, worker, paths, count, ret_error);
}

static bool confine(const struct spawner_child *child, const struct spawner_worker *worker,
                    int program, struct error *ret_error)
{
    return worker->interpreter[0] ? confine_python(child, worker, ret_error)
                                  : confine_native(child, worker, program, false, ret_error);
}

static void offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* a wish, not a need */
    dprintf(fd, "%d", WORKER_OOM_SCORE);
    close(fd);
}

/* -I: nothing of the user's own on the path, but the environment's packages. -B: there is nowhere
 * to write what was compiled. */
static void execute_python(const struct spawner_child *child, const struct spawner_worker *worker,
                           const char *mode, char *const environment[])
{
    char start[PATH_MAX];
    spawner_python_file(child->options, "/tensord/worker/start.py", start);
    const char *arguments[] = {
        worker->interpreter,
        "-I",
        "-B",
        start,
        mode,
        child->options->engine_dir ? child->options->engine_dir : "",
        NULL,
    };
    execve(worker->interpreter, (char *const *)(uintptr_t)arguments, environment);
}

static void execute_worker(const struct spawner_child *child, const struct spawner_worker *worker,
                           int program)
{
    static const char *const modes[] = {"off", "auto", "strict"};
    char *environment[32];
    const char *arguments[] = {
        "tensord",
        "worker",
        modes[child->sandbox],
        child->options->engine_dir ? child->options->engine_dir : "",
        NULL,
    };
    clean_environment(child->options->onnxruntime, worker->scratch, environment,
                      sizeof environment / sizeof *environment);
    if (worker->interpreter[0])
        execute_python(child, worker, modes[child->sandbox], environment);
    else
        execveat(program, "", (char *const *)(uintptr_t)arguments, environment, AT_EMPTY_PATH);
}

_Noreturn void spawner_child_worker(const struct spawner_child *child,
                                    const struct spawner_worker *worker,
                                    const int fds[SPAWN_FD_COUNT], int last_words)
{
    struct error error;
    int all[SPAWN_FD_COUNT + 1], program;
    memcpy(all, fds, SPAWN_FD_COUNT * sizeof *fds);
    all[SPAWN_FD_COUNT] = last_words;
    if (!bind_to_spawner(child, worker->share.own) || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
        !place_fds(child, all, SPAWN_FD_COUNT + 1, &program))
        die(last_words, "cannot prepare the worker", strerrordesc_np(errno));
    last_words = WORKER_FD_LAST_WORDS;
    offer_to_oom_killer();
    if (!confine(child, worker, program, &error))
        die(last_words, "cannot confine the worker", error.message);
    if (chdir(worker->root) < 0)
        die(last_words, "cannot enter the model's folder", strerrordesc_np(errno));
    if (worker->interpreter[0] &&
        !sandbox_enter_interpreter(child->sandbox, worker->root, worker->share.limits.gpus != 0,
                                   &error))
        die(last_words, "cannot confine the interpreter", error.message);
    execute_worker(child, worker, program);
    die(last_words, "cannot execute the worker", strerrordesc_np(errno));
}

/* GPUs count as in /dev, and as nvidia-smi lists them, which is by their place on the bus. */
static bool show_gpu(uint32_t number)
{
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    return setenv("CUDA_VISIBLE_DEVICES", text, 1) == 0 &&
           setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1) == 0;
}

bool spawner_child_place(const struct process_limits *limits)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (uint32_t number = 0; number < CPU_LIST_MAX; number++) {
        if (cpu_list_has(&limits->cpus, number))
            CPU_SET(number, &set);
    }
    return (CPU_COUNT(&set) == 0 || sched_setaffinity(0, sizeof set, &set) == 0) &&
           (!limits->only_gpu || show_gpu(limits->only_gpu - 1));
}

/* Moved out of the way of the numbers that are given next. */
static bool move_away(int *fd)
{
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    if (moved < 0)
        return false;
    *fd = moved;
    return true;
}

/* The pairs of descriptors between a keeper and its warden, whose ends are moved out of the way. */
static bool make_ends(int control[2], int output[2], int *spec)
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) == 0 &&
           pipe2(output, O_CLOEXEC) == 0 && move_away(&control[1]) && move_away(&output[1]) &&
           move_away(spec);
}

_Noreturn void spawner_child_server(const struct spawner_child *child,
                                    const struct spawner_worker *worker,
                                    const int fds[SPAWN_FD_MOST], int last_words)
{
    struct error error;
    int control[2], output[2], program, spec = fds[SPAWN_FD_SPEC];
    struct warden_order order = {.child = child, .worker = worker};
    warden_note_sockets(&order, child->options);
    if (!make_ends(control, output, &spec))
        die(last_words, "cannot prepare the worker", strerrordesc_np(errno));
    int all[SPAWN_FD_COUNT + 4] = {
        [SPAWN_FD_COUNT] = last_words, fds[SPAWN_FD_LINE], control[0], output[0]};
    memcpy(all, fds, SPAWN_FD_COUNT * sizeof *fds);
    if (!bind_to_spawner(child, worker->share.own) || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
        !place_fds(child, all, SPAWN_FD_COUNT + 4, &program))
        die(last_words, "cannot prepare the worker", strerrordesc_np(errno));
    last_words = WORKER_FD_LAST_WORDS;
    offer_to_oom_killer();
    if (chdir(worker->root) < 0)
        die(last_words, "cannot enter the model's folder", strerrordesc_np(errno));
    if (mkdir(worker->scratch, 0700) < 0)
        die(last_words, "cannot make a scratch folder", strerrordesc_np(errno));
    order.spec = spec;
    order.control = control[1];
    order.output = output[1];
    if (!warden_start(&order, &error))
        die(last_words, "cannot start the server", error.message);
    close(control[1]);
    close(output[1]);
    if (!confine_native(child, worker, program, true, &error))
        die(last_words, "cannot confine the worker", error.message);
    const struct spawner_worker keeper = {
        .root = worker->root, .model = "", .interpreter = "", .scratch = worker->scratch};
    execute_worker(child, &keeper, program);
    die(last_words, "cannot execute the worker", strerrordesc_np(errno));
}

/* The folder that path is, or that holds the file that it is. */
static void folder_to_look_at(const char *path, char folder[SPAWN_TEXT_MAX_BYTES])
{
    struct stat status;
    snprintf(folder, SPAWN_TEXT_MAX_BYTES, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash && stat(path, &status) == 0 && !S_ISDIR(status.st_mode))
        slash[slash == folder ? 1 : 0] = '\0';
}

static bool confine_reader(enum sandbox_mode mode, const struct spawner_task *task,
                           const char *path, struct error *ret_error)
{
    char folder[SPAWN_TEXT_MAX_BYTES];
    folder_to_look_at(path, folder);
    const struct sandbox_path rows[] = {{folder, SANDBOX_READ}, {task->reads, SANDBOX_READ}};
    return sandbox_confine_worker(mode, rows, task->reads ? 2 : 1, NULL, ret_error) &&
           sandbox_enter_worker(mode, folder, false, false, ret_error);
}

static bool confine_writer(enum sandbox_mode mode, const struct spawner_task *task,
                           struct error *ret_error)
{
    const struct sandbox_path rows[] = {
        {task->writes[0], SANDBOX_READ | SANDBOX_WRITE},
        {task->writes[1], SANDBOX_READ | SANDBOX_WRITE},
    };
    return sandbox_confine_worker(mode, rows, sizeof rows / sizeof *rows, NULL, ret_error) &&
           sandbox_enter_writer(mode, ret_error);
}

_Noreturn void spawner_child_task(const struct spawner_child *child,
                                  const struct spawner_task *task, const char *path,
                                  const struct sandbox_share *share, int fd, int last_words)
{
    struct error error;
    const int both[] = {fd, last_words};
    int program;
    prctl(PR_SET_NAME, task->title, 0, 0, 0);
    if (!bind_to_spawner(child, share->own) || !place_fds(child, both, 2, &program) ||
        close_range(FIRST_FD + 2, ~0U, 0) < 0)
        die(last_words, "cannot prepare the process", strerrordesc_np(errno));
    if (task->script) {
        fcntl(FIRST_FD + 1, F_SETFD, FD_CLOEXEC);
        dup2(STDERR_FILENO, STDOUT_FILENO);
        spawner_script_execute(child, task, path, share, &error);
        die(FIRST_FD + 1, "cannot start the script", error.message);
    }
    bool confined = task->writes[0] ? confine_writer(child->sandbox, task, &error)
                                    : confine_reader(child->sandbox, task, path, &error);
    if (!confined)
        die(FIRST_FD + 1, "cannot confine the process", error.message);
    _exit(task->run(path, FIRST_FD) ? EXIT_SUCCESS : EXIT_FAILURE);
}

_Noreturn void spawner_child_exporter(const struct spawner_child *child, int line, int last_words)
{
    int fds[] = {line, last_words}, program;
    if (!bind_to_spawner(child, 0) || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
        !place_fds(child, fds, 2, &program))
        die(last_words, "cannot prepare the exporter", strerrordesc_np(errno));
    execveat(program, "", child->options->exporter_arguments, environ, AT_EMPTY_PATH);
    die(FIRST_FD + 1, "cannot execute the exporter", strerrordesc_np(errno));
}
