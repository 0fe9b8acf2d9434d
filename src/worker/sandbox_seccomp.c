/* seccomp: which system calls a process may make; see sandbox.h.
 *
 * An allow-list. What is not on it does not exist (ENOSYS), which is what libraries expect of a
 * call that a kernel lacks: they do without, as the C library does for clone3, whose flags no
 * filter can see. What a program would rather take as a refusal gets EPERM or EACCES by a row of
 * its own.
 *
 * Calls without a condition cost next to nothing: the kernel keeps a bitmap of them. libseccomp is
 * here for the calls' numbers alone: when it builds filters, it does not survive a failed
 * allocation. */
#include "worker/sandbox_filter.h"
#include "worker/sandbox_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* Names are separated by blanks; those that this architecture lacks are skipped. */
static const char allowed_in_both[] =
    /* memory */
    "brk mmap munmap mremap mprotect madvise mincore msync mlock mlock2 munlock membarrier "
    "get_mempolicy set_mempolicy mbind "
    /* threads and processors; arch_prctl asks for AMX, whose state is big */
    "futex futex_waitv set_robust_list get_robust_list rseq set_tid_address gettid getpid getppid "
    "sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler "
    "sched_get_priority_max sched_get_priority_min getpriority getcpu arch_prctl exit exit_group "
    /* time, signals to itself, facts */
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage "
    "restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait "
    "rt_sigsuspend sigaltstack timer_create timer_settime timer_gettime timer_getoverrun "
    "timer_delete setitimer getitimer alarm pause sysinfo uname getrandom getrlimit setrlimit "
    "getuid geteuid getgid getegid getresuid getresgid getgroups getpgid getpgrp getsid capget "
    /* descriptors */
    "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 close close_range "
    "lseek dup dup2 dup3 pipe pipe2 poll ppoll select pselect6 epoll_create epoll_create1 "
    "epoll_ctl epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 timerfd_create "
    "timerfd_settime timerfd_gettime signalfd signalfd4 ftruncate fallocate fsync fdatasync "
    "fadvise64 readahead flock sendfile copy_file_range sendmsg recvmsg sendto recvfrom shutdown "
    "getsockopt setsockopt getsockname getpeername "
    /* files; which of them, is said by Landlock */
    "stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getdents "
    "getdents64 getcwd chdir fchdir statfs fstatfs umask ";

static const char allowed_in_front[] =
    "memfd_create open openat openat2 accept accept4 inotify_init1 inotify_add_watch "
    "inotify_rm_watch mkdir "
    "mkdirat unlink unlinkat rmdir rename renameat renameat2 symlink symlinkat chmod fchmod "
    "fchmodat truncate utimensat ";

static const char allowed_in_writer[] =
    "open openat openat2 mkdir mkdirat unlink unlinkat rmdir rename renameat renameat2 link linkat "
    "chmod fchmod fchmodat truncate utimensat ";

/* LeakSanitizer stops the threads of its process from a clone that traces them. */
static const char allowed_to_sanitizers[] =
    "ptrace wait4 waitid clone personality prctl process_vm_readv ";

static const char refused[] =
    /* other processes */
    "execve execveat fork vfork ptrace process_vm_readv process_vm_writev process_madvise kcmp "
    "tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_getfd pidfd_send_signal setpgid "
    "setsid setpriority sched_setscheduler sched_setattr ioprio_set wait4 waitid "
    /* the kernel's wide surfaces */
    "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl "
    "add_key "
    "request_key init_module finit_module delete_module kexec_load kexec_file_load reboot syslog "
    "modify_ldt iopl ioperm personality vmsplice fanotify_init open_by_handle_at "
    "name_to_handle_at quotactl acct swapon swapoff settimeofday clock_settime adjtimex "
    /* who and where it is */
    "unshare setns mount umount2 move_mount fsopen fsmount fspick open_tree mount_setattr "
    "pivot_root chroot setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid "
    "setfsgid capset sethostname setdomainname landlock_restrict_self seccomp "
    /* changes to files beyond their contents */
    "chown fchown lchown fchownat mknod mknodat link linkat setxattr lsetxattr fsetxattr "
    /* IPC by name */
    "shmget shmat shmctl semget semop semctl msgget msgsnd msgrcv mq_open ";

