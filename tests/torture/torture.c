/* Makes the Nth allocation or system call of a tensord process fail; a library for LD_PRELOAD,
 * built for tests only.
 *
 *     LD_PRELOAD=torture.so TORTURE_ROLE=front TORTURE_CONTROL=FILE tensord serve …
 *
 * FILE is a struct control, shared with whoever runs the test, who arms it anew for each try: the
 * server need not be started again. Only the process of that role (serve, front, worker) looks at
 * it. Nothing fails before it is armed, or in a process of another role. With TORTURE_TRACE set,
 * the stack of each failure goes to stderr.
 *
 * A worker's environment is made by the spawner, so this library puts its own variables back when
 * the spawner executes one. */
#undef _FILE_OFFSET_BITS /* the names below are to be the symbols that programs built with it call \
                          */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* What can be told to fail; tests/support/torture.py has the same list. */
enum call_class {
    CALL_ALLOCATE = 1 << 0,
    CALL_OPEN = 1 << 1,
    CALL_READ = 1 << 2,
    CALL_WRITE = 1 << 3,
    CALL_MAP = 1 << 4,
    CALL_MEMFD = 1 << 5,
    CALL_FORK = 1 << 6,
    CALL_SOCKET = 1 << 7,
    CALL_ACCEPT = 1 << 8,
    CALL_EPOLL = 1 << 9,
    CALL_PIPE = 1 << 10,
    CALL_STAT = 1 << 11,
    CALL_FCNTL = 1 << 12,
    CALL_WATCH = 1 << 13,
};

struct control {
    _Atomic uint32_t classes;   /* which calls are counted */
    _Atomic int32_t error;      /* what errno says of those that fail */
    _Atomic int64_t countdown;  /* the call that makes it 0 fails … */
    _Atomic int64_t run_length; /* … and so many, that one included, in a row */
    _Atomic int64_t failed;     /* how many have failed */
};

enum { EARLY_BYTES = 16384, STACK_DEPTH = 64 };

static struct control *control; /* NULL in processes of other roles */
static bool traces;
static bool carries_on; /* the role is the worker's: pass the variables on */

/* dlsym may allocate before the real functions are known: such blocks come from here and stay. */
static _Alignas(16) char early[EARLY_BYTES];
static size_t early_size;
static bool resolving;

static bool is_early(const void *block)
{
    return (const char *)block >= early && (const char *)block < early + EARLY_BYTES;
}

static void *early_alloc(size_t size)
{
    size_t start = (early_size + 15) / 16 * 16;
    if (size > EARLY_BYTES - start)
        return NULL;
    early_size = start + size;
    return early + start;
}

static void *real_of(const char *name)
{
    resolving = true;
    void *found = dlsym(RTLD_NEXT, name);
    resolving = false;
    return found;
}

static void trace(void)
{
    static _Thread_local bool inside;
    void *frames[STACK_DEPTH];
    if (!traces || inside)
        return;
    inside = true;
    dprintf(STDERR_FILENO, "torture: failed here\n");
    backtrace_symbols_fd(frames, backtrace(frames, STACK_DEPTH), STDERR_FILENO);
    inside = false;
}

/* Counts a call; true when it is to fail, with errno set. */
static bool fails(enum call_class class)
{
    if (!control || !(atomic_load(&control->classes) & class))
        return false;
    int64_t left = atomic_fetch_sub(&control->countdown, 1);
    if (left > 1 || left <= 1 - atomic_load(&control->run_length))
        return false;
    atomic_fetch_add(&control->failed, 1);
    trace();
    errno = atomic_load(&control->error);
    return true;
}

__attribute__((constructor)) static void begin(int count, char **arguments)
{
    const char *role = getenv("TORTURE_ROLE"), *path = getenv("TORTURE_CONTROL");
    void *frame;
    carries_on = role && strcmp(role, "worker") == 0;
    if (!role || !path || count < 2 || strcmp(arguments[1], role) != 0)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED)
        abort();
    traces = getenv("TORTURE_TRACE") != NULL;
    backtrace(&frame, 1); /* loads its library now, outside every sandbox */
    control = mapped;
}

/* ---- memory ---- */

