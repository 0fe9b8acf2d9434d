/* The sandbox: what a worker, and the front, may still do once they have started.
 *
 * Layers, each of which holds alone: resource limits, no_new_privs, capabilities, Landlock (files,
 * TCP, signals), seccomp (system calls). Who may do what stands in tables: paths in sandbox.c,
 * calls in sandbox_seccomp.c. A layer that the kernel lacks is left out in mode "auto" and refused
 * in mode "strict".
 *
 * A worker is caged in two steps. The first, between fork and exec, bounds resources and files and
 * still lets it execute this program. The second, in worker_main before any engine is loaded, takes
 * exec and all else away. */
#ifndef TENSORD_WORKER_SANDBOX_H
#define TENSORD_WORKER_SANDBOX_H

#include "base/error.h"
#include "base/process_limits.h"
#include "base/span.h"

enum sandbox_mode { SANDBOX_OFF, SANDBOX_AUTO, SANDBOX_STRICT };

/* Rights on a path and, for a folder, all beneath it. */
enum sandbox_rights {
    SANDBOX_READ = 1,    /* open and list; enough for dlopen */
    SANDBOX_WRITE = 2,   /* also create, rename and remove */
    SANDBOX_EXECUTE = 4, /* execve */
    SANDBOX_SOCKETS = 8, /* make unix sockets and named pipes */
    SANDBOX_FRESH = 16,  /* in a root of its own: an empty folder in memory, and not what is here */
    SANDBOX_DEVICE = 32, /* control of the device that it is (ioctl) */
};

struct sandbox_path {
    const char *path; /* NULL, or one that does not exist: the row grants nothing */
    unsigned rights;  /* enum sandbox_rights; none: it shows what leads there, links included */
};

/* What a process has of its own, and not together with the rest of the machine. */
enum sandbox_own {
    SANDBOX_INIT = 1,          /* an init (cage.h); without one it has nothing of its own */
    SANDBOX_OWN_ROOT = 2,      /* a root folder that holds its rows alone; IPC and host's name */
    SANDBOX_OWN_PROCESSES = 4, /* it sees, and can signal, none but what it has started */
    SANDBOX_OWN_NETWORK = 8,   /* no interface but loopback, which is down */
    SANDBOX_OWN_LOOPBACK = 16, /* with OWN_NETWORK: it is up */
    SANDBOX_OWN_USERS = 32,    /* no wish: what the others take where the caller is not root */
};

/* A process's part of the machine. */
struct sandbox_share {
    unsigned own; /* enum sandbox_own */
    struct process_limits limits;
    const char *scratch; /* a folder on disk that it may write to, NULL where there is none */
    bool serves; /* it keeps a managed server: all that this has started is bounded together, also
                    what has processes of its own, and shared memory counts */
};

enum { SANDBOX_SCRATCH_FILES = 65536 }; /* that a scratch folder holds */

/* Sanitizers look at a process through calls that the sandbox refuses (LeakSanitizer clones and
 * traces it at exit), so that builds with them allow these: 1 in such a build. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

/* The mode of that name. False when there is none. */
bool sandbox_mode_of_name(struct span name, enum sandbox_mode *ret_mode);

/* Fails in mode strict when this kernel lacks a layer, and names it. */
bool sandbox_check(enum sandbox_mode mode, struct error *ret_error);

/* Writes which layers processes have here that have so much of their own (enum sandbox_own):
 * "namespaces (root, processes, network), landlock abi 7, seccomp, no_new_privs, rlimits". Returns
 * text. */
char *sandbox_describe(enum sandbox_mode mode, unsigned own, char *text, size_t size);

/* First step of a worker, in the child of a fork whose parent had one thread: limits, no_new_privs,
 * a root folder if that is among what it has of its own, and Landlock, both with the rows given
 * beside the worker's own. Without a share it has nothing of its own and the usual limits. Opens
 * files, so it may block. */
bool sandbox_confine_worker(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                            const struct sandbox_share *share, struct error *ret_error);

/* After the first step of a worker that is an interpreter, which may run code of its packages
 * before it comes to the second: what the second step will do, but for what that itself and the
 * execution of the interpreter need. `root` and `devices` as there. */
bool sandbox_enter_interpreter(enum sandbox_mode mode, const char *root, bool devices,
                               struct error *ret_error);

/* Second step of a worker: not dumpable, no capabilities, the seccomp filter. To be called while
 * the process has one thread. With `scratch` it may make, rename and remove files, where Landlock
 * says which, and with `devices` control those that it has rows of. `root`
 * is where the model lies: a root user who cannot read it without privilege keeps the capability to
 * read, which Landlock bounds. */
bool sandbox_enter_worker(enum sandbox_mode mode, const char *root, bool scratch, bool devices,
                          struct error *ret_error);

/* The two steps of a worker that keeps a managed server (keeper.h): it may connect to where that
 * one listens, and has no use for a model's files. */
bool sandbox_confine_keeper(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                            struct error *ret_error);
bool sandbox_enter_keeper(enum sandbox_mode mode, struct error *ret_error);

/* The sandbox of a managed server, in the child of a fork whose parent had one thread and before
 * its command is executed: it may execute programs, listen and connect, and open what `paths` say
 * beside what programs need of a system. Which machines it reaches is said by namespaces.h. `root`
 * is as for sandbox_enter_worker. Of the share its limits count, for each process by itself. */
bool sandbox_enter_server(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                          const char *root, const struct sandbox_share *share,
                          struct error *ret_error);

/* Second step of a process that changes folders, in the worker's place: the same, but that files
 * may be made, linked, renamed and removed where Landlock lets it. It keeps no capability. */
bool sandbox_enter_writer(enum sandbox_mode mode, struct error *ret_error);

/* The front's sandbox, to be entered once its sockets are bound and while it has one thread
 * (threads made later inherit it). It may then open what `paths` grant and a few files of the
 * system, accept and answer connections, and start threads; it may not make sockets, connect,
 * execute, fork, or make memory executable. The user id is left alone: the folders that it watches
 * must be readable to it. A root user who cannot read one of the paths without privilege keeps the
 * capability to read. */
bool sandbox_enter_front(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                         struct error *ret_error);

/* The sandbox of a script of ours, in the child of a fork whose parent had one thread and before it
 * is executed: it may do what a worker may, and execute the interpreter. With `installs` it may
 * also reach the network and execute programs, of all of which `paths` say where they lie, and is
 * refused what no installer needs. `root` is as for sandbox_enter_worker, `share` as for
 * sandbox_confine_worker. */
bool sandbox_enter_script(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                          const char *root, bool installs, const struct sandbox_share *share,
                          struct error *ret_error);

/* The sandbox of the exporter of traces, to be entered once its libraries are loaded and while it
 * has one thread. It may then connect to the internet's addresses, resolve names and read
 * certificates, and start threads; it may not listen, execute, fork, or open other files than
 * `paths` grant. */
bool sandbox_enter_exporter(enum sandbox_mode mode, const struct sandbox_path *paths, size_t count,
                            struct error *ret_error);

#endif