/* Of the above, what an installer and its compilers, and a server, never need. */
static const char refused_to_programs[] =
    "ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd bpf "
    "perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key "
    "request_key init_module finit_module delete_module kexec_load kexec_file_load reboot syslog "
    "modify_ldt iopl ioperm vmsplice fanotify_init open_by_handle_at name_to_handle_at quotactl "
    "acct swapon swapoff settimeofday clock_settime adjtimex unshare setns mount umount2 "
    "move_mount fsopen fsmount fspick open_tree mount_setattr pivot_root chroot mknod mknodat "
    "sethostname setdomainname shmget shmat shmctl msgget mq_open ";

static const char refused_network[] = "socket connect bind listen ";
static const char allowed_in_exporter[] = "connect sendmmsg recvmmsg ";
static const char refused_in_exporter[] = "bind listen ";
static const char refused_in_worker[] = "accept accept4 chmod fchmod fchmodat truncate utimensat ";
static const char changing_folders[] =
    "mkdir mkdirat unlink unlinkat rmdir rename renameat renameat2 symlink symlinkat ";

enum {
    NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                 CLONE_NEWPID | CLONE_NEWNET,
};

struct condition {
    const char *name;
    uint32_t action;
    unsigned count;
    struct filter_compare compare[FILTER_MAX_COMPARES];
};

#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE(error) (SECCOMP_RET_ERRNO | (error))
#define EQUAL(argument, value) {argument, UINT32_MAX, (uint32_t)(value)}
#define BITS(argument, mask, value) {argument, (mask), (value)}

static const struct condition conditions_in_both[] = {
    {"fcntl", ALLOW, 1, {EQUAL(1, F_DUPFD)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_DUPFD_CLOEXEC)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_GETFD)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_SETFD)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_GETFL)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_SETFL)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_GETLK)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_SETLK)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_SETLKW)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_ADD_SEALS)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_GET_SEALS)}},
    {"ioctl", ALLOW, 1, {EQUAL(1, FIONREAD)}},
    {"ioctl", ALLOW, 1, {EQUAL(1, FIONBIO)}},
    {"ioctl", ALLOW, 1, {EQUAL(1, FIOCLEX)}},
    {"ioctl", ALLOW, 1, {EQUAL(1, FIONCLEX)}},
    {"ioctl", ALLOW, 1, {EQUAL(1, TCGETS)}},
    {"ioctl", ALLOW, 1, {EQUAL(1, TIOCGWINSZ)}},
    /* of itself alone */
    {"prlimit64", ALLOW, 1, {EQUAL(0, 0)}},
    {"prctl", ALLOW, 1, {EQUAL(0, PR_SET_NAME)}},
    {"prctl", ALLOW, 1, {EQUAL(0, PR_GET_NAME)}},
    {"prctl", ALLOW, 1, {EQUAL(0, PR_GET_DUMPABLE)}},
    {"prctl", ALLOW, 1, {EQUAL(0, PR_GET_NO_NEW_PRIVS)}},
    {"prctl", ALLOW, 1, {EQUAL(0, PR_GET_SECCOMP)}},
    {"prctl", ALLOW, 1, {EQUAL(0, PR_CAPBSET_READ)}},
    {"prctl", ALLOW, 1, {EQUAL(0, PR_SET_VMA)}},
    {"prctl", ALLOW, 1, {EQUAL(0, PR_SET_TIMERSLACK)}},
    /* threads, not processes, and no namespace */
    {"clone", ALLOW, 1, {BITS(0, CLONE_THREAD | NAMESPACES, CLONE_THREAD)}},
    {"clone", REFUSE(EPERM), 1, {BITS(0, CLONE_THREAD, 0)}},
    /* Streams alone: a datagram socket could be pointed at any socket that has a path. */
    {"socketpair", ALLOW, 2, {EQUAL(0, AF_UNIX), BITS(1, 0xf, SOCK_STREAM)}},
};

/* The second step of a worker (sandbox_enter_worker), and its look at the model's files, which are
 * made after its interpreter was executed. */
static const struct condition conditions_in_interpreter[] = {
    {"execve", ALLOW, 0, {{0, 0, 0}}},
    {"capset", ALLOW, 0, {{0, 0, 0}}},
    {"landlock_create_ruleset", ALLOW, 0, {{0, 0, 0}}}, /* tells its ABI */
    {"prctl", ALLOW, 1, {EQUAL(0, PR_SET_SECCOMP)}},
    {"prctl", ALLOW, 1, {EQUAL(0, PR_SET_NO_NEW_PRIVS)}},
    {"prctl", ALLOW, 1, {EQUAL(0, PR_SET_DUMPABLE)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_SETLEASE)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_GETLEASE)}},
};