void *malloc(size_t size)
{
    static void *(*real)(size_t);
    if (!real && resolving)
        return early_alloc(size);
    if (!real)
        *(void **)&real = real_of("malloc");
    return fails(CALL_ALLOCATE) ? NULL : real(size);
}

void *calloc(size_t count, size_t size)
{
    static void *(*real)(size_t, size_t);
    if (!real && resolving)
        return early_alloc(count * size);
    if (!real)
        *(void **)&real = real_of("calloc");
    return fails(CALL_ALLOCATE) ? NULL : real(count, size);
}

void *realloc(void *block, size_t size)
{
    static void *(*real)(void *, size_t);
    if (!real)
        *(void **)&real = real_of("realloc");
    if (is_early(block))
        abort(); /* nobody does that with what dlsym allocates */
    return fails(CALL_ALLOCATE) ? NULL : real(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    static void *(*real)(size_t, size_t);
    if (!real)
        *(void **)&real = real_of("aligned_alloc");
    return fails(CALL_ALLOCATE) ? NULL : real(alignment, size);
}

void free(void *block)
{
    static void (*real)(void *);
    if (is_early(block))
        return;
    if (!real)
        *(void **)&real = real_of("free");
    real(block);
}

/* ---- system calls ---- */

/* A function that fails with `bad` when its class is armed, else does what it does. */
#define FAILING(class, type, bad, name, parameters, arguments)                                     \
    type name parameters                                                                           \
    {                                                                                              \
        static type(*real) parameters;                                                             \
        if (!real)                                                                                 \
            *(void **)&real = real_of(#name);                                                      \
        return fails(class) ? (bad) : real arguments;                                              \
    }

/* The same for functions whose last parameter may be missing. */
#define FAILING_WITH(class, name, parameters, last, last_type, arguments)                          \
    int name parameters                                                                            \
    {                                                                                              \
        static int(*real) parameters;                                                              \
        va_list rest;                                                                              \
        va_start(rest, last);                                                                      \
        last_type more = va_arg(rest, last_type);                                                  \
        va_end(rest);                                                                              \
        if (!real)                                                                                 \
            *(void **)&real = real_of(#name);                                                      \
        return fails(class) ? -1 : real arguments;                                                 \
    }

FAILING_WITH(CALL_OPEN, open64, (const char *path, int flags, ...), flags, unsigned,
             (path, flags, more))
FAILING_WITH(CALL_OPEN, openat64, (int at, const char *path, int flags, ...), flags, unsigned,
             (at, path, flags, more))
FAILING_WITH(CALL_FCNTL, fcntl64, (int fd, int command, ...), command, void *, (fd, command, more))

/* class, result, result of a failure, name, parameters, arguments; 64 is what programs call */
FAILING(CALL_OPEN, DIR *, NULL, opendir, (const char *path), (path))
FAILING(CALL_READ, ssize_t, -1, pread64, (int fd, void *to, size_t size, off64_t at),
        (fd, to, size, at))
FAILING(CALL_READ, ssize_t, -1, recv, (int fd, void *to, size_t size, int flags),
        (fd, to, size, flags))
FAILING(CALL_READ, ssize_t, -1, recvmsg, (int fd, struct msghdr *to, int flags), (fd, to, flags))
FAILING(CALL_WRITE, ssize_t, -1, writev, (int fd, const struct iovec *vectors, int count),
        (fd, vectors, count))
FAILING(CALL_WRITE, ssize_t, -1, send, (int fd, const void *data, size_t size, int flags),
        (fd, data, size, flags))
FAILING(CALL_WRITE, ssize_t, -1, sendmsg, (int fd, const struct msghdr *data, int flags),
        (fd, data, flags))
FAILING(CALL_MAP, void *, MAP_FAILED, mmap64,
        (void *at, size_t size, int protection, int flags, int fd, off64_t offset),
        (at, size, protection, flags, fd, offset))
FAILING(CALL_MAP, int, -1, ftruncate64, (int fd, off64_t size), (fd, size))
FAILING(CALL_MAP, int, -1, fallocate64, (int fd, int mode, off64_t at, off64_t size),
        (fd, mode, at, size))
FAILING(CALL_MEMFD, int, -1, memfd_create, (const char *name, unsigned flags), (name, flags))
FAILING(CALL_FORK, pid_t, -1, fork, (void), ())
FAILING(CALL_SOCKET, int, -1, socket, (int domain, int type, int protocol),
        (domain, type, protocol))
FAILING(CALL_SOCKET, int, -1, socketpair, (int domain, int type, int protocol, int fds[2]),
        (domain, type, protocol, fds))
FAILING(CALL_SOCKET, int, -1, listen, (int fd, int backlog), (fd, backlog))
FAILING(CALL_SOCKET, int, -1, setsockopt,
        (int fd, int level, int name, const void *value, socklen_t size),
        (fd, level, name, value, size))
FAILING(CALL_ACCEPT, int, -1, accept4,
        (int fd, struct sockaddr *address, socklen_t *size, int flags), (fd, address, size, flags))
FAILING(CALL_EPOLL, int, -1, epoll_create1, (int flags), (flags))
FAILING(CALL_PIPE, int, -1, pipe2, (int fds[2], int flags), (fds, flags))
FAILING(CALL_PIPE, int, -1, eventfd, (unsigned value, int flags), (value, flags))
FAILING(CALL_STAT, int, -1, fstat64, (int fd, struct stat64 *status), (fd, status))
FAILING(CALL_STAT, int, -1, stat64, (const char *path, struct stat64 *status), (path, status))
FAILING(CALL_STAT, int, -1, lstat64, (const char *path, struct stat64 *status), (path, status))
FAILING(CALL_WATCH, int, -1, inotify_init1, (int flags), (flags))
FAILING(CALL_WATCH, int, -1, inotify_add_watch, (int fd, const char *path, uint32_t mask),
        (fd, path, mask))

static bool is_eventfd(int fd)
{
    char path[32], target[32] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return readlink(path, target, sizeof target - 1) > 0 &&
           strcmp(target, "anon_inode:[eventfd]") == 0;
}

/* Not of an eventfd, or to one: that only ever says EAGAIN, and libuv relies on it. */
ssize_t read(int fd, void *to, size_t size)
{
    static ssize_t (*real)(int, void *, size_t);
    if (!real)
        *(void **)&real = real_of("read");
    bool counted = control && (atomic_load(&control->classes) & CALL_READ) && !is_eventfd(fd);
    return counted && fails(CALL_READ) ? -1 : real(fd, to, size);
}

ssize_t write(int fd, const void *data, size_t size)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        *(void **)&real = real_of("write");
    bool counted = control && (atomic_load(&control->classes) & CALL_WRITE) && !is_eventfd(fd);
    return counted && fails(CALL_WRITE) ? -1 : real(fd, data, size);
}

/* Only a new registration needs memory: what the kernel has already is changed, or refused with
 * EEXIST, whatever else happens. */
int epoll_ctl(int fd, int what, int of, struct epoll_event *event)
{
    static int (*real)(int, int, int, struct epoll_event *);
    if (!real)
        *(void **)&real = real_of("epoll_ctl");
    int result = real(fd, what, of, event);
    if (result != 0 || what != EPOLL_CTL_ADD || !fails(CALL_EPOLL))
        return result;
    int error = errno;
    real(fd, EPOLL_CTL_DEL, of, event);
    errno = error;
    return -1;
}

/* Returns the error instead of setting errno. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *context)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!real)
        *(void **)&real = real_of("pthread_create");
    return fails(CALL_FORK) ? EAGAIN : real(thread, attributes, run, context);
}

/* ---- into the workers ---- */

static bool is_ours(const char *variable)
{
    return strncmp(variable, "TORTURE_", 8) == 0 || strncmp(variable, "LD_PRELOAD=", 11) == 0;
}

int execveat(int fd, const char *path, char *const arguments[], char *const environment[],
             int flags)
{
    static int (*real)(int, const char *, char *const[], char *const[], int);
    char *all[128];
    size_t count = 0;
    if (!real)
        *(void **)&real = real_of("execveat");
    if (!carries_on || strcmp(arguments[1], "worker") != 0)
        return real(fd, path, arguments, environment, flags);
    for (size_t i = 0; environment[i] && count < 100; i++)
        all[count++] = environment[i];
    for (size_t i = 0; environ[i] && count < 127; i++) {
        if (is_ours(environ[i]))
            all[count++] = environ[i];
    }
    all[count] = NULL;
    return real(fd, path, arguments, all, flags);
}
