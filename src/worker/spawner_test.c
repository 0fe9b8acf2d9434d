/* Tests of the spawner from end to end: this binary plays every role. Run without arguments it is
 * the tests, each of which runs a spawner in a process of its own; the spawner executes it again as
 * "front SCENARIO" and as "worker …". A scenario talks to the spawner through spawner_client,
 * checks what it hears, and its exit status is the verdict. */
#include "worker/sandbox.h"
#include "worker/spawner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/spawn_message.h"
#include "worker/worker_main.h"

/* Empty when it is not set. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { INHERITED_FD = 40 }; /* one that no child may see */

static _Noreturn void wait_for_the_end(void)
{
    for (;;)
        pause();
}

/* ---- the worker's role: does what the model's name says ---- */

static int count_fds(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count - 1; /* without the folder's own */
}

/* Says so by the bell, so that nobody has to guess when. */
static void ring(const struct worker_context *context)
{
    const uint64_t one = 1;
    CHECK(write(context->fds.to_front, &one, sizeof one) == sizeof one);
}

static int inspect(const struct worker_context *context)
{
    char byte, folder[256];
    CHECK(count_fds() == 3 + 4); /* the standard ones and the channel's */
    CHECK(fcntl(INHERITED_FD, F_GETFD) < 0);
    CHECK(read(STDIN_FILENO, &byte, 1) == 0);
    CHECK(getsid(0) == getpid());
    CHECK(getenv("SECRET_TOKEN") == NULL);
    CHECK(strcmp(variable("TENSORD_ONNXRUNTIME"), "/opt/ort/libonnxruntime.so") == 0);
    CHECK(strcmp(context->engine_dir, "/usr/lib") == 0);
    CHECK(getcwd(folder, sizeof folder) && strcmp(folder, "/usr/share") == 0);
    CHECK(span_equal(context->spec->path, SPAN("/usr/share/model")));
    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    CHECK(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2);
    CHECK(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0);
    return 0;
}

static int behave(const struct worker_context *context)
{
    struct span name = context->spec->name;
    if (span_equal(name, SPAN("inspect")))
        return inspect(context);
    if (span_equal(name, SPAN("fail")))
        return 3;
    if (span_equal(name, SPAN("crash")))
        raise(SIGKILL);
    ring(context);
    wait_for_the_end();
}

/* ---- tasks: what a process is like that reads, and one that writes ---- */

static bool look(const char *path, int fd)
{
    char byte;
    bool caged = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                 prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2 && getsid(0) == getpid() &&
                 fcntl(INHERITED_FD, F_GETFD) < 0 && read(STDIN_FILENO, &byte, 1) == 0 &&
                 open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0;
    int folder = open(path, O_RDONLY | O_CLOEXEC);
    if (strcmp(path, "/nowhere") == 0)
        return false;
    return caged && folder >= 0 && count_fds() == 3 + 2 + 1 && pwrite(fd, "seen", 4, 0) == 4;
}

static char written[] = "/tmp/spawner-test-XXXXXX"; /* the folder that the task WRITE may change */

static bool make(const char *folder, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 && close(fd) == 0;
}

static bool change(const char *path, int fd)
{
    bool changed = chdir(written) == 0 && mkdir("a", 0700) == 0 && make(written, "a/b") &&
                   link("a/b", "a/c") == 0 && rename("a", "d") == 0 && unlink("d/b") == 0 &&
                   unlink("d/c") == 0 && rmdir("d") == 0;
    bool caged = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2 && !make("/tmp", "spawner-test-outside") &&
                 open("/var", O_RDONLY | O_CLOEXEC) < 0 &&
                 (SANDBOX_SANITIZED || fork() < 0); /* sanitizers need a clone */
    return changed && caged && pwrite(fd, "seen", 4, 0) == 4;
}

enum { LOOK, CHANGE };

static const struct spawner_task tasks[] = {
    [LOOK] = {.title = "look", .run = look},
    [CHANGE] = {.title = "change", .run = change, .writes = {written}},
};

/* ---- the front's role ---- */

static struct loop *loop;
static struct spawner_client *client;
static struct channel_fds channel; /* of all workers; only to_front is used */

struct heard {
    struct worker_process process;
    bool ended, started;
    char reason[128];
};

static void on_ended(struct worker_process *process, bool started, const char *reason)
{
    struct heard *heard = (struct heard *)process;
    CHECK(!heard->ended);
    heard->ended = true;
    heard->started = started;
    snprintf(heard->reason, sizeof heard->reason, "%s", reason);
    loop_stop(loop);
}

static void on_lost(void *context)
{
    exit(99);
}

static bool retired;