/* Memory that nobody else has is all private, so that what a worker uses can be seen and bounded:
 * neither is there memfd_create. */
static const struct condition conditions_in_worker[] = {
    {"mmap", REFUSE(EPERM), 1, {BITS(3, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS)}},
};

static const struct condition conditions_in_front[] = {
    /* A read lease says whether a file is still being written. */
    {"fcntl", ALLOW, 1, {EQUAL(1, F_SETLEASE)}},
    {"fcntl", ALLOW, 1, {EQUAL(1, F_GETLEASE)}},
};

/* No namespace: what lies in a struct, no filter can see. */
static const struct condition conditions_refusing[] = {
    {"clone3", REFUSE(ENOSYS), 0, {{0, 0, 0}}},
    {"clone", REFUSE(EPERM), 1, {BITS(0, CLONE_NEWNS, CLONE_NEWNS)}},
    {"clone", REFUSE(EPERM), 1, {BITS(0, CLONE_NEWCGROUP, CLONE_NEWCGROUP)}},
    {"clone", REFUSE(EPERM), 1, {BITS(0, CLONE_NEWUTS, CLONE_NEWUTS)}},
    {"clone", REFUSE(EPERM), 1, {BITS(0, CLONE_NEWIPC, CLONE_NEWIPC)}},
    {"clone", REFUSE(EPERM), 1, {BITS(0, CLONE_NEWUSER, CLONE_NEWUSER)}},
    {"clone", REFUSE(EPERM), 1, {BITS(0, CLONE_NEWPID, CLONE_NEWPID)}},
    {"clone", REFUSE(EPERM), 1, {BITS(0, CLONE_NEWNET, CLONE_NEWNET)}},
};

/* To the internet's addresses, and nowhere else. */
static const struct condition conditions_in_exporter[] = {
    {"socket", ALLOW, 1, {EQUAL(0, AF_INET)}},
    {"socket", ALLOW, 1, {EQUAL(0, AF_INET6)}},
    {"socket", REFUSE(EAFNOSUPPORT), 1, {EQUAL(0, AF_UNIX)}},
    {"socket", REFUSE(EAFNOSUPPORT), 1, {EQUAL(0, AF_NETLINK)}},
};

/* To where its server listens. */
static const struct condition conditions_in_keeper[] = {
    {"socket", ALLOW, 1, {EQUAL(0, AF_INET)}},
    {"socket", ALLOW, 1, {EQUAL(0, AF_UNIX)}},
};

/* Where Landlock does not say which files may be written: none. openat2 is not there at all, as its
 * flags lie in memory. */
static const struct condition conditions_read_only[] = {
    {"open", ALLOW, 1, {BITS(1, O_ACCMODE | O_CREAT | O_TRUNC, 0)}},
    {"open", REFUSE(EROFS), 1, {BITS(1, O_WRONLY, O_WRONLY)}},
    {"open", REFUSE(EROFS), 1, {BITS(1, O_RDWR, O_RDWR)}},
    {"openat", ALLOW, 1, {BITS(2, O_ACCMODE | O_CREAT | O_TRUNC, 0)}},
    {"openat", REFUSE(EROFS), 1, {BITS(2, O_WRONLY, O_WRONLY)}},
    {"openat", REFUSE(EROFS), 1, {BITS(2, O_RDWR, O_RDWR)}},
};

static void add(struct filter *filter, uint32_t action, const char *name, unsigned count,
                const struct filter_compare *compare)
{
    struct filter_rule rule = {
        .call = seccomp_syscall_resolve_name(name), .action = action, .count = count};
    if (rule.call < 0)
        return; /* unknown here, or only emulated on this architecture */
    for (unsigned i = 0; i < count; i++)
        rule.compare[i] = compare[i];
    filter_add(filter, &rule);
}

static void add_names(struct filter *filter, uint32_t action, const char *names)
{
    struct span rest = span_of(names);
    while (rest.data) {
        char name[32];
        struct span word = span_split(&rest, ' ');
        if (word.size == 0 || word.size >= sizeof name)
            continue;
        memcpy(name, word.data, word.size);
        name[word.size] = '\0';
        add(filter, action, name, 0, NULL);
    }
}

static void add_conditions(struct filter *filter, const struct condition *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(filter, rows[i].action, rows[i].name, rows[i].count, rows[i].compare);
}

