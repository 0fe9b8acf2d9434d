/* Inits of cages; see cage.h. */
#include "worker/cage.h"
#include "worker/cage_tree.h"
#include "worker/cage_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    EXIT_NOT_STARTED = 127,
    WORDS_FD = 3,
    LAST_WORDS_BYTES = 2, /* a NUL, the signal that it died of; a sentence may follow */
    WHY_BYTES = 200,
    WATCH_MS = 1000,
    WATCH_CLOSELY_MS = 100,
    WATCH_PART = 20, /* of the time, at most: a look at many processes and files takes its time, */
    WATCH_MOST_MS = 10000, /* but is not put off for longer */
};

static _Noreturn void die(int words, const char *what)
{
    dprintf(words, "%s: %s", what, strerrordesc_np(errno));
    _exit(EXIT_NOT_STARTED);
}

/* ---- namespaces ---- */

static unsigned long clone_flags(unsigned own)
{
    unsigned long flags = SIGCHLD;
    if (own & SANDBOX_OWN_USERS)
        flags |= CLONE_NEWUSER;
    if (own & SANDBOX_OWN_ROOT)
        flags |= CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
    if (own & SANDBOX_OWN_PROCESSES)
        flags |= CLONE_NEWPID;
    if (own & SANDBOX_OWN_NETWORK)
        flags |= CLONE_NEWNET;
    return flags;
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return written;
}

/* In a user namespace of its own the process is who it was before, and nobody else is there. */
static bool stay_who_it_is(uid_t user, gid_t group)
{
    char users[48], groups[48];
    snprintf(users, sizeof users, "%u %u 1", user, user);
    snprintf(groups, sizeof groups, "%u %u 1", group, group);
    return write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/uid_map", users) &&
           write_text("/proc/self/gid_map", groups);
}

static bool raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0)
        close(fd);
    return up;
}

/* ---- the init's life ---- */

static void give_up_privileges(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    syscall(SYS_capset, &head, none);
}

/* It cannot die of the same signal: process 1 is spared those of its own namespace. */
static _Noreturn void end_as(const struct sandbox_share *share, int status, const char *why,
                             int words)
{
    if (!(share->own & SANDBOX_OWN_PROCESSES))
        cage_tree_end();
    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    dprintf(words, "%c%c%s", '\0', WTERMSIG(status), why);
    _exit(EXIT_FAILURE);
}

static void reap(const struct sandbox_share *share, pid_t kept, int words)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == kept)
            end_as(share, status, "", words);
}

/* Whether it uses more than half of what it may. */
static bool is_near(const struct cage_usage *usage, const struct process_limits *limits)
{
    return (limits->memory_mib && usage->memory_bytes >> 19 > limits->memory_mib) ||
           (limits->scratch_mib && usage->disk_bytes >> 19 > limits->scratch_mib) ||
           (limits->pids && usage->pids > limits->pids / 2);
}

/* Ends the process when it uses more than it may. Returns after how many nanoseconds to look again:
 * what comes near its limit is looked at more often. */
static uint64_t watch(const struct sandbox_share *share, pid_t kept, int words)
{
    char why[WHY_BYTES];
    struct cage_usage usage;
    uint64_t pause_ns = WATCH_MS * CLOCK_NS_PER_MS, begun_ns = clock_now_ns();
    if (!cage_usage_look(share, &usage))
        return pause_ns;
    if (cage_usage_exceeds(&usage, share, why, sizeof why)) {
        kill(-kept, SIGKILL);
        kill(kept, SIGKILL);
        end_as(share, SIGKILL, why, words);
    }
    if (is_near(&usage, &share->limits))
        pause_ns = WATCH_CLOSELY_MS * CLOCK_NS_PER_MS;
    uint64_t least_ns = WATCH_PART * (clock_now_ns() - begun_ns);
    uint64_t most_ns = WATCH_MOST_MS * CLOCK_NS_PER_MS;
    least_ns = least_ns < most_ns ? least_ns : most_ns;
    return pause_ns > least_ns ? pause_ns : least_ns;
}

/* Takes a signal and passes it on, until it is time. */
static void pass_signals(const struct sandbox_share *share, pid_t kept, uint64_t until_ns,
                         int words)
{
    sigset_t all;
    sigfillset(&all);
    for (uint64_t now_ns; reap(share, kept, words), (now_ns = clock_now_ns()) < until_ns;) {
        uint64_t left_ns = until_ns - now_ns;
        const struct timespec left = {(time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000)};
        int signal = sigtimedwait(&all, NULL, &left);
        if (signal > 0 && signal != SIGCHLD)
            kill(kept, signal);
    }
}

/* Signals wait, blocked, until they are taken. */
static _Noreturn void keep(const struct sandbox_share *share, pid_t kept, int words)
{
    prctl(PR_SET_NAME, "tensord-init", 0, 0, 0);
    if (dup2(words, WORDS_FD) == WORDS_FD)
        close_range(WORDS_FD + 1, ~0U, 0);
    give_up_privileges();
    for (;;) {
        uint64_t pause_ns = watch(share, kept, WORDS_FD);
        pass_signals(share, kept, clock_now_ns() + pause_ns, WORDS_FD);
    }
}

