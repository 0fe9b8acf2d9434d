/* What a child of the spawner does between fork and exec; for spawner.c alone. These calls run in
 * the child and do not return. */
#ifndef TENSORD_WORKER_SPAWNER_CHILD_H
#define TENSORD_WORKER_SPAWNER_CHILD_H

#include <sys/types.h>

#include "worker/cgroup.h"
#include "worker/sandbox.h"
#include "worker/spawn_message.h"
#include "worker/spawner.h"

/* What all children of a spawner have in common. */
struct spawner_child {
    const struct spawner_options *options;
    enum sandbox_mode sandbox;
    unsigned namespaces; /* enum sandbox_own: what processes can have of their own here */
    struct cgroup cgroup;
    pid_t spawner;
    int program; /* opened by the spawner, so that a replaced binary does not mix versions */
    int null;    /* /dev/null */
};

/* Becomes the front, whose end of the socketpair is `socket`; a successor takes over from another
 * front, and is told so. */
_Noreturn void spawner_child_front(const struct spawner_child *child, int socket, bool successor);

/* What a process is to have of its own: a worker all there is; a plan no files, as it finds out
 * which Pythons are here; an installer the network of the machine, as it fetches packages; what is
 * started for a moment, by this program alone, and the exporter, nothing; what keeps a managed
 * server an init, which bounds all of it: for namespaces it sees to that by itself (warden.h). A
 * worker's limits are those of the message. */
struct sandbox_share spawner_child_share(const struct spawner_child *child,
                                         const struct spawn_message *message);

/* What a worker is to be. */
struct spawner_worker {
    const char *root;        /* the folder that it may read */
    const char *model;       /* the model's path, whose links lead there */
    const char *interpreter; /* the Python that it is; empty: it is this program */
    const char *scratch;     /* the folder that it may write to, yet to be made; empty: none */
    bool network;            /* of one that keeps a server: that one may reach other machines */
    struct sandbox_share share;
};

/* Keeps this process, and what it executes, to the processors and the GPU that it is given. False
 * with errno. */
bool spawner_child_place(const struct process_limits *limits);

/* Becomes a worker, with the descriptors of a START. What keeps it from starting is written to
 * last_words, as a sentence. */
_Noreturn void spawner_child_worker(const struct spawner_child *child,
                                    const struct spawner_worker *worker,
                                    const int fds[SPAWN_FD_COUNT], int last_words);

/* Becomes a worker that keeps a managed server, with the descriptors of a SERVER; and, in a child
 * of its own, the process that starts the server's command. In spawner_server.c. */
_Noreturn void spawner_child_server(const struct spawner_child *child,
                                    const struct spawner_worker *worker,
                                    const int fds[SPAWN_FD_MOST], int last_words);

/* Becomes a process that runs a task on the path and fd, and exits. It executes nothing: the
 * spawner has nothing to hide from it, and it lives for a moment. */
_Noreturn void spawner_child_task(const struct spawner_child *child,
                                  const struct spawner_task *task, const char *path,
                                  const struct sandbox_share *share, int fd, int last_words);

/* Becomes an exporter of traces, with the caller's environment and the front's line as descriptor
 * 3. */
_Noreturn void spawner_child_exporter(const struct spawner_child *child, int line, int last_words);

#endif