/* A process may signal itself: abort() does. */
static void add_own_signals(struct filter *filter)
{
    const struct filter_compare own = EQUAL(0, getpid());
    add(filter, ALLOW, "kill", 1, &own);
    add(filter, ALLOW, "tgkill", 1, &own);
    add_names(filter, REFUSE(EPERM), "kill tgkill");
}

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static void add_files_of_worker(struct filter *filter, enum sandbox_role role, bool files_bounded)
{
    add_names(filter, REFUSE(EPERM), refused_in_worker);
    bool writes = (role == SANDBOX_PYTHON || role == SANDBOX_INTERPRETER) && files_bounded;
    add_names(filter, writes ? ALLOW : REFUSE(EPERM), changing_folders);
    if (files_bounded)
        add_names(filter, ALLOW, "open openat openat2");
    else
        add_conditions(filter, conditions_read_only, COUNT(conditions_read_only));
}

static bool is_worker(enum sandbox_role role)
{
    return role == SANDBOX_WORKER || role == SANDBOX_PYTHON || role == SANDBOX_INTERPRETER ||
           role == SANDBOX_SCRIPT;
}

/* Of two rows for one call, the earlier one counts: what sanitizers need goes first. */
static void fill(struct filter *filter, enum sandbox_role role, bool files_bounded, bool devices)
{
    if (SANDBOX_SANITIZED)
        add_names(filter, ALLOW, allowed_to_sanitizers);
    if (role == SANDBOX_SCRIPT)
        add_names(filter, ALLOW, "execve ");
    if (is_worker(role) && !devices)
        add_conditions(filter, conditions_in_worker, COUNT(conditions_in_worker));
    if (role == SANDBOX_INTERPRETER)
        add_conditions(filter, conditions_in_interpreter, COUNT(conditions_in_interpreter));
    add_names(filter, ALLOW, allowed_in_both);
    add_conditions(filter, conditions_in_both, COUNT(conditions_in_both));
    add_own_signals(filter);
    if (role == SANDBOX_FRONT) {
        add_names(filter, ALLOW, allowed_in_front);
        add_conditions(filter, conditions_in_front, COUNT(conditions_in_front));
    } else if (role == SANDBOX_WRITER) {
        add_names(filter, ALLOW, allowed_in_writer);
    } else {
        add_files_of_worker(filter, role, files_bounded);
    }
    if (role == SANDBOX_EXPORTER) {
        add_names(filter, ALLOW, allowed_in_exporter);
        add_conditions(filter, conditions_in_exporter, COUNT(conditions_in_exporter));
    }
    if (role == SANDBOX_KEEPER) {
        add_names(filter, ALLOW, "connect ");
        add_conditions(filter, conditions_in_keeper, COUNT(conditions_in_keeper));
    }
    add_names(filter, REFUSE(EACCES),
              role == SANDBOX_EXPORTER ? refused_in_exporter : refused_network);
    add_names(filter, REFUSE(EPERM), refused);
}

/* All is allowed but this: for programs of others. */
static void fill_refusing(struct filter *filter, enum sandbox_role role)
{
    if (role == SANDBOX_INSTALLER)
        add_names(filter, REFUSE(EPERM), "listen ");
    add_names(filter, REFUSE(EPERM), refused_to_programs);
    add_conditions(filter, conditions_refusing, COUNT(conditions_refusing));
#ifdef __x86_64__
    enum { X32 = 0x40000000 }; /* the same calls under other numbers */
    for (size_t i = 0, count = filter->rule_count; i < count; i++) {
        struct filter_rule rule = filter->rules[i];
        rule.call |= X32;
        filter_add(filter, &rule);
    }
#endif
}

bool sandbox_seccomp_available(void)
{
    /* A filter that is nowhere is refused as such by a kernel that has filters. */
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) < 0 && errno == EFAULT;
}

bool sandbox_seccomp_enter(enum sandbox_role role, bool files_bounded, bool devices,
                           struct error *ret_error)
{
    static struct filter filter; /* each process enters once */
    bool refusing = role == SANDBOX_INSTALLER || role == SANDBOX_SERVER;
    if (devices)
        add_names(&filter, ALLOW, "ioctl ");
    if (refusing)
        fill_refusing(&filter, role);
    else
        fill(&filter, role, files_bounded, devices);
    if (!filter_compile(&filter, seccomp_arch_native(), refusing ? ALLOW : REFUSE(ENOSYS)))
        return error_set(ret_error, ERROR_INTERNAL, "seccomp: too many rules");
    const struct sock_fprog program = {filter.code_count, filter.code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        return error_set(ret_error, ERROR_INTERNAL, "seccomp: %s", strerrordesc_np(errno));
    return true;
}
