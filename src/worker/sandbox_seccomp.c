/* seccomp: which system calls a process may make; see sandbox.h.
 *
 * An allow-list. What is not on it does not exist (ENOSYS), which is what libraries expect of a
 * call that a kernel lacks: they do without, as the C library does for clone3, whose flags no
 * filter can see. What a program would rather take as a refusal gets EPERM or EACCES by a row of
 * its own.
 *
 * Calls without a condition cost next to nothing: the kernel keeps a bitmap of them. */
#include "worker/sandbox_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
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
    "memfd_create get_mempolicy set_mempolicy mbind "
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
    "open openat openat2 accept accept4 inotify_init1 inotify_add_watch inotify_rm_watch mkdir "
    "mkdirat unlink unlinkat rmdir rename renameat renameat2 symlink symlinkat chmod fchmod "
    "fchmodat truncate utimensat ";

/* LeakSanitizer stops the threads of its process from a clone that traces them. */
static const char allowed_in_writer[] =
    "open openat openat2 mkdir mkdirat unlink unlinkat rmdir rename renameat renameat2 link linkat "
    "chmod fchmod fchmodat truncate utimensat ";

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
    struct scmp_arg_cmp compare[2];
};

#define EQUAL(argument, value) {argument, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)(value)}
#define BITS(argument, mask, value) {argument, SCMP_CMP_MASKED_EQ, (mask), (value)}

static const struct condition conditions_in_both[] = {
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_DUPFD)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_DUPFD_CLOEXEC)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_GETFD)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_SETFD)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_GETFL)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_SETFL)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_GETLK)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_SETLK)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_SETLKW)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_ADD_SEALS)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_GET_SEALS)}},
    {"ioctl", SCMP_ACT_ALLOW, 1, {EQUAL(1, FIONREAD)}},
    {"ioctl", SCMP_ACT_ALLOW, 1, {EQUAL(1, FIONBIO)}},
    {"ioctl", SCMP_ACT_ALLOW, 1, {EQUAL(1, FIOCLEX)}},
    {"ioctl", SCMP_ACT_ALLOW, 1, {EQUAL(1, FIONCLEX)}},
    {"ioctl", SCMP_ACT_ALLOW, 1, {EQUAL(1, TCGETS)}},
    {"ioctl", SCMP_ACT_ALLOW, 1, {EQUAL(1, TIOCGWINSZ)}},
    /* of itself alone */
    {"prlimit64", SCMP_ACT_ALLOW, 1, {EQUAL(0, 0)}},
    {"prctl", SCMP_ACT_ALLOW, 1, {EQUAL(0, PR_SET_NAME)}},
    {"prctl", SCMP_ACT_ALLOW, 1, {EQUAL(0, PR_GET_NAME)}},
    {"prctl", SCMP_ACT_ALLOW, 1, {EQUAL(0, PR_GET_DUMPABLE)}},
    {"prctl", SCMP_ACT_ALLOW, 1, {EQUAL(0, PR_GET_NO_NEW_PRIVS)}},
    {"prctl", SCMP_ACT_ALLOW, 1, {EQUAL(0, PR_GET_SECCOMP)}},
    {"prctl", SCMP_ACT_ALLOW, 1, {EQUAL(0, PR_CAPBSET_READ)}},
    {"prctl", SCMP_ACT_ALLOW, 1, {EQUAL(0, PR_SET_VMA)}},
    {"prctl", SCMP_ACT_ALLOW, 1, {EQUAL(0, PR_SET_TIMERSLACK)}},
    /* threads, not processes, and no namespace */
    {"clone", SCMP_ACT_ALLOW, 1, {BITS(0, CLONE_THREAD | NAMESPACES, CLONE_THREAD)}},
    {"clone", SCMP_ACT_ERRNO(EPERM), 1, {BITS(0, CLONE_THREAD, 0)}},
    /* Streams alone: a datagram socket could be pointed at any socket that has a path. */
    {"socketpair", SCMP_ACT_ALLOW, 2, {EQUAL(0, AF_UNIX), BITS(1, 0xf, SOCK_STREAM)}},
};

static const struct condition conditions_in_front[] = {
    /* A read lease says whether a file is still being written. */
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_SETLEASE)}},
    {"fcntl", SCMP_ACT_ALLOW, 1, {EQUAL(1, F_GETLEASE)}},
};

/* To the internet's addresses, and nowhere else. */
static const struct condition conditions_in_exporter[] = {
    {"socket", SCMP_ACT_ALLOW, 1, {EQUAL(0, AF_INET)}},
    {"socket", SCMP_ACT_ALLOW, 1, {EQUAL(0, AF_INET6)}},
    {"socket", SCMP_ACT_ERRNO(EAFNOSUPPORT), 1, {EQUAL(0, AF_UNIX)}},
    {"socket", SCMP_ACT_ERRNO(EAFNOSUPPORT), 1, {EQUAL(0, AF_NETLINK)}},
};

