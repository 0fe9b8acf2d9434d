/* The spawner's own process; see spawner.h.
 *
 * One thread and one poll(): the fronts' sockets, and a signalfd that tells of dead children and of
 * signals to pass on. Usually there is one front. An upgrade (SIGUSR2) executes the program anew in
 * this same process, which goes on with the front it has (spawner_upgrade.c) and starts a second
 * one on the same listening sockets; when that one serves, the first is told to retire. */
#include "worker/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "telemetry/log.h"
#include "worker/scratch.h"
#include "worker/spawner_front.h"
#include "worker/spawner_layers.h"
#include "worker/spawner_sockets.h"
#include "worker/spawner_upgrade.h"
#include "worker/supervisor.h"

enum {
    FRONT_OOM_SCORE = -500,
    OVERSLEPT_MS = 1000,
    CHECK_MS = 20000, /* that a new program may take to say whether it would start */
    UNPACED_MS =
        10000, /* that a front may be silent before its first word, or an older program's */
};

struct spawner {
    struct spawner_child child;
    sigset_t signals; /* blocked, and read from signal_fd */
    int signal_fd;
    struct spawner_front fronts[2]; /* the other one: a new one that does not serve yet, or an old
                                       one that retires */
    unsigned serving;               /* index of the one that serves */
    pid_t checker;                  /* finds out whether a new program would start; 0: none */
    uint64_t checker_due_ns;        /* when it must have, CLOCK_MONOTONIC */
    bool stopping;
};

static struct spawner_front *serving(struct spawner *spawner)
{
    return &spawner->fronts[spawner->serving];
}

static struct spawner_front *other(struct spawner *spawner)
{
    return &spawner->fronts[!spawner->serving];
}

/* ---- upgrades ---- */

static void begin_upgrade(struct spawner *spawner)
{
    if (!spawner->child.options->program) {
        log_error("spawner", "no upgrade: the path of the program is not known");
        return;
    }
    if (spawner->checker || other(spawner)->pid || spawner->stopping) {
        log_warning("spawner", "an upgrade, or the end, is under way already");
        return;
    }
    log_info("spawner", "upgrading: asking the new program whether it would start");
    spawner->checker = spawner_upgrade_check(spawner->child.options);
    spawner->checker_due_ns = clock_now_ns() + CHECK_MS * CLOCK_NS_PER_MS;
    if (spawner->checker < 0) {
        log_error("spawner", "cannot start a process: %s", strerrordesc_np(errno));
        spawner->checker = 0;
    }
}

/* The answer is the exit status; the reason is on standard error by then. */
static void checked(struct spawner *spawner, int status)
{
    spawner->checker = 0;
    if (spawner->stopping)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        spawner_upgrade_execute(spawner->child.options, serving(spawner));
    log_error("spawner", "no upgrade: the new program does not start; the old one goes on");
}

/* Its end, which follows, is that of the upgrade. */
static void end_checker(struct spawner *spawner)
{
    if (spawner->checker)
        kill(spawner->checker, SIGKILL);
    spawner->checker_due_ns = CLOCK_NEVER;
}

/* Looks at what the two fronts have come to. */
static void settle(struct spawner *spawner)
{
    struct spawner_front *one = other(spawner);
    if (!one->pid)
        return;
    if (one->ended) {
        if (!one->retires && !spawner->stopping)
            log_error("spawner", "no upgrade: the new front ended; the old one goes on");
        spawner_front_fini(one);
    } else if (one->settled && !one->retires) {
        log_info("spawner", "upgraded: the new front serves, the old one retires");
        serving(spawner)->retires = serving(spawner)->tell_retire = true;
        spawner->serving = !spawner->serving;
        supervisor_ready();
    }
}

/* ---- signals ---- */

/* A socket listens as long as any process holds it: from now on the fronts alone. */
static void stop_listening(struct spawner *spawner)
{
    if (!spawner->stopping)
        spawner_sockets_close(spawner->child.options);
    end_checker(spawner);
    spawner->stopping = true;
}

/* A front that is about to take over reloads too: it may have read its settings already. */
static void pass_on(struct spawner *spawner, int signal)
{
    bool stop = signal != SIGHUP;
    if (!spawner->stopping)
        stop ? supervisor_stopping() : supervisor_reloading();
    if (stop)
        stop_listening(spawner);
    for (size_t i = 0; i < 2; i++) {
        const struct spawner_front *front = &spawner->fronts[i];
        if (front->pid && !front->ended && (stop || !front->retires))
            kill(front->pid, signal);
    }
}