static void on_retire(void *context)
{
    retired = true;
    loop_stop(loop);
}

static void start(struct heard *heard, const char *name, const char *root)
{
    struct error error = {.message = ""};
    const struct worker_spec spec = {.path = SPAN("/usr/share/model"),
                                     .root = span_of(root),
                                     .name = span_of(name),
                                     .device = SPAN("cpu")};
    *heard = (struct heard){.process.ended = on_ended};
    CHECK(spawner_start(client, &heard->process, &spec, channel, &error));
    CHECK(!heard->ended);
}

static void await_end(struct heard *heard)
{
    while (!heard->ended)
        loop_run(loop);
}

static void await_bell(void)
{
    uint64_t count;
    CHECK(poll(&(struct pollfd){.fd = channel.to_front, .events = POLLIN}, 1, -1) == 1);
    CHECK(read(channel.to_front, &count, sizeof count) == sizeof count);
}

static void expect(const char *name, const char *root, bool started, const char *reason)
{
    struct heard heard;
    start(&heard, name, root);
    await_end(&heard);
    if (heard.started != started || !strstr(heard.reason, reason)) {
        fprintf(stderr, "%s: %s\n", name, heard.reason);
        exit(1);
    }
}

static int workers_end(void)
{
    expect("inspect", "/usr/share", true, "exited with status 0");
    expect("fail", "/usr/share", true, "exited with status 3");
    expect("fail", "/no/such/folder", false,
           "cannot enter the model's folder: No such file or directory");
    return 0;
}

static int spawner_fds(void)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", getppid());
    DIR *folder = opendir(path);
    CHECK(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void run_task(unsigned task, const char *path, const char *reason)
{
    struct heard heard = {.process.ended = on_ended};
    char seen[8] = "";
    int fd = memfd_create("look", MFD_CLOEXEC);
    CHECK(spawner_run_task(client, &heard.process, task, path, fd, NULL));
    await_end(&heard);
    CHECK(heard.started && strcmp(heard.reason, reason) == 0);
    CHECK((pread(fd, seen, 4, 0) == 4 && strcmp(seen, "seen") == 0) == (reason[19] == '0'));
    close(fd);
}

static int tasks_run(void)
{
    int own = count_fds(), spawners = spawner_fds();
    run_task(LOOK, "/usr/share", "exited with status 0");
    run_task(LOOK, "/var", "exited with status 0"); /* which no worker may read */
    run_task(LOOK, "/nowhere", "exited with status 1");
    run_task(CHANGE, "/var", "exited with status 0"); /* what it may change, the front cannot say */
    CHECK(count_fds() == own);
    CHECK(spawner_fds() == spawners);
    return 0;
}

static int workers_are_killed(void)
{
    struct heard hanging, second;
    start(&hanging, "hang", "/usr/share");
    await_bell();
    start(&second, "hang", "/usr/share");
    await_bell();
    spawner_kill(client, &hanging.process);
    spawner_kill(client, &hanging.process);
    await_end(&hanging);
    CHECK(hanging.started && strcmp(hanging.reason, "killed by signal 9 (Killed)") == 0);
    CHECK(kill(hanging.process.pid, 0) < 0 && errno == ESRCH); /* no zombie */
    CHECK(!second.ended && kill(second.process.pid, 0) == 0);
    CHECK(kill(second.process.pid, SIGTERM) == 0); /* sanitizers make an exit of a SIGSEGV */
    await_end(&second);
    CHECK(strcmp(second.reason, "killed by signal 15 (Terminated)") == 0);
    return 0;
}

static int killed_before_started(void)
{
    struct heard heard;
    start(&heard, "hang", "/usr/share");
    spawner_kill(client, &heard.process);
    await_end(&heard);
    CHECK(strcmp(heard.reason, "killed by signal 9 (Killed)") == 0);
    return 0;
}

/* More at once than the socket takes in one go; afterwards neither side holds anything of them. */
static int many_workers(void)
{
    enum { MANY = 40 };
    static struct heard heard[MANY];
    expect("fail", "/usr/share", true, "exited with status 3"); /* warms both sides up */
    int own = count_fds(), spawners = spawner_fds();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++)
            start(&heard[i], "fail", "/usr/share");
        for (int i = 0; i < MANY; i++)
            await_end(&heard[i]);
    }
    for (int i = 0; i < MANY; i++)
        CHECK(strcmp(heard[i].reason, "exited with status 3") == 0);
    CHECK(count_fds() == own);
    CHECK(spawner_fds() == spawners);
    return 0;
}