/* Where Landlock does not say which files may be written: none. openat2 is not there at all, as its
 * flags lie in memory. */
static const struct condition conditions_read_only[] = {
    {"open", SCMP_ACT_ALLOW, 1, {BITS(1, O_ACCMODE | O_CREAT | O_TRUNC, 0)}},
    {"open", SCMP_ACT_ERRNO(EROFS), 1, {BITS(1, O_WRONLY, O_WRONLY)}},
    {"open", SCMP_ACT_ERRNO(EROFS), 1, {BITS(1, O_RDWR, O_RDWR)}},
    {"openat", SCMP_ACT_ALLOW, 1, {BITS(2, O_ACCMODE | O_CREAT | O_TRUNC, 0)}},
    {"openat", SCMP_ACT_ERRNO(EROFS), 1, {BITS(2, O_WRONLY, O_WRONLY)}},
    {"openat", SCMP_ACT_ERRNO(EROFS), 1, {BITS(2, O_RDWR, O_RDWR)}},
};

/* A filter in the making; the first failure sticks. */
struct filter {
    scmp_filter_ctx context;
    int failure; /* negative errno, or 0 */
};

static void add(struct filter *filter, uint32_t action, const char *name, unsigned count,
                const struct scmp_arg_cmp *compare)
{
    int call = seccomp_syscall_resolve_name(name);
    if (call < 0 || filter->failure)
        return; /* unknown here, or only emulated on this architecture */
    filter->failure = seccomp_rule_add_array(filter->context, action, call, count, compare);
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
    const struct scmp_arg_cmp own = EQUAL(0, getpid());
    const struct scmp_arg_cmp other = {0, SCMP_CMP_NE, (scmp_datum_t)getpid(), 0};
    add(filter, SCMP_ACT_ALLOW, "kill", 1, &own);
    add(filter, SCMP_ACT_ERRNO(EPERM), "kill", 1, &other);
    add(filter, SCMP_ACT_ALLOW, "tgkill", 1, &own);
    add(filter, SCMP_ACT_ERRNO(EPERM), "tgkill", 1, &other);
}

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static void add_files_of_worker(struct filter *filter, enum sandbox_role role, bool files_bounded)
{
    add_names(filter, SCMP_ACT_ERRNO(EPERM), refused_in_worker);
    add_names(filter,
              role == SANDBOX_PYTHON && files_bounded ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM),
              changing_folders);
    if (files_bounded)
        add_names(filter, SCMP_ACT_ALLOW, "open openat openat2");
    else
        add_conditions(filter, conditions_read_only, COUNT(conditions_read_only));
}

/* Of two rows for one call, the earlier, unconditional one stays: what sanitizers need goes first.
 */
static void fill(struct filter *filter, enum sandbox_role role, bool files_bounded)
{
    if (SANDBOX_SANITIZED)
        add_names(filter, SCMP_ACT_ALLOW, allowed_to_sanitizers);
    add_names(filter, SCMP_ACT_ALLOW, allowed_in_both);
    add_conditions(filter, conditions_in_both, COUNT(conditions_in_both));
    add_own_signals(filter);
    if (role == SANDBOX_FRONT) {
        add_names(filter, SCMP_ACT_ALLOW, allowed_in_front);
        add_conditions(filter, conditions_in_front, COUNT(conditions_in_front));
    } else if (role == SANDBOX_WRITER) {
        add_names(filter, SCMP_ACT_ALLOW, allowed_in_writer);
    } else {
        add_files_of_worker(filter, role, files_bounded);
    }
    if (role == SANDBOX_EXPORTER) {
        add_names(filter, SCMP_ACT_ALLOW, allowed_in_exporter);
        add_conditions(filter, conditions_in_exporter, COUNT(conditions_in_exporter));
    }
    add_names(filter, SCMP_ACT_ERRNO(EACCES),
              role == SANDBOX_EXPORTER ? refused_in_exporter : refused_network);
    add_names(filter, SCMP_ACT_ERRNO(EPERM), refused);
}

bool sandbox_seccomp_available(void)
{
    return seccomp_api_get() >= 1 && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
}

bool sandbox_seccomp_enter(enum sandbox_role role, bool files_bounded, struct error *ret_error)
{
    struct filter filter = {.context = seccomp_init(SCMP_ACT_ERRNO(ENOSYS))};
    if (!filter.context)
        return error_no_memory(ret_error);
    fill(&filter, role, files_bounded);
    if (!filter.failure)
        filter.failure = seccomp_load(filter.context);
    seccomp_release(filter.context);
    if (filter.failure)
        return error_set(ret_error, ERROR_INTERNAL, "seccomp: %s",
                         strerrordesc_np(-filter.failure));
    return true;
}