/* Children that are not ours come when this is process 1 of a container; they are reaped too. */
static void reap(struct spawner *spawner)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == spawner->checker)
            checked(spawner, status);
        else if (!spawner_front_reaped(&spawner->fronts[0], pid, status))
            spawner_front_reaped(&spawner->fronts[1], pid, status);
    }
    settle(spawner); /* before the next signal, which may ask for an upgrade */
}

static void handle_signals(struct spawner *spawner)
{
    struct signalfd_siginfo signal;
    while (read(spawner->signal_fd, &signal, sizeof signal) == sizeof signal) {
        if (signal.ssi_signo == SIGCHLD)
            reap(spawner); /* one signal may stand for several children */
        else if (signal.ssi_signo == SIGUSR2)
            begin_upgrade(spawner);
        else if (signal.ssi_signo != SIGUSR1) /* which means nothing */
            pass_on(spawner, (int)signal.ssi_signo);
    }
}

/* ---- a stuck loop ---- */

/* How long the front may be silent; 0: for ever. */
static uint64_t patience_ms(const struct spawner *spawner, const struct spawner_front *front)
{
    uint64_t timeout_ms = spawner->child.options->stuck_timeout_ms;
    if (timeout_ms && !front->keeps_pace && timeout_ms < UNPACED_MS)
        return UNPACED_MS;
    return timeout_ms;
}

/* When the front must have given a sign of life. */
static uint64_t due_ns(const struct spawner *spawner, const struct spawner_front *front)
{
    uint64_t patience = patience_ms(spawner, front);
    return front->pid && !front->ended && patience ? front->alive_ns + patience * CLOCK_NS_PER_MS
                                                   : CLOCK_NEVER;
}

/* Milliseconds until one of the fronts, or a checker, must have given a sign; -1: no limit. */
static int watch_ms(const struct spawner *spawner)
{
    uint64_t first_ns = due_ns(spawner, &spawner->fronts[0]), now_ns = clock_now_ns();
    uint64_t second_ns = due_ns(spawner, &spawner->fronts[1]);
    if (second_ns < first_ns)
        first_ns = second_ns;
    if (spawner->checker && spawner->checker_due_ns < first_ns)
        first_ns = spawner->checker_due_ns;
    if (first_ns == CLOCK_NEVER)
        return -1;
    return first_ns <= now_ns ? 0 : (int)((first_ns - now_ns) / CLOCK_NS_PER_MS) + 1;
}

/* Without the one that served all is over; without the other one settle() goes on. */
static void end_if_stuck(const struct spawner *spawner, struct spawner_front *front)
{
    if (clock_now_ns() < due_ns(spawner, front))
        return;
    log_error("spawner", "the front's loop has been stuck for %llu ms; it is ended",
              (unsigned long long)patience_ms(spawner, front));
    front->alive_ns = clock_now_ns();
    kill(front->pid, SIGKILL); /* it may be stopped, and hear nothing else */
}

static void watch(struct spawner *spawner)
{
    if (spawner->checker && clock_now_ns() >= spawner->checker_due_ns) {
        log_error("spawner", "the new program has not said for %d ms whether it would start",
                  CHECK_MS);
        end_checker(spawner);
    }
    if (serving(spawner)->said_alive)
        supervisor_alive();
    serving(spawner)->said_alive = false;
    for (size_t i = 0; i < 2; i++)
        end_if_stuck(spawner, &spawner->fronts[i]);
}

/* ---- turns ---- */

static struct pollfd poll_row(const struct spawner_front *front)
{
    return (struct pollfd){.fd = front->pid ? front->socket : -1,
                           .events = (short)(front->congested ? POLLIN | POLLOUT : POLLIN)};
}

static void take_turn(struct spawner *spawner)
{
    struct pollfd polled[] = {
        poll_row(&spawner->fronts[0]),
        poll_row(&spawner->fronts[1]),
        {.fd = spawner->signal_fd, .events = POLLIN},
    };
    int wait_ms = watch_ms(spawner);
    uint64_t before_ns = clock_now_ns();
    if (poll(polled, 3, wait_ms) < 0)
        return; /* interrupted */
    /* Stopped and continued, all of us: the fronts have not had their turn yet. */
    if (wait_ms >= 0 &&
        clock_now_ns() - before_ns > (uint64_t)(wait_ms + OVERSLEPT_MS) * CLOCK_NS_PER_MS)
        spawner->fronts[0].alive_ns = spawner->fronts[1].alive_ns = clock_now_ns();
    for (size_t i = 0; i < 2; i++)
        if (polled[i].revents)
            spawner_front_listen(&spawner->fronts[i]);
    if (polled[2].revents)
        handle_signals(spawner);
    if (serving(spawner)->said_ready && !spawner->stopping)
        supervisor_ready();
    serving(spawner)->said_ready = false;
    settle(spawner);
    watch(spawner);
    for (size_t i = 0; i < 2; i++)
        if (spawner->fronts[i].pid)
            spawner_front_tell(&spawner->fronts[i]);
}