static int refuses_nonsense_roots(void)
{
    struct heard heard = {.process.ended = on_ended};
    struct error error;
    const struct worker_spec spec = {.root = SPAN("/usr\0/share")};
    CHECK(!spawner_start(client, &heard.process, &spec, channel, &error));
    CHECK(error.code == ERROR_INVALID_ARGUMENT);
    return 0;
}

/* Leaves a worker behind, whose death the test sees by the end of the pipe it holds. */
static int leaves_a_worker(void)
{
    struct heard heard;
    start(&heard, "hang", "/usr/share");
    await_bell();
    return 7;
}

static int crashes(void)
{
    leaves_a_worker();
    return raise(SIGABRT);
}

static int speaks_nonsense(void)
{
    CHECK(send(SPAWNER_FRONT_FD, "nonsense", 8, 0) == 8);
    wait_for_the_end();
}

/* The spawner has no place for a worker's descriptors, and then it has. */
static int runs_out_of_descriptors(void)
{
    struct rlimit before, none;
    CHECK(prlimit(getppid(), RLIMIT_NOFILE, NULL, &before) == 0);
    none = (struct rlimit){3, before.rlim_max}; /* what is open stays open */
    CHECK(prlimit(getppid(), RLIMIT_NOFILE, &none, NULL) == 0);
    expect("fail", "/usr/share", false, "Too many open files");
    CHECK(prlimit(getppid(), RLIMIT_NOFILE, &before, NULL) == 0);
    expect("fail", "/usr/share", true, "exited with status 3");
    return 0;
}

static int starts_without_descriptors(void)
{
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    const struct spawn_message start = {.type = SPAWN_START, .id = 1, .text = SPAN("/")};
    size_t size = spawn_message_write(&start, packet);
    CHECK(send(SPAWNER_FRONT_FD, packet, size, 0) == (ssize_t)size);
    wait_for_the_end();
}

static volatile sig_atomic_t signals_seen;

static void on_signal(int number)
{
    signals_seen |= 1 << number;
}

/* The spawner passes on what it is sent itself. */
static int hears_signals(void)
{
    static const int passed[] = {SIGTERM, SIGINT, SIGHUP};
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (size_t i = 0; i < 3; i++) {
        signal(passed[i], on_signal);
        CHECK(kill(getppid(), passed[i]) == 0);
        while (!(signals_seen & 1 << passed[i]))
            sigsuspend(&none);
    }
    return 0;
}

static int loses_the_spawner(void)
{
    leaves_a_worker();
    kill(getppid(), SIGKILL);
    wait_for_the_end();
}

static int is_confined_to_its_descriptors(void)
{
    char byte;
    CHECK(fcntl(INHERITED_FD, F_GETFD) < 0);
    CHECK(read(STDIN_FILENO, &byte, 1) == 0);
    CHECK(strcmp(variable("SECRET_TOKEN"), "x") == 0); /* the front has the caller's environment */
    return 0;
}

/* ---- upgrades: two fronts, one after the other, that meet at a file ---- */