/* Whether whoever reads the words has gone: then there is nobody to end with any more. */
static bool is_orphan(int words)
{
    struct pollfd reader = {.fd = words};
    return poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR);
}

static void bind_life(int words)
{
    sigset_t all;
    sigfillset(&all);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || sigprocmask(SIG_SETMASK, &all, NULL) < 0 ||
        setsid() < 0)
        die(words, "cannot keep a process");
    if (is_orphan(words))
        _exit(EXIT_NOT_STARTED);
}

/* The process that is to be caged; it goes on where cage_fork was called. */
static void begin_kept(pid_t init, int words)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        die(words, "cannot bind the process to its init");
    if (getppid() != init)
        _exit(EXIT_NOT_STARTED);
}

static void become_init(const struct sandbox_share *share, uid_t user, gid_t group,
                        const int pipe[2])
{
    unsigned own = share->own;
    int words = pipe[1];
    close(pipe[0]);
    bind_life(words);
    if (!(own & SANDBOX_OWN_PROCESSES))
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if ((own & SANDBOX_OWN_USERS) && !stay_who_it_is(user, group))
        die(words, "a user namespace");
    if ((own & SANDBOX_OWN_LOOPBACK) && !raise_loopback())
        die(words, "a loopback of its own");
    pid_t init = (pid_t)syscall(SYS_getpid), kept = fork();
    if (kept < 0)
        die(words, "cannot start a process");
    if (kept > 0)
        keep(share, kept, words);
    begin_kept(init, words);
}

pid_t cage_fork(const struct sandbox_share *share, const int words[2])
{
    uid_t user = geteuid();
    gid_t group = getegid();
    pid_t pid = (pid_t)syscall(SYS_clone, clone_flags(share->own), NULL, NULL, NULL, NULL);
    if (pid == 0)
        become_init(share, user, group, words);
    return pid;
}

bool cage_words_read(struct span *words, int *status)
{
    const char *end =
        words->size >= LAST_WORDS_BYTES ? memchr(words->data, '\0', words->size - 1) : NULL;
    if (!end)
        return false;
    *status = (unsigned char)end[1];
    size_t before = (size_t)(end - words->data);
    if (before) { /* it had not even started */
        words->size = before;
        return false;
    }
    *words = span_after(*words, LAST_WORDS_BYTES);
    return words->size > 0;
}

/* ---- what there is here ---- */

enum { REASON_BYTES = 256 };

/* Whether a cage with these namespaces can be entered; else `reason` says why not. */
static bool try(unsigned own, char reason[REASON_BYTES])
{
    struct error error;
    int words[2], status = -1;
    if (pipe2(words, O_CLOEXEC) < 0) {
        snprintf(reason, REASON_BYTES, "a pipe: %s", strerrordesc_np(errno));
        return false;
    }
    const struct sandbox_share share = {.own = own};
    pid_t pid = cage_fork(&share, words);
    if (pid == 0) {
        bool caged = sandbox_confine_worker(SANDBOX_AUTO, NULL, 0, &share, &error);
        if (!caged)
            dprintf(words[1], "%s", error.message);
        _exit(caged ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    snprintf(reason, REASON_BYTES, "a namespace: %s", strerrordesc_np(errno));
    close(words[1]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    ssize_t size = pid > 0 ? read(words[0], reason, REASON_BYTES - 1) : -1;
    if (size >= 0)
        reason[size] = '\0';
    close(words[0]);
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

unsigned cage_find_namespaces(char *lack, size_t size)
{
    enum { ALL = SANDBOX_INIT | SANDBOX_OWN_ROOT | SANDBOX_OWN_PROCESSES | SANDBOX_OWN_NETWORK };
    /* Root needs no users of its own; a container may cover parts of /proc, and then there can be
     * no second one. */
    static const unsigned sets[] = {
        ALL,
        ALL | SANDBOX_OWN_USERS,
        ALL & ~(unsigned)SANDBOX_OWN_PROCESSES,
        (ALL & ~(unsigned)SANDBOX_OWN_PROCESSES) | SANDBOX_OWN_USERS,
    };
    char reason[REASON_BYTES], first[REASON_BYTES] = "";
    lack[0] = '\0';
    for (size_t i = geteuid() == 0 ? 0 : 1; i < sizeof sets / sizeof *sets; i++) {
        if (try(sets[i], reason)) {
            if (!(sets[i] & SANDBOX_OWN_PROCESSES))
                snprintf(lack, size, "processes of their own (%s)", first);
            return sets[i];
        }
        if (i < 2)
            memcpy(first, reason, sizeof first);
    }
    snprintf(lack, size, "namespaces (%s)", first);
    return SANDBOX_INIT;
}
