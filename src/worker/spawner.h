/* The spawner and the front's line to it.
 *
 * The spawner is the first process: it starts the front and, when the front asks over a socketpair,
 * workers, each limited and sandboxed between fork and exec, and tells of their deaths. It reads no
 * byte of any client. So the front can drop every privilege, which its children would otherwise
 * inherit. If the spawner ends, all end. */
#ifndef TENSORD_WORKER_SPAWNER_H
#define TENSORD_WORKER_SPAWNER_H

#include "net/loop.h"
#include "worker/channel.h"

/* What a worker is to serve. Strings are copied. Sent to the worker over a pipe-like memfd, never
 * by the command line. */
struct worker_spec {
    struct span path; /* of the model: a file, or the folder of a version */
    struct span root; /* the folder that the worker may read, and is started in; holds path */
    struct span name;
    uint64_t version;
    struct span engine;               /* that the config names; empty: find out */
    const struct tensor_info *inputs; /* as the config declares them */
    size_t input_count;
    const struct tensor_info *outputs;
    size_t output_count;
    const struct parameter *parameters; /* the config's */
    size_t parameter_count;
    int64_t max_batch_size; /* the config's; -1: it says nothing */
    bool may_batch;         /* false: never join requests */
    uint32_t threads;       /* 0: the engine decides */
    uint32_t concurrency;   /* 0: the engine decides */
    struct span device;     /* "cpu" */
    bool probe;             /* open, describe, exit */
};

/* ---- in the front ---- */

struct spawner_client;

/* A worker process as the front knows it. */
struct worker_process {
    uint64_t id;
    int pid; /* 0 until it has started */
    /* It has ended, or could not be started (then started is false). reason is a sentence: "killed
     * by signal 11 (Segmentation fault)", "exited with status 3". After this call the struct is the
     * caller's again. */
    void (*ended)(struct worker_process *process, bool started, const char *reason);
    struct list_link kill_link; /* the client's own */
};

/* Talks over fd, which it owns: an end of a SOCK_SEQPACKET pair. on_lost is called, once, when the
 * spawner is gone: no `ended` follows any more, and the front ends. */
struct spawner_client *spawner_client_new(struct loop *loop, int fd, void (*on_lost)(void *context),
                                          void *context, struct error *ret_error);

/* Forgets every process without calling its `ended`. Accepts NULL. */
void spawner_client_free(struct spawner_client *client);

/* Asks for a worker with the channel's descriptors, which stay the caller's. Fills process->id; its
 * `ended` is for the caller to set. True: `ended` will be called, once, in a later turn, and until
 * then the process stays in place. False: nothing was asked for. Never blocks: what the socket has
 * no room for waits in a queue. */
bool spawner_start(struct spawner_client *client, struct worker_process *process,
                   const struct worker_spec *spec, struct channel_fds fds, struct error *ret_error);

/* Kills the worker at once (SIGKILL). `ended` follows. Harmless when it has ended already but
 * `ended` is yet to come. */
void spawner_kill(struct spawner_client *client, struct worker_process *process);

/* ---- the spawner's own process ---- */

struct spawner_options {
    const char *program;          /* binary to execute for each role; NULL: this one */
    char *const *front_arguments; /* argv of the front's role, NULL-terminated */
    const char *engine_dir;       /* where engines' shared libraries lie */
    const char *onnxruntime;      /* path of its library or package; NULL: look for it */
    const char *sandbox;          /* "off", "auto" or "strict"; NULL: "auto" */
};

enum { SPAWNER_FRONT_FD = 3 }; /* the front's end of the socketpair, in the front */

/* Runs the spawner until the front ends; returns the exit status of the program: the front's, or
 * 128 + the signal that killed it. SIGTERM, SIGINT and SIGHUP are passed on to the front. The front
 * is in a session of its own, with stdin from /dev/null and the caller's environment. Must be
 * called while the process has one thread; says on standard error why it could not start. */
int spawner_run(const struct spawner_options *options);

#endif