/* The file, locked; the second one waits here for the end of the first. *ret_second tells which. */
static int meet(bool *ret_second)
{
    int fd = open(variable("MEETING"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    *ret_second = fd < 0;
    if (*ret_second) {
        fd = open(variable("MEETING"), O_RDWR | O_CLOEXEC);
        spawner_tell_ready(client);
        spawner_tell_settled(client);
    }
    CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
    return fd;
}

/* The first one keeps its worker over the upgrade, hears of it, and lives to its own end. */
static int is_upgraded(void)
{
    bool second;
    char word[8] = "";
    int meeting = meet(&second);
    if (second) {
        CHECK(read(meeting, word, sizeof word) == 4 && strcmp(word, "good") == 0);
        return 5;
    }
    struct heard heard, later;
    start(&heard, "hang", "/usr/share");
    await_bell();
    spawner_tell_settled(client);
    CHECK(kill(getppid(), SIGUSR2) == 0);
    while (!retired)
        loop_run(loop);
    spawner_kill(client, &heard.process);
    await_end(&heard);
    CHECK(strcmp(heard.reason, "killed by signal 9 (Killed)") == 0);
    start(&later, "fail", "/usr/share");
    await_end(&later);
    CHECK(strcmp(later.reason, "exited with status 3") == 0);
    CHECK(write(meeting, "good", 4) == 4);
    return 1;
}

/* The second front dies before it serves: the first goes on. */
static int survives_a_bad_upgrade(void)
{
    bool is_second = access(variable("MEETING"), F_OK) == 0;
    if (is_second)
        return 9;
    struct heard heard;
    bool second;
    meet(&second);
    CHECK(kill(getppid(), SIGUSR2) == 0);
    for (int i = 0; i < 20; i++) { /* each takes the spawner a while */
        start(&heard, "fail", "/usr/share");
        await_end(&heard);
    }
    CHECK(!retired);
    return 6;
}

/* The ends of a pipe that the spawner was given for it, which come behind the line. */
enum { PIPE_READ = SPAWNER_FRONT_SOCKETS, PIPE_WRITE };

/* What it inherits ends with it, and not with the spawner, once both have been told to end. */
static int inherits_sockets(void)
{
    struct pollfd end = {.fd = PIPE_READ};
    signal(SIGTERM, on_signal);
    CHECK(strcmp(variable(SPAWNER_SOCKETS_VARIABLE), "read=4,write=5") == 0);
    CHECK(write(PIPE_WRITE, "x", 1) == 1);
    CHECK(read(PIPE_READ, &(char){0}, 1) == 1);
    CHECK(close(PIPE_WRITE) == 0);
    CHECK(poll(&end, 1, 50) == 0); /* the spawner holds it */
    CHECK(kill(getppid(), SIGTERM) == 0);
    while (poll(&end, 1, -1) != 1)
        continue;
    CHECK(end.revents & POLLHUP);
    return 0;
}

static const struct scenario {
    const char *name;
    int (*run)(void);
} scenarios[] = {
    {"workers_end", workers_end},
    {"tasks_run", tasks_run},
    {"workers_are_killed", workers_are_killed},
    {"killed_before_started", killed_before_started},
    {"many_workers", many_workers},
    {"refuses_nonsense_roots", refuses_nonsense_roots},
    {"leaves_a_worker", leaves_a_worker},
    {"crashes", crashes},
    {"speaks_nonsense", speaks_nonsense},
    {"starts_without_descriptors", starts_without_descriptors},
    {"runs_out_of_descriptors", runs_out_of_descriptors},
    {"hears_signals", hears_signals},
    {"loses_the_spawner", loses_the_spawner},
    {"is_upgraded", is_upgraded},
    {"survives_a_bad_upgrade", survives_a_bad_upgrade},
    {"is_refused_an_upgrade", survives_a_bad_upgrade},
    {"is_confined_to_its_descriptors", is_confined_to_its_descriptors},
    {"inherits_sockets", inherits_sockets},
};

static int front_main(const char *name)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL); /* the spawner holds signals back */
    loop = loop_new(NULL);
    static const struct spawner_client_events events = {on_lost, on_retire};
    client = spawner_client_new(loop, SPAWNER_FRONT_FD, 0, &events, NULL, NULL);
    channel = (struct channel_fds){
        memfd_create("rings", MFD_CLOEXEC),
        memfd_create("tensors", MFD_CLOEXEC),
        eventfd(0, EFD_CLOEXEC),
        eventfd(0, EFD_CLOEXEC),
    };
    CHECK(loop && client && channel.to_front >= 0);
    int status = 1;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            status = scenarios[i].run();
    spawner_client_free(client);
    loop_free(loop);
    const int fds[] = {channel.rings, channel.tensors, channel.to_worker, channel.to_front};
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
    return status;
}

/* ---- the tests ---- */

static int spawn(const char *scenario, const char *sandbox, const char *program)
{
    char *arguments[] = {(char[]){"tensord"}, (char[]){"front"}, strdup(scenario), NULL};
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const struct spawner_socket sockets[] = {{ends[0], "read"}, {ends[1], "write"}};
    int result = spawner_run(&(struct spawner_options){
        .program = program,
        .front_arguments = arguments,
        .engine_dir = "/usr/lib",
        .onnxruntime = "/opt/ort/libonnxruntime.so",
        .sandbox = sandbox,
        .sockets = sockets,
        .socket_count = 2,
        .tasks = tasks,
        .task_count = sizeof tasks / sizeof *tasks,
    });
    free(arguments[2]);
    return result;
}