/* All is over with the serving front; when they were told to stop, each gets its time. */
static bool is_over(struct spawner *spawner)
{
    return serving(spawner)->ended && (!spawner->stopping || !other(spawner)->pid);
}

/* ---- beginning and end ---- */

static bool fail(const char *what)
{
    fprintf(stderr, "tensord: %s: %s\n", what, strerrordesc_np(errno));
    return false;
}

/* Children of a process that ignores SIGCHLD, which may be inherited, are never waited for. */
static bool open_signals(struct spawner *spawner)
{
    static const int read[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&spawner->signals);
    for (size_t i = 0; i < sizeof read / sizeof *read; i++)
        sigaddset(&spawner->signals, read[i]);
    spawner->signal_fd = signalfd(-1, &spawner->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (spawner->signal_fd < 0 || sigprocmask(SIG_BLOCK, &spawner->signals, NULL) < 0)
        return fail("signals");
    return true;
}

static bool open_child(struct spawner *spawner, const struct spawner_options *options)
{
    struct error error;
    struct spawner_child *child = &spawner->child;
    child->spawner = getpid();
    if (!spawner_layers_check(options, &child->sandbox, &error)) {
        fprintf(stderr, "tensord: %s\n", error.message);
        return false;
    }
    spawner_layers_find(child);
    child->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    child->program =
        open(options->program ? options->program : "/proc/self/exe", O_PATH | O_CLOEXEC);
    return (child->null >= 0 && child->program >= 0) || fail("cannot open its own program");
}

/* Root may make the kernel spare the spawner and the front when memory is short. */
static void avoid_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    dprintf(fd, "%d", FRONT_OOM_SCORE);
    close(fd);
}

/* The first front; or, after an upgrade, the one that serves already and a second one, whose
 * failure is no end of anything. */
static bool start_front(struct spawner *spawner)
{
    bool adopted = spawner_upgrade_adopt(&spawner->fronts[0], &spawner->child);
    bool started = spawner_front_start(&spawner->fronts[adopted ? 1 : 0], &spawner->child, adopted);
    if (adopted && !started)
        log_error("spawner", "no upgrade: the new front does not start; the old one goes on");
    return adopted || started || fail("cannot start the front");
}

static void close_all(struct spawner *spawner)
{
    const int fds[] = {spawner->signal_fd, spawner->child.null, spawner->child.program};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

int spawner_run(const struct spawner_options *options)
{
    int status = EXIT_FAILURE;
    char text[128];
    struct spawner *spawner = calloc(1, sizeof *spawner);
    if (!spawner)
        return EXIT_FAILURE;
    spawner->signal_fd = spawner->child.null = spawner->child.program = -1;
    spawner->child.cgroup.base = -1;
    spawner->child.options = options;
    avoid_oom_killer();
    /* The signals first: layers are tried out by children, and SIGCHLD may have been ignored. */
    if (open_signals(spawner) && open_child(spawner, options) && start_front(spawner)) {
        scratch_begin(spawner->child.spawner);
        reap(spawner); /* a signal may have come before there was a signalfd */
        while (!is_over(spawner))
            take_turn(spawner);
        int ended = serving(spawner)->status;
        if (WIFSIGNALED(ended))
            log_error("spawner", "the front %s; all ends",
                      spawn_status_text(ended, text, sizeof text));
        status = WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
    }
    spawner_front_fini(&spawner->fronts[0]);
    spawner_front_fini(&spawner->fronts[1]);
    scratch_remove_all(spawner->child.spawner);
    stop_listening(spawner);
    cgroup_close(&spawner->child.cgroup);
    close_all(spawner);
    free(spawner);
    return status;
}

bool spawner_check(const struct spawner_options *options, struct error *ret_error)
{
    enum sandbox_mode mode;
    signal(SIGCHLD, SIG_DFL); /* layers are tried out by children */
    if (!spawner_upgrade_understood())
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the program that runs hands over in a form that this one does not know");
    return spawner_layers_check(options, &mode, ret_error);
}