/* Runs a spawner in a process of its own and returns its wait status. */
static int run(const char *scenario, const char *sandbox, const char *program)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        setenv("SECRET_TOKEN", "x", 1);
        signal(SIGCHLD, SIG_IGN); /* a careless parent's legacy, which must not matter */
        dup2(STDERR_FILENO, INHERITED_FD);
        exit(spawn(scenario, sandbox, program));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int exit_status(const char *scenario)
{
    int status = run(scenario, "auto", NULL);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void tells_how_workers_end(void **state)
{
    assert_int_equal(exit_status("workers_end"), 0);
}

static void runs_tasks_within_a_cage(void **state)
{
    assert_non_null(mkdtemp(written));
    assert_int_equal(exit_status("tasks_run"), 0);
    assert_int_equal(rmdir(written), 0);
}

static void kills_workers(void **state)
{
    assert_int_equal(exit_status("workers_are_killed"), 0);
    assert_int_equal(exit_status("killed_before_started"), 0);
}

static void keeps_nothing_of_ended_workers(void **state)
{
    assert_int_equal(exit_status("many_workers"), 0);
}

static void refuses_a_root_that_is_no_path(void **state)
{
    assert_int_equal(exit_status("refuses_nonsense_roots"), 0);
}

/* Runs the scenario and waits until all that it started has ended: each process holds standard
 * error, here a pipe, which ends with the last of them. */
static int status_when_all_ended(const char *scenario)
{
    int ends[2];
    char byte;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 50);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    int status = run(scenario, "auto", NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    while (read(ends[0], &byte, 1) > 0)
        continue;
    close(ends[0]);
    return status;
}

static void workers_end_with_the_front(void **state)
{
    int status = status_when_all_ended("leaves_a_worker");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    status = status_when_all_ended("crashes");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGABRT);
}

static void all_end_with_the_spawner(void **state)
{
    int status = status_when_all_ended("loses_the_spawner");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_front_that_breaks_the_rules_is_killed(void **state)
{
    assert_int_equal(exit_status("speaks_nonsense"), 128 + SIGKILL);
    assert_int_equal(exit_status("starts_without_descriptors"), 128 + SIGKILL);
}

static void survives_a_lack_of_descriptors(void **state)
{
    assert_int_equal(exit_status("runs_out_of_descriptors"), 0);
}

static void passes_signals_on(void **state)
{
    assert_int_equal(exit_status("hears_signals"), 0);
}

static void gives_the_front_its_descriptors_alone(void **state)
{
    assert_int_equal(exit_status("is_confined_to_its_descriptors"), 0);
}

static void lets_the_front_decide_who_gets_in(void **state)
{
    assert_int_equal(exit_status("inherits_sockets"), 0);
}

static const char *own_path(void)
{
    static char path[PATH_MAX];
    assert_true(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
    return path;
}

static int status_of_upgrade(const char *scenario)
{
    char folder[] = "/tmp/tensord-XXXXXX", meeting[64];
    assert_non_null(mkdtemp(folder));
    snprintf(meeting, sizeof meeting, "%s/meeting", folder);
    setenv("MEETING", meeting, 1);
    int status = run(scenario, "auto", own_path());
    unlink(meeting);
    rmdir(folder);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void upgrades_in_place(void **state)
{
    assert_int_equal(status_of_upgrade("is_upgraded"), 5);
}

static void goes_on_when_an_upgrade_fails(void **state)
{
    assert_int_equal(status_of_upgrade("survives_a_bad_upgrade"), 6);
    assert_int_equal(status_of_upgrade("is_refused_an_upgrade"), 6);
}

static void says_what_it_cannot_start(void **state)
{
    assert_int_equal(WEXITSTATUS(run("workers_end", "auto", "/no/such/program")), 1);
    assert_int_equal(WEXITSTATUS(run("workers_end", "perhaps", NULL)), 1);
    assert_int_equal(WEXITSTATUS(run("workers_end", "auto", "/dev/null")), 127);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_how_workers_end),
        cmocka_unit_test(runs_tasks_within_a_cage),
        cmocka_unit_test(kills_workers),
        cmocka_unit_test(keeps_nothing_of_ended_workers),
        cmocka_unit_test(refuses_a_root_that_is_no_path),
        cmocka_unit_test(workers_end_with_the_front),
        cmocka_unit_test(all_end_with_the_spawner),
        cmocka_unit_test(a_front_that_breaks_the_rules_is_killed),
        cmocka_unit_test(survives_a_lack_of_descriptors),
        cmocka_unit_test(passes_signals_on),
        cmocka_unit_test(gives_the_front_its_descriptors_alone),
        cmocka_unit_test(lets_the_front_decide_who_gets_in),
        cmocka_unit_test(upgrades_in_place),
        cmocka_unit_test(goes_on_when_an_upgrade_fails),
        cmocka_unit_test(says_what_it_cannot_start),
    };
    if (argc > 2 && strcmp(argv[1], "serve") == 0)
        return spawn(argv[2], "auto", own_path());
    if (argc > 2 && strcmp(argv[1], "check") == 0)
        return strcmp(argv[2], "is_refused_an_upgrade") == 0;
    if (argc > 2 && strcmp(argv[1], "front") == 0)
        return front_main(argv[2]);
    if (argc > 2 && strcmp(argv[1], "worker") == 0)
        return worker_main(argc - 2, argv + 2, behave);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
